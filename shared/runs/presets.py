"""Small trained models that ship with a package: run folders at half the size, found by name.

A preset holds the files of a run that a model needs, its weights rounded to float16. The model card
(README.md) is written by hand. This module imports neither Keras nor
TensorFlow, nor NumPy at its top.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shared.runs.folder import OLD_WEIGHTS_FILE, WEIGHTS_FILE, RunFolder
from shared.system.cli import UserError, did_you_mean
from shared.system.files import FileError

LARGEST_PRESET = 25 * 10**6  # bytes


def preset_names(presets: Path) -> list[str]:
    """The presets in an application's folder of presets."""
    return sorted(path.parent.name for path in presets.glob("*/config.json"))


def is_export(path: Path) -> bool:
    """Whether a folder is an exported SavedModel."""
    return (path / "saved_model.pb").exists()


def find_model(name: str | Path, presets: Path, app: str) -> Path:
    """The folder of a model.

    Args:
        name: a preset, a run folder or an exported SavedModel folder.
        presets: the application's folder of presets.
        app: the application, for the message.

    Raises:
        UserError: there is nothing of that name.
    """
    path = Path(name)
    # A folder of data may well have the name of the preset that was made from it.
    is_model = (path / "config.json").exists() or is_export(path)
    if str(name) in preset_names(presets) and not is_model:
        return presets / str(name)
    if path.exists():
        return path
    if "://" in str(name):
        raise UserError(f"{name} is a URL. Download the model first, and name its folder.")
    names = ", ".join(preset_names(presets)) or "none is installed"
    near = path.parent.glob("*/") if path.parent.is_dir() else ()
    known = [*preset_names(presets), *(str(folder) for folder in near)]
    raise UserError(
        f"There is no model {str(name)!r}. Expected a preset ({names}), "
        f"a run folder of {app}.train, or a folder written by {app}.export.{did_you_mean(str(name), known)}"
    )


def make_preset(
    run: RunFolder, model: Any, path: Path, files: Sequence[str] = (), optional: Sequence[str] = ()
) -> int:
    """Writes settings, vocabulary, history and half-precision weights of a run into a folder.

    The weights are those of the loaded model, so all that is checked when a model is loaded is checked here,
    and a preset of a run of an earlier version has the weights file of this one.

    Args:
        run: the run.
        model: its best model.
        path: the folder of the preset.
        files: names of further files that the application keeps in its runs.
        optional: names of files that a run may have; those that it has are copied.

    Returns:
        The size of the folder in bytes.

    Raises:
        FileError: the folder cannot be written, or a file of the run is a link.
        UserError: the preset is larger than a package should carry; it is written all the same.
    """
    from shared.runs.weights import save_weights

    named = [run.path / "config.json", run.vocabulary_file, run.history_file, *map(run.path.joinpath, files)]
    named += [run.path / name for name in optional if (run.path / name).exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        for file in named:
            _copy(file, path)
    except OSError as error:
        raise FileError(f"{path} could not be written: {error}. Name another folder.") from error
    save_weights(path / WEIGHTS_FILE, model, half=True)
    (path / OLD_WEIGHTS_FILE).unlink(missing_ok=True)
    size = sum(file.stat().st_size for file in path.iterdir() if file.is_file())
    if size > LARGEST_PRESET:
        raise UserError(
            f"{path} has {size / 1e6:.1f} MB. A preset may have at most {LARGEST_PRESET / 1e6:.0f} MB; "
            "train a smaller model."
        )
    return size


def _copy(file: Path, folder: Path) -> None:
    """Copies a file, but not what a link in a stranger's run leads to."""
    if file.is_symlink():
        raise FileError(f"{file} is a link to another file. Put the file itself in its place.")
    shutil.copy(file, folder / file.name)
