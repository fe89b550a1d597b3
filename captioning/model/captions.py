"""What goes into a captioner and what comes out, whether it is a Keras model or an exported one.

Images of any kind become squares of pixels; the model gives a `Caption`.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from captioning.config import Calibration
from captioning.data.images import ImageError, ImageSource, load_image, resize
from shared.data.objects import column_values, is_tf_dataset
from shared.text.tokens import join_tokens

BATCH_SIZE = 16


class Caption(NamedTuple):
    """One caption of one image.

    `log_prob` is the natural logarithm of the model's probability of the words and the end token;
    `confidence` is the geometric mean of their probabilities, in (0, 1], or what the model's `Calibration`
    makes of it.
    """

    text: str
    tokens: tuple[str, ...]
    log_prob: float
    confidence: float

    @classmethod
    def of(
        cls, tokens: Sequence[str], log_prob: float, length: int, calibration: Calibration | None = None
    ) -> "Caption":
        """The caption of `tokens`, whose `length` counts the end token too."""
        confidence = math.exp(log_prob / max(int(length), 1))
        confidence = calibration.apply(confidence) if calibration else confidence
        return cls(join_tokens(tokens), tuple(tokens), float(log_prob), confidence)


def caption_any(captioner, images: "ImageSource | Sequence[ImageSource]", **options):
    """Describes one image or several, whatever they are stored as; `Captioner.caption` has the details."""
    is_one = _is_one(images)
    batches = _batches([images] if is_one else images, captioner.image_size)
    captions = [found for pixels in batches for found in captioner.caption_pixels(pixels, **options)]
    return captions[0] if is_one else captions


def predict_captions(captioner, images, **options) -> str | list[str]:
    """The best caption of each image, as a list; of a single image, its caption alone."""
    if is_tf_dataset(images):
        images = column_values(images, "images")
    elif not _is_one(images) and not hasattr(images, "ndim"):
        images = list(images)
    captions = caption_any(captioner, images, **options)
    return captions[0].text if _is_one(images) else [best.text for best, *_ in captions]


def _is_one(images) -> bool:
    """Whether it is an image. An array of four axes is a batch, as is any list."""
    return isinstance(images, str | Path | bytes | Image.Image) or getattr(images, "ndim", 4) < 4


def _batches(images, size: int) -> Iterator[np.ndarray]:
    """Batches `(images, size, size, 3)` uint8."""
    pixels = (resize(_load(image), size) for image in images)
    while batch := list(islice(pixels, BATCH_SIZE)):
        yield np.stack(batch)


def _load(image) -> np.ndarray:
    if hasattr(image, "ndim"):  # a tensor too
        image = np.asarray(image)
        if np.issubdtype(image.dtype, np.floating):
            raise ImageError(
                f"An image of dtype {image.dtype}: expected uint8 in [0, 255]. "
                "Convert pixels in [0, 1] by (255 * image).round().astype('uint8')."
            )
    return load_image(image)
