"""Measures as tables."""

import json

import numpy as np
import pytest

from sentiment.data.reviews import Review
from sentiment.evaluation.comparison import figures, measure_model
from sentiment.evaluation.metrics import measure
from sentiment.evaluation.tables import aligned, tables


class Sure:
    """A model that reads nothing and is sure of the first label."""

    labels = ("a", "b")

    def probabilities(self, texts, progress=None):
        return np.tile(np.float32([1.0, 0.0]), (len(texts), 1))

    def reasons(self, texts):
        return [None if text else "no words" for text in texts]


def test_a_figure_that_is_undefined_is_a_dash():
    row = measure_model(Sure(), [Review("one word", "a", "x:1"), Review("", "a", "x:2")])
    lines = tables([row], Sure.labels).splitlines()
    assert lines[1].split()[2:] == ["1.0000", "1.0000", "-", "0.0000", "0.0000"]
    assert lines[-1].split() == ["b", "0", "0", "-"]
    found = figures(row, Sure.labels)
    assert (row.withheld, found["withheld"]) == (1, 1)
    assert (found["auc"], found["f1"]) == (None, {"a": 1.0, "b": None})
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize(("size", "shown"), [(10, True), (11, False)])
def test_labels_that_are_many_are_not_set_against_each_other(size, shown):
    labels = tuple(f"label {number}" for number in range(size))
    likely = np.full((3, size), 1 / size)
    row = measure_model(Sure(), [Review("one", "a", "x:1")])
    row = row._replace(measures=measure(likely, [0, 1, 2]), probabilities=likely)
    assert ("taken for" in tables([row], labels)) == shown


def test_columns_stand_under_each_other():
    assert aligned([["", "ab"], ["long", "1"]]) == "      ab\nlong   1"
