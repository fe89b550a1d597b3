import functools
import json
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from captioning.data import tfds as captions_of_tfds
from captioning.data.examples import HASH_NOTE, LazyImage, hash_split
from captioning.data.load import load_examples
from captioning.data.tfds import read_builder
from shared.data.source import DataError


def pixels(number):
    return (np.arange(3 * 5 * 3).reshape(3, 5, 3) + 7 * number).astype(np.uint8)


@functools.cache
def tiny_class(kind):
    """A dataset of a few pictures, with captions in the form that `kind` names."""
    import tensorflow_datasets as tfds

    text = tfds.features.Text()
    feature, encode = {
        "one": (text, lambda captions: captions[0] if captions else ""),
        "many": (tfds.features.Sequence(text), lambda captions: captions),
        "nested": (
            tfds.features.Sequence({"id": np.int64, "text": text}),
            lambda captions: [{"id": i, "text": caption} for i, caption in enumerate(captions)],
        ),
    }[kind]

    class Tiny(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")
        name = f"tiny_{kind}"
        parts = ("train", "val", "restval")

        def _info(self):
            features = {"image": tfds.features.Image(encoding_format="png"), "captions": feature}
            if kind == "nested":
                features["image/id"] = np.int64
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples(10 * i) for i, split in enumerate(self.parts)}

        def _generate_examples(self, first):
            for number in range(first, first + 4):
                stream = BytesIO()
                Image.fromarray(pixels(number)).save(stream, "PNG")
                stream.seek(0)
                captions = [] if number == 11 else [f" Caption {number}.{n} " for n in range(1 + number % 3)]
                example = {"image": stream, "captions": encode(captions)}
                if kind == "nested":
                    example["image/id"] = 100 + number
                yield number, example

    return Tiny


def expected_captions(number, kind):
    return tuple(f"Caption {number}.{n}" for n in range(1 if kind == "one" else 1 + number % 3))


@pytest.mark.parametrize("storage", ["tfrecord", "array_record", "streamed"])
@pytest.mark.parametrize("kind", ["one", "many", "nested"])
def test_prepared_files(tmp_path, monkeypatch, kind, storage):
    file_format = "tfrecord"
    if storage == "streamed":
        monkeypatch.setattr(captions_of_tfds, "_random_access", lambda *_: None)
    else:
        file_format = storage
    data = read_builder("tiny", lambda: tiny_class(kind)(data_dir=tmp_path, file_format=file_format))
    assert data.splits == ("train", "validation")
    assert len(data.split("train")) == 8
    assert [problem.message.split(" of ")[1] for problem in data.problems] == ["split val has no caption"]
    found = {}
    for example in data.examples:
        number = int(example.captions[0].split()[1].split(".")[0])
        assert example.captions == expected_captions(number, kind)
        assert kind != "nested" or example.image_id == str(100 + number)
        assert isinstance(example.image, LazyImage) == (storage != "streamed")
        np.testing.assert_array_equal(example.load(), pixels(number))
        found[number] = example
    assert sorted(found) == [0, 1, 2, 3, 10, 12, 13, 20, 21, 22, 23]
    assert len({example.image_id for example in data.examples}) == 11
    if storage != "streamed":
        assert len({example.image.identity for example in data.examples}) == 11


def test_records_are_read_in_any_order(tmp_path):
    data = read_builder("tiny", lambda: tiny_class("one")(data_dir=tmp_path, file_format="tfrecord"))
    order = np.random.default_rng(3).permutation(len(data.examples) * 3) % len(data.examples)
    for index in order:
        number = int(data.examples[index].captions[0].split()[1].split(".")[0])
        np.testing.assert_array_equal(data.examples[index].load(), pixels(number))


def test_cut_record_file(tmp_path):
    def make_builder():
        return tiny_class("one")(data_dir=tmp_path, file_format="tfrecord")

    read_builder("tiny", make_builder)
    (file,) = tmp_path.glob("*/*/*-train.tfrecord*")
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"tiny: .*tfrecord.* is cut off"):
        read_builder("tiny", make_builder)


def test_mocked_coco_captions():
    import tensorflow_datasets as tfds

    with tfds.testing.mock_data(num_examples=3):
        data = load_examples("tfds:coco_captions")
    assert data.splits == ("train", "validation")
    assert [len(data.split(split)) for split in data.splits] == [3, 3]
    assert len({example.image_id for example in data.split("train")}) == 3
    for example in data.examples:
        assert len(example.captions) >= 5
        assert all(isinstance(caption, str) and caption for caption in example.captions)
        image = example.load()
        assert image.dtype == np.uint8
        assert image.ndim == 3


def test_mocked_coco_captions_with_its_own_splits(tmp_path):
    import tensorflow_datasets as tfds

    splits = [{"name": name, "shardLengths": ["7"]} for name in ("train", "val", "test", "restval")]
    folder = tmp_path / "coco_captions" / "2014" / "1.1.0"
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text(
        json.dumps({"name": "coco_captions", "version": "1.1.0", "configName": "2014", "splits": splits})
    )
    with tfds.testing.mock_data(num_examples=3, data_dir=str(tmp_path)):
        data = load_examples("tfds:coco_captions")
    assert {split: len(data.split(split)) for split in data.splits} == {
        "train": 6,
        "validation": 3,
        "test": 3,
    }


def test_only_a_train_split_is_divided():
    def captions(self, split, **_):
        import tensorflow as tf

        numbers = tf.data.Dataset.range(40)
        image = tf.zeros((3, 5, 3), tf.uint8)
        return numbers.map(lambda i: {"image": image, "captions": {"text": ["A cat"]}, "image/id": i})

    import tensorflow_datasets as tfds

    with tfds.testing.mock_data(as_dataset_fn=captions), pytest.MonkeyPatch.context() as patch:
        patch.setattr(captions_of_tfds, "USUAL_SPLITS", ("train",))
        data = load_examples("tfds:coco_captions")
    assert data.notes == (HASH_NOTE,)
    assert {e.image_id: e.split for e in data.examples} == {str(i): hash_split(str(i)) for i in range(40)}
    assert set(data.splits) == {"train", "validation"}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("tfds:no_such_thing", "tfds:no_such_thing: tensorflow-datasets has no such dataset"),
        ("tfds:coco_captions/no_such_config", "has no such dataset"),
        ("tfds:mnist", "tfds:mnist is not a dataset of captions.*it has image, label"),
        ("tfds:", "needs a name"),
    ],
)
def test_unusable_names(source, message):
    with pytest.raises(DataError, match=message):
        load_examples(source)


def test_preparation_that_fails(tmp_path, monkeypatch):
    occupied = tmp_path / "a file"
    occupied.touch()
    monkeypatch.setenv("TFDS_DATA_DIR", str(occupied))
    with pytest.raises(DataError, match=r"shapes cannot be prepared in .*a file.*TFDS_DATA_DIR"):
        load_examples("shapes")


def test_preparation_by_another_process(tmp_path):
    def make_builder():
        return tiny_class("many")(data_dir=tmp_path, file_format="tfrecord")

    slow = make_builder()
    read_builder("tiny", make_builder)
    slow.download_and_prepare = lambda: (_ for _ in ()).throw(FileExistsError("the folder is there"))
    builders = iter((slow, make_builder()))
    assert len(read_builder("tiny", lambda: next(builders)).examples) == 11
