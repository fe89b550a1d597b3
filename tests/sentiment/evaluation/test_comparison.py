"""A model and the baseline, measured on the same texts."""

import numpy as np

from sentiment.data.reviews import Review, ReviewData
from sentiment.evaluation.baseline import NBSVM
from sentiment.evaluation.comparison import measure_baseline, measure_model

WORDS = {"bad": ("dull", "awful"), "fine": ("fair", "okay"), "good": ("great", "superb")}


class Sure:
    """A model that reads nothing and is sure of the first label."""

    labels = ("a", "b")

    def probabilities(self, texts, progress=None):
        return np.tile(np.float32([1.0, 0.0]), (len(texts), 1))

    def reasons(self, texts):
        return [None if text else "no words" for text in texts]


def test_a_label_never_thought_of_has_a_finite_cost():
    row = measure_model(Sure(), [Review("one word", "b", "x:1")])
    assert 30 < row.measures.log_loss < 40


def parts(train, test) -> ReviewData:
    splits = {
        name: tuple(
            Review(f"number {n} was {WORDS[label][n % 2]}", label, f"x:{n}") for n, label in enumerate(labels)
        )
        for name, labels in (("train", train), ("test", test))
    }
    return ReviewData("parts", "by hand", splits)


def test_the_baseline_learns_the_labels_of_the_model_alone():
    data = parts(["good", "bad", "fine"] * 5, ["bad", "good"])
    row, notes = measure_baseline(data, "test", data.split("test"), ("good", "other", "bad"))
    assert notes == ["The baseline did not learn from 5 texts with labels unknown to the model."]
    known = [review for review in data.split("train") if review.label != "fine"]
    expected = NBSVM().fit(known).probabilities([review.text for review in data.split("test")])
    np.testing.assert_allclose(row.probabilities[:, [2, 0]], expected)
    np.testing.assert_array_equal(row.probabilities[:, 1], [0.0, 0.0])


def test_the_baseline_needs_two_labels():
    data = parts(["good"] * 5, ["bad", "good"])
    row, (note,) = measure_baseline(data, "test", data.split("test"), ("bad", "good"))
    assert row is None
    assert note == (
        "No NB-SVM baseline. The texts to learn from have 1 different labels. Expected at least two."
    )
