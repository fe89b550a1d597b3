"""How far back in a caption the gradient of a captioner reaches."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from keras import ops

from captioning.model.captioner import Captioner
from captioning.training.batches import encode_captions
from shared.text.tokens import Tokenize
from shared.text.vocabulary import Vocabulary
from shared.training.diagnostics import Probe

IMAGES = 16


def gradient_by_distance(captioner: Captioner, features, captions: Sequence[Sequence[int]]) -> np.ndarray:
    """The mean norm of the gradient of the last cost by the embedded token k steps before.

    Args:
        captioner: the captioner.
        features: `(images, cells, channels)` grid features.
        captions: the ids of the words of one caption for each image; the end is predicted.

    Returns:
        `(steps,)`, from the last word to the start token of the longest caption.
    """
    steps = 1 + max(map(len, captions))
    tokens = np.full((len(captions), steps), Vocabulary.PAD, np.int32)
    for row, words in enumerate(captions):
        tokens[row, : 1 + len(words)] = [Vocabulary.START, *words]
    last = np.array([[row, len(words)] for row, words in enumerate(captions)])
    decoder = captioner.decoder
    memory = decoder.read(ops.cast(features, captioner.compute_dtype))
    words = tf.convert_to_tensor(decoder.embedding(tokens[:, None]))  # (images, 1, steps, units)
    with tf.GradientTape() as tape:
        tape.watch(words)
        outputs = tf.gather_nd(decoder.sequence(words, memory)[:, 0], last)  # (images, width)
        log_probs = ops.log_softmax(ops.cast(decoder.logits(outputs), "float32"))
        total = tf.reduce_sum(log_probs[:, Vocabulary.END])
    gradient = tf.cast(tape.gradient(total, words), "float32").numpy()[:, 0]  # (images, steps, units)
    norms = np.linalg.norm(gradient, axis=-1)
    return _by_distance(norms, last[:, 1])


def _by_distance(norms: np.ndarray, last: np.ndarray) -> np.ndarray:
    """The means over rows of norms `(rows, steps)`, counted back from each row's last step."""
    sums, counts = np.zeros(norms.shape[1]), np.zeros(norms.shape[1])
    for row, end in zip(norms, last, strict=True):
        sums[: end + 1] += row[end::-1]
        counts[: end + 1] += 1
    return sums / counts


def make_probe(captioner: Captioner, images, max_length: int, tokenize: Tokenize) -> Probe:
    """The probe of a run, on the first images of a source and the first caption of each.

    Args:
        captioner: the captioner.
        images: a source of `captioning.training.sources`.
        max_length: words of a caption that are read.
        tokenize: splits a caption into words.
    """
    encoded = encode_captions(images.examples[:IMAGES], captioner.vocabulary, max_length, tokenize)
    captions = [list(ids[0][1:-1]) for ids in encoded]  # without start and end

    def probe() -> np.ndarray:
        batch = images.batch(np.arange(len(captions)), np.random.default_rng(0))
        return gradient_by_distance(captioner, captioner.features_of(batch), captions)

    return probe
