"""Texts of tables: CSV, TSV and JSON Lines, with labels or without."""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sentiment.data.reviews import ColumnNames, Review
from shared.data.encodings import Format
from shared.data.source import SPLITS, Problem, split_name
from shared.data.tables import Columns, Row, read_table

# What `sentiment.predict --format csv` writes.
WRITTEN = ("label", "probability", "error")


def read_reviews(
    path: Path, names: ColumnNames, form: Format = Format()
) -> Iterator[tuple[str, Review] | Problem]:
    """The labelled texts of a table.

    Args:
        path: a file that `shared.data.tables` reads.
        names: the columns of text, label and split.
        form: encoding and delimiter.

    Yields:
        Split and review, or what is wrong with a row.

    Raises:
        DataError: if the file cannot be read, or its header lacks a column.
    """
    hint = "Name others with --text-column, --label-column and --split-column."
    columns = Columns(names.required, (names.split,), hint, quoted_with=WRITTEN)
    for row in read_table(path, columns, form=form):
        yield row if isinstance(row, Problem) else read_row(str(path), row, names)


def read_texts(path: Path, column: str, form: Format = Format()) -> Iterator[str | Problem]:
    """The texts in one column of a table; see `read_reviews`."""
    columns = Columns((column,), hint="Name another with --text-column.", quoted_with=WRITTEN)
    for row in read_table(path, columns, form=form):
        if isinstance(row, Problem):
            yield row
            continue
        try:
            text = _text(row.cells, column)
        except ValueError as error:
            text = Problem(str(path), row.line, str(error))
        yield text


def read_row(place: str, row: Row, names: ColumnNames) -> tuple[str, Review] | Problem:
    """Split and review of a row, or what is wrong with it; `place` is the file or what the rows are in."""
    try:
        review = Review(_text(row.cells, names.text), _label(row.cells, names.label), f"{place}:{row.line}")
        return _split(row.cells, names), review
    except ValueError as error:
        return Problem(place, row.line, str(error))


def _text(cells: dict[str, Any], column: str) -> str:
    text = _cell(cells, column)
    if not isinstance(text, str):
        raise ValueError(f"column {column} is not a string: {_shown(text)}")
    if not text.strip():
        raise ValueError(f"column {column} is empty")
    return text


def _label(cells: dict[str, Any], column: str) -> str:
    label = _cell(cells, column)
    if isinstance(label, bool):
        return json.dumps(label)
    if isinstance(label, int) or (isinstance(label, float) and math.isfinite(label)):
        return str(label)
    if not isinstance(label, str):
        raise ValueError(f"column {column} is neither a string nor a number: {_shown(label)}")
    if not label.strip():
        raise ValueError(f"column {column} is empty")
    if re.search("[\ud800-\udfff]", label):
        raise ValueError(f"column {column} is not valid Unicode: {_shown(label)}")
    return label.strip()


def _split(cells: dict[str, Any], names: ColumnNames) -> str:
    split = _cell(cells, names.split) if names.split in names.required else cells.get(names.split)
    if split is None or split == "":
        return "train"
    if not isinstance(split, str) or split_name(split) not in SPLITS:
        raise ValueError(f"column {names.split} is not one of {', '.join(SPLITS)}: {_shown(split)}")
    return split_name(split)


def _cell(cells: dict[str, Any], column: str) -> Any:
    if cells.get(column) is None:
        names = ", ".join(cells) or "nothing"
        raise ValueError(f"column {column} is missing; the row has {_clipped(names)}")
    return cells[column]


def _shown(value: object) -> str:
    return _clipped(json.dumps(value))


def _clipped(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
