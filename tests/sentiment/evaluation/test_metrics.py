import dataclasses
import math

import numpy as np
import pytest
from sklearn import metrics as official

from sentiment.evaluation.metrics import (
    LENGTHS,
    calibration_error,
    measure,
    measure_by_length,
)


def drawn(examples: int, labels: int, seed: int = 3, digits: int | None = None):
    """Probabilities that know something of the labels; with `digits`, many of them are equal."""
    random = np.random.default_rng(seed)
    right = random.integers(labels, size=examples)
    logits = random.normal(size=(examples, labels)) + np.eye(labels)[right]
    likely = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    if digits is not None:
        likely = np.round(likely, digits)
        likely[:, -1] = 1.0 - likely[:, :-1].sum(axis=1)
        likely = np.clip(likely, 0.0, 1.0)
    return likely, right


# -- against scikit-learn --------------------------------------------------------------------------------


@pytest.mark.parametrize("examples", [7, 53, 1001])
@pytest.mark.parametrize("labels", [2, 3, 5])
def test_all_figures_are_those_of_scikit_learn(examples, labels):
    likely, right = drawn(examples, labels)
    right[:labels] = np.arange(labels)  # all are there
    found = measure(likely, right)
    predicted, names = likely.argmax(axis=1), np.arange(labels)
    assert found.examples == examples
    assert found.accuracy == pytest.approx(official.accuracy_score(right, predicted))
    assert found.macro_f1 == pytest.approx(official.f1_score(right, predicted, average="macro"))
    assert found.f1 == pytest.approx(official.f1_score(right, predicted, average=None))
    assert found.log_loss == pytest.approx(official.log_loss(right, likely, labels=names))
    scores = likely[:, 1] if labels == 2 else likely
    assert found.auc == pytest.approx(official.roc_auc_score(right, scores, multi_class="ovr"))
    np.testing.assert_array_equal(found.confusion, official.confusion_matrix(right, predicted))


@pytest.mark.parametrize("digits", [0, 1])
def test_equal_probabilities_count_half_in_the_area(digits):
    likely, right = drawn(101, 2, digits=digits)
    assert len(np.unique(likely[:, 1])) <= 11
    assert measure(likely, right).auc == pytest.approx(official.roc_auc_score(right, likely[:, 1]))


def test_probabilities_of_exactly_0_cost_what_they_cost_in_scikit_learn():
    likely, right = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.25, 0.75]]), np.array([0, 1, 1, 1])
    found = measure(likely, right)
    assert found.log_loss == pytest.approx(official.log_loss(right, likely))
    assert found.log_loss == pytest.approx((52 * math.log(2) - math.log(0.75)) / 4)  # eps is 2 to the -52


def test_probabilities_in_float32_are_measured_in_float64():
    likely, right = drawn(1001, 3)
    single = likely.astype(np.float32)
    wide = single.astype(np.float64)
    expected = -np.log((wide / wide.sum(axis=1, keepdims=True))[np.arange(1001), right]).mean()
    assert measure(single, right).log_loss == pytest.approx(expected, rel=1e-12)
    assert expected == pytest.approx(official.log_loss(right, likely), rel=1e-6)


# -- tables made by hand ---------------------------------------------------------------------------------


def test_a_table_by_hand():
    likely = [[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.1, 0.6, 0.3], [0.2, 0.5, 0.3], [0.1, 0.1, 0.8]]
    found = measure(likely, [0, 1, 1, 1, 2])
    assert found.accuracy == pytest.approx(4 / 5)
    assert found.confusion.tolist() == [[1, 0, 0], [1, 2, 0], [0, 0, 1]]
    assert found.f1 == pytest.approx((2 / 3, 4 / 5, 1.0))
    assert found.macro_f1 == pytest.approx((2 / 3 + 4 / 5 + 1) / 3)
    assert found.auc == 1.0
    assert found.log_loss == pytest.approx(-math.log(0.7 * 0.3 * 0.6 * 0.5 * 0.8) / 5)


def test_area_by_counting_pairs():
    scores, positive = np.array([0.2, 0.2, 0.5, 0.7, 0.1]), np.array([True, False, True, False, False])
    pairs = [
        (a > b) + 0.5 * (a == b) for a in scores[positive] for b in scores[~positive]
    ]  # 0.5, 0, 1 and 1, 0, 1
    found = measure(np.stack([1 - scores, scores], axis=1), positive.astype(int)).auc
    assert found == pytest.approx(np.mean(pairs)) == pytest.approx(3.5 / 6)


def test_rows_of_the_confusion_are_what_is_right():
    found = measure(np.eye(3)[[1, 1, 2]], [0, 0, 1])
    assert found.confusion.tolist() == [[0, 2, 0], [0, 0, 1], [0, 0, 0]]


# -- where something is missing --------------------------------------------------------------------------


def test_a_single_example():
    found = measure([[0.2, 0.8]], [1])
    assert (found.examples, found.accuracy, found.auc) == (1, 1.0, None)
    assert found.f1 == (None, 1.0)
    assert found.macro_f1 == 1.0
    assert found.log_loss == pytest.approx(-math.log(0.8))
    assert found.calibration_error == pytest.approx(0.2)


def test_of_one_class_there_is_no_area():
    likely, _ = drawn(7, 2)
    right = np.ones(7, dtype=int)
    found = measure(likely, right)
    assert found.auc is None
    expected = official.f1_score(right, likely.argmax(axis=1), average="macro")
    assert found.macro_f1 == pytest.approx(expected)


def test_labels_that_are_absent_are_left_out_of_the_means():
    likely, right = drawn(53, 3)
    wide = np.zeros((53, 5))
    wide[:, [0, 2, 4]] = likely
    found, expected = measure(wide, right * 2), measure(likely, right)
    assert found.f1 == (expected.f1[0], None, expected.f1[1], None, expected.f1[2])
    for name in ("accuracy", "macro_f1", "auc", "log_loss", "calibration_error"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name))


def test_a_label_that_is_only_predicted_has_an_f1_of_0():
    found = measure([[0.1, 0.2, 0.7], [0.8, 0.1, 0.1], [0.2, 0.7, 0.1]], [0, 0, 1])
    assert found.f1 == pytest.approx((2 / 3, 1.0, 0.0))
    assert found.macro_f1 == pytest.approx(5 / 9)


def test_no_numbers_give_no_numbers():
    found = dataclasses.asdict(measure([[0.3, 0.7], [math.nan, math.nan]], [1, 0]))
    assert found.pop("examples") == 2
    assert found.pop("confusion").tolist() == [[0, 0], [0, 0]]
    assert all(math.isnan(value) for value in (*found.pop("f1"), *found.values()))


@pytest.mark.parametrize(
    ("likely", "right", "message"),
    [
        (np.zeros((0, 2)), [], "at least one example"),
        ([[1.0], [1.0]], [0, 0], "two labels"),
        ([0.3, 0.7], [0, 1], r"the shape \(2,\)"),
        ([[0.3, 0.7]], [0, 1], "Expected 1 right labels"),
        ([[0.3, 0.7]], [2], "from 2 to 2; the probabilities have 2 columns"),
        ([[0.3, 0.7]], [-1], "from -1 to -1"),
        ([[-0.2, 1.2]], [0], r"in \[0, 1\]"),
        ([[0.2, 1.2]], [0], r"in \[0, 1\]"),
        ([[0.2, 0.7]], [0], "to sum to 1"),
    ],
)
def test_what_cannot_be_measured_is_refused(likely, right, message):
    with pytest.raises(ValueError, match=message):
        measure(likely, right)


# -- calibration -----------------------------------------------------------------------------------------


def error_by_the_book(likely, right, bins=15):
    """The definition, bin by bin: (m - 1) / M < confidence <= m / M."""
    confidence, correct = likely.max(axis=1), likely.argmax(axis=1) == right
    total = 0.0
    for number in range(bins):
        inside = (confidence > number / bins) & (confidence <= (number + 1) / bins)
        if inside.any():
            total += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    return total


@pytest.mark.parametrize("labels", [2, 3, 7])
def test_calibration_error_is_its_definition(labels):
    likely, right = drawn(1001, labels)
    expected = error_by_the_book(likely, right)
    assert expected > 0.01
    assert calibration_error(likely, right) == pytest.approx(expected)
    assert measure(likely, right).calibration_error == pytest.approx(expected)
    assert calibration_error(likely, right, bins=3) == pytest.approx(error_by_the_book(likely, right, 3))


def test_calibration_error_by_hand():
    # Bin 10 (to 0.667): 0.62 and 0.66, one right; bin 14 (to 0.933): 0.9 twice, both right; 1.0, wrong.
    likely = np.array([[0.62, 0.38], [0.34, 0.66], [0.9, 0.1], [0.1, 0.9], [1.0, 0.0]])
    expected = (2 * abs(0.5 - 0.64) + 2 * abs(1.0 - 0.9) + 1.0) / 5
    assert calibration_error(likely, np.array([0, 0, 0, 1, 1])) == pytest.approx(expected)


def test_an_edge_belongs_to_the_bin_below():
    # Of four bins, 0.75 lies in the third beside 0.6: 0.4 and -0.75 add up before their size counts.
    likely = np.array([[0.75, 0.25], [0.6, 0.4]])
    assert calibration_error(likely, np.array([1, 0]), bins=4) == pytest.approx(0.35 / 2)


def test_probabilities_that_say_what_is_true_have_no_error():
    likely = np.repeat([[0.8, 0.2], [0.4, 0.6]], 5, axis=0)
    right = np.array([0, 0, 0, 0, 1, 0, 0, 1, 1, 1])
    assert calibration_error(likely, right) == pytest.approx(0.0, abs=1e-12)


# -- by length -------------------------------------------------------------------------------------------


def test_stretches_hold_their_last_length():
    words = [0, 5, 6, 10, 11, 25, 25, 401, 5000]
    correct = np.array([True, False, True, True, False, False, True, True, True])
    likely = np.tile([0.75, 0.25], (len(words), 1))
    found = measure_by_length(likely, 1 - correct, words)
    assert [(s.first, s.last, s.examples) for s in found] == [
        (0, 5, 2),
        (6, 10, 2),
        (11, 25, 3),
        (26, 100, 0),
        (101, 400, 0),
        (401, None, 2),
    ]
    assert [s.accuracy for s in found] == [0.5, 1.0, pytest.approx(1 / 3), None, None, 1.0]
    expected = [0.25, 0.25, pytest.approx(0.75 - 1 / 3), None, None, 0.25]
    assert [s.calibration_error for s in found] == expected


def test_stretches_together_hold_everything():
    random = np.random.default_rng(5)
    words, labels = random.integers(600, size=333), random.integers(3, size=333)
    likely = random.dirichlet([1, 1, 1], size=333)
    found = measure_by_length(likely, labels, words)
    assert len(found) == len(LENGTHS) + 1
    assert sum(s.examples for s in found) == 333
    right = (likely.argmax(axis=1) == labels).sum()
    assert sum(s.examples * s.accuracy for s in found) == pytest.approx(right)
