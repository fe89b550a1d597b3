"""SHA-256 of files, arrays and lists: whether something is still what it was when it was saved."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np


def file_checksum(path: Path) -> str:
    """The checksum of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def array_checksum(array: np.ndarray) -> str:
    """The checksum of the bytes of an array, which may be a memory map."""
    return hashlib.sha256(np.ascontiguousarray(array)).hexdigest()


def arrays_checksum(arrays: Mapping[str, np.ndarray]) -> str:
    """The checksum of the names, types, shapes and contents of arrays, in whichever order they come."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def items_checksum(items: Iterable[object]) -> str:
    """The checksum of things that JSON can express, in their order.

    Example:

    >>> items_checksum(["a", "b"]) == items_checksum(["b", "a"])
    False
    """
    digest = hashlib.sha256()
    for item in items:
        digest.update(json.dumps(item).encode() + b"\n")
    return digest.hexdigest()
