"""Data in memory: what pandas, NumPy, `tf.data` and Hugging Face hold comes out as Python values."""

import numpy as np
import pytest
import tensorflow as tf

from shared.data.objects import class_names, column_names, column_values, plain, rows_of, splits_of, texts_of
from shared.data.source import DataError
from shared.data.tables import Columns

TEXTS, LABELS = ["good", "caf\u00e9", "bad"], [1, 0, 1]
PAIR = Columns(("text", "label"))


def pandas():
    return pytest.importorskip("pandas", reason="pandas is not installed")


def hugging_face():
    return pytest.importorskip("datasets", reason="datasets is not installed")


def classes():
    """A Hugging Face dataset with class labels."""
    datasets = hugging_face()
    features = {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])}
    table = {"text": TEXTS, "label": LABELS}
    return datasets.Dataset.from_dict(table, features=datasets.Features(features))


COLUMNS = {
    "list": lambda: list(TEXTS),
    "tuple": lambda: tuple(TEXTS),
    "NumPy": lambda: np.array(TEXTS),
    "NumPy objects": lambda: np.array(TEXTS, object),
    "bytes": lambda: [text.encode() for text in TEXTS],
    "pandas": lambda: pandas().Series(TEXTS, index=[7, 3, 5]),
    "tensor": lambda: tf.constant(TEXTS),
    "tf.data": lambda: tf.data.Dataset.from_tensor_slices(TEXTS),
    "tf.data in batches": lambda: tf.data.Dataset.from_tensor_slices(TEXTS).batch(2),
    "Hugging Face": lambda: classes()["text"],
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_texts_of_columns(kind):
    column = COLUMNS[kind]()
    assert texts_of(column) == TEXTS
    assert [plain(value) for value in column_values(column, "texts")] == TEXTS


@pytest.mark.parametrize(
    "ids",
    [
        np.ones((2, 3), int),
        np.ones(3, int),
        [[1, 2], [3]],
        {"text": TEXTS},
        tf.data.Dataset.from_tensor_slices([[1, 2]]),
        tf.data.Dataset.from_tensor_slices((TEXTS, LABELS)),
        7,
        (text for text in TEXTS),
    ],
)
def test_what_is_not_texts(ids):
    assert texts_of(ids) is None


def test_a_missing_text_among_others_is_told():
    with pytest.raises(DataError, match="Expected texts, but one of them is None"):
        texts_of(["a", float("nan")])


TABLES = {
    "dict": lambda: {"Text": TEXTS, "LABEL": np.array(LABELS)},
    "pairs": lambda: list(zip(TEXTS, LABELS, strict=True)),
    "rows": lambda: [{"text": text, "label": label} for text, label in zip(TEXTS, LABELS, strict=True)],
    "pandas": lambda: pandas().DataFrame({"Text": TEXTS, "label": LABELS}),
    "tf.data of pairs": lambda: tf.data.Dataset.from_tensor_slices((TEXTS, LABELS)).batch(2),
    "tf.data of dicts": lambda: tf.data.Dataset.from_tensor_slices({"text": TEXTS, "label": LABELS}),
    "Hugging Face": classes,
}


@pytest.mark.parametrize("kind", TABLES)
def test_rows_of_tables(kind):
    table = TABLES[kind]()
    rows = [{name: plain(value) for name, value in row.items()} for row in rows_of(table, PAIR)]
    assert rows == [{"text": text, "label": label} for text, label in zip(TEXTS, LABELS, strict=True)]
    names = [] if "pairs" in kind else ["text", "label"]
    assert [name.lower() for name in column_names(table)] == names
    assert list(splits_of(table)) == ["train"]


def test_values_that_are_missing():
    pd = pandas()
    column = pd.Series(["a", None, pd.NA, float("nan")])
    assert [plain(value) for value in column_values(column, "texts")] == ["a", None, None, None]
    assert plain(pd.NaT) is None


def test_the_names_of_hugging_face_classes():
    table = classes()
    assert class_names(table, "label") == class_names(table["label"]) == {0: "neg", 1: "pos"}
    for other in (class_names(table, "text"), class_names(table["text"]), class_names(LABELS)):
        assert other == {}


def test_the_splits_of_hugging_face():
    datasets, table = hugging_face(), classes()
    splits = splits_of(datasets.DatasetDict({"train": table, "Val": table, "unsupervised": table}))
    assert list(splits) == ["train", "validation", "unsupervised"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("text", "Expected text and label as two columns, as a table or as pairs, got str"),
        (7, "as pairs, got int"),
        ([("a", "b", "c")], "as pairs, got tuple"),
        ({"text": ["a", "b"], "label": [1]}, "different lengths: text 2, label 1"),
        ({"text": ["a"], "stars": [1]}, "have the columns text, stars; expected text and label"),
    ],
)
def test_what_is_no_table(table, message):
    with pytest.raises(DataError, match=message):
        list(rows_of(table, PAIR))


@pytest.mark.parametrize("column", ["text", b"text", 7, {"text": TEXTS}])
def test_what_is_no_column(column):
    with pytest.raises(DataError, match="Expected texts as a list, an array or a column, got one"):
        column_values(column, "texts")
