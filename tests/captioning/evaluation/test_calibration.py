"""Confidence against CIDEr: the bands, and a calibration that recovers what the data were made with."""

import numpy as np
import pytest

from captioning.config import Calibration
from captioning.evaluation.calibration import are_good, fit_calibration, reliability, table
from shared.system.cli import UserError


def test_good_captions_are_above_the_median():
    assert are_good([0.1, 3.0, 0.5, 0.5, 2.0]).tolist() == [False, True, False, False, True]


def test_the_fit_recovers_the_calibration_that_made_the_data():
    rng = np.random.default_rng(3)
    made = Calibration(slope=2.5, intercept=2.0)
    confidences = rng.uniform(0.1, 0.9, 20_000)
    is_good = rng.random(20_000) < [made.apply(confidence) for confidence in confidences]
    fitted = fit_calibration(confidences, is_good)
    assert fitted.slope == pytest.approx(2.5, abs=0.15)
    assert fitted.intercept == pytest.approx(2.0, abs=0.15)
    for band in reliability([fitted.apply(confidence) for confidence in confidences], is_good):
        assert band["above_median"] == pytest.approx(band["confidence"], abs=0.06)


def test_captions_that_a_threshold_separates_are_fitted_too():
    fitted = fit_calibration([0.2, 0.3, 0.6, 0.7], [False, False, True, True])
    assert fitted.apply(0.3) < 0.2 < 0.8 < fitted.apply(0.6)


@pytest.mark.parametrize("is_good", [[True, True, False, False], [False] * 4])
def test_confidence_that_says_nothing_is_refused(is_good):
    with pytest.raises(UserError, match="On 4 captions, more confidence does not mean a higher CIDEr"):
        fit_calibration([0.2, 0.3, 0.6, 0.7], is_good)


def test_bands():
    bands = reliability([0.0, 0.05, 0.55, 1.0], [True, False, True, True])
    assert [(band["from"], band["to"], band["captions"], band["above_median"]) for band in bands] == [
        (0.0, 0.1, 2, 0.5),
        (0.5, 0.6, 1, 1.0),
        (0.9, 1.0, 1, 1.0),
    ]
    assert sum(band["captions"] for band in bands) == 4
    assert table(bands).splitlines()[1:] == [
        "0.0 to 0.1         2     50%",
        "0.5 to 0.6         1    100%",
        "0.9 to 1.0         1    100%",
    ]
