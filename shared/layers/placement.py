"""Where the recurrence runs and in how many pieces: every threshold and every such decision.

The other files ask here. None of these decisions changes a result by more than rounding. What was measured to
choose the numbers is in benchmarks/README.md.
"""

import contextlib
import os
from collections.abc import Iterator

import tensorflow as tf

SMALLEST_HALF = 16  # rows of half a batch; below, a second loop costs more than it hides
SMALLEST_CHUNK = 2048  # rows of a batch times steps; below, the products of all steps are small
STAGGERED_PARTS = 5  # of a sequence, each of which goes through all layers before the next
SMALLEST_PART = 8  # steps; below, starting so many loops costs more than it hides

_keras_loop_is_forced = False


def uses_fused_loop() -> bool:
    """Whether layers run the fused loop where they can: on a CPU, unless `keras_loop` says otherwise."""
    return not (_keras_loop_is_forced or gpu_is_visible())


@contextlib.contextmanager
def keras_loop() -> Iterator[None]:
    """Inside, layers run Keras's own loop, to compare with; a graph keeps the loop it was traced with."""
    global _keras_loop_is_forced
    before, _keras_loop_is_forced = _keras_loop_is_forced, True
    try:
        yield
    finally:
        _keras_loop_is_forced = before


def gpu_is_visible() -> bool:
    """Whether TensorFlow may place operations on a GPU, where Keras has the faster loop."""
    return bool(tf.config.get_visible_devices("GPU"))


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_halves(batch: int | None, keep_for_gradient: bool, beside: int) -> bool:
    """Whether each half of a batch has a loop of its own, and so a core.

    Args:
        batch: rows; None: not known yet.
        keep_for_gradient: without, a loop is too short for that.
        beside: how many other recurrences can run at the same time and need a core.
    """
    is_large = batch is not None and batch % 2 == 0 and batch // 2 >= SMALLEST_HALF
    return keep_for_gradient and is_large and cores() >= 2 * (1 + beside)


def chunks(batch: int | None, steps: int | None) -> list[slice]:
    """The steps whose products are in memory at the same time, chunk by chunk; None: not known yet."""
    if batch is None or steps is None or batch * steps < 2 * SMALLEST_CHUNK or steps == 1:
        return [slice(0, steps)]
    return [slice(0, steps // 2), slice(steps // 2, steps)]


def staggered_parts(steps: int | None, depth: int) -> list[slice]:
    """The parts of a sequence that go through all layers of a stack, one after the other.

    A layer reads a part while the layer above it reads the part before, so that each has a core.

    Args:
        steps: of the sequence; None: not known yet.
        depth: layers of the stack.

    Returns:
        The parts; none where each layer had better read the whole sequence in turn.
    """
    if steps is None or steps < STAGGERED_PARTS * SMALLEST_PART or depth == 1 or cores() == 1:
        return []
    length = -(-steps // STAGGERED_PARTS)
    return [slice(start, start + length) for start in range(0, steps, length)]
