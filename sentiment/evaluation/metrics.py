"""How good probabilities of labels are: accuracy, F1, AUC, log loss, calibration, confusion.

All but the calibration error, which scikit-learn lacks, are its metrics, defined where it has no value, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import sklearn.metrics

# The most words in each range of lengths; the last range is open.
LENGTHS = (5, 10, 25, 100, 400)
BINS = 15


@dataclass(frozen=True)
class Measures:
    """The metrics of a classifier.

    Attributes:
        examples: number of examples.
        accuracy: the share whose most probable label is right.
        f1: for each label the harmonic mean of precision and recall; None for a label that is neither right
            nor predicted anywhere.
        macro_f1: the mean of `f1` over the labels that have one.
        auc: the area under the ROC curve: the chance that an example of a label gets a higher probability for
            it than an example of another label, where ties count half. With two labels, that of the second;
            with more, the mean over the labels that some examples have and others do not. None if there is no
            such label.
        log_loss: the mean negative log-probability of the right label, in nats. Probabilities below the
            machine epsilon count as that, so that one impossible label does not make it infinite.
        calibration_error: see `calibration_error`.
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
        last: the most words; None: no limit.
        examples: number of examples.
        accuracy: the share that is right; None without examples.
        calibration_error: see `calibration_error`; None without examples.
    """

    first: int
    last: int | None
    examples: int
    accuracy: float | None
    calibration_error: float | None


def measure(probabilities: np.ndarray, labels: Sequence[int]) -> Measures:
    """Compares probabilities with the right labels.

    Args:
        probabilities: `(examples, labels)`, at least one example and two labels; each row sums to 1.
        labels: `(examples,)` the index of each right label.

    Returns:
        All metrics; those that are undefined are None. If a probability is NaN, as for a model whose training
        failed, so is every metric, and the confusion is 0.

    Raises:
        ValueError: the shapes do not fit, there are no examples, a label has no column, a probability lies
            outside [0, 1], or a row does not sum to 1.

    Example:

    >>> measures = measure([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7]], [0, 0, 1])
    >>> round(measures.accuracy, 3), measures.auc, measures.confusion.tolist()
    (0.667, 1.0, [[1, 1], [0, 1]])
    """
    probabilities, labels = _checked(probabilities, labels)
    if np.isnan(probabilities).any():
        return _undefined(*probabilities.shape)
    predicted, names = probabilities.argmax(axis=1), np.arange(probabilities.shape[1])
    f1 = sklearn.metrics.f1_score(labels, predicted, labels=names, average=None, zero_division=np.nan)
    # Sums in float32 are not 1 exactly, of which scikit-learn would warn.
    exact = probabilities / probabilities.sum(axis=1, keepdims=True)
    return Measures(
        examples=len(labels),
        accuracy=float(sklearn.metrics.accuracy_score(labels, predicted)),
        f1=tuple(None if np.isnan(value) else float(value) for value in f1),
        macro_f1=float(np.nanmean(f1)),
        auc=_mean_auc(probabilities, labels),
        log_loss=float(sklearn.metrics.log_loss(labels, exact, labels=names)),
        calibration_error=calibration_error(probabilities, labels),
        confusion=sklearn.metrics.confusion_matrix(labels, predicted, labels=names),
    )


def _undefined(examples: int, size: int) -> Measures:
    nan, confusion = float("nan"), np.zeros((size, size), dtype=np.int64)
    return Measures(examples, nan, (nan,) * size, nan, nan, nan, nan, confusion)


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
    if (np.abs(probabilities.sum(axis=1) - 1.0) > 1e-3).any():
        raise ValueError("Expected the probabilities of each example to sum to 1.")
    return probabilities, labels


def _mean_auc(probabilities: np.ndarray, labels: np.ndarray) -> float | None:
    size = probabilities.shape[1]
    columns = range(size) if size > 2 else [1]  # two labels order the examples alike, except for rounding
    areas = [
        sklearn.metrics.roc_auc_score(labels == column, probabilities[:, column])
        for column in columns
        if 0 < np.count_nonzero(labels == column) < len(labels)
    ]
    return float(np.mean(areas)) if areas else None


def calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> float:
    """The expected calibration error: the distance between confidence and accuracy.

    Examples are put into bins of equal width by the probability of their predicted label. In each bin the
    mean of that probability is compared with the share that is right; the error is the mean absolute
    difference, weighted by the number of examples.

    Source of the method: Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML
    2017, equation 3; their bins include the upper edge, too, and not the lower one.

    Args:
        probabilities: `(examples, labels)`.
        labels: `(examples,)` the index of each right label.
        bins: number of bins.

    Returns:
        A number from 0 to 1.

    Example:

    >>> round(calibration_error(np.array([[0.9, 0.1], [0.1, 0.9]]), np.array([0, 1])), 3)
    0.1
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    confidence = probabilities.max(axis=1)
    surplus = (probabilities.argmax(axis=1) == labels) - confidence
    bin_of = np.digitize(confidence, np.arange(1, bins) / bins, right=True)
    return float(np.abs(np.bincount(bin_of, weights=surplus, minlength=bins)).sum() / len(confidence))


def measure_by_length(
    probabilities: np.ndarray, labels: np.ndarray, words: Sequence[int], lengths: Sequence[int] = LENGTHS
) -> list[Stretch]:
    """The accuracy and the calibration error of short and of long texts.

    Args:
        probabilities: `(examples, labels)`.
        labels: `(examples,)` the index of each right label.
        words: `(examples,)` number of words of each.
        lengths: the most words of each stretch but the last, ascending.

    Returns:
        One stretch more than `lengths`.

    Example:

    >>> likely = np.array([[0.75, 0.25], [1.0, 0.0], [0.5, 0.5]])
    >>> for stretch in measure_by_length(likely, np.array([0, 1, 0]), [3, 7, 8], lengths=(3, 7)):
    ...     print(*stretch)
    0 3 1 1.0 0.25
    4 7 1 0.0 1.0
    8 None 1 1.0 0.5
    """
    stretch_of, ends = np.digitize(words, lengths, right=True), (*lengths, None)
    stretches = []
    for number, first in enumerate((0, *(length + 1 for length in lengths))):
        inside = stretch_of == number
        accuracy = error = None
        if inside.any():
            accuracy = float((probabilities[inside].argmax(axis=1) == labels[inside]).mean())
            error = calibration_error(probabilities[inside], labels[inside])
        stretches.append(Stretch(first, ends[number], int(inside.sum()), accuracy, error))
    return stretches
