"""Reads the tensors of a PyTorch weights file (`.pth`) with NumPy alone; no code that it names is run."""

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from shared.system.cli import UserError

# The layout that `torch.save` wrote before PyTorch 1.6: this number, a protocol version, a description of the
# machine, the pickled dictionary of tensors, the keys of their storages, then the storages, each a count and
# the bare elements.
MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION = 1001


class WeightsError(UserError):
    """A weights file is missing, damaged, or not the weights of this network."""


class _Tensor(NamedTuple):
    """A view into a storage, as `torch._utils._rebuild_tensor_v2` receives it."""

    storage: tuple
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    requires_grad: bool
    hooks: OrderedDict


# Every name that such a file needs, each with a harmless replacement.
_ALLOWED = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _Tensor,
    ("torch", "FloatStorage"): np.dtype("<f4"),
    ("torch", "LongStorage"): np.dtype("<i8"),
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str):
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no tensor needs") from None

    def persistent_load(self, pid):
        return pid


def load_pth(path: str | Path) -> dict[str, np.ndarray]:
    """Reads a PyTorch state dictionary.

    The format is that of PyTorch before 1.6. While unpickling, the names that tensors need are replaced and
    all others are refused, so that an untrusted file cannot run code. Strides are respected: a kernel need
    not lie in memory in the order of its axes.

    Args:
        path: the `.pth` file.

    Returns:
        Arrays by their name in the file, in the file's order, each contiguous and writable.

    Raises:
        WeightsError: the file cannot be read, or is not in this format.
    """
    try:
        with open(path, "rb") as file:
            return _read(file)
    except OSError as error:
        raise WeightsError(f"Cannot read the weights file {path}: {error.strerror or error}.") from error
    except Exception as error:  # damaged pickles raise errors of nearly any type
        raise WeightsError(
            f"{path} is not a PyTorch weights file that this program reads ({error}). Expected the format of "
            "torch.save before PyTorch 1.6, holding tensors only, whole and unchanged."
        ) from error


def _read(file: BinaryIO) -> dict[str, np.ndarray]:
    if (_Unpickler(file).load(), _Unpickler(file).load()) != (MAGIC_NUMBER, PROTOCOL_VERSION):
        raise ValueError("it begins with the number of another format")
    machine, tensors, keys = (_Unpickler(file).load() for _ in range(3))
    if not machine["little_endian"]:
        raise ValueError("it was written on a big-endian machine")
    types = {tensor.storage[2]: tensor.storage[1] for tensor in tensors.values()}
    storages = {key: _read_storage(file, types[key]) for key in keys}
    return {name: _as_array(tensor, storages[tensor.storage[2]]) for name, tensor in tensors.items()}


def _read_storage(file: BinaryIO, dtype: np.dtype) -> np.ndarray:
    count = int.from_bytes(file.read(8), "little")
    content = file.read(count * dtype.itemsize)
    if len(content) != count * dtype.itemsize:
        raise ValueError("it ends before its last tensor")
    return np.frombuffer(content, dtype)


def _as_array(tensor: _Tensor, storage: np.ndarray) -> np.ndarray:
    """The tensor's own copy of its part of `storage`; a part that lies outside is an error, never read."""
    values = (tensor.offset, *tensor.shape, *tensor.strides)
    last = tensor.offset + sum((n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True))
    if min(values) < 0 or (0 not in tensor.shape and last >= len(storage)):
        raise ValueError("a tensor lies outside its storage")
    strides = [step * storage.itemsize for step in tensor.strides]
    view = np.lib.stride_tricks.as_strided(storage[tensor.offset :], tensor.shape, strides, writeable=False)
    return np.array(view, order="C")
