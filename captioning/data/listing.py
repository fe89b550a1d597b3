"""What a caption file says, and where its pictures are: the part that all readers of caption files share."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from captioning.data.examples import CaptionData, DataError, Example, Problem, merge

HASH_NOTE = "The source names no splits: a hash of the image id puts 90 % in train and 10 % in validation."


@dataclass
class Row:
    """One image as a file names it, with captions; `split` None: the source does not say."""

    line: int
    name: str
    captions: tuple[str, ...]
    split: str | None = None
    image_id: str = ""

    def __post_init__(self):
        self.image_id = self.image_id or self.name


@dataclass
class Listing:
    """What one file says, before the pictures are looked for."""

    file: str
    rows: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def problem(self, line: int, message: str) -> None:
        self.problems.append(Problem(self.file, line, message))


def finish(name: str, listing: Listing, folder: Path) -> CaptionData:
    """Turns rows into examples, leaving out those whose picture is absent from `folder`."""
    problems = {}
    found: dict[str, Path | None] = {}
    examples = []
    for row in listing.rows:
        if row.name not in found:
            image = folder / row.name
            found[row.name] = image if os.path.isfile(image) else None
        image = found[row.name]
        if image is not None:
            examples.append(Example(row.image_id, image, row.captions, row.split or hash_split(row.image_id)))
        elif row.name not in problems:
            message = f"image {row.name} is absent from {folder}"
            problems[row.name] = Problem(listing.file, row.line, message)
    notes = (HASH_NOTE,) if any(row.split is None for row in listing.rows) else ()
    return CaptionData(name, merge(examples), (*listing.problems, *problems.values()), notes)


def hash_split(image_id: str) -> str:
    """The split of an image where the source names none.

    It depends on nothing but the id: the same on every machine, whatever other images there are.

    Example:

    >>> hash_split("dog.jpg"), hash_split("h.jpg")
    ('train', 'validation')
    """
    number = int.from_bytes(hashlib.sha256(image_id.encode()).digest()[:8], "big")
    return "validation" if number / 2**64 < 0.1 else "train"


def open_text(path: Path) -> TextIO:
    """Opens a caption file; bytes that are not UTF-8 become U+FFFD and so cannot end the reading."""
    try:
        return open(
            path, encoding="utf-8-sig", errors="replace", newline="" if path.suffix != ".txt" else None
        )
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from error


def image_folder(starts: list[Path], listing: Listing) -> Path:
    """The folder in which the pictures are: one of `starts` or, up to two levels deep, below one.

    A sample of the first pictures named decides. Where none is found, the first of `starts` is taken, and
    each picture becomes a problem.
    """
    wanted = [row.name for row in listing.rows[:200:10]]
    for start in starts:
        for folder in _folders(start, 2):
            if any(os.path.isfile(folder / name) for name in wanted):
                return folder
    return starts[0]


def _folders(start: Path, depth: int) -> Iterator[Path]:
    yield start
    if depth:
        try:
            with os.scandir(start) as entries:
                below = sorted(entry.path for entry in entries if entry.is_dir())
        except OSError:  # a folder that may not be read holds nothing for us
            return
        for folder in below:
            yield from _folders(Path(folder), depth - 1)
