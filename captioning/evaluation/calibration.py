"""How much a caption's confidence says about its CIDEr: bands of confidence, and a calibration."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from captioning.config import Calibration
from shared.system.cli import UserError

BANDS = 10  # of equal width, from 0 to 1
INVERSE_RIDGE = 1e3  # nearly no regularization, but enough for captions that a threshold separates


def are_good(ciders: Sequence[float]) -> np.ndarray:
    """Whether the CIDEr of each caption is above the median of all, bool."""
    ciders = np.asarray(ciders)
    return ciders > np.median(ciders)


def fit_calibration(confidences: Sequence[float], is_good: Sequence[bool]) -> Calibration:
    """Fits the probability of a good caption by logistic regression on the logarithm of the confidence.

    Args:
        confidences: of the model, in (0, 1].
        is_good: whether each caption is good.

    Raises:
        UserError: more confidence does not mean more good captions, or all captions are alike.

    Example:

    >>> fit_calibration([0.2, 0.3, 0.4, 0.5], [False, True, False, True]).apply(0.4) > 0.5
    True
    """
    from sklearn.linear_model import LogisticRegression  # not for --help

    inputs, is_good = np.log(confidences)[:, None], np.asarray(is_good, bool)  # (captions, 1), (captions,)
    slope = intercept = 0.0
    if np.ptp(inputs) > 0 and is_good.any() and not is_good.all():
        fitted = LogisticRegression(C=INVERSE_RIDGE, solver="newton-cholesky").fit(inputs, is_good)
        slope, intercept = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
    if not slope > 0:
        raise UserError(
            f"On {len(is_good)} captions, more confidence does not mean a higher CIDEr, so there is nothing "
            "to calibrate. Take a larger split or a better model."
        )
    return Calibration(slope, intercept)


def reliability(confidences: Sequence[float], is_good: Sequence[bool]) -> list[dict[str, Any]]:
    """How many captions of each band of confidence are good; bands without captions are left out.

    Example:

    >>> reliability([0.21, 0.25, 0.9], [False, True, True])[0]
    {'from': 0.2, 'to': 0.3, 'captions': 2, 'confidence': 0.23, 'above_median': 0.5}
    """
    confidences, is_good = np.asarray(confidences, float), np.asarray(is_good, bool)
    band = np.minimum((confidences * BANDS).astype(int), BANDS - 1)
    return [
        {
            "from": int(number) / BANDS,
            "to": (int(number) + 1) / BANDS,
            "captions": int(np.sum(band == number)),
            "confidence": round(float(np.mean(confidences[band == number])), 4),
            "above_median": round(float(np.mean(is_good[band == number])), 4),
        }
        for number in np.unique(band)
    ]


def table(bands: Sequence[dict[str, Any]]) -> str:
    """The bands as lines of text."""
    lines = ["confidence  captions  CIDEr above the median"]
    lines += [
        f"{band['from']:.1f} to {band['to']:.1f}  {band['captions']:>8}  {band['above_median']:>6.0%}"
        for band in bands
    ]
    return "\n".join(lines)
