"""The allocator keeps memory: counted by the pages that the kernel has to hand out anew."""

import ctypes
import os
import subprocess
import sys

import pytest

from shared import allocator
from shared.allocator import keep_freed_memory

# Touches a new array of 24 MB again and again; all but the first round can re-use the memory of the last.
ALLOCATE = """
import resource, sys
import numpy as np
from shared.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def touch():
    np.ones(3 * 2**20)
touch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(7):
    touch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def has_glibc():
    return sys.platform == "linux" and "CS_GNU_LIBC_VERSION" in os.confstr_names


def page_faults(side):
    command = [sys.executable, "-c", ALLOCATE, side]
    # Huge pages would make one fault of five hundred.
    environment = {**os.environ, "NUMPY_MADVISE_HUGEPAGE": "0", "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("MALLOC_MMAP_THRESHOLD_", None)
    return int(subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout)


@pytest.mark.skipif(not has_glibc(), reason="only glibc's allocator can be told")
def test_freed_blocks_are_used_again():
    fresh, kept = page_faults("default"), page_faults("keep")
    assert kept < fresh / 10


def test_it_says_whether_it_did():
    assert keep_freed_memory() is has_glibc()


@pytest.mark.parametrize("error", [AttributeError, OSError, TypeError])
def test_other_allocators_are_left_alone(monkeypatch, error):
    class Library:
        def __init__(self, name):
            raise error

    monkeypatch.setattr(allocator.ctypes, "CDLL", Library)
    assert allocator.ctypes is ctypes
    assert keep_freed_memory() is False
