"""Photographs on both sides of a split: copies of other size and compression, and what is no copy."""

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from captioning.data import similar
from captioning.data.examples import Example
from captioning.data.similar import fingerprint, shared_photographs


def photograph(seed, width=320, height=240):
    """Smooth coloured noise, as varied as a photograph."""
    grid = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)


def jpeg(image, quality):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def examples(images, split):
    return [
        Example(f"{split}-{number}", image if isinstance(image, bytes) else np.asarray(image), ("x",), split)
        for number, image in enumerate(images)
    ]


def pairs(training, held_out):
    found = shared_photographs(examples(training, "train"), examples(held_out, "validation"))
    return [(one.image_id, other.image_id) for one, other in found]


@pytest.mark.parametrize(
    "copy",
    [
        lambda image: image,
        lambda image: jpeg(image, 30),
        lambda image: image.resize((160, 120)),
        lambda image: jpeg(image.resize((500, 375)), 60),
        lambda image: image.resize((256, 256)),  # squashed
        lambda image: ImageEnhance.Brightness(image).enhance(0.8),
        lambda image: np.asarray(image.convert("L")),
    ],
)
def test_a_copy_is_found_whatever_its_size_and_compression(copy):
    photographs = [photograph(seed) for seed in range(6)]
    assert pairs(photographs, [photograph(77), copy(photographs[3])]) == [("train-3", "validation-1")]


def test_different_photographs_are_not_copies():
    ours = [photograph(seed) for seed in range(40)]
    assert pairs(ours, [photograph(seed) for seed in range(40, 80)]) == []
    assert pairs(ours, [image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for image in ours]) == []


def test_plain_pictures_are_never_copies():
    plain = [Image.new("RGB", (30, 20), shade) for shade in ("white", "black", "red")]
    slope = Image.fromarray(np.tile(np.arange(200, dtype=np.uint8), (50, 1)))
    assert pairs([*plain, slope], [*plain, slope]) == []


def test_unreadable_images_are_skipped():
    photographs = [photograph(seed) for seed in range(3)]
    assert pairs([b"broken", *photographs], [photographs[2], b"broken"]) == [("train-3", "validation-0")]
    assert pairs([b"broken"], photographs) == pairs(photographs, []) == []


def test_all_are_compared_when_there_are_more_than_fit_at_once(monkeypatch):
    monkeypatch.setattr(similar, "COMPARED_AT_ONCE", 2)
    photographs = [photograph(seed) for seed in range(5)]
    assert pairs(photographs, [photographs[4], photographs[1]]) == [
        ("train-1", "validation-1"),
        ("train-4", "validation-0"),
    ]


def test_a_fingerprint_says_where_it_gets_brighter():
    image = np.zeros((16, 17, 3), np.uint8)
    image[5, 9:] = 200  # brighter from the ninth column on
    bits = fingerprint(image).reshape(16, 16)
    assert [tuple(index) for index in np.argwhere(bits == 1)] == [(5, 8)]
    assert set(np.unique(bits)) == {-1.0, 1.0}
