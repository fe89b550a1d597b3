"""How far back in a text the gradient of a classifier reaches."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from sentiment.model.classifier import SentimentClassifier
from shared.training.diagnostics import DISTANCES, Probe

TEXTS = 16


def gradient_by_distance(model: SentimentClassifier, tokens: np.ndarray) -> np.ndarray:
    """The mean norm of the gradient of the likeliest label's log-probability by the embedded word k words
    before the end.

    Args:
        model: the classifier.
        tokens: `(texts, words)` int, without padding.

    Returns:
        `(words,)`, from the last word to the first.
    """
    embedded = tf.convert_to_tensor(model.embed(tokens))
    with tf.GradientTape() as tape:
        tape.watch(embedded)
        logits = model.classify(embedded, whole_gradient=True)
        total = tf.reduce_sum(tf.reduce_max(tf.nn.log_softmax(logits), axis=-1))
    gradient = tf.cast(tape.gradient(total, embedded), "float32").numpy()  # (texts, words, embedding)
    return np.linalg.norm(gradient, axis=-1).mean(axis=0)[::-1]


def make_probe(model: SentimentClassifier, sequences: Sequence[np.ndarray]) -> Probe:
    """The probe of a run, on the ends of the longest of these texts, ids `(tokens,)` each."""
    longest = sorted(sequences, key=len, reverse=True)[:TEXTS]
    words = min(max(DISTANCES) + 1, len(longest[-1]))
    tokens = np.array([ids[-words:] for ids in longest], np.int32)
    return lambda: gradient_by_distance(model, tokens)
