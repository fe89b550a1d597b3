"""The history of a run: which epoch is the best, and when patience has run out."""

import math

import pytest

from shared.training.history import History


def history_of(values, mode, patience=None):
    history = History("score", mode, patience)
    bests = [history.append({"epoch": number, "score": value}) for number, value in enumerate(values, 1)]
    return history, bests


@pytest.mark.parametrize(
    ("values", "mode", "best", "bests"),
    [
        ([1.0, 3.0, 2.0, 3.0], "max", 2, [True, True, False, False]),
        ([1.0, 3.0, 0.5, 0.5], "min", 3, [True, False, True, False]),
        ([math.nan, 3.0, math.inf], "max", 2, [False, True, False]),
    ],
)
def test_the_best_is_the_first_of_the_finite_extremes(values, mode, best, bests):
    history, found = history_of(values, mode)
    assert history.best["epoch"] == best
    assert found == bests


def test_without_a_finite_value_there_is_no_best():
    history, bests = history_of([math.nan, math.inf], "max", patience=3)
    assert history.best is None
    assert bests == [False, False]
    assert not history.is_stale  # two epochs waited
    history.append({"epoch": 3, "score": math.nan})
    assert history.is_stale


@pytest.mark.parametrize(("patience", "stale"), [(None, False), (1, True), (2, True), (3, False)])
def test_patience_counts_the_epochs_since_the_best(patience, stale):
    assert history_of([1.0, 5.0, 2.0, 3.0], "max", patience)[0].is_stale is stale


def test_what_cannot_be_used():
    with pytest.raises(ValueError, match="'max' or 'min'"):
        History("score", "most")
    with pytest.raises(ValueError, match=r"no metric 'score' to monitor; there are \['epoch', 'loss'\]"):
        History("score", "max").append({"epoch": 1, "loss": 2.0})
