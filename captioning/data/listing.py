"""What a caption file says, and where its images are: shared by the readers of all caption files."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from captioning.data.examples import HASH_NOTE, CaptionData, Example, hash_split, merge
from shared.data.source import Problem

# What Python puts in place of bytes that are not UTF-8, and halves of characters that JSON writes as escapes.
_SURROGATES = re.compile("[\ud800-\udfff]")


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
    """What one file says, before its images are located."""

    file: str
    rows: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Adds a row, or a problem if it is not UTF-8, or not Unicode, which JSON can hold."""
        if any(map(_SURROGATES.search, (row.name, row.image_id, row.split or "", *row.captions))):
            self.problem(row.line, "not UTF-8")
        else:
            self.rows.append(row)

    def problem(self, line: int, message: str) -> None:
        self.problems.append(Problem(self.file, line, message))


def finish(name: str, listing: Listing, images: Path | None, starts: list[Path]) -> CaptionData:
    """Turns rows into examples, leaving out those whose image is absent.

    Args:
        name: the source as the user named it.
        listing: what its file says.
        images: the folder of the images; None: it is looked for.
        starts: where to look: in these folders and up to two levels below them.
    """
    folder = images or _image_folder(starts, listing)
    problems = {}
    paths: dict[str, Path | None] = {}
    examples = []
    for row in listing.rows:
        if row.name not in paths:
            image = folder / row.name
            paths[row.name] = image if os.path.isfile(image) else None
        image = paths[row.name]
        if image is not None:
            examples.append(Example(row.image_id, image, row.captions, row.split or hash_split(row.image_id)))
        elif row.name not in problems:
            message = f"image {row.name} is absent from {folder}"
            problems[row.name] = Problem(listing.file, row.line, message)
    notes = (HASH_NOTE,) if any(row.split is None for row in listing.rows) else ()
    return CaptionData(name, merge(examples), (*listing.problems, *problems.values()), notes)


def _image_folder(starts: list[Path], listing: Listing) -> Path:
    """The first folder that holds one of a sample of images; the first of `starts` if there is none."""
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
        except OSError:  # a folder that may not be read is skipped
            return
        for folder in below:
            yield from _folders(Path(folder), depth - 1)
