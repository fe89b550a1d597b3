"""The description of an application: its name, its settings, and the one way to its models."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.runs.config import RunConfig
from shared.runs.folder import RunFolder
from shared.runs.presets import find_model, is_export
from shared.system.cli import Parser, UserError
from shared.system.quiet import import_tensorflow_quietly


@dataclass(frozen=True)
class Application:
    """What the scripts of an application share.

    Attributes:
        name: of its package and in its run folders.
        config: the settings of a run.
        default_model: the preset that scripts take where no model is named.
        load_run: gives the best model of a run folder or preset; imports Keras.
        load_export: gives a SavedModel folder behind the same calls; imports TensorFlow.
        export_file: the file by which a SavedModel folder is known to be one of this application.
        preset_files: files of a run that a preset needs beside settings, vocabulary, history and weights.
        optional_files: files that a run may have, and its preset then.
    """

    name: str
    config: type[RunConfig]
    default_model: str
    load_run: Callable[[RunFolder], Any]
    load_export: Callable[[Path], Any]
    export_file: str
    preset_files: tuple[str, ...] = ()
    optional_files: tuple[str, ...] = ()

    @property
    def presets(self) -> Path:
        """The folder of the models that ship with the package."""
        return Path(importlib.import_module(self.name).__file__).parent / "presets"

    def find(self, name: str | Path, trainable: bool = False) -> Path:
        """The folder of a model. It is not loaded: neither Keras nor TensorFlow is imported.

        Args:
            name: a preset, a run folder or an exported SavedModel folder.
            trainable: whether an exported model would not do.

        Raises:
            UserError: there is nothing of that name, or it is no model of this application.
        """
        path = find_model(name, self.presets, self.name)
        if not is_export(path):
            return RunFolder.open(path, self.name).path
        if trainable:
            raise UserError(
                f"{name} is an exported SavedModel, which can be neither trained nor exported again. "
                "Name the preset or run folder that it was made from."
            )
        if not (path / self.export_file).is_file():
            others = ", ".join(sorted(file.name for file in path.glob("*.json"))) or "no settings"
            raise UserError(
                f"{path} is not a SavedModel of {self.name}.export: it has {others}, and no "
                f"{self.export_file}. Name a model of this application."
            )
        return path

    def load(self, name: str | Path, trainable: bool = False) -> Any:
        """Loads a model.

        Args:
            name: a preset, a run folder or an exported SavedModel folder.
            trainable: whether an exported model, which has fixed weights, would not do.

        Returns:
            The Keras model, or where `name` is an exported SavedModel, one behind the same calls.

        Raises:
            UserError: there is nothing of that name, it is no model of this application, or it is damaged.
        """
        path = self.find(name, trainable)
        import_tensorflow_quietly()
        if is_export(path):
            return self.load_export(path)
        return self.load_run(RunFolder.open(path, self.name))

    def trained_with(self, name: str | Path) -> RunConfig | None:
        """The settings that a preset or run was trained with; None for an exported model, which has none.

        Raises:
            UserError: there is no such model, or it is not one of this application.
        """
        path = self.find(name)
        return None if is_export(path) else self.config.from_run(RunFolder.open(path, self.name))

    def add_model_option(self, parser: Parser, trainable: bool = False) -> None:
        """Adds `--model`."""
        kinds = self.kinds_of_models(trainable)
        parser.add_argument("--model", default=self.default_model, help=f"{kinds} (default: %(default)s)")

    def kinds_of_models(self, trainable: bool = False) -> str:
        """What `--model` may name, for its help."""
        if trainable:
            return "preset or run folder"
        return f"preset, run folder of {self.name}.train or folder of {self.name}.export"
