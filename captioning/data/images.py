"""The one image loader: training, prediction and the feature cache see the same pixels.

Whatever the format of an image, `load_image` returns upright 8-bit RGB, or raises an `ImageError` that says
what is wrong.
"""

import contextlib
import errno
import os
import stat
import threading
import warnings
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
from PIL import Image, UnidentifiedImageError, features

from captioning.config import MAX_PIXELS
from captioning.data.budget import ByteBudget
from captioning.data.pixels import image_from_array, rgb
from shared.system.cli import UserError

ImageSource: TypeAlias = "str | Path | bytes | Image.Image | np.ndarray"

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
SUFFIXES = frozenset((".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"))
# Formats that Pillow reads if it was built so, or if somebody registered a plug-in, and their suffixes.
_OPTIONAL = {"AVIF": (".avif",), "HEIF": (".heic", ".heif")}
_HEIC = "convert HEIC to JPEG, or call pillow_heif.register_heif_opener() first."
UNREADABLE = {
    ".heic": _HEIC,
    ".heif": _HEIC,
    ".avif": "this Pillow was built without AVIF; convert it to JPEG.",
    ".svg": "an SVG is a drawing; render it as PNG.",
}

# Most bytes for a pixel while an image is decoded and converted, measured for each format: JPEG 19, PNG 22,
# GIF 19, TIFF 18, AVIF 17, WebP 31. Those in a mode without transparency need no second layer.
_PLAIN_MODES = ("1", "L", "RGB", "CMYK", "YCbCr")
_BYTES_PER_PIXEL, _BYTES_PER_PLAIN_PIXEL = 32, 20
# All threads together; a larger image is decoded alone.
MOST_BYTES = _BYTES_PER_PIXEL * MAX_PIXELS

_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION_TAG = 0x0112
_TILE_WIDTH_TAG, _TILE_HEIGHT_TAG = 322, 323

# Warning filters belong to the whole process, so only one thread at a time may change them. The lock is held
# while a header is read, not while pixels are decoded.
_HEADER_LOCK = threading.Lock()


class ImageError(UserError):
    """An image that cannot be read; the message starts with its name."""


_BUDGET = ByteBudget(MOST_BYTES)


def load_image(
    source: ImageSource,
    *,
    name: str | None = None,
    max_pixels: int = MAX_PIXELS,
    size: int | None = None,
) -> np.ndarray:
    """Loads an image as upright 8-bit RGB.

    EXIF orientation is applied. Grey, palette, CMYK and YCbCr images are converted; 16-bit samples are scaled
    by their nominal range; transparent parts are composited on white; the first frame of an animation or a
    document is used.

    Threads that call this at the same time share `MOST_BYTES` of memory; those that need more wait. With
    `size`, they hold it until the image is small.

    Args:
        source: a file, the bytes of one, a Pillow image, or an array `(height, width)` or
            `(height, width, 1 | 2 | 3 | 4)` of uint8, uint16 or bool (2 channels: grey and alpha, 4: RGB and
            alpha).
        name: what error messages call the image; by default the file's path.
        max_pixels: an image whose header declares more pixels is refused before memory is allocated.
        size: side of the square to which `resize` brings it; None: it keeps its size.

    Returns:
        A fresh uint8 array `(height, width, 3)`.

    Raises:
        ImageError: if the file is absent, empty, a folder, a pipe, a device, damaged, truncated, too large or
            of no known format.

    Example:

    >>> load_image(np.array([[[255, 0, 0, 255], [255, 0, 0, 0]]], dtype=np.uint8))
    array([[[255,   0,   0],
            [255, 255, 255]]], dtype=uint8)
    """
    if isinstance(source, np.ndarray):
        name = name or f"array of shape {source.shape}"
        try:
            source = image_from_array(source)
        except ValueError as error:
            raise ImageError(f"{name}: {error}") from error
    elif isinstance(source, Image.Image):
        name = name or getattr(source, "filename", "") or "Pillow image"
    if isinstance(source, Image.Image):
        return _decode(source, name, max_pixels, size)
    if isinstance(source, bytes | bytearray | memoryview):
        return _load_stream(BytesIO(source), name or "image data", max_pixels, size)
    name = name or str(source)
    try:
        stream = open(source, "rb", opener=_open_at_once)  # noqa: SIM115 - closed below
    except (OSError, ValueError) as error:
        raise ImageError(f"{name}: {_reason(error, source)}") from error
    with stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise ImageError(f"{name}: {_NO_FILE}")
        return _load_stream(stream, name, max_pixels, size)


def suffixes() -> frozenset[str]:
    """The suffixes of the image files that this Pillow reads, in lower case."""
    optional = (suffix for kind in _optional_formats() for suffix in _OPTIONAL[kind])
    return SUFFIXES.union(optional)


def _optional_formats() -> tuple[str, ...]:
    present = {"AVIF": features.check("avif"), "HEIF": "HEIF" in Image.OPEN}
    return tuple(kind for kind in _OPTIONAL if present[kind])


def _open_at_once(path, flags: int) -> int:
    """Opens a file without waiting for somebody to write into it, if it is a named pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """Squashes an image to a square, bicubic with antialias.

    Args:
        image: `(height, width, 3)` uint8.
        size: side of the square in pixels.

    Returns:
        `(size, size, 3)` uint8.

    Raises:
        ValueError: `image` is not such an array.

    Example:

    >>> resize(np.full((3, 5, 3), 7, "uint8"), 2).tolist()
    [[[7, 7, 7], [7, 7, 7]], [[7, 7, 7], [7, 7, 7]]]
    """
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
        raise ValueError(f"expected an image (height, width, 3) of uint8, got {image.shape} of {image.dtype}")
    if image.shape[:2] == (size, size):
        return image
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC))


_NO_FILE = "this is a pipe, a socket or a device; expected an image file."


def _reason(error: Exception, source: str | Path) -> str:
    """Why a file could not be opened, in words."""
    if "://" in str(source):
        return "this is a URL; download it first and give the file's path."
    if isinstance(error, FileNotFoundError):
        return "no such file."
    if os.path.isdir(source):
        readable = os.access(source, os.R_OK)
        return "this is a folder; expected an image file." if readable else "this folder cannot be read."
    if isinstance(error, OSError) and error.errno == errno.ENXIO:  # what opening a socket gives
        return _NO_FILE
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be opened: {error.strerror}."
    return f"cannot be opened: {error}."


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    """Silences Pillow's warnings about stray data in headers and about sizes that are refused anyway."""
    with _HEADER_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _load_stream(stream: BinaryIO, name: str, max_pixels: int, size: int | None) -> np.ndarray:
    formats = (*FORMATS, *_optional_formats())
    try:
        _refuse_large(_webp_size(stream), name, max_pixels)  # Pillow allocates its pixels when it opens one
        with _without_warnings():
            image = Image.open(stream, formats=formats)
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(_too_large(name, max_pixels)) from error
    except UnidentifiedImageError as error:
        stream.seek(0)
        if not stream.read(1):
            raise ImageError(f"{name}: the file is empty (0 bytes).") from error
        raise ImageError(
            f"{name}: not an image, or not of a format that can be read ({', '.join(formats)})."
        ) from error
    except Exception as error:  # the plugins raise nearly everything on damaged headers
        raise ImageError(f"{name}: the image's header is damaged ({error}).") from error
    with image:
        return _decode(image, name, max_pixels, size)


def _webp_size(stream: BinaryIO) -> tuple[int, int]:
    """Width and height that a WebP file declares; (0, 0) for other files.

    Source: RFC 9649, "WebP Image Format".
    """
    head = stream.read(30)
    stream.seek(0)

    def number(start, length, bits):
        return int.from_bytes(head[start : start + length], "little") % 2**bits

    if head[:4] != b"RIFF" or head[8:12] != b"WEBP":
        return 0, 0
    if head[12:16] == b"VP8X":
        return number(24, 3, 24) + 1, number(27, 3, 24) + 1
    if head[12:16] == b"VP8L":
        sides = number(21, 4, 28)
        return sides % 2**14 + 1, sides // 2**14 + 1
    return number(26, 2, 14), number(28, 2, 14)


def _tile_size(image: Image.Image) -> tuple[int, int]:
    """Width and height of a TIFF's tiles, which are decoded whole; (0, 0) for other images."""
    tags = getattr(image, "tag_v2", {})
    sides = [tags.get(tag, 0) for tag in (_TILE_WIDTH_TAG, _TILE_HEIGHT_TAG)]
    # A damaged tag may hold anything.
    return tuple(side if isinstance(side, int) else 0 for side in sides)


def _refuse_large(sides: tuple[int, int], name: str, max_pixels: int) -> None:
    width, height = sides
    if width * height > max_pixels:
        raise ImageError(_too_large(name, max_pixels, f"{width} x {height} pixels; "))


def _decode(image: Image.Image, name: str, max_pixels: int, size: int | None) -> np.ndarray:
    _refuse_large(image.size, name, max_pixels)
    _refuse_large(_tile_size(image), name, max_pixels)
    is_plain = image.format != "WEBP" and image.mode in _PLAIN_MODES
    per_pixel = _BYTES_PER_PLAIN_PIXEL if is_plain else _BYTES_PER_PIXEL
    with _BUDGET.hold(image.width * image.height * per_pixel):
        pixels = _pixels(image, name)
        return pixels if size is None else resize(pixels, size)


def _pixels(image: Image.Image, name: str) -> np.ndarray:
    width, height = image.size
    try:
        if image.format == "TIFF":  # loading looks at the orientation, outside the reach of _without_warnings
            _orientation(image)
        image.load()
        method = _TRANSPOSITIONS.get(_orientation(image))
        pixels = rgb(image if method is None else image.transpose(method))
    except Exception as error:  # damaged data, see above; or a mode that Pillow cannot convert
        raise ImageError(f"{name}: the image is damaged or truncated ({error}).") from error
    if not pixels.size:
        raise ImageError(f"{name}: the image has no pixels ({width} x {height}).")
    return pixels


def _orientation(image: Image.Image) -> int | None:
    """The EXIF orientation; None where the image has none, or EXIF data that cannot be read."""
    try:
        with _without_warnings():
            return image.getexif().get(_ORIENTATION_TAG)
    except Exception:  # as above; the pixels matter more than their orientation
        return None


def _too_large(name: str, max_pixels: int, size: str = "") -> str:
    return (
        f"{name}: the image is too large: {size}at most {max_pixels:,} pixels are accepted. Shrink it first."
    )
