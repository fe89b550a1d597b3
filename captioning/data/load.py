"""Loads a source of images and captions into a list of examples.

| source                               | what it is                                                        |
|--------------------------------------|-------------------------------------------------------------------|
| folder with `Flickr8k.token.txt`     | Flickr8k: captions, `Flickr_8k.*Images.txt` lists, images         |
| `dataset_*.json`                     | Karpathy's splits of Flickr8k, Flickr30k, COCO (restval: train)   |
| `captions_*.json`, or its folder     | COCO captions; the file's name says which split it is             |
| `.csv`, `.tsv`, `.txt`, `.jsonl`     | rows of `image,caption[,split]`, one caption a row; also `.gz`    |
| `tfds:NAME`                          | a dataset of tensorflow-datasets with an image and captions       |
| `shapes`                             | rendered shapes and sentences about them; see `shapes`            |

Splits are called train, validation and test. A source that names none is divided by a hash of the image's id:
nine tenths train, one tenth validation.

Several sources are read into one: an image's id then begins with the name of its source.

    python -m captioning.data SOURCE ...

reports what sources hold.
"""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from captioning.config import MAX_PIXELS, SOURCES
from captioning.data.examples import CaptionData, Example
from captioning.data.flickr8k import CAPTIONS_FILE, read_flickr8k
from captioning.data.json_files import read_json
from captioning.data.tables import TABLES, read_captions
from captioning.data.tfds import read_shapes, read_tfds
from shared.data.encodings import Format
from shared.data.source import DataError, nothing_usable, unknown_source
from shared.data.tables import kind_of
from shared.runs.names import run_name

SHAPES = "shapes"


def load_examples(
    source: str | Path,
    images: str | Path | None = None,
    max_pixels: int = MAX_PIXELS,
    *,
    encoding: str = "",
    delimiter: str = "",
) -> CaptionData:
    """Reads the captions of a source and locates its images, without opening them.

    Args:
        source: one of the sources in the table at the top of this module.
        images: the folder of the images, if they are not next to the captions.
        max_pixels: an image that declares more pixels will not be decoded.
        encoding, delimiter: how caption files are read; see `shared.data.encodings.Format`.

    Returns:
        The examples, and the rows that had to be left out.

    Raises:
        DataError: if the source is unknown, is not in the expected form, or has no usable row.
    """
    images = None if images is None else Path(os.path.expanduser(images))
    if images is not None and not os.path.isdir(images):
        raise DataError(f"{images}: no such folder of images.")
    data = _read(str(source), images, Format(encoding, delimiter))
    if not data.examples:
        raise nothing_usable(source, "captions", data.problems)
    examples = tuple(dataclasses.replace(example, max_pixels=max_pixels) for example in data.examples)
    return dataclasses.replace(data, examples=examples)


def load_sources(
    sources: Sequence[str | Path],
    images: Sequence[str | Path] | None = None,
    max_pixels: int = MAX_PIXELS,
    *,
    encoding: str = "",
    delimiter: str = "",
) -> CaptionData:
    """Reads one or more sources into one.

    Args:
        sources: as in `load_examples`.
        images: a folder of images for each source; None: they are next to the captions.
        max_pixels, encoding, delimiter: as in `load_examples`.

    Raises:
        DataError: see `load_examples`; or a source is named twice, or the folders are not as many.
    """
    if images and len(images) != len(sources):
        raise DataError(
            f"{len(images)} folders of images for {len(sources)} sources of captions: expected one for each."
        )
    _refuse_twins(sources)
    folders = images or [None] * len(sources)
    parts = [
        load_examples(*pair, max_pixels, encoding=encoding, delimiter=delimiter)
        for pair in zip(sources, folders, strict=True)
    ]
    if len(parts) == 1:
        return parts[0]
    labels = source_labels([part.name for part in parts])
    return CaptionData(
        ", ".join(part.name for part in parts),
        tuple(_of_source(e, label) for label, part in zip(labels, parts, strict=True) for e in part.examples),
        tuple(problem for part in parts for problem in part.problems),
        tuple(f"{label}: {note}" for label, part in zip(labels, parts, strict=True) for note in part.notes),
    )


def _refuse_twins(sources):
    seen = set()
    for source in sources:
        path = Path(os.path.expanduser(source))
        key = path.resolve() if os.path.exists(path) else str(source)
        if key in seen:
            raise DataError(f"The source {source} is named twice. Name it once; --mix shows it more often.")
        seen.add(key)


def source_labels(sources: Sequence[str]) -> list[str]:
    """A short name for each source, all different.

    Example:

    >>> source_labels(["shapes", "coco/captions.jsonl", "tfds:coco_captions"])
    ['shapes', 'coco', 'tfds-coco_captions']
    """
    labels: list[str] = []
    for source in sources:
        path = Path(os.path.expanduser(source))
        # Many files are called captions.jsonl; their folder says which.
        named = path.parent if path.name.startswith("captions.") and path.parent.name else path
        name = run_name(str(named))
        candidates = [name, *(f"{name}-{number}" for number in range(2, len(labels) + 2))]
        labels.append(next(label for label in candidates if label not in labels))
    return labels


def _of_source(example: Example, label: str) -> Example:
    return dataclasses.replace(example, image_id=f"{label}/{example.image_id}", source=label)


def _read(source: str, images: Path | None, form: Format) -> CaptionData:
    if source == SHAPES:
        return read_shapes()
    if source.startswith("tfds:"):
        return read_tfds(source)
    path = Path(os.path.expanduser(source))
    if not os.path.exists(path):
        raise unknown_source(source, SOURCES, [SHAPES])
    read = _read_folder if path.is_dir() else _read_file
    return read(source, path, images, form)


def _read_folder(name: str, path: Path, images: Path | None, form: Format) -> CaptionData:
    """A folder that holds caption files of one known kind."""
    if (path / CAPTIONS_FILE).is_file():
        return read_flickr8k(name, path, images, form.encoding)
    for folder in (path, path / "annotations"):
        files = sorted(folder.glob("captions_*.json"))
        if files:
            parts = [read_json(name, file, images, form.encoding) for file in files]
            return CaptionData(
                name,
                tuple(example for part in parts for example in part.examples),
                tuple(problem for part in parts for problem in part.problems),
                tuple(dict.fromkeys(note for part in parts for note in part.notes)),
            )
    files = sorted(path.glob("dataset*.json")) or sorted(path.glob("captions.*"))
    if len(files) == 1:
        return _read_file(name, files[0], images, form)
    raise DataError(
        f"{path} is not a folder of captions: expected {CAPTIONS_FILE}, captions_*.json, or one of "
        f"dataset_*.json, captions.csv and captions.jsonl in it; found {len(files) or 'none'} of these."
    )


def _read_file(name: str, path: Path, images: Path | None, form: Format) -> CaptionData:
    """A caption file, by its suffix."""
    if kind_of(path) == ".json":
        return read_json(name, path, images, form.encoding)
    if kind_of(path) in TABLES:
        return read_captions(name, path, images, form)
    raise DataError(f"{path}: unknown kind of captions file. Expected .json or a table: {', '.join(TABLES)}.")
