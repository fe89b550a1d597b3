"""The one reader of HDF5 files, which Keras and earlier versions wrote: checked before Keras opens them.

An HDF5 file may take its numbers from any other file of the computer, through external storage, links or
virtual datasets, and may declare far more of them than it holds. Such a file is refused.
"""

import math
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import h5py

WIDEST = 8  # bytes of a number
WEIGHTS_IN_KERAS_FILE = "model.weights.h5"


def load_hdf5_weights(model: Any, path: Path) -> None:
    """Reads the weights of a model from `.weights.h5`, `.h5` or `.keras`.

    Args:
        model: a built `keras.Model`.
        path: the file.

    Raises:
        ValueError: the file takes numbers from elsewhere, declares too many, or does not fit the model. On
            a damaged file, h5py and Keras raise errors of several types.
    """
    most = WIDEST * model.count_params()
    if path.suffix == ".keras":
        _check_keras_file(path, most)
    else:
        with path.open("rb") as file:
            check_hdf5(file, max(most, path.stat().st_size))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a file that does not fit, Keras warns part by part, then raises
        model.load_weights(str(path))


def _check_keras_file(path: Path, most: int) -> None:
    """Checks the weights inside a `.keras` file, which is a zip archive."""
    with zipfile.ZipFile(path) as archive:
        size = archive.getinfo(WEIGHTS_IN_KERAS_FILE).file_size
        # The file may hold an optimizer's two moments, too.
        if size > max(3 * most + 2**20, path.stat().st_size):
            raise ValueError(f"its weights unpack to {size:,} bytes, far more than the model has")
        with archive.open(WEIGHTS_IN_KERAS_FILE) as file:
            check_hdf5(file, max(most, size))


def check_hdf5(file: BinaryIO, most: int) -> None:
    """Checks that an HDF5 file is self-contained and declares no more than it may.

    Args:
        file: the open file.
        most: bytes that all its datasets together may have.

    Raises:
        ValueError: what the file does, and where in it.
    """
    declared = 0
    with h5py.File(file, "r") as content:
        for dataset in _datasets(content):
            if dataset.external or dataset.is_virtual:
                raise ValueError(f"{dataset.name} takes its numbers from another file")
            if dataset.dtype.kind not in "biuf" and dataset.dtype != "V2":  # Keras stores bfloat16 as V2
                raise ValueError(f"{dataset.name} holds {dataset.dtype}, not numbers")
            chunk = dataset.chunks or ()
            declared += dataset.dtype.itemsize * max(math.prod(dataset.shape), math.prod(chunk))
            if declared > most:
                raise ValueError(
                    f"it declares at least {declared:,} bytes of numbers; expected at most {most:,}"
                )


def _datasets(content: h5py.File) -> Iterator[h5py.Dataset]:
    """The datasets of a file, each once; no link is followed that leads elsewhere."""
    todo, seen = [content], set()
    while todo:
        group = todo.pop()
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"{group.name}/{name} is a link to elsewhere")
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if address in seen:
                continue
            seen.add(address)
            if isinstance(item, h5py.Group):
                todo.append(item)
            elif isinstance(item, h5py.Dataset):
                yield item
