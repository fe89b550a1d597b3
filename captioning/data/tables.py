"""Tables of captions: rows of `image,caption[,split]`, one caption in each."""

import dataclasses
from pathlib import Path

from captioning.data.examples import CaptionData
from captioning.data.listing import Listing, Row, finish
from shared.data.encodings import Format
from shared.data.source import SPLITS, Problem, split_name
from shared.data.tables import TABLES as SHARED_TABLES
from shared.data.tables import Columns, read_table

TABLES = (*SHARED_TABLES, ".txt")

_COLUMNS = Columns(
    ("image", "caption"),
    ("split", "confidence"),
    "A column split is optional.",
    quoted_with=("log_prob", "confidence"),
)
WRITTEN_NOTE = "A model wrote these captions (they have a confidence): all images are for training."


def read_captions(name: str, path: Path, images: Path | None, form: Format = Format()) -> CaptionData:
    """Reads a table. The first row of an image decides its split.

    What `python -m captioning.predict` wrote, which has a column `confidence`, is for training only.
    """
    listing = Listing(str(path))
    splits: dict[str, str | None] = {}
    written = False
    for row in read_table(path, _COLUMNS, tsv_quotes=True, form=form):
        if isinstance(row, Problem):
            listing.problems.append(row)
            continue
        image, caption, split = (row.cells.get(key) for key in ("image", "caption", "split"))
        message = _what_is_wrong(image, caption, split)
        if not message:
            image, split = image.strip(), split_name(split) if split and split.strip() else None
            if split is None and row.cells.get("confidence") not in (None, ""):
                split, written = "train", True
            if splits.setdefault(image, split) != split:
                message = f"image {image} was in split {splits[image]} before, not {split}"
        if message:
            listing.problem(row.line, message)
        else:
            listing.add(Row(row.line, image, (caption.strip(),), split))
    data = finish(name, listing, images, [path.parent, Path.cwd()] if written else [path.parent])
    return dataclasses.replace(data, notes=(*data.notes, WRITTEN_NOTE)) if written else data


def _what_is_wrong(image: object, caption: object, split: object) -> str:
    for column, value in (("image", image), ("caption", caption)):
        if not isinstance(value, str) or not value.strip():
            return f"column {column} is missing or empty"
    if split is None or (isinstance(split, str) and (not split.strip() or split_name(split) in SPLITS)):
        return ""
    return f"split {split!r} is not one of {', '.join(SPLITS)}"
