"""Labelled texts of tensorflow-datasets."""

import functools
import json

import numpy as np
import pytest

from sentiment.data.load import load_reviews
from sentiment.data.parts import cut_validation
from sentiment.data.reviews import Review
from shared.data.source import DataError


def mock_splits(folder, monkeypatch, name, splits):
    """A folder in which a dataset says which splits it has."""
    info = folder / name / "1.0.0"
    info.mkdir(parents=True)
    parts = [{"name": split, "shardLengths": ["3"]} for split in splits]
    document = {"name": name.partition("/")[0], "version": "1.0.0", "splits": parts}
    if "/" in name:
        document["configName"] = name.partition("/")[2]
    (info / "dataset_info.json").write_text(json.dumps(document))
    monkeypatch.setenv("TFDS_DATA_DIR", str(folder))


def mocked(columns, folder=None):
    """Datasets of these columns, by split."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    def dataset(builder, split, **_):
        return tf.data.Dataset.from_tensor_slices(columns[split])

    return tfds.testing.mock_data(as_dataset_fn=dataset, data_dir=folder and str(folder))


def test_tfds_without_validation(tmp_path, monkeypatch):
    numbers = range(20)
    columns = {
        "train": {"text": [f"train {i} \u00e9" for i in numbers], "label": [i % 2 for i in numbers]},
        "test": {"text": [b"test 0", b"\xff", b" ", b"no label", b"test 4"], "label": [1, 0, 0, -1, 0]},
        "unsupervised": {"text": ["nobody knows"], "label": [-1]},
    }
    mock_splits(tmp_path, monkeypatch, "imdb_reviews/plain_text", columns)
    with mocked(columns, tmp_path):
        data = load_reviews("tfds:imdb_reviews", validation_fraction=0.2, seed=3)
    whole = [Review(f"train {i} \u00e9", ("negative", "positive")[i % 2], "") for i in numbers]
    kept, held = cut_validation(whole, 0.2, seed=3)
    assert [(r.text, r.label) for r in data.split("train")] == [(row.text, row.label) for row in kept]
    assert [(r.text, r.label) for r in data.split("validation")] == [(row.text, row.label) for row in held]
    assert data.split("test") == (
        Review("test 0", "positive", "tfds:imdb_reviews, test:1"),
        Review("test 4", "negative", "tfds:imdb_reviews, test:5"),
    )
    assert tuple(map(str, data.problems)) == (
        "tfds:imdb_reviews, test:2: not UTF-8",
        "tfds:imdb_reviews, test:3: the text is empty",
        "tfds:imdb_reviews, test:4: the label -1 is not one of 2 classes",
    )


@pytest.mark.parametrize(("options", "taken"), [({}, "description"), ({"text_column": "title"}, "title")])
def test_tfds_with_two_texts(tmp_path, monkeypatch, options, taken):
    names, numbers = ["World", "Sports", "Business", "Sci/Tech"], range(7)
    columns = {key: [f"{key} {i}" for i in numbers] for key in ("title", "description")}
    columns["label"] = [i % 4 for i in numbers]
    mock_splits(tmp_path, monkeypatch, "ag_news_subset", ["train"])
    with mocked({"train": columns}, tmp_path):
        data = load_reviews("tfds:ag_news_subset", validation_fraction=0.0, **options)
    assert [(r.text, r.label) for r in data.split("train")] == [
        (f"{taken} {i}", names[i % 4]) for i in numbers
    ]
    assert data.labels == ("Business", "Sci/Tech", "Sports", "World")


def test_tfds_with_splits_and_a_text_of_another_name():
    # A mocked builder without files does not say which splits there are: the three usual ones.
    columns = {
        "train": {"sentence": ["dull", "bravo"], "label": [0, 1]},
        "validation": {"sentence": ["well done"], "label": [1]},
        "test": {"sentence": ["hidden", "hidden too"], "label": [-1, -1]},
    }
    with mocked(columns):
        data = load_reviews("tfds:glue/sst2")
    found = {split: [(r.text, r.label) for r in reviews] for split, reviews in data.splits.items()}
    assert found == {
        "train": [("dull", "negative"), ("bravo", "positive")],
        "validation": [("well done", "positive")],
    }
    assert len(data.problems) == 2


@functools.cache
def tiny_builder():
    """A real dataset, of which the reviews are prepared in files; making the class makes its name known."""
    import tensorflow_datasets as tfds

    class TinyReviews(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {
                "content": tfds.features.Text(),
                "mood": tfds.features.ClassLabel(names=["pos", "none", "neg"]),
                "bytes": tfds.features.Tensor(shape=(3,), dtype=np.uint8),
            }
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples(split) for split in ("train", "dev", "extra")}

        def _generate_examples(self, split):
            for number in range(5):
                yield number, {"content": f"{split} {number}", "mood": number % 3, "bytes": [1, 2, 3]}

    return TinyReviews


def test_tfds_of_a_real_dataset(tmp_path, monkeypatch):
    tiny_builder()
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    data = load_reviews("tfds:tiny_reviews")
    assert list(data.splits) == ["train", "validation"]
    for split, own in (("train", "train"), ("validation", "dev")):
        expected = {(f"{own} {i}", ["pos", "none", "neg"][i % 3]) for i in range(5)}
        assert {(r.text, r.label) for r in data.split(split)} == expected
        assert len(data.split(split)) == 5


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("tfds:", {}, "needs a name"),
        ("tfds:no_such_thing", {}, "tfds:no_such_thing: tensorflow-datasets has no such dataset"),
        ("tfds:mnist", {}, r"tfds:mnist has no text called text: its features are image, label.*texts: none"),
        (
            "tfds:imdb_reviews",
            {"text_column": "body"},
            r"no text called body: .*texts: text\. .*--text-column",
        ),
        (
            "tfds:imdb_reviews",
            {"label_column": "stars"},
            r"no class label called stars.*its labels: label",
        ),
        ("tfds:tiny_shakespeare", {}, r"has no class label called label: its features are text"),
        ("tfds:glue/mnli", {}, r"has no text called text: .*texts: premise, hypothesis"),
    ],
)
def test_tfds_unusable_names(name, options, message):
    with pytest.raises(DataError, match=message):
        load_reviews(name, **options)


def test_tfds_preparation_that_fails(tmp_path, monkeypatch):
    (tmp_path / "a file").touch()
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "a file"))
    with pytest.raises(DataError, match=r"cannot be prepared in .*a file.*TFDS_DATA_DIR"):
        load_reviews("tfds:imdb_reviews")
