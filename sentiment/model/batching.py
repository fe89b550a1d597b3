"""Reading texts of any length in batches of similar lengths, with one graph."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import scipy.special
import tensorflow as tf

from shared.text.vocabulary import Vocabulary

TOKENS_AT_ONCE = 2**14
MOST_AT_ONCE = 64


def graph_of_ids(function: Callable[..., tf.Tensor]) -> tf.types.experimental.PolymorphicFunction:
    """A graph of `function(tokens, mask)` for all shapes `(batch, time)`; it reads the current weights."""
    shape = (tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((None, None), tf.bool))
    return tf.function(function, input_signature=shape, autograph=False)


def read_in_batches(
    read: Callable[..., tf.Tensor],
    sequences: Sequence[np.ndarray],
    width: int,
    progress: Callable[[int], object] | None = None,
) -> np.ndarray:
    """Calls a function of padded ids on texts of any length.

    Args:
        read: `read(tokens, mask)` of `(batch, time)` returns `(batch, width)` float32.
        sequences: ids `(tokens,)` of each text.
        width: of the rows that `read` returns.
        progress: called with the number of texts done since the last call.

    Returns:
        `(texts, width)` float32, in the order of `sequences`.

    Example:

    >>> lengths = lambda tokens, mask: tf.reduce_sum(tf.cast(mask, tf.float32), axis=1, keepdims=True)
    >>> read_in_batches(lengths, [np.array([4, 5]), np.array([7])], width=1).tolist()
    [[2.0], [1.0]]
    """
    rows = np.zeros((len(sequences), width), np.float32)
    for indices in batches_of_like_length([len(ids) for ids in sequences]):
        tokens, mask = pad([sequences[index] for index in indices])
        rows[indices] = read(tf.constant(tokens), tf.constant(mask)).numpy()
        if progress:
            progress(len(indices))
    return rows


def batches_of_like_length(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Indices of texts, the longest first, in batches of limited tokens and texts."""
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    while order:
        count = max(1, min(MOST_AT_ONCE, TOKENS_AT_ONCE // max(lengths[order[0]], 1)))
        yield order[:count]
        order = order[count:]


def pad(sequences: Sequence[np.ndarray], length: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Ids `(texts, time)` int32 padded on the right, and the mask `(texts, time)`, False at padding."""
    lengths = np.array([len(ids) for ids in sequences])
    mask = np.arange(length or lengths.max()) < lengths[:, None]
    tokens = np.full(mask.shape, Vocabulary.PAD, np.int32)
    tokens[mask] = np.concatenate(sequences)
    return tokens, mask


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities over the last axis, which is not SciPy's default."""
    return scipy.special.softmax(logits, axis=-1)
