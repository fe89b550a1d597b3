"""A model's weights as one `safetensors` file: a header, checked against the file's size, and numbers.

Such a file holds no code and refers to no other file. Its bytes are made in memory and written at once, so
that a full disk is an ordinary error. It also holds checksums: its own, and those of the files beside it that
say how the model is made (settings, vocabulary, labels). So one file that is replaced whole says what belongs
together, and no moment exists at which a killed process leaves new weights with an old record.

Source of the format: https://github.com/huggingface/safetensors
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from shared.runs.checksums import arrays_checksum, file_checksum
from shared.runs.hdf5 import load_hdf5_weights
from shared.system.files import write_atomic

CHECKSUMS = "sha256"  # the key of the file's metadata
WEIGHTS = "weights"  # in the record of checksums, beside the names of files
DESCRIBED_BY = ("config.json", "vocabulary.json", "labels.json")
LARGEST_FLOAT16 = 65504.0


def name_variables(variables: Iterable[Any]) -> dict[str, Any]:
    """Keras variables by names that are the same in every process: their number in the list and their path.

    Keras numbers layers as they are made in the process (`dense_3`), which says nothing about the model, so
    those numbers are left out. A variable that is there twice has one name.
    """
    unique = {id(variable): variable for variable in variables}.values()
    return {
        f"{number:04}/{re.sub(r'_[0-9]+(?=[/_]|$)', '', variable.path)}": variable
        for number, variable in enumerate(unique)
    }


def to_array(variable: Any) -> np.ndarray:
    """The value of a Keras variable; bfloat16, which NumPy does not have, as float32, which holds it."""
    array = np.asarray(variable.numpy(), order="C")
    return array if array.dtype.isbuiltin == 1 else array.astype(np.float32)


def save_weights(path: Path, model: Any, half: bool = False) -> None:
    """Writes the weights of a model.

    Args:
        path: the file; the checksums of the files beside it that describe the model go into it.
        model: a built `keras.Model`.
        half: round float32 to float16.

    Raises:
        FileError: the file cannot be written; an old one is untouched.
        ValueError: a weight is NaN or infinite.
    """
    arrays = {name: to_array(weight) for name, weight in name_variables(model.weights).items()}
    check_finite(arrays)
    if half:
        arrays = {name: _to_half(array) for name, array in arrays.items()}
    record = {WEIGHTS: arrays_checksum(arrays), **describing_checksums(path.parent)}
    content = save(arrays, {CHECKSUMS: json.dumps(record)})
    write_atomic(path, lambda file: file.write_bytes(content))


def describing_checksums(folder: Path) -> dict[str, str]:
    """The checksums of the files in a run folder that say how its model is made."""
    files = (folder / name for name in DESCRIBED_BY)
    return {file.name: file_checksum(file) for file in files if file.is_file()}


def _to_half(array: np.ndarray) -> np.ndarray:
    if array.dtype != np.float32:
        return array
    return np.asarray(np.clip(array, -LARGEST_FLOAT16, LARGEST_FLOAT16).astype(np.float16))


def load_weights(path: Path, model: Any) -> None:
    """Reads the weights of a model.

    Args:
        path: a file that `save_weights` wrote, with the files that describe the model still beside it; or
            the HDF5 file of an earlier version, which has no checksums.
        model: a built `keras.Model`.

    Raises:
        ValueError: the file is damaged, holds the weights of another model, or NaN or infinite ones; or a
            file beside it was changed. On a damaged HDF5 file, h5py and Keras raise errors of several types.
        OSError: it cannot be read.
    """
    if path.suffix == ".h5":
        load_hdf5_weights(model, path)
        check_finite({weight.path: to_array(weight) for weight in model.weights})
    else:
        _load_safetensors(path, model)


def _load_safetensors(path: Path, model: Any) -> None:
    variables = name_variables(model.weights)
    most = 8 * model.count_params() + 1024 * len(variables) + 2**20
    if path.stat().st_size > most:
        raise ValueError(f"it has {path.stat().st_size:,} bytes; expected at most {most:,}")
    arrays, checksums = _read(path)
    present = describing_checksums(path.parent)
    if changed := [name for name in DESCRIBED_BY if checksums.get(name) != present.get(name)]:
        raise ValueError(f"{' and '.join(changed)} beside it changed after the weights were saved")
    check_fit(arrays, variables)
    check_finite(arrays)
    for name, variable in variables.items():
        variable.assign(arrays[name])


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays, and the checksums of other files."""
    content = path.read_bytes()
    try:
        arrays = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        checksums = json.loads(header["__metadata__"][CHECKSUMS])
        expected = checksums.pop(WEIGHTS)
    except (SafetensorError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"it is no weights file of this project: {error!r}") from error
    if arrays_checksum(arrays) != expected:
        raise ValueError("it was changed after it was written: its checksum does not match")
    return arrays, checksums


def check_fit(arrays: Mapping[str, np.ndarray], variables: Mapping[str, Any]) -> None:
    """Checks that there is an array for each variable, of its shape and kind of number, and no other.

    Raises:
        ValueError: the first three that do not fit.
    """
    faults = [f"{name} is missing in the file" for name in variables if name not in arrays]
    faults += [f"{name} is not part of the model" for name in arrays if name not in variables]
    faults += [
        f"{name} has shape {arrays[name].shape}, expected {tuple(variable.shape)}"
        for name, variable in variables.items()
        if name in arrays and arrays[name].shape != tuple(variable.shape)
    ]
    faults += [
        f"{name} has type {arrays[name].dtype}, expected {variable.dtype}"
        for name, variable in variables.items()
        if name in arrays and arrays[name].dtype.kind != _kind(variable.dtype)
    ]
    if faults:
        more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise ValueError("; ".join(faults[:3]) + more)


def _kind(dtype: str) -> str:
    return "f" if "float" in dtype else np.dtype(dtype).kind


def check_finite(arrays: Mapping[str, np.ndarray]) -> None:
    """Checks that no weight is NaN or infinite.

    Raises:
        ValueError: the names of the arrays with such a weight.
    """
    bad = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if bad:
        raise ValueError(f"NaN or infinite numbers in {', '.join(bad[:3])}")
