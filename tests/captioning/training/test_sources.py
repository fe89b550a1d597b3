"""Where the images of a run come from: cached features, or pixels."""

from types import SimpleNamespace

import numpy as np
import pytest

from captioning.data.images import resize
from captioning.training.sources import FeatureSource, PixelSource
from captioning.training.views import Views
from shared.system.cli import UserError

SIZE = 32


def features_alone(captioner, example, mirrored=False):
    image = resize(example.load(), SIZE)
    return captioner.encoder((image[:, ::-1] if mirrored else image)[None])[0].numpy()


def test_features_follow_the_examples_past_an_unreadable_image(captioner, tmp_path, capsys, examples_of):
    examples = examples_of(6, bad={2})
    source = FeatureSource(captioner, examples, tmp_path, Views(mirror=True))
    assert source.examples == [*examples[:2], *examples[3:]]
    assert "1 images cannot be read and are left out" in capsys.readouterr().out
    rows, random, twin = np.array([4, 0, 2, 3, 1]), np.random.default_rng(8), np.random.default_rng(8)
    flips = twin.random(5) < 0.5
    assert 0 < flips.sum() < 5
    features = source.batch(rows, random)["features"]
    expected = [
        features_alone(captioner, source.examples[row], flip) for row, flip in zip(rows, flips, strict=True)
    ]
    np.testing.assert_allclose(features, np.stack(expected), atol=5e-3)
    captions = source.caption(np.arange(1, 4), num_beams=2, max_length=5)
    pixels = np.stack([resize(example.load(), SIZE) for example in source.examples[1:4]])
    alone = captioner.caption(pixels, num_beams=2, max_length=5)
    assert [c[0].tokens for c in captions] == [c[0].tokens for c in alone]


def test_plain_and_mirrored_features_that_miss_different_images_line_up(
    captioner, tmp_path, monkeypatch, examples_of
):
    examples, images = examples_of(5), np.arange(5, dtype=np.float16)[:, None, None]

    def extract(examples, encoder, cache_dir, flip=False):
        there = [0, 3, 4] if flip else [0, 1, 2, 4]
        index = {examples[number].image_id: row for row, number in enumerate(there)}
        return SimpleNamespace(array=images[there] + (100 if flip else 0), index=index, problems=["bad"])

    monkeypatch.setattr("captioning.training.sources.extract_features", extract)
    source = FeatureSource(captioner, examples, tmp_path, Views(mirror=True))
    assert source.examples == [examples[0], examples[4]]
    drawn = source.batch(np.array([0, 1] * 9), np.random.default_rng(0))["features"].ravel().reshape(9, 2)
    assert [set(column) for column in drawn.T] == [{0, 100}, {4, 104}]


def test_pixels_follow_the_examples_past_an_unreadable_image(captioner, tmp_path, capsys, examples_of):
    examples = examples_of(5, bad={0, 3})
    source = PixelSource(captioner, examples, tmp_path, None)
    assert source.examples == [examples[1], examples[2], examples[4]]
    assert "2 images cannot be read and are left out; the first: train-0" in capsys.readouterr().out
    pixels = source.batch(np.array([2, 0]), np.random.default_rng(0))["images"]
    np.testing.assert_array_equal(pixels[0], resize(examples[4].load(), SIZE))
    np.testing.assert_array_equal(pixels[1], resize(examples[1].load(), SIZE))
    assert len(source.caption(np.arange(1, 3), max_length=5)) == 2
    with pytest.raises(UserError, match="None of 2 images can be read"):
        PixelSource(captioner, examples_of(2, bad={0, 1}), tmp_path, None)
