"""Whether a run continues with the images and captions that it was started with."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from captioning.data.examples import Example, LazyImage
from shared.runs.checksums import items_checksum


def data_checksums(training: Sequence[Example], validation: Sequence[Example]) -> dict[str, str]:
    """The checksums of the data of a run, by the name of the part.

    They cover the order of the images, their names and sizes, and all captions. Images are not read: of a
    file it is the size that counts, of pixels in memory their shape.
    """
    return {
        f"{split} {part}": items_checksum(describe(example) for example in examples)
        for split, examples in (("training", training), ("validation", validation))
        for part, describe in (("images", _image), ("captions", _captions))
    }


def _image(example: Example) -> list[object]:
    return [example.image_id, _size(example.image)]


def _captions(example: Example) -> list[object]:
    return [example.image_id, example.captions]


def _size(image) -> object:
    if isinstance(image, LazyImage):
        return image.identity
    if isinstance(image, str | Path):
        return os.stat(image).st_size if os.path.exists(image) else None
    if isinstance(image, Image.Image):
        return image.size
    return image.shape if isinstance(image, np.ndarray) else len(image)
