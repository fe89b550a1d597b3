"""The run folder: where one training run keeps its settings, checkpoints, history and samples.

```
config.json       {"app", "format_version", "unrolled_version", "config": {...}}
vocabulary.json   the tokens, with a checksum
best.safetensors  the best weights so far, and checksums: `shared.runs.weights`
last.npz          everything that a run needs to resume exactly where it stopped
previous.npz      the checkpoint before that, in case the last one is damaged
history.csv       one row for each epoch
samples.txt       what the model wrote after each epoch
curves.svg        the history as charts, and in diagnostics.jsonl what `shared.training.diagnostics` measured
tensorboard/      event files
.lock             who writes the folder: `shared.runs.lock`
```

Runs of earlier versions have `best.weights.h5`, which Keras wrote. A preset is such a folder with weights in
float16. Nothing is pickled. This module imports neither Keras nor TensorFlow, nor NumPy at its top.
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import shared
from shared.runs.table import read_table, write_table
from shared.system.cli import UserError
from shared.system.files import PARTIAL, append_text, cut_file, write_text_atomic

FORMAT_VERSION = 1
WEIGHTS_FILE = "best.safetensors"
OLD_WEIGHTS_FILE = "best.weights.h5"  # of earlier versions
LOCK_FILE = ".lock"
LEFTOVERS = (LOCK_FILE, PARTIAL)  # of a process that was killed before it wrote the settings


class RunError(UserError):
    """A run folder that is not what it should be, or that could not be written."""


class RunFolder:
    """One run on disk. Made by `RunFolder.create` and `RunFolder.open`."""

    def __init__(self, path: Path, config: Mapping[str, object]):
        self.path = path
        self.config = dict(config)
        self.vocabulary_file = path / "vocabulary.json"
        self.last_checkpoint = path / "last.npz"
        self.previous_checkpoint = path / "previous.npz"
        self.history_file = path / "history.csv"
        self.samples_file = path / "samples.txt"
        self.tensorboard_dir = path / "tensorboard"

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
            run.begin_anew()
            return run
        run = cls(path, config)
        check_free(path, app)
        record = {
            "app": app,
            "format_version": FORMAT_VERSION,
            "unrolled_version": shared.__version__,
            "config": config,
        }
        make_run_folder(path)
        run.begin_anew()
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
        record = _read_record(path)
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

    def save_config(self, config: Mapping[str, object]) -> None:
        """Replaces the settings in `config.json`; they must be expressible in JSON.

        Raises:
            RunError: there is no readable `config.json`.
            FileError: it cannot be written.
        """
        self.config = json.loads(json.dumps(dict(config)))
        record = {**_read_record(self.path), "config": self.config}
        write_text_atomic(self.path / "config.json", json.dumps(record, indent=2) + "\n")

    def check_settings(self, config: Mapping[str, object]) -> None:
        """Checks that the run can continue with these settings.

        Raises:
            RunError: it was started with others, or is a finished model without a checkpoint.
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
        # The history is written after the first checkpoint, and is part of a preset.
        if not self.has_checkpoint and self.best_weights.exists() and self.history_file.exists():
            raise RunError(
                f"{self.path} has a history but no checkpoint {self.last_checkpoint.name}, as a preset does: "
                "it cannot be resumed. Start a new run in another folder."
            )

    @property
    def best_weights(self) -> Path:
        """The file of the best weights; in a run of an earlier version, the one that it wrote."""
        new, old = self.path / WEIGHTS_FILE, self.path / OLD_WEIGHTS_FILE
        return old if old.exists() and not new.exists() else new

    @property
    def has_checkpoint(self) -> bool:
        """Whether the run can resume where it stopped."""
        return self.last_checkpoint.exists() or self.previous_checkpoint.exists()

    @property
    def has_begun(self) -> bool:
        """Whether the run saved weights or a checkpoint."""
        return self.best_weights.exists() or self.has_checkpoint

    @property
    def holds_work(self) -> bool:
        """Whether the folder holds more than what a run writes before its first step."""
        files = (path for path in self.path.rglob("*") if path.is_file() and not path.name.startswith("."))
        return any(file.suffix != ".json" and file != self.samples_file for file in files)

    def begin_anew(self) -> None:
        """Removes what the run wrote before its first checkpoint, where it has none."""
        if not self.has_checkpoint:
            for file in (self.path / WEIGHTS_FILE, self.path / OLD_WEIGHTS_FILE, self.samples_file):
                file.unlink(missing_ok=True)

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

    def save_best_weights(self, model: Any) -> None:
        """Writes the weights of a model as the best so far.

        Raises:
            FileError: the file cannot be written; the old one is unchanged.
            RunError: a weight is NaN or infinite.
        """
        from shared.runs.weights import save_weights

        try:
            save_weights(self.path / WEIGHTS_FILE, model)
        except ValueError as error:
            raise RunError(
                f"The weights were not saved: {error}. What {self.path} holds is unchanged. Try a lower "
                "learning rate, and look for bad numbers in the data."
            ) from error
        (self.path / OLD_WEIGHTS_FILE).unlink(missing_ok=True)

    def load_best_weights(self, model: Any, tokens: int) -> None:
        """Reads the best weights into a model that was made with the run's settings and vocabulary.

        Args:
            model: a built `keras.Model`.
            tokens: size of its vocabulary, for the message.

        Raises:
            RunError: there are none yet, they do not fit, a file was changed, or one is damaged.
        """
        from shared.runs.weights import load_weights

        weights = self.require_best_weights()
        try:
            load_weights(weights, model)
        except Exception as error:  # h5py and Keras raise errors of many types on a damaged file
            raise RunError(
                f"{weights} does not fit the {tokens} tokens of {self.vocabulary_file.name} and the "
                f"config.json beside it, or is damaged ({str(error).strip().partition(chr(10))[0]}). "
                "Expected the files of one run; copy the run folder again, whole."
            ) from error

    def write_history(self, rows: Iterable[Mapping[str, object]]) -> None:
        """Replaces `history.csv` by a row of numbers for each epoch."""
        write_table(self.history_file, rows)

    def read_history(self) -> list[dict[str, int | float | str]]:
        """The rows of `history.csv`; `[]` if there is no file.

        Raises:
            RunError: the file is damaged.
        """
        try:
            return read_table(self.history_file)
        except (OSError, ValueError) as error:
            raise RunError(
                f"{self.history_file} is damaged: {error}. Continue the run with --resume, which writes it "
                "anew, or copy the folder again."
            ) from error

    @property
    def samples_size(self) -> int:
        """The length of `samples.txt` in bytes."""
        return self.samples_file.stat().st_size if self.samples_file.exists() else 0

    def append_samples(self, text: str) -> None:
        """Adds text to `samples.txt`, ended with a line break."""
        append_text(self.samples_file, text.rstrip("\n") + "\n")

    def cut_samples(self, size: int) -> None:
        """Shortens `samples.txt` to the size in bytes that it had at a checkpoint."""
        if self.samples_size > size:
            cut_file(self.samples_file, size)


def _read_record(path: Path) -> dict[str, Any]:
    """The content of `config.json`."""
    file = path / "config.json"
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(
            f"{path} is not a run folder: it has no config.json. Name a folder that training has made, or "
            "start a run there without --resume."
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{file} cannot be read: {error}. Restore the file from a copy of the run.") from error
    if not isinstance(record, dict) or not isinstance(record.get("config"), dict):
        raise RunError(
            f"{file} does not describe a run: it has no settings under 'config'. Name another folder."
        )
    return record


def make_run_folder(path: Path) -> None:
    """Makes the folder of a run where there is none.

    Raises:
        RunError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"could not make the run folder {path}: {error.strerror or error}. "
            "Choose another folder, where you may write."
        ) from error


def check_free(path: Path, app: str) -> None:
    """Checks that a new run may begin in a folder.

    Raises:
        RunError: the folder holds something else.
    """
    run = RunFolder(path, {})
    if path.exists() and not path.is_dir():
        raise RunError(f"{path} is a file; a run needs a folder")
    if run.has_begun:
        raise RunError(f"{path} already holds a run; continue it with --resume, or choose another folder")
    if (path / "config.json").exists():
        RunFolder.open(path, app)  # it may be that of another application, or of no run at all
    elif path.is_dir() and any(not file.name.startswith(LEFTOVERS) for file in path.iterdir()):
        raise RunError(f"{path} holds files that are not of a run; choose a new or an empty folder")
