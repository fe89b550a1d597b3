"""Labelled texts in memory become reviews with parts, as those of files do."""

import numpy as np
import pytest

from sentiment.config import SentimentConfig
from sentiment.data.memory import reviews_in_memory
from shared.data.source import DataError

TEXTS = [f"{word} film {number}" for number in range(6) for word in ("good", "bad")]
LABELS = [1, 0] * 6


def read(texts, labels=None, validation=None, names=None, **settings):
    return reviews_in_memory(texts, labels, validation, names or {}, SentimentConfig(data=("x",), **settings))


def hugging_face(names, **columns):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    features = {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=names)}
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features))


@pytest.mark.parametrize(
    ("labels", "names", "expected"),
    [
        (LABELS, None, ("0", "1")),
        (np.array(LABELS), {0: "negative", 1: "positive"}, ("negative", "positive")),
        (np.array(LABELS) > 0, None, ("false", "true")),
        (np.array(LABELS, float), {0: "no", 1: "yes"}, ("no", "yes")),
        (["up" if label else "down" for label in LABELS], None, ("down", "up")),
    ],
)
def test_labels_of_all_kinds(labels, names, expected):
    data = read(TEXTS, labels, names=names)
    assert data.labels == expected
    assert {name: len(reviews) for name, reviews in data.splits.items()} == {"train": 10, "validation": 2}
    (first, *_) = [review for review in data.split("all") if review.text == TEXTS[0]]
    assert (first.label, first.place) == (expected[1], "the data of train:1")


def test_validation_may_be_given():
    data = read(TEXTS, LABELS, validation=(["fine"], [1]))
    assert [(review.text, review.label) for review in data.split("validation")] == [("fine", "1")]
    assert len(data.split("train")) == 12
    rows = [{"text": "good", "label": 1, "split": "dev"}, {"text": "bad", "label": 0, "split": "dev"}]
    data = read(rows + [{"text": text, "label": label} for text, label in zip(TEXTS, LABELS, strict=True)])
    assert (len(data.split("train")), len(data.split("validation"))) == (12, 2)


def test_hugging_face_rows_bring_the_names_of_their_classes():
    table = hugging_face(["neg", "pos"], text=[*TEXTS, "unknown"], label=[*LABELS, -1])
    for data in (read(table), read(table["text"], table["label"])):
        assert data.labels == ("negative", "positive")
        assert [str(problem) for problem in data.problems] == ["the data of train:13: no label"]
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    table = hugging_face(["neg", "pos"], text=TEXTS, label=LABELS)
    test = hugging_face(["neg", "pos"], text=["x"], label=[-1])
    data = read(datasets.DatasetDict({"train": table, "validation": table, "test": test}))
    assert {name: len(reviews) for name, reviews in data.splits.items()} == {"train": 12, "validation": 12}


def test_rows_that_cannot_be_used_are_told():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    table = pandas.DataFrame({"Text": [*TEXTS, None, " ", "x"], "LABEL": [*LABELS, 1, 1, None]})
    data = read(table)
    assert [str(problem) for problem in data.problems] == [
        "the data of train:13: column text is missing; the row has text, label",
        "the data of train:14: column text is empty",
        "the data of train:15: column label is missing; the row has text, label",
    ]
    assert data.labels == ("0.0", "1.0")  # as pandas turns numbers into beside a missing one


@pytest.mark.parametrize(
    ("texts", "labels", "options", "message"),
    [
        (TEXTS, LABELS[:3], {}, "There are 12 texts and 3 labels"),
        ("one text", [1], {}, "Expected texts as a list"),
        (TEXTS, [1] * 12, {}, "has only one class in its training part, '1'"),
        ([""], [1], {}, r"The first of 1 problems: the data of train:1: column text is empty"),
        (TEXTS, LABELS, {"names": {2: "odd"}}, "renames '2', but no row has that label"),
        (
            {"body": TEXTS, "label": LABELS},
            None,
            {},
            "the columns body, label; .* with text_column",
        ),
    ],
)
def test_data_that_cannot_be_used(texts, labels, options, message):
    with pytest.raises(DataError, match=message):
        read(texts, labels, **options)
