"""Checksums change with whatever they cover, and with nothing else."""

import numpy as np
import pytest

from shared.runs.checksums import array_checksum, arrays_checksum, file_checksum, items_checksum

ARRAYS = {"a": np.arange(6.0), "b": np.arange(4)}


def test_that_of_a_file_is_sha256(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert file_checksum(tmp_path / "file").startswith("ba7816bf8f01cfea414140de5dae2223b00361a3")


def test_the_order_of_names_does_not_count():
    assert arrays_checksum(dict(reversed(ARRAYS.items()))) == arrays_checksum(ARRAYS)


@pytest.mark.parametrize(
    "change",
    [
        {"a": np.arange(6.0).reshape(2, 3)},
        {"a": np.arange(6.0)[::-1]},
        {"a": np.arange(6)},
        {"a": np.float64([0, 1, 2, 3, 4, -5])},
        {"c": np.zeros(0)},
    ],
)
def test_names_shapes_types_and_numbers_count(change):
    assert arrays_checksum({**ARRAYS, **change}) != arrays_checksum(ARRAYS)


def test_arrays_and_items():
    assert array_checksum(np.arange(8)[::2]) == array_checksum(np.array([0, 2, 4, 6]))
    assert items_checksum([["a", "b"]]) != items_checksum([["a"], ["b"]])
    assert items_checksum(["\udcff"]) != items_checksum(["\udcfe"])
