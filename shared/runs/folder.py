"""The run folder: where one training run keeps its settings, checkpoints, history and samples.

```
config.json       {"app", "format_version", "unrolled_version", "config": {...}}
vocabulary.json   the tokens, with a checksum
best.weights.h5   the best weights so far, as `keras.Model.load_weights` reads them
last.npz          everything that a run needs to resume exactly where it stopped
history.csv       one row for each epoch
samples.txt       what the model wrote after each epoch
tensorboard/      event files
```

A preset is such a folder with weights in float16. Nothing is pickled. This module imports neither
Keras nor TensorFlow.
"""

import contextlib
import csv
import json
import os
import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import shared
from shared.system.cli import UserError
from shared.system.files import write_atomic, write_text_atomic

FORMAT_VERSION = 1


class RunError(UserError):
    """A run folder that is not what it should be, or that could not be written."""


def run_name(source: str) -> str:
    """What to call a run on a source of data: the file or folder without suffix, or the source's own name.

    Example:

    >>> run_name("tfds:imdb_reviews")
    'tfds-imdb_reviews'
    """
    if source == "-":
        return "standard-input"
    path = Path(source)
    return path.resolve().stem if path.exists() else re.sub(r"[^\w.-]+", "-", source)


class RunFolder:
    """One run on disk. Made by `RunFolder.create` and `RunFolder.open`."""

    def __init__(self, path: Path, config: Mapping[str, object]):
        self.path = path
        self.config = dict(config)

    @classmethod
    def create(
        cls, path: str | os.PathLike, config: Mapping[str, object], app: str, resume: bool = False
    ) -> "RunFolder":
        """Makes the folder of a new run, or opens that of a run to be continued.

        A folder in which a run began but saved nothing yet may be used again.

        Args:
            path: the folder.
            config: the settings of the run; must be expressible in JSON.
            app: the application, such as `"captioning"`.
            resume: continue the run that is there; its settings must be `config`.

        Raises:
            RunError: the folder holds something else, or with `resume`, no run with these settings.
        """
        path = Path(path)
        config = json.loads(json.dumps(dict(config)))  # as it will be read back: no tuples
        if resume:
            run = cls.open(path, app)
            run.check_settings(config)
            return run
        run = cls(path, config)
        _check_free(run, app)
        record = {
            "app": app,
            "format_version": FORMAT_VERSION,
            "unrolled_version": shared.__version__,
            "config": config,
        }
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(
                f"could not make the run folder {path}: {error.strerror or error}. "
                "Choose another folder, where you may write."
            ) from error
        write_text_atomic(path / "config.json", json.dumps(record, indent=2) + "\n")
        return run

    @classmethod
    def open(cls, path: str | os.PathLike, app: str) -> "RunFolder":
        """Opens the folder of a run.

        Raises:
            RunError: there is no such folder, it has no readable `config.json`, or it belongs to another
                application or to a later version.
        """
        path = Path(path)
        if not path.is_dir():
            what = "it is a file" if path.exists() else "nothing of that name exists"
            raise RunError(f"there is no run folder {path}: {what}. Name a folder that training has made.")
        try:
            record = json.loads((path / "config.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RunError(
                f"{path} is not a run folder: it has no config.json. Name a folder that training has made."
            ) from None
        except (OSError, RecursionError, ValueError) as error:
            raise RunError(
                f"{path / 'config.json'} cannot be read: {error}. Restore the file from a copy of the run."
            ) from error
        if not isinstance(record, dict) or not isinstance(record.get("config"), dict):
            raise RunError(
                f"{path / 'config.json'} does not describe a run: it has no settings under 'config'. "
                "Name another folder."
            )
        if record.get("app") != app:
            raise RunError(
                f"{path} holds a run of {record.get('app')!r}; expected one of {app!r}. Name another folder."
            )
        if record.get("format_version") != FORMAT_VERSION:
            raise RunError(
                f"{path} has run folder format {record.get('format_version')!r}, written by version "
                f"{record.get('unrolled_version')!r}; this version reads format {FORMAT_VERSION}"
            )
        return cls(path, record["config"])

    def check_settings(self, config: Mapping[str, object]) -> None:
        """Checks that the run can continue with these settings.

        Raises:
            RunError: it was started with others.
        """
        names = sorted(
            name
            for name in self.config.keys() | config.keys()
            if name not in self.config or name not in config or self.config[name] != config[name]
        )
        if names:
            changes = ", ".join(f"{n}: {self.config.get(n)!r} -> {config.get(n)!r}" for n in names)
            raise RunError(
                f"the run in {self.path} was started with other settings ({changes}); "
                "continue it with the same ones, or start a new run in another folder"
            )

    @property
    def best_weights(self) -> Path:
        return self.path / "best.weights.h5"

    @property
    def last_checkpoint(self) -> Path:
        return self.path / "last.npz"

    @property
    def vocabulary_file(self) -> Path:
        return self.path / "vocabulary.json"

    @property
    def history_file(self) -> Path:
        return self.path / "history.csv"

    @property
    def samples_file(self) -> Path:
        return self.path / "samples.txt"

    @property
    def tensorboard_dir(self) -> Path:
        return self.path / "tensorboard"

    @property
    def holds_work(self) -> bool:
        """Whether the folder holds more than what a run writes before its first step."""
        files = (path for path in self.path.rglob("*") if path.is_file())
        return any(file.suffix != ".json" and file != self.samples_file for file in files)

    def require_best_weights(self) -> Path:
        """The file of the best weights.

        Raises:
            RunError: there is none yet.
        """
        if not self.best_weights.is_file():
            raise RunError(
                f"{self.path} has no checkpoint yet: {self.best_weights.name} is written after an epoch. "
                "Let its training run until then, or name another run."
            )
        return self.best_weights

    def load_best_weights(self, model: Any, tokens: int) -> None:
        """Reads the best weights into a model that was made with the run's settings and vocabulary.

        Args:
            model: a built `keras.Model`.
            tokens: size of its vocabulary, for the message.

        Raises:
            RunError: there are none yet, they do not fit, or the file is damaged.
        """
        weights = self.require_best_weights()
        try:
            with warnings.catch_warnings():
                # Of weights that do not fit, Keras warns layer by layer before it raises its error.
                warnings.filterwarnings("ignore", "Skipping nested container", UserWarning)
                model.load_weights(weights)
        except (ValueError, OSError, KeyError) as error:
            raise RunError(
                f"{weights} does not fit the {tokens} tokens of {self.vocabulary_file.name} and the "
                f"config.json beside it, or is damaged ({str(error).strip().partition(chr(10))[0]}). "
                "Expected the files of one run; copy the run folder again, whole."
            ) from error

    def write_history(self, rows: Iterable[Mapping[str, object]]) -> None:
        """Replaces `history.csv`. Numbers are written so that reading them gives the same bits; columns that
        a row does not have stay empty in it."""
        rows = [{name: _plain(value) for name, value in row.items()} for row in rows]
        columns = list(dict.fromkeys(name for row in rows for name in row))

        def write(path: Path) -> None:
            with path.open("w", encoding="utf-8", newline="") as file:
                table = csv.DictWriter(file, columns, restval="", lineterminator="\n")
                if columns:
                    table.writeheader()
                table.writerows(rows)

        write_atomic(self.history_file, write)

    def read_history(self) -> list[dict[str, int | float | str]]:
        """The rows of `history.csv`, numbers as numbers, empty cells left out; `[]` if there is no file."""
        if not self.history_file.is_file():
            return []
        with self.history_file.open(encoding="utf-8", newline="") as file:
            return [
                {name: _parse(text) for name, text in row.items() if text != ""}
                for row in csv.DictReader(file)
            ]

    def append_samples(self, text: str) -> None:
        """Adds text to `samples.txt`, ended with a line break."""
        try:
            with self.samples_file.open("a", encoding="utf-8") as file:
                file.write(text.rstrip("\n") + "\n")
        except OSError as error:
            raise RunError(
                f"could not write {self.samples_file}: {error.strerror or error}. "
                "Free some space, or make the folder writable."
            ) from error


def _check_free(run: RunFolder, app: str) -> None:
    path = run.path
    if path.exists() and not path.is_dir():
        raise RunError(f"{path} is a file; a run needs a folder")
    if run.best_weights.exists() or run.last_checkpoint.exists():
        raise RunError(f"{path} already holds a run; continue it with --resume, or choose another folder")
    if (path / "config.json").exists():
        RunFolder.open(path, app)  # it may be that of another application, or of no run at all
    elif path.is_dir() and any(path.iterdir()):
        raise RunError(f"{path} holds files that are not of a run; choose a new or an empty folder")


def _plain(value: object) -> object:
    # The Python twin of a NumPy scalar prints with all its digits.
    return value.item() if hasattr(value, "item") else value


def _parse(text: str) -> int | float | str:
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text
