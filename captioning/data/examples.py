"""Images with their captions: what every source is read into."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from captioning.config import MAX_PIXELS
from captioning.data.images import ImageSource, load_image
from shared.data.source import Problem, split_name

HASH_NOTE = "The source names no splits: a hash of the image id puts 90 % in train and 10 % in validation."


class LazyImage:
    """An image that is read on demand.

    Attributes:
        identity: a key that images of different content do not share.
    """

    identity: str

    def read(self) -> bytes | np.ndarray:
        """The encoded or decoded image."""
        raise NotImplementedError


@dataclass(frozen=True)
class Example:
    """One image with its captions.

    Attributes:
        image_id: the source's own name for the image.
        image: anything that `captioning.data.images.load_image` takes, or a `LazyImage`.
        captions: sentences about it, as the source has them.
        split: `"train"`, `"validation"`, `"test"`, or another name that the source uses.
        source: where it comes from, if there are several sources.
        max_pixels: an image that declares more pixels is not decoded.
    """

    image_id: str
    image: "ImageSource | LazyImage"
    captions: tuple[str, ...]
    split: str
    source: str = ""
    max_pixels: int = MAX_PIXELS

    def load(self, size: int | None = None) -> np.ndarray:
        """The image as uint8 `(height, width, 3)`.

        Args:
            size: side of the square to which it is resized; None: as it is.

        Raises:
            ImageError: if it cannot be read.
        """
        is_file = isinstance(self.image, str | Path)
        image = self.image.read() if isinstance(self.image, LazyImage) else self.image
        name = str(image) if is_file else self.image_id
        return load_image(image, name=name, max_pixels=self.max_pixels, size=size)


@dataclass(frozen=True)
class CaptionData:
    """What a source holds.

    Attributes:
        name: the source as the user named it.
        examples: in the source's order; each image is in a split once.
        problems: rows that were left out.
        notes: decisions that the source leaves open.
    """

    name: str
    examples: tuple[Example, ...]
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()

    def split(self, name: str) -> list[Example]:
        """The examples of one split; empty if the source has no such split."""
        return [example for example in self.examples if example.split == split_name(name)]

    @property
    def sources(self) -> tuple[str, ...]:
        """Where the examples come from, in order of first appearance; `("",)` for a single source."""
        return tuple(dict.fromkeys(example.source for example in self.examples))

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that hold examples, in order of first appearance."""
        return tuple(dict.fromkeys(example.split for example in self.examples))


def hash_split(image_id: str) -> str:
    """The split of an image where the source names none.

    It depends on the id alone: it is the same on every computer, whatever other images there are.

    Example:

    >>> hash_split("dog.jpg"), hash_split("h.jpg")
    ('train', 'validation')
    """
    number = int.from_bytes(hashlib.sha256(image_id.encode()).digest()[:8], "big")
    return "validation" if number / 2**64 < 0.1 else "train"


def merge(examples: Iterable[Example]) -> tuple[Example, ...]:
    """Joins the captions of examples with the same id and split, at the position of the first one."""
    merged: dict[tuple[str, str], list] = {}
    for example in examples:
        merged.setdefault((example.split, example.image_id), []).append(example)
    return tuple(
        Example(
            first.image_id,
            first.image,
            tuple(caption for example in (first, *rest) for caption in example.captions),
            first.split,
        )
        for first, *rest in merged.values()
    )
