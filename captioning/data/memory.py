"""Images with captions that are in memory already; see `shared.data.objects`."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from captioning.data.examples import CaptionData, Example, merge
from captioning.data.images import ImageError, load_image
from shared.data.objects import DATA, column_names, column_values, plain, rows_of, splits_of
from shared.data.source import DataError, Problem, nothing_usable
from shared.data.tables import Columns

CAPTION_COLUMNS = ("caption", "captions", "text", "sentences")
VALIDATION = 0.1  # of the images
# Larger images are shrunk to this size, so that hundreds fit in memory; encoders read less.
KEPT_SIDE = 640


def captions_in_memory(images: Any, captions: Any, validation: Any, max_pixels: int) -> CaptionData:
    """Images with captions, as `captioning.fit` takes them.

    Args:
        images: a column of images: paths, bytes, Pillow images or arrays `(height, width, 3)` uint8; or where
            `captions` is None, a table or its splits.
        captions: a column of captions; an image may have one or several.
        validation: a pair of such columns, or a table; None: a tenth of the images.
        max_pixels: an image file that declares more pixels is not decoded.

    Raises:
        DataError: they cannot be used.
    """
    tables = splits_of(images) if captions is None else {"train": (images, captions)}
    if validation is not None:
        tables["validation"] = validation
    examples: list[Example] = []
    problems: list[Problem] = []
    for split in ("train", "validation"):
        for row in _read(tables[split], split, max_pixels) if split in tables else ():
            (problems if isinstance(row, Problem) else examples).append(row)
    if not any(example.split == "train" for example in examples):
        raise nothing_usable(DATA, "captions", problems)
    merged = merge(examples)
    if "validation" not in tables:
        merged = _with_validation(merged)
    return CaptionData(DATA, merged, tuple(problems))


def _with_validation(examples: tuple[Example, ...]) -> tuple[Example, ...]:
    """A tenth of the images, at least one, is for validation: the first by a hash of their ids."""
    order = sorted(examples, key=lambda example: hashlib.sha256(example.image_id.encode()).digest())
    count = max(1, round(VALIDATION * len(order))) if len(order) > 1 else 0
    held = {example.image_id for example in order[:count]}
    return tuple(
        Example(e.image_id, e.image, e.captions, "validation" if e.image_id in held else "train")
        for e in examples
    )


def _read(table: Any, split: str, max_pixels: int) -> Iterator[Example | Problem]:
    place = f"{DATA} of {split}"
    for number, (image, captions) in enumerate(_pairs(table), 1):
        try:
            image_id, image = _image(image, f"{split} {number}", max_pixels)
            yield Example(image_id, image, _captions(captions), split, max_pixels=max_pixels)
        except (ValueError, ImageError) as error:
            yield Problem(place, number, str(error))


def _pairs(table: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(table, tuple) and len(table) == 2:
        images, captions = column_values(table[0], "images"), column_values(table[1], "captions")
        if len(images) != len(captions):
            raise DataError(
                f"There are {len(images):,} images and {len(captions):,} captions. Expected as many."
            )
        return zip(images, captions, strict=True)
    names = [name.casefold() for name in column_names(table)]
    caption = next((name for name in CAPTION_COLUMNS if name in names), "caption")
    rows = rows_of(table, Columns(("image", caption), hint="Give images and captions as two columns."))
    return ((row["image"], row[caption]) for row in rows)


def _image(image: Any, image_id: str, max_pixels: int) -> tuple[str, Any]:
    """The id of an image, and what an `Example` holds of it."""
    if isinstance(image, dict):  # as Hugging Face gives an image that is not decoded
        image = image.get("bytes") or image.get("path")
    path = getattr(image, "filename", "") if isinstance(image, Image.Image) else image
    if isinstance(path, str | os.PathLike) and path and (path is image or os.path.isfile(path)):
        return str(path), Path(os.path.expanduser(path))
    if hasattr(image, "numpy"):
        image = image.numpy()
    if isinstance(image, bytes | Image.Image) or hasattr(image, "dtype"):
        return image_id, _pixels(image, image_id, max_pixels)
    raise ValueError(f"{type(image).__name__} is no image. Expected a path, bytes, a Pillow image or array")


def _pixels(image: Any, name: str, max_pixels: int) -> np.ndarray:
    """The pixels of an image, at most `KEPT_SIDE` high and wide."""
    if getattr(image, "shape", None) == ():  # an encoded image of TensorFlow
        image = bytes(image.item())
    if np.issubdtype(getattr(image, "dtype", np.uint8), np.floating):
        raise ValueError(
            f"pixels are {image.dtype}; expected uint8 in [0, 255]: convert pixels in [0, 1] by "
            "(255 * image).round().astype('uint8')"
        )
    pixels = load_image(image, name=name, max_pixels=max_pixels)
    if max(pixels.shape[:2]) <= KEPT_SIDE:
        return pixels
    small = Image.fromarray(pixels)
    small.thumbnail((KEPT_SIDE, KEPT_SIDE))
    return np.asarray(small)


def _captions(captions: Any) -> tuple[str, ...]:
    captions = plain(captions)
    several = (
        [captions] if captions is None or isinstance(captions, str) else [plain(one) for one in captions]
    )
    for caption in several:
        if not isinstance(caption, str) or not caption.strip():
            raise ValueError("the caption is missing or empty")
    if not several:
        raise ValueError("the image has no caption")
    return tuple(caption.strip() for caption in several)
