"""Encoded files in a graph: what is read, what is refused, and what is said about it."""

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from captioning.model import encoded
from captioning.model.encoded import KINDS, read_files

SIZE = 8


def encode(form, width=21, height=13, **options):
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, form, **options)
    return stream.getvalue()


def read(*files, **options):
    resize = lambda image: tf.image.resize(image, (SIZE, SIZE))  # noqa: E731
    function = tf.function(lambda encoded: read_files(encoded, resize, SIZE, **options), autograph=False)
    pixels, errors = function(tf.constant(files, tf.string))
    return pixels.numpy(), [error.decode() for error in errors.numpy()]


def replaced(file, position, form, *values):
    part = struct.pack(form, *values)
    return file[:position] + part + file[position + len(part) :]


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_file_of_each_kind_is_damaged(kind):
    file = encode(kind)
    for cut in (file[: len(file) // 2], file[:16]):
        pixels, errors = read(file, cut, file)
        assert errors == ["", f"the image is damaged or truncated ({kind}).", ""]
        assert pixels.shape == (2, SIZE, SIZE, 3)
        np.testing.assert_array_equal(pixels[0], pixels[1])


LARGE = {
    "PNG": (encode("PNG"), 16, ">II", (12001, 9000)),
    "GIF": (encode("GIF"), 6, "<HH", (12001, 9000)),
    "BMP": (encode("BMP"), 18, "<ii", (12001, -9000)),
    "JPEG": (encode("JPEG"), encode("JPEG").index(b"\xff\xc0") + 5, ">HH", (9000, 12001)),
    "VP8": (encode("WEBP"), 26, "<HH", (12001, 9000)),
    "VP8L": (encode("WEBP", lossless=True), 21, "<I", (12000 | 8999 << 14,)),
}


@pytest.mark.parametrize("kind", LARGE)
def test_a_large_file_of_each_kind_is_not_decoded(kind):
    file, *change = LARGE[kind]
    pixels, errors = read(file, replaced(file, *change[:2], *change[2]))
    assert len(pixels) == 1
    assert errors[0] == ""
    assert errors[1].startswith("the image is too large: 12001 x 9000 pixels; at most 50,000,000 pixels")


@pytest.mark.parametrize("kind", LARGE)
def test_the_limit_counts_pixels(kind):
    file = LARGE[kind][0]
    assert read(file, max_pixels=21 * 13)[1] == [""]
    assert "21 x 13" in read(file, max_pixels=21 * 13 - 1)[1][0]


def with_comment(gif):
    """The GIF with an extension of two blocks before its first frame."""
    palette = 3 * 2 ** (gif[10] % 8 + 1)
    return gif[: 13 + palette] + b"!\xfe\x02,!\x03,,,\0" + gif[13 + palette :]


@pytest.mark.parametrize("change", [bytes, with_comment])
def test_a_frame_larger_than_its_gif_counts(change):
    file = change(encode("GIF"))
    frame = file.rindex(b",\0\0\0\0\x15\0\x0d\0")
    large = replaced(file, frame + 5, "<HH", 12001, 9000)
    pixels, errors = read(file, large, large[: frame + 2])
    assert errors[0] == ""
    assert errors[1].startswith("the image is too large: 12001 x 9000 pixels")
    assert errors[2] == "the image is damaged or truncated (GIF)."
    assert len(pixels) == 1


def test_sizes_whose_product_overflows_are_refused():
    file = replaced(encode("PNG"), 16, ">II", 2**32 - 1, 2**32 - 1)
    assert read(file)[1][0].startswith("the image is too large")


@pytest.mark.parametrize("file", [b"x", b"RIFF", b"RIFF1234WAVE", b"II*\0 a TIFF", "kéz".encode()])
def test_other_files_are_not_images(file):
    pixels, errors = read(file)
    assert pixels.shape == (0, SIZE, SIZE, 3)
    assert errors == ["not an image, or not of a format that can be read (JPEG, PNG, GIF, BMP, WEBP)."]


def test_no_files():
    pixels, errors = read()
    assert pixels.shape == (0, SIZE, SIZE, 3)
    assert errors == []


def test_only_the_first_frame_of_an_animation_is_decoded():
    frames = [Image.new("P", (21, 13), colour) for colour in (3, 5, 7)]
    stream = io.BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    _, first = encoded._first_frame(with_comment(stream.getvalue()))
    first = Image.open(io.BytesIO(first.numpy()))
    assert first.n_frames == 1
    np.testing.assert_array_equal(first.convert("RGB"), frames[0].convert("RGB"))
    assert read(stream.getvalue())[1] == [""]


def test_large_files_come_in_the_order_of_the_input():
    # With this limit, PNG and BMP are decoded among others and the larger GIF alone.
    files = [encode("GIF", 40, 30), encode("PNG", 9, 7), encode("GIF", 50, 30), encode("BMP", 7, 9)]
    pixels, errors = read(*files, max_pixels=40 * 30)
    assert [error[:26] for error in errors] == ["", "", "the image is too large: 50", ""]
    for index, file in enumerate((files[0], files[1], files[3])):
        np.testing.assert_array_equal(pixels[index], read(file)[0][0])


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparent_png_on_white(mode):
    random = np.random.default_rng(3).integers(0, 256, (SIZE, SIZE, len(mode)), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(random, mode).save(stream, "PNG")
    opacity = random[..., -1:] / 255
    expected = np.rint(random[..., :-1] * opacity + 255 * (1 - opacity)) * np.ones(3)
    np.testing.assert_array_equal(read(stream.getvalue())[0][0], expected)
