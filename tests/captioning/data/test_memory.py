"""Captioned images in memory become examples, as those of files do."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from captioning.data import memory
from captioning.data.memory import captions_in_memory
from shared.data.source import DataError

PIXELS = np.random.default_rng(0).integers(0, 256, (7, 5, 6, 3), dtype=np.uint8)
CAPTIONS = [f"picture {number}" for number in range(7)]


def read(images, captions=None, validation=None):
    return captions_in_memory(images, captions, validation, 10**6)


@pytest.fixture
def file(tmp_path):
    Image.fromarray(PIXELS[0]).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def as_png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


IMAGES = {
    "arrays": lambda: list(PIXELS),
    "one array": lambda: PIXELS,
    "Pillow": lambda: [Image.fromarray(pixels) for pixels in PIXELS],
    "bytes": lambda: [as_png(pixels) for pixels in PIXELS],
    "tensors": lambda: tf.constant(PIXELS),
    "tf.data": lambda: tf.data.Dataset.from_tensor_slices(PIXELS).batch(3),
    "encoded tensors": lambda: tf.data.Dataset.from_tensor_slices([as_png(pixels) for pixels in PIXELS]),
}


@pytest.mark.parametrize("kind", IMAGES)
def test_images_of_all_kinds(kind):
    data = read(IMAGES[kind](), CAPTIONS)
    assert [example.image_id for example in data.examples] == [f"train {number}" for number in range(1, 8)]
    for example, pixels, caption in zip(data.examples, PIXELS, CAPTIONS, strict=True):
        np.testing.assert_array_equal(example.load(), pixels)
        assert example.captions == (caption,)
    assert (len(data.split("train")), len(data.split("validation"))) == (6, 1)


def test_files_and_several_captions(file):
    with Image.open(file) as opened:
        images = [file, str(file), opened, PIXELS[1]]
        data = read(images, [["one", " two "], np.array(["three"]), "four", ("five", "six")])
    assert [(example.image_id, example.captions) for example in data.examples] == [
        (str(file), ("one", "two", "three", "four")),
        ("train 4", ("five", "six")),
    ]


def test_tables(file):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    table = {"image": [str(file)], "caption": [["one", "two"]]}
    hugging_face = datasets.Dataset.from_dict(table).cast_column("image", datasets.Image())
    plain = datasets.Dataset.from_dict(table).cast_column("image", datasets.Image(decode=False))
    tables = [
        hugging_face,
        plain,
        datasets.DatasetDict({"train": hugging_face}),
        pandas.DataFrame({"Image": [file], "Captions": [["one", "two"]]}),
        {"image": [file], "text": [["one", "two"]]},
        [(file, ["one", "two"])],
    ]
    for data in map(read, tables):
        assert [example.captions for example in data.examples] == [("one", "two")]
        np.testing.assert_array_equal(data.examples[0].load(), PIXELS[0])


def test_validation_may_be_given(file):
    data = read(PIXELS, CAPTIONS, validation=([file], ["held out"]))
    assert [len(data.split(split)) for split in ("train", "validation")] == [7, 1]


def test_large_images_are_shrunk(monkeypatch):
    monkeypatch.setattr(memory, "KEPT_SIDE", 4)
    (example,) = read([PIXELS[0]], ["x"]).examples
    assert example.image.shape == (3, 4, 3)


def test_what_cannot_be_used_is_told(file):
    images = [PIXELS[0], PIXELS[1] / 255, 7, PIXELS[2], b"no image", PIXELS[3]]
    data = read(images, ["good", "float", "number", " ", "bytes", []])
    assert [example.captions for example in data.examples] == [("good",)]
    messages = [str(problem).removeprefix("the data of train:") for problem in data.problems]
    assert messages[0].startswith("2: pixels are float64; expected uint8 in [0, 255]: convert")
    assert messages[1] == "3: int is no image. Expected a path, bytes, a Pillow image or array"
    assert messages[2] == "4: the caption is missing or empty"
    assert messages[3].startswith("5: train 5: not an image")
    assert messages[4] == "6: the image has no caption"


@pytest.mark.parametrize(
    ("images", "captions", "message"),
    [
        (PIXELS, CAPTIONS[:2], "There are 7 images and 2 captions"),
        ("a.png", ["x"], "Expected images as a list"),
        (PIXELS[:1], [""], r"has no usable captions.*the data of train:1: the caption is missing"),
        ({"image": [PIXELS[0]], "body": ["x"]}, None, "the columns image, body; .* two columns"),
    ],
)
def test_data_that_cannot_be_used(images, captions, message):
    with pytest.raises(DataError, match=message):
        read(images, captions)
