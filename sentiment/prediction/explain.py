"""Which words decided: a signed weight for every word, by integrated gradients, and a check of the weights.

    w_i = sum_j (e_ij - b_ij) * integral over a from 0 to 1 of dF / de_ij (b + a (e - b))

with e the embedded words, j over their features, and F the calibrated log-odds of a label, log p / (1 - p).
The baseline b has zeros in place of every word, as word dropout does in training; start and end of the text
are the same in both, so their weights are 0. All weights add up to F(e) - F(b).

Source: Sundararajan, Taly and Yan 2017, "Axiomatic Attribution for Deep Networks", ICML, equation 1; the
integral by Gauss-Legendre quadrature. Removing the words of the largest weights: Samek et al. 2017,
"Evaluating the Visualization of What a Deep Neural Network Has Learned" (region perturbation).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from sentiment.model.batching import TOKENS_AT_ONCE, softmax
from sentiment.text.words import encode_words, split_words
from shared.system.cli import UserError

LONGEST = 5_000  # words
# Numbers of points on the path, tried in turn until the weights add up, to within TOLERANCE, and change by no
# more than CHANGE, both as shares of their size. With both ends of the path, they are powers of two.
STEPS, TOLERANCE, CHANGE = (14, 30, 62, 126, 254), 0.01, 0.05
SMALLEST = 1e-3  # log-odds; below, there is nothing to explain but rounding
DRAWS = 5  # random orders in which words are removed, to compare with


@dataclass(frozen=True)
class Explanation:
    """How much each word of a text speaks for a label.

    Attributes:
        text: the text.
        words: its words, as `sentiment.text.words.split_words` gives them.
        weights: `(words,)` float64 in log-odds; a word with a weight above 0 speaks for `label`.
        label: the label that is explained.
        probability: the calibrated probability of `label`.
        score: the calibrated log-odds of `label`, log p / (1 - p).
        baseline_score: those of the baseline, which has zeros in place of the words.
        steps: number of points at which the gradient was taken.
        error: distance of the sum of the weights from `score - baseline_score`, divided by the sum of their
            absolute values.
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
        """Indices of the words, the largest absolute weight first."""
        return np.argsort(-np.abs(self.weights), kind="stable").tolist()


@dataclass(frozen=True)
class DeletionCurve:
    """How the probability of a label falls when the words that speak for it most are removed.

    Attributes:
        counts: numbers of removed words: 0, 1, 2, 4, 8 and so on.
        probabilities: of the label, without that many words of the largest weights.
        at_random: of the label, without that many random words; the mean of several draws.
    """

    counts: tuple[int, ...]
    probabilities: tuple[float, ...]
    at_random: tuple[float, ...]


class Explainer:
    """Explains texts with a model; its graph is built once.

    Args:
        model: a `sentiment.model.SentimentClassifier`.

    Raises:
        UserError: it is an exported model, which has no gradients.

    Example:

    >>> from sentiment.model.classifier import SentimentClassifier
    >>> from shared.text.vocabulary import Vocabulary
    >>> words = Vocabulary((*Vocabulary.SPECIALS, "a", "good", "film"))
    >>> model = SentimentClassifier(words, ["negative", "positive"], units=3, embedding_size=5)
    >>> explanation = Explainer(model).explain("A good film!", label="positive")
    >>> explanation.words, explanation.weights.shape, explanation.error < 0.01
    (('a', 'good', 'film', '!'), (4,), True)
    """

    def __init__(self, model):
        if not model.has_gradients:
            raise UserError(
                "An exported model cannot explain its results: it has no gradients. Name a preset or the run "
                "folder from which it was exported."
            )
        self.model = model
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
        """Weighs the words of a text.

        Args:
            text: any text of at most 5,000 words.
            label: the label to explain; by default the most probable one.
            steps: number of points at which the gradient is taken; by default 14, 30 and so on up to 254,
                until the sum of the weights is within 1 % and no more than 5 % of them changes.
            words: what `split_words` gives of the text, where that is known already.

        Returns:
            The weights and what they explain.

        Raises:
            UserError: the text is too long.
            ValueError: the model has no such label.
        """
        words = split_words(text) if words is None else words
        tokens = encode_words(self.model.vocabulary, words)
        if len(words) > LONGEST:
            raise UserError(
                f"The text has {len(words):,} words, too many to explain. Expected at most {LONGEST:,}: "
                "shorten it."
            )
        probabilities = self._label_probabilities([tokens])[0]
        index = int(np.argmax(probabilities)) if label is None else self._index(label)
        embedded = self.model.embed(tokens[None])[0]  # (time, embedding)
        baseline = _without_words(embedded)
        weights, scores, error, taken = self._integrate(baseline, embedded, index, steps)
        name, probability = self.model.labels[index], float(probabilities[index])
        return Explanation(text, tuple(words), weights, name, probability, *scores, taken, error)

    def deletion_curve(self, explanation: Explanation, seed: int = 1) -> DeletionCurve:
        """Removes the words that speak most for the label, then random ones: do the weights mean much?

        Args:
            explanation: from `explain`.
            seed: of the random words.

        Returns:
            Probabilities of `explanation.label` without 0, 1, 2, 4, 8, ... words, up to the number of words
            that speak for it. Removed words leave no gap.
        """
        order = np.argsort(-explanation.weights, kind="stable")
        counts = _doubling(int(np.count_nonzero(explanation.weights > 0)))
        rng = np.random.default_rng(seed)
        draws = [rng.permutation(len(order)) for _ in range(DRAWS)]
        rows = [_without(explanation.words, ranks[:count]) for ranks in (order, *draws) for count in counts]
        rows = [encode_words(self.model.vocabulary, row) for row in rows]
        probabilities = self._label_probabilities(rows)[:, self._index(explanation.label)]
        top, *others = probabilities.reshape(1 + DRAWS, len(counts)).astype(np.float64)
        return DeletionCurve(counts, tuple(top.tolist()), tuple(np.mean(others, axis=0).tolist()))

    def _index(self, label):
        if label not in self.model.labels:
            names = ", ".join(self.model.labels)
            raise ValueError(f"The model has no label {label!r}. Expected one of {names}.")
        return self.model.labels.index(label)

    def _integrate(self, baseline, embedded, index, steps):
        """Weights `(words,)`, the scores of text and baseline, the error of the sum, the number of points."""
        weights = np.full(len(embedded) - 2, np.inf)
        for taken in [steps] if steps else STEPS:
            points, shares = np.polynomial.legendre.leggauss(taken)
            # The ends of the path have no share in the integral, but their scores are needed.
            points, shares = [0.0, *(points + 1) / 2, 1.0], [0.0, *shares / 2, 0.0]
            scores, gained = self._points(baseline, embedded, index, points, shares)
            before, weights = weights, gained[1:-1]  # without start and end
            size = max(np.abs(weights).sum(), SMALLEST)
            error = float(abs(scores[-1] - scores[0] - weights.sum()) / size)
            if error <= TOLERANCE and np.abs(weights - before).sum() <= CHANGE * size:
                break
        return weights, (scores[-1], scores[0]), error, taken

    def _points(self, baseline, embedded, index, points, shares):
        """The score at points of the path, and each token's `(time,)` share of the integral between them."""
        scores, weights = [], np.zeros(len(embedded))
        fixed = baseline, embedded, tf.constant(index), tf.constant(self.model.temperature, tf.float32)
        at_once = _rows_at_once(len(points), len(embedded))
        for first in range(0, len(points), at_once):
            # A last batch of another size would be compiled, too, so it is filled up with shares of 0.
            batch = np.zeros((2, at_once), np.float32)
            part = np.array([points, shares])[:, first : first + at_once]
            batch[:, : part.shape[1]] = part
            some_scores, gained = self._path(*fixed, *tf.unstack(batch))
            scores += some_scores.numpy().tolist()
            weights += gained.numpy()
        return scores[: len(points)], weights

    def _path_gradient(self, baseline, embedded, index, temperature, points, shares):
        change = embedded - baseline  # (time, embedding)
        rows = baseline + points[:, None, None] * change  # (points, time, embedding)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(rows)
            scores = log_odds(self.model.classify(rows, whole_gradient=True) / temperature, index)
        gradient = tape.gradient(scores, rows)
        return scores, tf.einsum("p,pte,te->t", shares, gradient, change)

    def _label_probabilities(self, sequences: Sequence[np.ndarray]) -> np.ndarray:
        """Probabilities `(sequences, labels)` of lists of ids."""
        return softmax(self.model.logits(sequences).astype(np.float64) / self.model.temperature)


def log_odds(logits, index):
    """log p / (1 - p) of one label: its logit minus the log-sum-exp of the others.

    Args:
        logits: `(batch, labels)`, divided by the temperature.
        index: of the label.

    Returns:
        `(batch,)`.

    Example:

    >>> probabilities = tf.constant([[0.2, 0.5, 0.3]])
    >>> round(float(tf.exp(log_odds(tf.math.log(probabilities), 0))[0]), 3)
    0.25
    """
    is_label = tf.one_hot(index, tf.shape(logits)[-1], on_value=True, off_value=False, dtype=tf.bool)
    others = tf.where(is_label, tf.constant(-np.inf, logits.dtype), logits)
    return tf.gather(logits, index, axis=-1) - tf.reduce_logsumexp(others, axis=-1)


def _without_words(embedded):
    """The same text with zeros in place of its words, between start and end."""
    return tf.concat([embedded[:1], tf.zeros_like(embedded[1:-1]), embedded[-1:]], axis=0)


def _rows_at_once(rows: int, time: int) -> int:
    """Rows of a batch: a power of two, because each size has to be compiled.

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


def _without(words: Sequence[str], indices: np.ndarray) -> list[str]:
    removed = set(indices.tolist())
    return [word for index, word in enumerate(words) if index not in removed]
