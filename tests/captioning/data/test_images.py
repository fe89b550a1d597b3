import contextlib
import struct
import threading
import warnings
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, features

from captioning.config import MAX_PIXELS
from captioning.data.images import ImageError, load_image, resize, suffixes
from shared.system.cli import UserError

HEIGHT, WIDTH = 5, 7


def picture(channels=3):
    """Distinct values everywhere, so that no flip, transposition or channel swap can hide."""
    values = np.arange(HEIGHT * WIDTH * channels).reshape(HEIGHT, WIDTH, channels)
    return (values * 2 + 11).astype(np.uint8)


def encoded(image, kind, **options):
    stream = BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png_header(width, height, bits=8, colour=2):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 999))


def png(samples, colour):
    """A 16-bit PNG of `(height, width, channels)` samples, which Pillow itself cannot write in colour."""
    height, width, _ = samples.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    whole = png_header(width, height, 16, colour)
    start = whole.index(b"IDAT") - 4
    body = zlib.compress(rows)
    idat = struct.pack(">I", len(body)) + b"IDAT" + body + struct.pack(">I", zlib.crc32(b"IDAT" + body))
    iend = struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
    return whole[:start] + idat + iend


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {"lossless": True}),
    ],
)
def test_lossless_formats(kind, options, tmp_path):
    pixels = picture()
    data = encoded(Image.fromarray(pixels), kind, **options)
    path = tmp_path / "picture"
    path.write_bytes(data)
    for source in (path, str(path), data, bytearray(data), Image.open(BytesIO(data))):
        loaded = load_image(source)
        assert loaded.dtype == np.uint8
        assert loaded.flags.writeable
        np.testing.assert_array_equal(loaded, pixels)


def test_jpeg_is_close():
    gradient = (
        np.linspace(0, 255, 35).reshape(5, 7, 1).repeat(8, 0).repeat(8, 1).repeat(3, 2).astype(np.uint8)
    )
    loaded = load_image(encoded(Image.fromarray(gradient), "JPEG", quality=95))
    assert loaded.shape == (40, 56, 3)
    assert np.abs(loaded.astype(int) - gradient).mean() < 2


def test_gif_and_webp_animation_give_the_first_frame():
    frames = [Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in ("red", "blue", "lime")]
    for kind in ("GIF", "WEBP"):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=9, lossless=True)
        expected = np.broadcast_to(np.uint8([255, 0, 0]), (HEIGHT, WIDTH, 3))
        np.testing.assert_array_equal(load_image(data), expected)


# What a viewer does to the stored pixels, by EXIF orientation (EXIF 2.3, tag 0x0112).
ORIENTATIONS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_exif_orientation(orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(
        Image.fromarray(picture()), kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {})
    )
    np.testing.assert_array_equal(load_image(data), ORIENTATIONS[orientation](picture()))


def test_exif_orientation_of_jpeg():
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:, :16] = 255  # the left half is lit; upright, the upper one
    loaded = load_image(encoded(Image.fromarray(pixels), "JPEG", exif=exif))
    assert loaded.shape == (32, 16, 3)
    assert loaded[:16].mean() > 240
    assert loaded[16:].mean() < 15


def test_damaged_exif_does_not_lose_the_image():
    data = encoded(Image.fromarray(picture()), "PNG", exif=b"Exif\0\0not a TIFF header at all")
    np.testing.assert_array_equal(load_image(data), picture())


def test_grey_and_alpha():
    grey = picture(1)[..., 0]
    as_rgb = np.repeat(grey[..., None], 3, -1)
    np.testing.assert_array_equal(load_image(encoded(Image.fromarray(grey), "PNG")), as_rgb)
    np.testing.assert_array_equal(
        load_image(encoded(Image.fromarray(grey > 40), "PNG")), (as_rgb > 40) * np.uint8(255)
    )
    alpha = np.linspace(0, 255, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH, 1).astype(np.uint8)
    for base in (picture(3), picture(1)):
        loaded = load_image(encoded(Image.fromarray(np.concatenate([base, alpha], -1)), "PNG")).astype(int)
        share = alpha / 255
        expected = np.rint(base * share + 255 * (1 - share))
        assert np.abs(loaded - expected).max() <= 1
    assert loaded[0, 0].tolist() == [255, 255, 255]


def test_palette_with_and_without_transparency():
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.putdata([0, 1, 2])
    assert load_image(encoded(image, "PNG")).tolist() == [[[255, 0, 0], [0, 255, 0], [0, 0, 255]]]
    for transparency in (1, b"\xff\x00\xff"):
        data = encoded(image, "PNG", transparency=transparency)
        assert load_image(data).tolist() == [[[255, 0, 0], [255, 255, 255], [0, 0, 255]]]
    data = encoded(image, "GIF", transparency=2)
    assert load_image(data).tolist() == [[[255, 0, 0], [0, 255, 0], [255, 255, 255]]]


def test_transparent_colour_without_alpha_channel():
    data = encoded(Image.fromarray(picture()), "PNG", transparency=(11, 13, 15))
    expected = picture()
    expected[0, 0] = 255
    np.testing.assert_array_equal(load_image(data), expected)


def test_cmyk():
    inks = np.zeros((8, 24, 4), np.uint8)
    inks[:, :8, 0], inks[:, 8:16, 1], inks[:, 16:, 3] = 255, 255, 255  # cyan, magenta, black
    for kind in ("TIFF", "JPEG"):
        loaded = load_image(encoded(Image.fromarray(inks, "CMYK"), kind)).astype(int)
        for column, colour in ((4, (0, 255, 255)), (12, (255, 0, 255)), (20, (0, 0, 0))):
            assert np.abs(loaded[4, column] - colour).max() < 8


def test_16_bit_grey_keeps_its_brightness():
    samples = (np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) * 257).astype(np.uint16)
    expected = np.repeat(np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH, 1), 3, -1)
    for kind in ("PNG", "TIFF"):
        np.testing.assert_array_equal(load_image(encoded(Image.fromarray(samples), kind)), expected)
    np.testing.assert_array_equal(load_image(samples), expected)
    extremes = np.uint16([[0, 128, 65535, 65407, 32768]])
    assert load_image(extremes)[0, :, 0].tolist() == [0, 0, 255, 255, 128]


def test_16_bit_colour():
    samples = picture().astype(np.uint16) * 257
    np.testing.assert_array_equal(load_image(png(samples, colour=2)), picture())
    alpha = np.full((HEIGHT, WIDTH, 1), 65535, np.uint16)
    np.testing.assert_array_equal(load_image(png(np.concatenate([samples, alpha], -1), colour=6)), picture())
    np.testing.assert_array_equal(load_image(samples), picture())


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (np.float32([[0.0, 0.5, 1.0]]), [0, 128, 255]),
        (np.float32([[0.0, 100.0, 255.0]]), [0, 100, 255]),
        (np.float32([[-1.0, 0.0, np.nan, 1.0]]), [0, 128, 128, 255]),
        (np.int32([[0, 7, 255]]), [0, 7, 255]),
        (np.int32([[0, 257, 65535]]), [0, 1, 255]),
        (np.int32([[0, 500_000, 1_000_000]]), [0, 128, 255]),
        (np.int32([[0, 0, 0]]), [0, 0, 0]),
    ],
)
def test_32_bit_grey(samples, expected):
    assert load_image(encoded(Image.fromarray(samples), "TIFF"))[0, :, 0].tolist() == expected


@pytest.mark.parametrize("channels", [1, 3])
def test_arrays(channels):
    pixels = picture(channels)
    kept = pixels.copy()
    loaded = load_image(pixels)
    np.testing.assert_array_equal(loaded, np.broadcast_to(pixels, (HEIGHT, WIDTH, 3)))
    loaded[:] = 0
    np.testing.assert_array_equal(pixels, kept)
    np.testing.assert_array_equal(
        load_image(pixels[::-1, ::2]), np.broadcast_to(pixels, (HEIGHT, WIDTH, 3))[::-1, ::2]
    )
    assert load_image(np.array([[True, False]]))[0, :, 0].tolist() == [255, 0]


def test_pillow_image_is_left_as_it_is():
    image = Image.fromarray(picture(4))
    before = image.tobytes()
    load_image(image)
    assert image.tobytes() == before


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 3, 5), np.uint8),
        np.zeros(3, np.uint8),
        np.zeros((2, 3, 3)),
        np.zeros((0, 3, 3), np.uint8),
    ],
)
def test_array_of_wrong_kind(array):
    with pytest.raises(ImageError, match="an image array has shape"):
        load_image(array)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"bad\.jpg: the file is empty \(0 bytes\)"),
        (b"This is a text, not a photograph.\n", r"bad\.jpg: not an image, or not of a format.*JPEG, PNG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
        (b"\xff\xd8\xff", r"bad\.jpg: "),
        (b"\x89PNG\r\n\x1a\n", r"bad\.jpg: "),
        (b"GIF89a", r"bad\.jpg: "),
        (b"BM", r"bad\.jpg: "),
        (b"II*\0", r"bad\.jpg: "),
    ],
)
def test_files_that_are_no_images(tmp_path, content, message):
    path = tmp_path / "bad.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=message):
        load_image(path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "GIF", "WEBP"])
def test_truncated_files(tmp_path, kind):
    noise = np.random.default_rng(3).integers(0, 256, (35, 49, 3)).astype(np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    path = tmp_path / "cut.jpg"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageError, match=r"cut\.jpg: .*(damaged|truncated|not an image)"):
        load_image(path)


def test_flipped_bytes_never_raise_anything_else():
    random = np.random.default_rng(5)
    for kind in ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"):
        data = np.frombuffer(encoded(Image.fromarray(picture()), kind), np.uint8)
        for _ in range(60):
            damaged = data.copy()
            damaged[random.integers(0, len(data), 4)] = random.integers(0, 256, 4)
            with contextlib.suppress(ImageError):
                load_image(damaged.tobytes(), max_pixels=10**6)


def test_absent_file_and_folder(tmp_path):
    with pytest.raises(ImageError, match=r"absent\.jpg: no such file"):
        load_image(tmp_path / "absent.jpg")
    with pytest.raises(ImageError, match="this is a folder"):
        load_image(tmp_path)
    with pytest.raises(UserError, match="cannot be opened"):
        load_image("a\0b.jpg")
    with pytest.raises(ImageError, match=r"^standard input: the file is empty"):
        load_image(b"", name="standard input")


@pytest.mark.parametrize("side", [7_200, 10_500, 50_000])
def test_decompression_bomb(side, tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(side, side))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(ImageError, match=rf"bomb\.png: the image is too large.*at most {MAX_PIXELS:,}"):
            load_image(path)
    assert not caught


def test_a_large_photograph_below_the_limit_gives_no_warning():
    # Between Pillow's threshold for a warning and the limit; the data is short, so little is decoded.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(ImageError, match="truncated"):
            load_image(png_header(9_700, 9_700, bits=1, colour=0), max_pixels=100_000_000)
    assert not caught


def test_own_limit():
    data = encoded(Image.fromarray(picture()), "PNG")
    assert load_image(data, max_pixels=35).shape == (5, 7, 3)
    with pytest.raises(ImageError, match="7 x 5 pixels; at most 34 pixels"):
        load_image(data, max_pixels=34)


def test_threads_leave_the_warning_filters_alone():
    data = encoded(Image.fromarray(picture()), "PNG")
    before = warnings.filters[:]
    threads = [threading.Thread(target=lambda: [load_image(data) for _ in range(20)]) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before


def test_a_size_may_be_asked_for():
    data = encoded(Image.fromarray(picture()), "PNG")
    np.testing.assert_array_equal(load_image(data, size=4), resize(picture(), 4))


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
def test_avif():
    assert load_image(encoded(Image.fromarray(picture()), "AVIF", quality=100)).shape == (5, 7, 3)


def test_heic_where_a_plugin_is_registered(monkeypatch):
    assert ".heic" not in suffixes()
    monkeypatch.setitem(Image.OPEN, "HEIF", Image.OPEN["PNG"])
    assert {".heic", ".heif"} <= suffixes()
    with pytest.raises(ImageError, match=r"TIFF, .*HEIF\)"):
        load_image(b"text")
