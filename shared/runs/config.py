"""The settings of a run: a frozen dataclass, each setting with its help text and bounds at the field.

Imports neither Keras nor TensorFlow.
"""

import dataclasses
import math
from typing import Any, Self

from shared.runs.folder import RunFolder
from shared.system.cli import UserError

CELLS = ("lstm", "gru", "simple")  # of a recurrent layer; `shared.layers.stack` has the layers
PRECISIONS = ("auto", "float32", "mixed_bfloat16")  # `shared.training.precision` chooses for auto


def option(
    default: Any,
    help: str,  # noqa: A002 - argparse's own word
    *,
    least: float | None = None,
    above: float | None = None,
    below: float | None = None,
    choices: tuple[str, ...] | None = None,
) -> Any:
    """A field of a `RunConfig`, which is also an option of the command line.

    Args:
        default: the value where none is given.
        help: what `--help` says; the default is added there.
        least: the smallest value.
        above: the value must be larger than this.
        below: the value must be smaller than this; without `least` and `above`, it is at least 0.
        choices: the only values there are.
    """
    if below is not None and least is None and above is None:
        least = 0
    bounds = {"least": least, "above": above, "below": below, "choices": choices}
    return dataclasses.field(default=default, metadata={"help": help, **bounds})


class RunConfig:
    """Base of a frozen dataclass of settings, which a run folder keeps.

    A subclass that checks more has a `__post_init__` of its own, which calls this one first.
    """

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, list):  # as JSON gives a tuple back
                object.__setattr__(self, field.name, tuple(value))
            elif value is not None and not _is_allowed(value, **_bounds(field)):
                expected = _expected(value, **_bounds(field))
                raise ValueError(f"--{field.name.replace('_', '-')} must {expected}, not {value}")

    def pick(self, names: tuple[str, ...]) -> dict[str, Any]:
        """The settings of these names."""
        return {name: getattr(self, name) for name in names}

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


def _bounds(field: dataclasses.Field) -> dict[str, Any]:
    return {name: field.metadata.get(name) for name in ("least", "above", "below", "choices")}


def _is_allowed(value, least, above, below, choices) -> bool:
    if choices is not None:
        return value in choices
    if least is None and above is None and below is None:
        return True
    # Comparisons with NaN are false.
    return (
        -math.inf < value < math.inf
        and (least is None or value >= least)
        and (above is None or value > above)
        and (below is None or value < below)
    )


def _expected(value, least, above, below, choices) -> str:
    if choices is not None:
        return f"be one of {', '.join(choices)}"
    if below is not None:
        opening = f"({above}" if above is not None else f"[{least}"
        return f"lie in {opening}, {below})"
    if above is not None:
        return f"be a number above {above}"
    return f"be {'a number of ' if isinstance(value, float) else ''}at least {least}"
