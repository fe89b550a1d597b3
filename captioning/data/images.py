"""The one image loader: training, prediction and the feature cache see the same pixels.

Whatever the format of an image, `load_image` returns upright 8-bit RGB, or raises an `ImageError` that says
what is wrong.
"""

import contextlib
import glob
import threading
import warnings
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
from PIL import Image, UnidentifiedImageError

from shared.system.cli import UserError

ImageSource: TypeAlias = "str | Path | bytes | Image.Image | np.ndarray"

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
SUFFIXES = frozenset((".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"))

# An image of this size takes 300 MB as RGB; today's cameras stay below it.
MAX_PIXELS = 100_000_000

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
_BITS_PER_SAMPLE_TAG = 258

# Warning filters belong to the whole process, so only one thread at a time may change them. The lock is held
# while a header is read, not while pixels are decoded.
_HEADER_LOCK = threading.Lock()


class ImageError(UserError):
    """An image that cannot be read; the message starts with its name."""


def load_image(source: ImageSource, *, name: str | None = None, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Loads an image as upright 8-bit RGB.

    EXIF orientation is applied. Grey, palette, CMYK and YCbCr images are converted; 16-bit samples are scaled
    by their nominal range; transparent parts are composited on white; the first frame of an animation or a
    document is used.

    Args:
        source: a file, the bytes of one, a Pillow image, or an array `(height, width)` or
            `(height, width, 1 | 2 | 3 | 4)` of uint8, uint16 or bool (2 channels: grey and alpha, 4: RGB and
            alpha).
        name: what error messages call the image; by default the file's path.
        max_pixels: an image whose header declares more pixels is refused before memory is allocated.

    Returns:
        A fresh uint8 array `(height, width, 3)`.

    Raises:
        ImageError: if the file is absent, empty, a folder, damaged, truncated, too large or of no known
            format.

    Example:

    >>> load_image(np.array([[[255, 0, 0, 255], [255, 0, 0, 0]]], dtype=np.uint8))
    array([[[255,   0,   0],
            [255, 255, 255]]], dtype=uint8)
    """
    if isinstance(source, np.ndarray):
        name = name or f"array of shape {source.shape}"
        source = _image_from_array(source, name)
    elif isinstance(source, Image.Image):
        name = name or getattr(source, "filename", "") or "Pillow image"
    if isinstance(source, Image.Image):
        return _decode(source, name, max_pixels)
    if isinstance(source, bytes | bytearray | memoryview):
        return _load_stream(BytesIO(source), name or "image data", max_pixels)
    name = name or str(source)
    try:
        stream = open(source, "rb")  # noqa: SIM115 - closed below; reading errors are told apart from opening ones
    except (OSError, ValueError) as error:
        raise ImageError(f"{name}: {_reason(error, source)}") from error
    with stream:
        return _load_stream(stream, name, max_pixels)


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


def find_images(paths: Iterable[str | Path]) -> list[Path]:
    """Expands files, folders and glob patterns to image files.

    A folder stands for the images directly in it, and a pattern (`*`, `?`, `[...]`, `**` for folders below)
    for the images among its matches; both are recognised by their suffix and sorted. A path without a pattern
    is returned as it is, even if absent, so that the loader can report it while the others are read.

    Args:
        paths: files, folders and patterns, in any mixture.

    Returns:
        The files in the order of `paths`, each once.

    Raises:
        ImageError: if a folder holds no image, or a pattern matches none.
    """
    files: dict[Path, None] = {}
    for entry in paths:
        files.update(dict.fromkeys(_expand(Path(entry).expanduser())))
    return list(files)


def _expand(path: Path) -> list[Path]:
    known = ", ".join(sorted(SUFFIXES))
    if path.is_dir():
        images = sorted(file for file in path.iterdir() if _is_image(file))
        if not images:
            raise ImageError(
                f"{path}: no images in this folder. Expected files named {known}; "
                f'for images in folders below it, give "{path}/**/*".'
            )
        return images
    if path.exists() or not glob.has_magic(str(path)):
        return [path]
    images = sorted(file for file in map(Path, glob.glob(str(path), recursive=True)) if _is_image(file))
    if not images:
        raise ImageError(f"{path}: no image matches this pattern. Expected files named {known}.")
    return images


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def _reason(error: Exception, source: str | Path) -> str:
    """Why a file could not be opened, in words."""
    if "://" in str(source):
        return "this is a URL; download it first and give the file's path."
    if isinstance(error, FileNotFoundError):
        return "no such file."
    if isinstance(error, IsADirectoryError) or Path(source).is_dir():
        return "this is a folder; expected an image file."
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be opened: {error.strerror}."
    return f"cannot be opened: {error}."


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    """Silences Pillow's warnings about stray data in headers and about sizes that are refused anyway."""
    with _HEADER_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _load_stream(stream: BinaryIO, name: str, max_pixels: int) -> np.ndarray:
    try:
        with _without_warnings():
            image = Image.open(stream, formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise ImageError(_too_large(name, max_pixels)) from error
    except UnidentifiedImageError as error:
        stream.seek(0)
        if not stream.read(1):
            raise ImageError(f"{name}: the file is empty (0 bytes).") from error
        raise ImageError(
            f"{name}: not an image, or not of a format that can be read ({', '.join(FORMATS)})."
        ) from error
    except Exception as error:  # the plugins raise nearly everything on damaged headers
        raise ImageError(f"{name}: the image's header is damaged ({error}).") from error
    with image:
        return _decode(image, name, max_pixels)


def _decode(image: Image.Image, name: str, max_pixels: int) -> np.ndarray:
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(_too_large(name, max_pixels, f"{width} x {height} pixels; "))
    try:
        if image.format == "TIFF":  # loading looks at the orientation, outside the reach of _without_warnings
            _orientation(image)
        image.load()
        method = _TRANSPOSITIONS.get(_orientation(image))
        pixels = _rgb(image if method is None else image.transpose(method))
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


def _rgb(image: Image.Image) -> np.ndarray:
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        return np.repeat(_eight_bits(image)[..., None], 3, axis=-1)  # (height, width, 3)
    if image.has_transparency_data:
        if image.mode == "La":  # premultiplied grey has no direct way to RGBA
            image = image.convert("LA")
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.array(image.convert("RGB"))


def _eight_bits(image: Image.Image) -> np.ndarray:
    """Grey samples of more than 8 bits, `(height, width)`, scaled to uint8.

    The range is the nominal one if the file names it, as dark photographs should stay dark. 32-bit integers
    and floats have none: the smallest usual range that holds all samples is used, or else their own range.
    """
    samples = np.nan_to_num(np.asarray(image).astype(np.float32))
    low, high = 0.0, 65535.0
    if image.mode.startswith("I;16"):
        bits = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE_TAG, (16,))[0]
        high = 2.0**bits - 1
    else:
        low, largest = samples.min(initial=0), samples.max(initial=0)
        ranges = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
        high = next((top for top in ranges if largest <= top), largest)
    return np.rint((samples - low) / max(high - low, 1e-12) * 255).clip(0, 255).astype(np.uint8)


def _image_from_array(array: np.ndarray, name: str) -> Image.Image:
    shape_is_right = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 2, 3, 4))
    if not shape_is_right or array.dtype not in (np.uint8, np.uint16, np.bool_) or not array.size:
        raise ImageError(
            f"{name}: an image array has shape (height, width) or (height, width, 1 to 4) and dtype uint8, "
            f"uint16 or bool; this one has shape {array.shape} and dtype {array.dtype}."
        )
    if array.dtype == np.bool_:
        array = array * np.uint8(255)
    elif array.dtype == np.uint16:
        array = np.rint(array / 257).astype(np.uint8)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    return Image.fromarray(np.ascontiguousarray(array))
