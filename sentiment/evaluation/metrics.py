"""How good probabilities of labels are: accuracy, F1, AUC, log loss, calibration, confusion. NumPy alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

# The most words that each stretch of lengths has; the last stretch has no end.
LENGTHS = (100, 200, 400, 800)
BINS = 15
# A probability below counts as this one, so that one impossible label does not make the log loss infinite.
LEAST = np.finfo(np.float64).eps


@dataclass(frozen=True)
class Measures:
    """What `measure` finds.

    Attributes:
        examples: how many there are.
        accuracy: the share whose most probable label is the right one.
        f1: for each label the harmonic mean of precision and recall; None where the label is nowhere right
            and nowhere predicted.
        macro_f1: the mean of `f1` over the labels that have one.
        auc: the chance that an example of a label gets a higher probability of it than an example of another
            label does, where equal ones count half. Of two labels, that of the second one; of more, the mean
            over those labels that some examples have and others do not. None where there is none.
        log_loss: the mean negative logarithm of the right label's probability, in nats.
        calibration_error: `calibration_error`.
        confusion: `(labels, labels)` int, how often a right label (row) was taken for each label (column).
    """

    examples: int
    accuracy: float
    f1: tuple[float | None, ...]
    macro_f1: float
    auc: float | None
    log_loss: float
    calibration_error: float
    confusion: np.ndarray


class Stretch(NamedTuple):
    """Examples of similar length.

    Attributes:
        first: the fewest words.
        last: the most words, or None where there is no end.
        examples: how many there are.
        accuracy: the share that is right, or None where there are none.
    """

    first: int
    last: int | None
    examples: int
    accuracy: float | None


def measure(probabilities: np.ndarray, labels: Sequence[int]) -> Measures:
    """Measures probabilities against what is right.

    Args:
        probabilities: `(examples, labels)`, at least one example and two labels.
        labels: `(examples,)` the place of each right label in a row.

    Returns:
        All figures; those that are undefined are None. If a probability is NaN, as those of a model whose
        training failed, so is every figure, and nothing is confused with anything.

    Raises:
        ValueError: the shapes do not fit, there are no examples, a label has no column, or a probability lies
            outside [0, 1].

    Example:

    >>> found = measure([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7]], [0, 0, 1])
    >>> round(found.accuracy, 3), found.auc, found.confusion.tolist()
    (0.667, 1.0, [[1, 1], [0, 1]])
    """
    probabilities, labels = _checked(probabilities, labels)
    if np.isnan(probabilities).any():
        return _no_numbers(*probabilities.shape)
    confusion = confusion_matrix(probabilities.argmax(axis=1), labels, probabilities.shape[1])
    f1 = _f1(confusion)
    right = probabilities[np.arange(len(labels)), labels]
    return Measures(
        examples=len(labels),
        accuracy=float(np.trace(confusion)) / len(labels),
        f1=f1,
        macro_f1=_mean(f1),
        auc=_macro_auc(probabilities, labels),
        log_loss=float(np.log(1.0 / np.maximum(right, LEAST)).mean()),
        calibration_error=calibration_error(probabilities, labels),
        confusion=confusion,
    )


def _no_numbers(examples: int, size: int) -> Measures:
    nan, nothing = float("nan"), np.zeros((size, size), dtype=np.int64)
    return Measures(examples, nan, (nan,) * size, nan, nan, nan, nan, nothing)


def _checked(probabilities, labels) -> tuple[np.ndarray, np.ndarray]:
    probabilities, labels = np.asarray(probabilities, dtype=np.float64), np.asarray(labels)
    if probabilities.ndim != 2 or probabilities.shape[1] < 2 or not len(probabilities):
        raise ValueError(
            "Expected probabilities (examples, labels) of at least one example and two labels, "
            f"got the shape {probabilities.shape}."
        )
    if labels.shape != probabilities.shape[:1]:
        raise ValueError(f"Expected {len(probabilities)} right labels, got the shape {labels.shape}.")
    if labels.min() < 0 or labels.max() >= probabilities.shape[1]:
        raise ValueError(
            f"Right labels lie from {labels.min()} to {labels.max()}; the probabilities have "
            f"{probabilities.shape[1]} columns."
        )
    if ((probabilities < 0.0) | (probabilities > 1.0 + 1e-6)).any():
        raise ValueError("Expected probabilities in [0, 1]; there are others.")
    return probabilities, labels


def confusion_matrix(predicted: np.ndarray, labels: np.ndarray, size: int) -> np.ndarray:
    """How often each right label (row) was taken for each label (column).

    Args:
        predicted: `(examples,)` int.
        labels: `(examples,)` int, what is right.
        size: how many labels there are.

    Returns:
        `(size, size)` int.

    Example:

    >>> confusion_matrix(np.array([0, 2, 2]), np.array([0, 1, 1]), 3).tolist()
    [[1, 0, 0], [0, 0, 2], [0, 0, 0]]
    """
    pairs = np.asarray(labels, dtype=np.int64) * size + predicted
    return np.bincount(pairs, minlength=size * size).reshape(size, size)


def _f1(confusion: np.ndarray) -> tuple[float | None, ...]:
    hits = np.diag(confusion)
    both = confusion.sum(axis=0) + confusion.sum(axis=1)
    return tuple(float(2 * hit / total) if total else None for hit, total in zip(hits, both, strict=True))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _macro_auc(probabilities: np.ndarray, labels: np.ndarray) -> float | None:
    size = probabilities.shape[1]
    columns = range(size) if size > 2 else [1]  # two labels order the examples alike, but for rounding
    return _mean([auc(probabilities[:, column], labels == column) for column in columns])


def auc(scores: np.ndarray, positive: np.ndarray) -> float | None:
    """The area under the curve of true over false positive rate.

    It is the chance that a positive example scores higher than a negative one, where equal scores count half:
    the statistic of Mann and Whitney, from the ranks of the positive ones.

    Args:
        scores: `(examples,)`.
        positive: `(examples,)` bool.

    Returns:
        The area, or None where there are no positive examples or no others.

    Example:

    >>> auc(np.array([0.1, 0.4, 0.4]), np.array([False, False, True]))
    0.75
    """
    positives = int(np.count_nonzero(positive))
    negatives = len(positive) - positives
    if not positives or not negatives:
        return None
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2.0  # the mean rank, from 1, of those with equal scores
    above = ranks[place][positive].sum() - positives * (positives + 1) / 2.0
    return float(above / (positives * negatives))


def calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> float:
    """How far confidence and accuracy are apart: the expected calibration error.

    Examples are put into bins of equal width by the probability of their predicted label. For each bin the
    mean of that probability is compared with the share that is right; the answer is the mean difference,
    weighted by the examples in each bin.

    Source of the method: Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML
    2017, equation 3; their bins, too, have their upper edge and not their lower one.

    Args:
        probabilities: `(examples, labels)`.
        labels: `(examples,)` the right ones.
        bins: how many.

    Returns:
        A number from 0 to 1.

    Example:

    >>> round(calibration_error(np.array([[0.9, 0.1], [0.1, 0.9]]), np.array([0, 1])), 3)
    0.1
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    confidence = probabilities.max(axis=1)
    surplus = (probabilities.argmax(axis=1) == labels) - confidence
    place = np.digitize(confidence, np.arange(1, bins) / bins, right=True)
    return float(np.abs(np.bincount(place, weights=surplus, minlength=bins)).sum() / len(confidence))


def accuracy_by_length(
    correct: Sequence[bool], words: Sequence[int], lengths: Sequence[int] = LENGTHS
) -> list[Stretch]:
    """The accuracy of short and of long texts.

    Args:
        correct: `(examples,)` whether each one is right.
        words: `(examples,)` how many words each one has.
        lengths: the most words of each stretch but the last one, ascending.

    Returns:
        One stretch more than `lengths`.

    Example:

    >>> for stretch in accuracy_by_length([True, False, True], [3, 7, 8], lengths=(3, 7)):
    ...     print(*stretch)
    0 3 1 1.0
    4 7 1 0.0
    8 None 1 1.0
    """
    correct, place = np.asarray(correct, dtype=bool), np.digitize(words, lengths, right=True)
    stretches = []
    for number, first in enumerate((0, *(length + 1 for length in lengths))):
        inside = correct[place == number]
        last = lengths[number] if number < len(lengths) else None
        stretches.append(Stretch(first, last, len(inside), float(inside.mean()) if len(inside) else None))
    return stretches
