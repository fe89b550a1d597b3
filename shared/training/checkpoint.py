"""Exact checkpoints: groups of variables and a little state in one NumPy archive, without pickles."""

import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
from keras import ops

from shared.runs.folder import RunError
from shared.system.files import write_atomic

FORMAT_VERSION = 1
STATE = "state.json"

Groups = Mapping[str, Sequence[keras.Variable]]


def save_checkpoint(path: Path, groups: Groups, state: Mapping[str, object]) -> None:
    """Writes variables and state; at any moment the old or the new checkpoint is there, whole.

    Args:
        path: the `.npz` file.
        groups: variables by the name of their group; each is stored as `group/number/path`.
        state: anything that JSON can express; floats come back with the same bits.

    Raises:
        RunError: the file could not be written; the old one is untouched.
    """
    arrays = {name: _to_array(variable) for name, variable in _named(groups).items()}
    record = json.dumps({"format_version": FORMAT_VERSION, "state": state})
    arrays[STATE] = np.frombuffer(record.encode(), dtype=np.uint8)
    write_atomic(path, lambda file: np.savez(file, **arrays))


def load_checkpoint(path: Path, groups: Groups) -> dict:
    """Reads a checkpoint into the variables. Where it does not fit, nothing is assigned.

    Args:
        path: the `.npz` file.
        groups: variables by group, as they were saved.

    Returns:
        The state that was saved with them.

    Raises:
        RunError: there is no such file, it is damaged, or it was written for other variables.
    """
    arrays, state = _read(path)
    variables = _named(groups)
    _check_fit(path, arrays, variables)
    for name, variable in variables.items():
        variable.assign(ops.cast(arrays[name], variable.dtype))
    return state


def _named(groups: Groups) -> dict[str, keras.Variable]:
    named = {}
    for group, variables in groups.items():
        unique = {id(variable): variable for variable in variables}.values()
        for number, variable in enumerate(unique):
            # Keras numbers layers as they are made in the process (`dense_3`): that says nothing about the
            # model, so it is left out. The index in the list keeps the names apart.
            named[f"{group}/{number:04}/{re.sub(r'_[0-9]+(?=[/_]|$)', '', variable.path)}"] = variable
    return named


def _to_array(variable: keras.Variable) -> np.ndarray:
    array = ops.convert_to_numpy(variable.value)
    # NumPy has no bfloat16 of its own and would store raw bytes; float32 holds each of its numbers.
    return array if array.dtype.isbuiltin == 1 else array.astype(np.float32)


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict]:
    if not Path(path).is_file():
        raise RunError(f"there is no checkpoint {path} to resume from; start the run without --resume")
    try:
        # NumPy leaves a file of its own open when the archive is damaged.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        record = json.loads(arrays.pop(STATE).tobytes())
        version, state = record["format_version"], record["state"]
    except (OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise RunError(
            f"the checkpoint {path} is damaged and cannot be read: {error}. "
            "Restore it from a copy, or start a new run in another folder."
        ) from error
    if version != FORMAT_VERSION:
        raise RunError(f"{path} has checkpoint format {version}; this version reads format {FORMAT_VERSION}")
    return arrays, state


def _check_fit(path: Path, arrays: Mapping[str, np.ndarray], variables: Mapping[str, keras.Variable]) -> None:
    faults = [f"{name} is missing in the file" for name in variables if name not in arrays]
    faults += [f"{name} is not part of the model" for name in arrays if name not in variables]
    faults += [
        f"{name} has shape {arrays[name].shape}, expected {tuple(variable.shape)}"
        for name, variable in variables.items()
        if name in arrays and arrays[name].shape != tuple(variable.shape)
    ]
    if faults:
        shown = "; ".join(faults[:3]) + (f"; and {len(faults) - 3} more" if len(faults) > 3 else "")
        raise RunError(
            f"the checkpoint {path} does not fit this model and optimizer: {shown}. "
            "Continue with the settings that the run was started with."
        )
