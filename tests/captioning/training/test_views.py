"""Views of photographs: what is drawn, and what is shown of it."""

import numpy as np
import pytest

from captioning.training.views import Views, show

SIDE = 13
ALL = Views(mirror=True, crop=0.6, brightness=0.2)
WHOLE = [0.0, 0.0, 1.0, 1.0]


def photographs(count):
    return np.random.default_rng(3).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)


def test_the_whole_image_is_shown_bit_for_bit_and_mirrored_exactly_reversed():
    images = photographs(2)
    views = show(images, np.float32([WHOLE, [0.0, 1.0, 1.0, 0.0]]), np.ones(2, np.float32)).numpy()
    assert views.dtype == np.float32
    np.testing.assert_array_equal(views[0], images[0])
    np.testing.assert_array_equal(views[1], images[1, :, ::-1])


def test_a_crop_shows_its_part_alone():
    images = photographs(1)
    half = np.float32([[0.0, 0.5, 0.5, 1.0]])  # of 12 steps between pixels, 0 to 6 and 6 to 12
    view = show(images, half, np.ones(1, np.float32)).numpy()[0]
    np.testing.assert_allclose(view[::2, ::2], images[0, :7, 6:], atol=1e-3)
    between = (images[0, :7, 6:12].astype(np.float32) + images[0, :7, 7:]) / 2
    np.testing.assert_allclose(view[::2, 1::2], between, atol=1e-3)


def test_brightness_is_a_factor_and_is_clipped():
    images = photographs(3)
    factors = np.float32([1.15, 0.85, 1.0])
    views = show(images, np.float32([WHOLE] * 3), factors).numpy()
    expected = np.minimum(images * factors[:, None, None, None], 255.0)
    np.testing.assert_allclose(views, expected, rtol=1e-6)
    assert (expected == 255.0).any()


def test_a_draw_depends_on_the_generator_alone():
    one, again, other = (ALL.draw(50, np.random.default_rng(seed)) for seed in (4, 4, 5))
    for name in ("boxes", "brightness"):
        np.testing.assert_array_equal(one[name], again[name])
        assert (one[name] != other[name]).any()


def test_a_draw_stays_within_its_bounds_and_uses_them():
    drawn = ALL.draw(4000, np.random.default_rng(0))
    top, left, bottom, right = drawn["boxes"].T
    mirrored = left > right
    assert 0.45 < mirrored.mean() < 0.55
    low, high = np.minimum(left, right), np.maximum(left, right)
    assert min(top.min(), low.min()) >= 0
    assert max(bottom.max(), high.max()) <= 1
    np.testing.assert_allclose(bottom - top, high - low, atol=1e-6)  # a square of a square
    area = (bottom - top) * (high - low)
    assert 0.6 <= area.min() + 1e-6 < 0.61
    assert 0.99 < area.max() <= 1 + 1e-6
    assert 0.8 <= drawn["brightness"].min() + 1e-6 < 0.81
    assert 1.19 < drawn["brightness"].max() <= 1.2 + 1e-6
    assert (drawn["boxes"].dtype, drawn["brightness"].dtype) == (np.float32, np.float32)


@pytest.mark.parametrize(
    ("views", "boxes", "brightness"),
    [(Views(), {(0, 0, 1, 1)}, {1}), (Views(mirror=True), {(0, 0, 1, 1), (0, 1, 1, 0)}, {1})],
)
def test_what_is_not_asked_for_is_not_drawn(views, boxes, brightness):
    drawn = views.draw(40, np.random.default_rng(0))
    assert set(map(tuple, drawn["boxes"].tolist())) == boxes
    assert set(drawn["brightness"].tolist()) == brightness


def test_no_view_reaches_beyond_its_image():
    drawn = ALL.draw(3000, np.random.default_rng(1))
    views = show(np.full((3000, SIDE, SIDE, 3), 100, np.uint8), drawn["boxes"], np.ones(3000, np.float32))
    np.testing.assert_allclose(views, 100.0, rtol=1e-6)
