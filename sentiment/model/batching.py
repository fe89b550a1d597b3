"""What a model says of texts of any length, read in batches of like lengths, by one graph."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from shared.text.vocabulary import Vocabulary

TOKENS_AT_ONCE = 2**14
MOST_AT_ONCE = 64


class Reader:
    """Reads ids with a function of a model, as the model is at each call: the graph is kept.

    Args:
        function: `function(tokens, mask)` gives `(batch, width)` float32.
        width: of what it gives.
    """

    def __init__(self, function: Callable[..., tf.Tensor], width: int):
        self._width = width
        shape = (tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((None, None), tf.bool))
        self._graph = tf.function(function, input_signature=shape, autograph=False)

    def __call__(
        self, sequences: Sequence[np.ndarray], progress: Callable[[int], object] | None = None
    ) -> np.ndarray:
        """What the function gives, `(texts, width)` float32, of ids `(tokens,)` each."""
        found = np.zeros((len(sequences), self._width), np.float32)
        for places in batches_of_like_length([len(ids) for ids in sequences]):
            tokens, mask = pad([sequences[place] for place in places])
            found[places] = self._graph(tf.constant(tokens), tf.constant(mask)).numpy()
            if progress:
                progress(len(places))
        return found


def batches_of_like_length(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Places of texts, the longest first, together at most so many tokens and so many texts."""
    order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    while order:
        count = max(1, min(MOST_AT_ONCE, TOKENS_AT_ONCE // max(lengths[order[0]], 1)))
        yield order[:count]
        order = order[count:]


def pad(sequences: Sequence[np.ndarray], length: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Ids `(texts, time)` int32 padded on the right, and the mask `(texts, time)` of what is no padding."""
    lengths = np.array([len(ids) for ids in sequences])
    mask = np.arange(length or lengths.max()) < lengths[:, None]
    tokens = np.full(mask.shape, Vocabulary.PAD, np.int32)
    tokens[mask] = np.concatenate(sequences)
    return tokens, mask


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
