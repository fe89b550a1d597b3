"""How far back in time the gradient of a character model reaches."""

import numpy as np
import tensorflow as tf
from keras import ops

from charlm.model.char_lm import CharLM
from shared.training.diagnostics import DISTANCES, Probe


def gradient_by_distance(model: CharLM, windows: np.ndarray) -> np.ndarray:
    """The mean norm of the gradient of the last cost by the embedded token k steps before.

    Args:
        model: the model.
        windows: `(windows, steps + 1)` int; the last token of each is predicted.

    Returns:
        `(steps,)`, from the token right before the predicted one to the first one.
    """
    embedded = tf.convert_to_tensor(model.embed(windows[:, :-1]))
    with tf.GradientTape() as tape:
        tape.watch(embedded)
        hidden, _ = model.stack(embedded, keep_for_gradient=True)
        logits = ops.cast(model.head(hidden[:, -1:])[:, 0], "float32")
        nats = ops.sparse_categorical_crossentropy(windows[:, -1], logits, from_logits=True)
        total = tf.reduce_sum(nats)
    gradient = tf.cast(tape.gradient(total, embedded), "float32").numpy()  # (windows, steps, embedding)
    return np.linalg.norm(gradient, axis=-1).mean(axis=0)[::-1]


def windows_of(ids: np.ndarray, count: int, steps: int = max(DISTANCES) + 1) -> np.ndarray:
    """Windows `(count, steps + 1)` spread evenly over a text `(tokens,)`; shorter ones of a short text."""
    steps = min(steps, len(ids) - 1)
    begins = np.linspace(0, len(ids) - steps - 1, count).astype(int)
    return np.asarray(ids[begins[:, None] + np.arange(steps + 1)], np.int32)


def make_probe(model: CharLM, ids: np.ndarray, count: int = 16) -> Probe:
    """The probe of a run, on windows of its validation text."""
    windows = windows_of(ids, count)
    return lambda: gradient_by_distance(model, windows)
