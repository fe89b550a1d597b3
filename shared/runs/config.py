"""What the settings of all applications' runs have in common. Imports neither Keras nor TensorFlow."""

from dataclasses import field
from typing import Any, Self

from shared.runs.folder import RunFolder
from shared.system.cli import UserError


def option(default: Any, help: str, **metadata: Any) -> Any:  # noqa: A002 - argparse's own word
    """A field of a settings dataclass, with what `shared.system.cli.add_config_arguments` says of it."""
    return field(default=default, metadata={"help": help, **metadata})


class RunConfig:
    """Base of a frozen dataclass of settings, which a run folder keeps."""

    def _require(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise ValueError(f"--{name.replace('_', '-')} must {expected}, not {getattr(self, name)}")

    @classmethod
    def from_run(cls, run: RunFolder) -> Self:
        """The settings that a run folder keeps; those it does not name have their defaults.

        Raises:
            UserError: there are settings that this version does not know, or values that it refuses.
        """
        try:
            return cls(**run.config)
        except (TypeError, ValueError) as error:
            raise UserError(
                f"The settings in {run.path}/config.json are not those of this version: {error}."
            ) from error
