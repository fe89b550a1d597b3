"""Temperature scaling: one scalar that matches a classifier's confidence to its accuracy.

Source of the method: Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017,
section 4.2.
"""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import brentq

LEAST, MOST = 0.05, 20.0


def fit_temperature(logits: np.ndarray, labels: Sequence[int]) -> float:
    """The temperature at which `softmax(logits / temperature)` has the smallest log loss.

    The log loss is convex in the inverse temperature, so its slope changes sign at most once: it is smallest
    there, or at the bound that it falls towards. Logits that are right everywhere, or wrong everywhere, lead
    to a bound.

    Args:
        logits: `(examples, labels)`.
        labels: `(examples,)` the index of each right label.

    Returns:
        The temperature, in [0.05, 20]; 1.0 where the logits do not determine it: there are none, some are not
        finite, or those of each example are all equal.

    Raises:
        ValueError: the shapes do not fit, or a label has no column.

    Example:

    >>> round(fit_temperature([[2.0, 0.0], [2.0, 0.0], [2.0, 0.0]], [0, 0, 1]), 3)  # 2 / log(2 / 1)
    2.885
    """
    logits, labels = _checked(logits, labels)
    if not logits.size or not np.isfinite(logits).all() or not np.ptp(logits, axis=1).any():
        return 1.0
    logits = logits - logits.max(axis=1, keepdims=True)  # no exponential overflows
    low, high = 1.0 / MOST, 1.0 / LEAST
    if _slope(logits, labels, low) >= 0.0:
        return MOST
    if _slope(logits, labels, high) <= 0.0:
        return LEAST
    return 1.0 / brentq(lambda inverse: _slope(logits, labels, inverse), low, high)


def _checked(logits, labels) -> tuple[np.ndarray, np.ndarray]:
    logits, labels = np.asarray(logits, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise ValueError(
            "Expected logits (examples, labels) and a right label for each example, "
            f"got the shapes {logits.shape} and {labels.shape}."
        )
    if labels.size and not 0 <= labels.min() <= labels.max() < logits.shape[1]:
        raise ValueError(
            f"Right labels lie from {labels.min()} to {labels.max()}; the logits have "
            f"{logits.shape[1]} columns."
        )
    return logits, labels


def _slope(logits: np.ndarray, labels: np.ndarray, inverse: float) -> float:
    """The derivative of the mean log loss by the inverse temperature: expected minus right logits."""
    weights = np.exp(logits * inverse)
    expected = (weights * logits).sum(axis=1) / weights.sum(axis=1)
    return float((expected - logits[np.arange(len(labels)), labels]).mean())
