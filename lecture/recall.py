"""The task of pages 1 and 12: recall the value that was marked some steps ago."""

import numpy as np


def recall(
    rng: np.random.Generator, count: int, steps: int, distances: np.ndarray | int
) -> tuple[np.ndarray, np.ndarray]:
    """Sequences of random signs, one of them marked; the answer after the last step is the marked sign.

    Args:
        rng: draws the signs.
        count: sequences.
        steps: length of each.
        distances: steps from the marked one to the last, below `steps`: one number, or one for each sequence.

    Returns:
        Inputs `(count, steps, 2)` float32, signs and marks, and answers `(count, 1)`, 1 where the marked sign
        is positive.

    Example:

    >>> inputs, answers = recall(np.random.default_rng(0), count=3, steps=5, distances=np.array([0, 1, 4]))
    >>> inputs[:, :, 1].astype(int).tolist()
    [[0, 0, 0, 0, 1], [0, 0, 0, 1, 0], [1, 0, 0, 0, 0]]
    """
    signs = rng.choice((-1.0, 1.0), (count, steps))
    marked = steps - 1 - np.broadcast_to(distances, count)
    marks = np.arange(steps) == marked[:, None]
    inputs = np.stack([signs, marks], axis=-1).astype(np.float32)
    return inputs, (signs[marks] > 0).astype(np.float32)[:, None]
