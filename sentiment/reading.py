"""Logits of texts of any length, in batches of like lengths, by one graph."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from shared.text import Vocabulary

TOKENS_AT_ONCE = 2**14
MOST_AT_ONCE = 64


class Reader:
    """Reads ids with a model as it is at each call: weights may change in between, the graph is kept.

    Args:
        model: a `sentiment.model.SentimentClassifier`.
    """

    def __init__(self, model):
        self._labels = len(model.labels)
        shape = (tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((None, None), tf.bool))
        self._graph = tf.function(
            lambda tokens, mask: model(tokens, mask=mask), input_signature=shape, autograph=False
        )

    def __call__(
        self, sequences: Sequence[np.ndarray], progress: Callable[[int], object] | None = None
    ) -> np.ndarray:
        """Logits `(texts, labels)` float32 of ids `(tokens,)` each."""
        logits = np.zeros((len(sequences), self._labels), np.float32)
        for places in batches_of_like_length([len(ids) for ids in sequences]):
            tokens, mask = pad([sequences[place] for place in places])
            logits[places] = self._graph(tf.constant(tokens), tf.constant(mask)).numpy()
            if progress:
                progress(len(places))
        return logits


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
