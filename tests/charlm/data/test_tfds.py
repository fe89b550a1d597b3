"""Texts of tensorflow-datasets, with splits of their own."""

import json

import pytest

from charlm.data.load import load_text
from shared.data.source import DataError


def mocked(splits, folder, monkeypatch):
    """A folder in which the dataset imdb_reviews says which splits it has."""
    info = folder / "imdb_reviews" / "plain_text" / "1.0.0"
    info.mkdir(parents=True)
    parts = [{"name": name, "shardLengths": ["3"]} for name in splits]
    document = {"name": "imdb_reviews", "version": "1.0.0", "configName": "plain_text", "splits": parts}
    (info / "dataset_info.json").write_text(json.dumps(document))
    monkeypatch.setenv("TFDS_DATA_DIR", str(folder))


def dataset(builder, split, **_):
    import tensorflow as tf

    texts = [f"{split} {number} \u00e9" for number in range(3)]
    return tf.data.Dataset.from_tensor_slices({"text": texts})


def test_tfds_with_its_own_splits():
    import tensorflow_datasets as tfds

    with tfds.testing.mock_data(as_dataset_fn=dataset):
        data = load_text("tfds:tiny_shakespeare", validation_fraction=0.4)
    assert data.splits == ("train", "validation", "test")
    for split in data.splits:
        assert data.text(split) == f"{split} 0 \u00e9\n{split} 1 \u00e9\n{split} 2 \u00e9"
    assert data.text("all") == "".join(map(data.text, data.splits))
    assert data.rule == "splits of tfds:tiny_shakespeare: train 29, validation 44, test 26 characters"


@pytest.mark.parametrize(
    ("splits", "expected", "rule"),
    [
        (
            ["test", "train", "unsupervised"],
            {"train": (0, 17), "validation": (17, 29), "test": (29, 55)},
            "last 40",
        ),
        (["train"], {"train": (0, 11), "validation": (11, 23), "test": (23, 29)}, "last 20"),
        (
            ["test", "dev", "train"],
            {"train": (0, 29), "validation": (29, 52), "test": (52, 78)},
            "validation 23",
        ),
        # Two names of one split: the texts of both.
        (["val", "dev", "train"], {"train": (0, 29), "validation": (29, 76)}, "validation 47"),
    ],
)
def test_tfds_splits(tmp_path, monkeypatch, splits, expected, rule):
    import tensorflow_datasets as tfds

    mocked(splits, tmp_path, monkeypatch)
    with tfds.testing.mock_data(as_dataset_fn=dataset, data_dir=str(tmp_path)):
        data = load_text("tfds:imdb_reviews", validation_fraction=0.4, test_fraction=0.2)
    assert dict(data.ranges) == expected
    assert data.text("all").startswith("train 0 \u00e9\ntrain 1")
    assert rule in data.rule
    assert "unsupervised" not in data.text("all")


def test_tfds_without_train(tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    mocked(["test"], tmp_path, monkeypatch)
    with (
        tfds.testing.mock_data(as_dataset_fn=dataset, data_dir=str(tmp_path)),
        pytest.raises(DataError, match="tfds:imdb_reviews has no split train"),
    ):
        load_text("tfds:imdb_reviews")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tfds:", "needs a name"),
        ("tfds:no_such_thing", "tfds:no_such_thing: tensorflow-datasets has no such dataset"),
        ("tfds:mnist", r"tfds:mnist is not a dataset of texts.*it has image, label"),
    ],
)
def test_tfds_unusable_names(name, message):
    with pytest.raises(DataError, match=message):
        load_text(name)


def test_tfds_preparation_that_fails(tmp_path, monkeypatch):
    (tmp_path / "a file").touch()
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "a file"))
    with pytest.raises(DataError, match=r"cannot be prepared in .*a file.*TFDS_DATA_DIR"):
        load_text("tfds:tiny_shakespeare")
