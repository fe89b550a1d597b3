"""Pictures and their captions, from wherever they are kept: sources become lists of examples.

| source                               | what it is                                                        |
|--------------------------------------|-------------------------------------------------------------------|
| folder with `Flickr8k.token.txt`     | Flickr8k: captions, `Flickr_8k.*Images.txt` lists, pictures       |
| `dataset_*.json`                     | Karpathy's splits of Flickr8k, Flickr30k, COCO (restval: train)   |
| `captions_*.json`, or a folder of it | COCO captions; the file's name says which split it is             |
| `.csv`, `.tsv`, `.txt`, `.jsonl`     | rows of `image,caption[,split]`, one caption a row                |
| `tfds:NAME`                          | a tensorflow-datasets name with an image and captions             |
| `shapes`                             | rendered shapes and sentences about them, see `shapes` here       |

Splits are called train, validation and test. A source that names none is divided by a hash of the image's id:
nine tenths train, one tenth validation.

    python -m captioning.data SOURCE

reports what a source holds.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from captioning.data.images import ImageSource, load_image
from shared.data.source import DataError
from shared.system.quiet import import_tensorflow_quietly

_SPLIT_NAMES = {
    "training": "train",
    "restval": "train",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "testing": "test",
}


class LazyImage:
    """An image that is fetched when it is wanted; `identity` says which one it is, content included."""

    identity: str

    def read(self) -> bytes | np.ndarray:
        """The encoded or decoded image."""
        raise NotImplementedError


@dataclass(frozen=True)
class Example:
    """One image with its captions.

    Attributes:
        image_id: the source's own name of the image.
        image: what `captioning.data.images.load_image` takes, or a `LazyImage`.
        captions: sentences about it, as the source has them.
        split: `"train"`, `"validation"`, `"test"`, or another name that the source uses.
    """

    image_id: str
    image: "ImageSource | LazyImage"
    captions: tuple[str, ...]
    split: str

    def load(self) -> np.ndarray:
        """The image as uint8 `(height, width, 3)`.

        Raises:
            ImageError: if it cannot be read.
        """
        if isinstance(self.image, LazyImage):
            return load_image(self.image.read(), name=self.image_id)
        return load_image(
            self.image, name=str(self.image) if isinstance(self.image, str | Path) else self.image_id
        )


@dataclass(frozen=True)
class Problem:
    """A row that was left out: where it stands and what is wrong with it. Lines count from 1; 0: no line."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}" if self.line else f"{self.file}: {self.message}"


@dataclass(frozen=True)
class CaptionData:
    """What a source holds.

    Attributes:
        name: the source as it was asked for.
        examples: in the source's order; each image once in a split.
        problems: rows that were left out.
        notes: what was decided where the source leaves it open.
    """

    name: str
    examples: tuple[Example, ...]
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()

    def split(self, name: str) -> list[Example]:
        """The examples of one split; empty where the source has no such split."""
        return [example for example in self.examples if example.split == split_name(name)]

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that hold examples, in order of appearance."""
        return tuple(dict.fromkeys(example.split for example in self.examples))


def split_name(name: str) -> str:
    """The suite's word for a split.

    Example:

    >>> split_name("dev"), split_name("Train"), split_name("minival")
    ('validation', 'train', 'minival')
    """
    name = name.strip().lower()
    return _SPLIT_NAMES.get(name, name)


def load_examples(source: str | Path, images: str | Path | None = None) -> CaptionData:
    """Reads the captions of a source. Images are looked for, but not opened.

    Args:
        source: one of the table at the top of this module.
        images: the folder of the images, where it is not beside the captions.

    Returns:
        The examples, and what had to be left out.

    Raises:
        DataError: if the source is unknown, is not of the form it should be, or holds no usable row.
    """
    from captioning.data import files as sources

    images = None if images is None else Path(images).expanduser()
    if images is not None and not images.is_dir():
        raise DataError(f"{images}: no such folder of images.")
    data = _read(str(source), images, sources)
    if not data.examples:
        first = f" The first of {len(data.problems)} problems: {data.problems[0]}" if data.problems else ""
        raise DataError(f"{source} has no usable captions.{first}")
    return data


def _read(source: str, images: Path | None, sources) -> CaptionData:
    if source == "shapes" or source.startswith("tfds:"):
        import_tensorflow_quietly()
        from captioning.data import records

        return records.read_shapes() if source == "shapes" else records.read_tfds(source)
    path = Path(source).expanduser()
    if path.is_dir():
        return sources.read_folder(source, path, images)
    if not path.exists():
        raise DataError(
            f"Unknown data source {source!r}: there is no such file or folder. Expected a Flickr8k folder, "
            "dataset_*.json, captions_*.json, a .csv or .jsonl table of captions, tfds:NAME, or shapes."
        )
    return sources.read_file(source, path, images)


def merge(examples: Iterable[Example]) -> tuple[Example, ...]:
    """Joins the captions of examples with the same id and split; they stand where the first one stood."""
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
