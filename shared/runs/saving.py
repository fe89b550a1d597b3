"""Models that are saved as a run folder: `model.save(FOLDER)`."""

import dataclasses
import shutil
import tempfile
from pathlib import Path
from typing import Any

from shared.runs.config import RunConfig
from shared.runs.folder import RunFolder, check_free, make_run_folder
from shared.system.files import PARTIAL

KERAS_FILES = (".keras", ".h5", ".hdf5")


class SavedAsRun:
    """Gives a Keras model a `save` that also writes run folders; put it before `keras.Model`.

    Attributes:
        application: the name in run folders.
        run_folder: the run that the model was loaded from; None: it was made otherwise.
        kept_files: what a copy of the run has besides settings, weights and what `save_parts` writes.
    """

    application: str
    run_folder: RunFolder | None = None
    kept_files: tuple[str, ...] = ("history.csv",)

    def run_settings(self) -> RunConfig:
        """The settings of a run that would make such a model, where there was no run."""
        raise NotImplementedError

    def save_parts(self, run: RunFolder) -> None:
        """Writes into a run folder what the model needs besides settings and weights."""
        raise NotImplementedError

    def save(self, filepath: str | Path, overwrite: bool = True, zipped: bool | None = None, **options: Any):
        """Saves the model: as a folder, which `load_model` and all scripts read, or as a file of Keras.

        Args:
            filepath: a folder, or a file `.keras`, `.h5` or `.hdf5`.
            overwrite: whether a model that is there may be replaced.
            zipped, **options: of `keras.Model.save`, for its files.

        Raises:
            RunError: the folder holds a run that can be resumed, or something else.
        """
        if Path(filepath).suffix in KERAS_FILES or zipped is not None:
            return super().save(filepath, overwrite=overwrite, zipped=zipped, **options)
        return _save_folder(self, Path(filepath), overwrite)


def _save_folder(model, path: Path, overwrite: bool) -> None:
    run = RunFolder(path, {})
    if run.has_begun and overwrite and not run.has_checkpoint:
        RunFolder.open(path, model.application)
    else:
        check_free(path, model.application)
    make_run_folder(path.parent)
    # Written whole beside its place, so that an error leaves what was there.
    with tempfile.TemporaryDirectory(prefix=PARTIAL, dir=path.parent) as folder:
        new = Path(folder, "run")
        _write(model, new)
        if path.exists():
            path.rename(Path(folder, "old"))
        new.rename(path)


def _write(model, path: Path) -> None:
    source = model.run_folder
    config = source.config if source else dataclasses.asdict(model.run_settings())
    run = RunFolder.create(path, config, model.application)
    model.save_parts(run)
    for file in (source.path / name for name in model.kept_files) if source else ():
        if file.is_file() and not file.is_symlink():
            shutil.copy(file, path)
    run.save_best_weights(model)
