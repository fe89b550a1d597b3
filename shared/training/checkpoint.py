"""Exact checkpoints: groups of variables and a little state in one NumPy archive, without pickles.

An archive holds a checksum of all that is in it, and the one before it stays beside it.
"""

import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
from keras import ops

from shared.runs.checksums import arrays_checksum
from shared.runs.folder import RunError
from shared.runs.weights import check_fit, name_variables, to_array
from shared.system.files import write_atomic

FORMAT_VERSION = 1
STATE, CHECKSUM = "state.json", "checksum"

Groups = Mapping[str, Sequence[keras.Variable]]


class DamagedCheckpoint(RunError):  # noqa: N818 - what it is
    """A checkpoint that cannot be read."""


def save_checkpoint(
    path: Path, groups: Groups, state: Mapping[str, object], previous: Path | None = None
) -> None:
    """Writes variables and state; at any moment the old or the new checkpoint is there, whole.

    Args:
        path: the `.npz` file.
        groups: variables by the name of their group; each is stored as `group/number/path`.
        state: anything that JSON can express; floats come back with the same bits.
        previous: where the checkpoint that is now at `path` stays.

    Raises:
        FileError: the file could not be written; the old one is untouched.
    """
    arrays = {name: to_array(variable) for name, variable in _named(groups).items()}
    arrays[STATE] = _bytes(json.dumps({"format_version": FORMAT_VERSION, "state": state}))
    arrays[CHECKSUM] = _bytes(arrays_checksum(arrays))
    content = io.BytesIO()  # a full disk then is an ordinary error of one write
    np.savez(content, **arrays)
    write_atomic(path, lambda file: file.write_bytes(content.getbuffer()), previous)


def load_checkpoint(path: Path, groups: Groups, previous: Path | None = None) -> dict:
    """Reads a checkpoint into the variables. Where it does not fit, nothing is assigned.

    Args:
        path: the `.npz` file.
        groups: variables by group, as they were saved.
        previous: the checkpoint before, which takes the place of one that is damaged or, because a process
            was killed while it saved, is missing.

    Returns:
        The state that was saved with them.

    Raises:
        RunError: there is no such file, it is damaged, or it was written for other variables.
    """
    arrays, state = _read_last(path, previous)
    variables = _named(groups)
    try:
        check_fit(arrays, variables)
    except ValueError as error:
        raise RunError(
            f"the checkpoint {path} does not fit this model and optimizer: {error}. "
            "Continue with the settings that the run was started with."
        ) from error
    for name, variable in variables.items():
        variable.assign(ops.cast(arrays[name], variable.dtype))
    return state


def _named(groups: Groups) -> dict[str, keras.Variable]:
    return {
        f"{group}/{name}": variable
        for group, variables in groups.items()
        for name, variable in name_variables(variables).items()
    }


def _bytes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), dtype=np.uint8)


def _read_last(path: Path, previous: Path | None) -> tuple[dict[str, np.ndarray], dict]:
    """The checkpoint, or the one before where it is damaged; that one has its name then."""
    if previous is None or not previous.is_file():
        return _read(path)
    if not path.exists():
        os.replace(previous, path)
        return _read(path)
    try:
        return _read(path)
    except DamagedCheckpoint as error:
        before = _read(previous)
        print(f"{error}\nThe run continues from the checkpoint before that, {previous}.", flush=True)
        os.replace(previous, path)
        return before


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict]:
    if not path.is_file():
        raise RunError(f"there is no checkpoint {path} to resume from; start the run without --resume")
    try:
        # NumPy leaves a file of its own open when the archive is damaged.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        if CHECKSUM in arrays and arrays.pop(CHECKSUM).tobytes().decode() != arrays_checksum(arrays):
            raise ValueError("its checksum does not match")  # earlier versions wrote none
        record = json.loads(arrays.pop(STATE).tobytes())
        version, state = record["format_version"], record["state"]
    except PermissionError as error:
        raise RunError(f"the checkpoint {path} cannot be read: {error.strerror}.") from error
    except Exception as error:  # NumPy and zipfile raise errors of many types on a damaged file
        raise DamagedCheckpoint(
            f"the checkpoint {path} is damaged and cannot be read: {error}. "
            "Restore it from a copy, or start a new run in another folder."
        ) from error
    if version != FORMAT_VERSION:
        raise RunError(f"{path} has checkpoint format {version}; this version reads format {FORMAT_VERSION}")
    return arrays, state
