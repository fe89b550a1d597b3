"""Small trained models that ship with a package: run folders at half the size, found by name.

A preset holds the files of a run that a model needs, its weights rounded to float16. The model card
(README.md) is written by hand. This module imports neither Keras nor TensorFlow.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from shared.runs.folder import RunFolder
from shared.system.cli import UserError, did_you_mean
from shared.system.files import FileError, write_atomic

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


def make_preset(run: RunFolder, path: Path, files: Sequence[str] = (), optional: Sequence[str] = ()) -> int:
    """Writes config, vocabulary, history and half-precision weights of a run into a folder.

    Args:
        run: the run.
        path: the folder of the preset.
        files: names of further files that the application keeps in its runs.
        optional: names of files that a run may have; those that it has are copied.

    Returns:
        The size of the folder in bytes.

    Raises:
        RunError: the run has no checkpoint.
        FileError: the folder cannot be written.
        UserError: the preset is larger than a package should carry; it is written all the same.
    """
    weights = run.require_best_weights()
    try:
        path.mkdir(parents=True, exist_ok=True)
        for file in (
            run.path / "config.json",
            run.vocabulary_file,
            run.history_file,
            *map(run.path.joinpath, files),
            *(run.path / name for name in optional if (run.path / name).exists()),
        ):
            shutil.copy(file, path / file.name)
    except OSError as error:
        raise FileError(f"{path} could not be written: {error}. Name another folder.") from error
    write_atomic(path / weights.name, lambda file: store_half(weights, file))
    size = sum(file.stat().st_size for file in path.iterdir() if file.is_file())
    if size > LARGEST_PRESET:
        raise UserError(
            f"{path} has {size / 1e6:.1f} MB. A preset may have at most {LARGEST_PRESET / 1e6:.0f} MB; "
            "train a smaller model."
        )
    return size


def store_half(source: Path, target: Path) -> None:
    """Copies a Keras weights file with its float32 arrays as float16; Keras reads both alike."""
    import h5py
    import numpy as np

    with h5py.File(source) as original, h5py.File(target, "w") as copy:

        def visit(name, item):
            if isinstance(item, h5py.Group):
                group = copy.require_group(name)
                group.attrs.update(item.attrs)
                return
            array = item[()]
            if array.dtype == np.float32:
                array = np.clip(array, -65504.0, 65504.0).astype(np.float16)
            stored = copy.create_dataset(name, data=array, compression="gzip" if array.ndim else None)
            stored.attrs.update(item.attrs)

        copy.attrs.update(original.attrs)
        original.visititems(visit)
