import re
from collections import Counter

import numpy as np
import pytest

from captioning.data import shapes
from captioning.data.images import load_image
from captioning.data.load import load_examples
from captioning.data.shapes import COLOURS, SHAPES, SIDE, SIZES, Scene, Thing, draw_scenes, render
from shared.text.vocabulary import tokenize_words

THING = r"a (small|large) (red|green|blue|yellow|purple|white) (circle|square|triangle|cross)"
CAPTION = rf"{THING} (?:(above|left of) {THING}|in the (?:middle|(?:top|bottom) (?:left|right) corner))"


@pytest.fixture(scope="module")
def scenes():
    return draw_scenes(700, 90)


def test_scenes_are_drawn_from_the_seed(scenes):
    assert draw_scenes(700, 90) == scenes
    assert draw_scenes(70, 90, seed=4)[0] != scenes[0][:70]
    assert [len(part) for part in scenes] == [700, 90]


def test_validation_scenes_are_not_for_training(scenes):
    train, validation = scenes
    assert set(train).isdisjoint(validation)
    assert len(set(validation)) == len(validation)


def test_captions(scenes):
    captions = [scene.caption for part in scenes for scene in part]
    assert all(re.fullmatch(CAPTION, caption) for caption in captions)
    assert all(" ".join(tokenize_words(caption)) == caption for caption in captions)
    words = Counter(word for caption in captions for word in caption.split())
    assert {*SIZES, *COLOURS, *SHAPES, "above", "left", "middle", "corner"} <= set(words)
    assert 0.1 < sum("in the" in caption for caption in captions) / len(captions) < 0.2


def test_upper_or_left_shape_is_named_first(scenes):
    for scene in (scene for part in scenes for scene in part if len(scene.things) == 2):
        first, second = scene.things
        axis = "y" if scene.where == "above" else "x"
        other = "x" if scene.where == "above" else "y"
        assert getattr(second, axis) - getattr(first, axis) == 32
        assert getattr(second, other) == getattr(first, other)


def test_rendering_is_repeatable_and_varied(scenes):
    scene = scenes[0][0]
    first = np.asarray(render(scene, 5))
    assert first.shape == (SIDE, SIDE, 3)
    np.testing.assert_array_equal(first, np.asarray(render(scene, 5)))
    assert (first != np.asarray(render(scene, 6))).mean() > 0.5


def ink(pixels):
    """Where a picture is not the ground, whose colour its rim shows."""
    pixels = pixels.astype(int)
    ground = np.median(np.concatenate([pixels[0], pixels[-1]]), axis=0)
    return np.abs(pixels - ground).max(-1) > 60


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("colour", COLOURS)
def test_a_picture_shows_what_its_caption_says(shape, colour):
    areas = {}
    for size in SIZES:
        for seed in range(4):
            pixels = np.asarray(
                render(Scene((Thing(size, colour, shape, 16, 48),), "in the bottom left corner"), seed)
            )
            shown = ink(pixels)
            rows, columns = np.nonzero(shown)
            assert abs(columns.mean() - 16) < 5
            assert abs(rows.mean() - 48) < 5
            mean = pixels[shown].mean(0)
            nearest = min(COLOURS, key=lambda name: np.abs(mean - COLOURS[name]).sum())
            assert nearest == colour
            areas.setdefault(size, []).append(shown.sum())
    assert max(areas["small"]) < 0.6 * min(areas["large"])


def test_shapes_stay_apart_and_inside(scenes):
    for number, scene in enumerate(scenes[1]):
        shown = ink(np.asarray(render(scene, number)))
        assert not shown[0].any()
        assert not shown[:, 0].any()
        assert not shown[-1].any()
        assert not shown[:, -1].any()
        if len(scene.things) == 2:
            across = shown.any(1) if scene.where == "above" else shown.any(0)
            edges = np.count_nonzero(np.diff(across.astype(int)) == 1)
            assert edges == 2, f"{scene.caption}: {edges} separate shapes"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFDS_DATA_DIR", str(tmp_path_factory.mktemp("datasets")))
        yield load_examples("shapes")


def test_second_call_finds_what_the_first_one_made(prepared, monkeypatch):
    folder = prepared.examples[0].image.records.records[0][0].parents[2]
    monkeypatch.setenv("TFDS_DATA_DIR", str(folder))
    monkeypatch.setattr(shapes, "render", None)
    again = load_examples("shapes")
    assert [(e.image_id, e.captions) for e in again.examples] == [
        (e.image_id, e.captions) for e in prepared.examples
    ]


def test_data_set(prepared):
    assert prepared.splits == ("train", "validation")
    train, validation = prepared.split("train"), prepared.split("validation")
    assert (len(train), len(validation)) == (4000, 500)
    assert not prepared.problems
    assert not prepared.notes
    assert all(len(example.captions) == 1 for example in prepared.examples)
    assert len({example.image_id for example in prepared.examples}) == 4500


def test_data_set_shows_its_scenes(prepared):
    train, validation = draw_scenes(4000, 500)
    scenes = [*validation, *train]
    for example in (*prepared.split("validation")[::50], *prepared.split("train")[::400]):
        number = int(example.image_id.removeprefix("scene-"))
        assert example.captions == (scenes[number].caption,)
        np.testing.assert_array_equal(example.load(), load_image(render(scenes[number], 2015 + number)))
