"""Keeps freed memory in the process: a training step asks for the same large blocks thousands of times
over."""

import ctypes

# Numbers of glibc's <malloc.h>.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> bool:
    """Tells glibc's allocator to re-use freed blocks instead of handing them back to the system.

    By default every block beyond some megabytes is mapped anew and its pages are cleared by the kernel, step
    after step, which was a third of the time of a training step on two cores (`benchmarks/allocator.py`).
    Memory that was needed once stays with the process until it ends.

    Returns:
        Whether the allocator is one that could be told.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False  # not glibc
    wanted = {_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: 2**31 - 1, _M_TOP_PAD: 64 * 2**20}
    return all(mallopt(name, value) for name, value in wanted.items())
