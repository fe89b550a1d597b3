"""From the many modes of Pillow's images to 8-bit RGB."""

import numpy as np
from PIL import Image

_BITS_PER_SAMPLE_TAG = 258


def rgb(image: Image.Image) -> np.ndarray:
    """The pixels of an image of any mode, `(height, width, 3)` uint8, on white where it is transparent."""
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


def image_from_array(array: np.ndarray) -> Image.Image:
    """An array as a Pillow image; `captioning.data.images.load_image` has the shapes.

    Raises:
        ValueError: the array has another shape or dtype.
    """
    shape_is_right = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 2, 3, 4))
    if not shape_is_right or array.dtype not in (np.uint8, np.uint16, np.bool_) or not array.size:
        raise ValueError(
            f"an image array has shape (height, width) or (height, width, 1 to 4) and dtype uint8, "
            f"uint16 or bool; this one has shape {array.shape} and dtype {array.dtype}."
        )
    if array.dtype == np.bool_:
        array = array * np.uint8(255)
    elif array.dtype == np.uint16:
        array = np.rint(array / 257).astype(np.uint8)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    return Image.fromarray(np.ascontiguousarray(array))
