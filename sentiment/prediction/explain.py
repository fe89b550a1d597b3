"""Which words decided: a signed weight for every word, by integrated gradients, and the check that it is so.

    w_i = sum_j (e_ij - b_ij) * integral over a from 0 to 1 of dF / de_ij (b + a (e - b))

with e the embedded words, j over their features, and F the calibrated log-odds of a label, log p / (1 - p).
The baseline b has nothing (zeros) in place of every word, as word dropout shows it in training; the start and
the end of the text stay what they are, so they have no weight. The weights add up to F(e) - F(b).

Source: Sundararajan, Taly and Yan 2017, "Axiomatic Attribution for Deep Networks", ICML, equation 1; the
integral by Gauss-Legendre quadrature. Deleting the weightiest words: Samek et al. 2017, "Evaluating the
Visualization of What a Deep Neural Network Has Learned" (region perturbation).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from sentiment.model.batching import TOKENS_AT_ONCE, softmax
from sentiment.text.words import encode_words, split_words
from shared.system.cli import UserError

LONGEST = 5_000  # words
# Without a wish of the caller, so many points of the path, one number after the other, until little is
# missing and the weights stay what they were. With both ends of the path, these are powers of two.
STEPS, TOLERANCE, CHANGE = (14, 30, 62, 126, 254), 0.01, 0.05
SMALLEST = 1e-3  # log-odds; below, there is nothing to explain but rounding
DRAWS = 5  # of as many words at random


@dataclass(frozen=True)
class Explanation:
    """What each word of a text did for a label.

    Attributes:
        text: the text.
        words: its words, as `sentiment.text.words.split_words` gives them.
        weights: `(words,)` float64, one for each word, in log-odds; above 0: it speaks for `label`.
        label: the label that the weights are about.
        probability: the calibrated probability of `label`.
        score: the calibrated log-odds of `label`, log p / (1 - p).
        baseline_score: those of a text of as many words with nothing in their places.
        steps: points at which the gradient was taken.
        error: how far the weights are from adding up to `score - baseline_score`, as a share of their sizes
            together.
    """

    text: str
    words: tuple[str, ...]
    weights: np.ndarray
    label: str
    probability: float
    score: float
    baseline_score: float
    steps: int
    error: float

    @property
    def strongest(self) -> list[int]:
        """Places of the words, those of the largest weights in size first."""
        return np.argsort(-np.abs(self.weights), kind="stable").tolist()


@dataclass(frozen=True)
class DeletionCurve:
    """How the probability of a label falls without the words that speak for it most.

    Attributes:
        counts: how many words were left out: 0, 1, 2, 4, 8 and so on.
        probabilities: the label's probability without so many words of the largest weights.
        at_random: the same without as many words drawn at random, the mean of several draws.
    """

    counts: tuple[int, ...]
    probabilities: tuple[float, ...]
    at_random: tuple[float, ...]


class Explainer:
    """Explains texts with a model as it is now; the graph is made once.

    Args:
        model: a `sentiment.model.SentimentClassifier`. Its weights are copied.

    Raises:
        UserError: it is an exported model, which has no gradients.
    """

    def __init__(self, model):
        if not hasattr(model, "classify"):
            raise UserError(
                "An exported model cannot say which words decided: it has no gradients. Name a preset or the "
                "run folder it was exported from."
            )
        self.model, self._twin = model, _without_dropout(model)
        width = model.embed(np.zeros((1, 1), np.int32)).shape[-1]
        rows, points = tf.TensorSpec((None, width), tf.float32), tf.TensorSpec((None,), tf.float32)
        numbers = tf.TensorSpec((), tf.int32), tf.TensorSpec((), tf.float32)
        signature = (rows, rows, *numbers, points, points)
        self._path = tf.function(self._path_gradient, input_signature=signature, autograph=False)

    def explain(
        self,
        text: str,
        label: str | None = None,
        steps: int | None = None,
        words: Sequence[str] | None = None,
    ) -> Explanation:
        """The weights of a text's words; see `explain`."""
        words = split_words(text) if words is None else words
        tokens = encode_words(self.model.vocabulary, words)
        if len(words) > LONGEST:
            raise UserError(
                f"The text has {len(words):,} words, too many to weigh. Expected at most {LONGEST:,}: cut it."
            )
        found = self._label_probabilities([tokens])[0]
        place = int(np.argmax(found)) if label is None else self._place(label)
        embedded = self.model.embed(tokens[None])[0]  # (time, embedding)
        baseline = _without_words(embedded)
        weights, scores, error, taken = self._integrate(baseline, embedded, place, steps)
        name, probability = self.model.labels[place], float(found[place])
        return Explanation(text, tuple(words), weights, name, probability, *scores, taken, error)

    def deletion_curve(self, explanation: Explanation, seed: int = 1) -> DeletionCurve:
        """How the probability falls without the weightiest words; see `deletion_curve`."""
        order = np.argsort(-explanation.weights, kind="stable")
        counts = _doubling(int(np.count_nonzero(explanation.weights > 0)))
        rng = np.random.default_rng(seed)
        draws = [rng.permutation(len(order)) for _ in range(DRAWS)]
        rows = [_kept(explanation.words, ranks[:count]) for ranks in (order, *draws) for count in counts]
        rows = [encode_words(self.model.vocabulary, row) for row in rows]
        found = self._label_probabilities(rows)[:, self._place(explanation.label)]
        top, *others = found.reshape(1 + DRAWS, len(counts)).astype(np.float64)
        return DeletionCurve(counts, tuple(top.tolist()), tuple(np.mean(others, axis=0).tolist()))

    def _place(self, label):
        if label not in self.model.labels:
            names = ", ".join(self.model.labels)
            raise ValueError(f"The model has no label {label!r}. Expected one of {names}.")
        return self.model.labels.index(label)

    def _integrate(self, baseline, embedded, place, steps):
        """Weights `(words,)`, the scores of text and baseline, the share that is missing, and the points."""
        weights = np.full(len(embedded) - 2, np.inf)
        for taken in [steps] if steps else STEPS:
            points, shares = np.polynomial.legendre.leggauss(taken)
            # The ends of the path count for nothing; their scores are wanted.
            points, shares = [0.0, *(points + 1) / 2, 1.0], [0.0, *shares / 2, 0.0]
            found, gained = self._points(baseline, embedded, place, points, shares)
            before, weights = weights, gained[1:-1]  # the others are those of start and end
            size = max(np.abs(weights).sum(), SMALLEST)
            error = float(abs(found[-1] - found[0] - weights.sum()) / size)
            if error <= TOLERANCE and np.abs(weights - before).sum() <= CHANGE * size:
                break
        return weights, (found[-1], found[0]), error, taken

    def _points(self, baseline, embedded, place, points, shares):
        """The score at points of the path, and each token's `(time,)` share of the integral between them."""
        scores, weights = [], np.zeros(len(embedded))
        fixed = baseline, embedded, tf.constant(place), tf.constant(self.model.temperature, tf.float32)
        at_once = _rows_at_once(len(points), len(embedded))
        for first in range(0, len(points), at_once):
            # A last batch of another size would be compiled, too; what fills it up counts for nothing.
            part = np.zeros((2, at_once), np.float32)
            given = np.array([points, shares])[:, first : first + at_once]
            part[:, : given.shape[1]] = given
            found, gained = self._path(*fixed, *tf.unstack(part))
            scores += found.numpy().tolist()
            weights += gained.numpy()
        return scores[: len(points)], weights

    def _path_gradient(self, baseline, embedded, place, temperature, points, shares):
        change = embedded - baseline  # (time, embedding)
        rows = baseline + points[:, None, None] * change  # (points, time, embedding)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(rows)
            # In training, recurrent layers keep what a fast gradient needs.
            scores = log_odds(self._twin.classify(rows, training=True) / temperature, place)
        gradient = tape.gradient(scores, rows)
        return scores, tf.einsum("p,pte,te->t", shares, gradient, change)

    def _label_probabilities(self, sequences: Sequence[np.ndarray]) -> np.ndarray:
        """Probabilities `(sequences, labels)` of lists of ids."""
        return softmax(self.model.logits(sequences).astype(np.float64) / self.model.temperature)


def explain(model, text: str, label: str | None = None, steps: int | None = None) -> Explanation:
    """Says what each word of a text did for a label.

    Args:
        model: a `sentiment.model.SentimentClassifier`.
        text: any text of at most 5,000 words.
        label: the label that is explained; by default the likeliest.
        steps: points at which the gradient is taken; by default 14, 30 and so on up to 254, until the weights
            miss at most 1 % of what they should add up to, and no more than 5 % of them changes.

    Returns:
        The weights and what they are about.

    Raises:
        UserError: the model is an exported one, or the text is too long.
        ValueError: the model has no such label.

    Example:

    >>> from sentiment.model.classifier import SentimentClassifier
    >>> from shared.text.vocabulary import Vocabulary
    >>> words = Vocabulary((*Vocabulary.SPECIALS, "a", "good", "film"))
    >>> model = SentimentClassifier(words, ["negative", "positive"], units=3, embedding_size=5)
    >>> explanation = explain(model, "A good film!", label="positive")
    >>> explanation.words, explanation.weights.shape, explanation.error < 0.01
    (('a', 'good', 'film', '!'), (4,), True)
    """
    return Explainer(model).explain(text, label, steps)


def deletion_curve(model, explanation: Explanation, seed: int = 1) -> DeletionCurve:
    """Leaves out the words that speak most for the label, then as many at random: do the weights say much?

    Args:
        model: the model that the explanation is of.
        explanation: from `explain`.
        seed: of the words that are drawn at random.

    Returns:
        Probabilities of `explanation.label` without 0, 1, 2, 4, 8, ... words, as far as there are words that
        speak for it. The words left out leave no gap.
    """
    return Explainer(model).deletion_curve(explanation, seed)


def log_odds(logits, place):
    """log p / (1 - p) of one label: its logit minus the log-sum-exp of the others.

    Args:
        logits: `(batch, labels)`, divided by the temperature.
        place: which label.

    Returns:
        `(batch,)`.

    Example:

    >>> probabilities = tf.constant([[0.2, 0.5, 0.3]])
    >>> round(float(tf.exp(log_odds(tf.math.log(probabilities), 0))[0]), 3)
    0.25
    """
    is_it = tf.one_hot(place, tf.shape(logits)[-1], on_value=True, off_value=False, dtype=tf.bool)
    others = tf.where(is_it, tf.constant(-np.inf, logits.dtype), logits)
    return tf.gather(logits, place, axis=-1) - tf.reduce_logsumexp(others, axis=-1)


def _without_words(embedded):
    """The same text with nothing in the places of its words, between start and end."""
    return tf.concat([embedded[:1], tf.zeros_like(embedded[1:-1]), embedded[-1:]], axis=0)


def _without_dropout(model):
    """A copy of a model in which nothing is dropped, and whose gradient passes the borders of windows."""
    config = model.get_config()
    twin = type(model).from_config(config | {name: 0.0 for name in config if name.endswith("dropout")})
    twin.set_weights(model.get_weights())
    twin.window = None
    twin.normalization.trainable = False  # as outside of training, whatever it is told
    return twin


def _rows_at_once(rows: int, time: int) -> int:
    """Rows of a batch: a power of two, so that there are few sizes, each of which has to be compiled.

    >>> _rows_at_once(32, 200), _rows_at_once(32, 2000), _rows_at_once(32, 10**6)
    (32, 8, 1)
    """
    most = min(rows, max(1, TOKENS_AT_ONCE // time))
    return 2 ** (most.bit_length() - 1)


def _doubling(most: int) -> tuple[int, ...]:
    """0, and the powers of two up to a number.

    >>> _doubling(6)
    (0, 1, 2, 4)
    """
    return (0, *(2**power for power in range(most.bit_length())))


def _kept(words: Sequence[str], dropped: np.ndarray) -> list[str]:
    dropped = set(dropped.tolist())
    return [word for place, word in enumerate(words) if place not in dropped]
