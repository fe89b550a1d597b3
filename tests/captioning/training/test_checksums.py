"""Changed images and captions are noticed, and named by their part."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from captioning.data.examples import Example
from captioning.training.checksums import data_checksums


class Lazy:
    identity = "sha256:1"


@pytest.fixture
def examples(tmp_path):
    Image.new("RGB", (5, 7)).save(tmp_path / "a.png")
    images = (tmp_path / "a.png", str(tmp_path / "absent.png"), b"bytes", np.zeros((3, 5, 3)))
    images += (Image.new("RGB", (9, 4)),)
    return [Example(f"id{n}", image, (f"a {n}", "a dog"), "train") for n, image in enumerate(images)]


def changed(before, after):
    return [name for name in before if before[name] != after[name]]


def test_the_same_data_have_the_same_checksums(examples):
    assert data_checksums(examples, examples) == data_checksums(list(examples), examples)


@pytest.mark.parametrize(
    ("index", "change", "names"),
    [
        (0, {"captions": ("a 0", "a cat")}, ["training captions"]),
        (0, {"captions": ("a dog", "a 0")}, ["training captions"]),
        (1, {"image": b"now it is there"}, ["training images"]),
        (2, {"image": b"longer bytes"}, ["training images"]),
        (3, {"image": np.zeros((3, 6, 3))}, ["training images"]),
        (4, {"image": Image.new("RGB", (9, 5))}, ["training images"]),
        (2, {"image_id": "other"}, ["training images", "training captions"]),
    ],
)
def test_what_changed_is_named(examples, index, change, names):
    after = list(examples)
    after[index] = dataclasses.replace(after[index], **change)
    assert changed(data_checksums(examples, examples), data_checksums(after, examples)) == names


def test_a_file_of_another_size_and_another_order(examples, tmp_path):
    before = data_checksums(examples, examples[:1])
    Image.new("RGB", (50, 70), "red").save(tmp_path / "a.png")
    assert changed(before, data_checksums(examples, examples[:1])) == ["training images", "validation images"]
    assert len(changed(before, data_checksums(examples[::-1], examples[:1]))) == 3
