"""Labelled texts of tables: CSV, TSV and JSON Lines, row by row, with what is bad."""

import contextlib
import csv
import gzip
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from sentiment.data.folders import SPLITS, Columns, Row, explained, split_name
from shared.data.source import DataError

TABLES = (".csv", ".tsv", ".jsonl")

# What stands in a string for a byte that is not UTF-8.
_BROKEN = re.compile("[\udc80-\udcff]")


def kind_of(path: Path) -> str:
    """The suffix that says what a file is, in lower case, without `.gz`."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


def read_table(path: Path, columns: Columns) -> tuple[list[Row], list[str]]:
    """The rows of a table, and its problems.

    CSV is that of RFC 4180: commas, and quotation marks around a field, doubled inside one. TSV has tabs, and
    a quotation mark is a character as any other. Both begin with a line of column names. JSON Lines has an
    object a line.

    Args:
        path: a file with one of the suffixes of `TABLES`, and perhaps `.gz` after it.
        columns: where text, label and split stand.

    Raises:
        DataError: if it cannot be read, or its header lacks a column.
    """
    rows: list[Row] = []
    problems: list[str] = []
    for place, cells in table_rows(path, columns, problems):
        try:
            rows.append(Row(text_of(cells, columns), _label(cells, columns), _split(cells, columns), place))
        except ValueError as error:
            problems.append(f"{place}: {error}")
    return rows, problems


def table_rows(path: Path, columns: Columns, problems: list[str]) -> Iterator[tuple[str, dict[str, object]]]:
    """Place and cells of each row of a table; what is no row is added to `problems`.

    Raises:
        DataError: if it cannot be read, or its header lacks a column.
    """
    read = _objects if kind_of(path) == ".jsonl" else _records
    with _open(path) as stream, _large_fields():
        yield from read(path, stream, columns, problems)


@contextlib.contextmanager
def _open(path: Path) -> Iterator[TextIO]:
    """The file as text, in which a byte that is not UTF-8 is a lone surrogate and so spoils its row alone."""
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    with (
        explained(path),
        opener(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="") as stream,
    ):
        yield stream


@contextlib.contextmanager
def _large_fields() -> Iterator[None]:
    """A review may be longer than what the csv module takes for a field, 131,072 characters."""
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _objects(path: Path, stream: TextIO, columns: Columns, problems: list[str]) -> Iterator[tuple[str, dict]]:
    for number, line in enumerate(stream, 1):
        place = f"{path}:{number}"
        if not line.strip():
            continue
        if _BROKEN.search(line):
            problems.append(f"{place}: not UTF-8")
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            problems.append(f"{place}: not JSON ({getattr(error, 'msg', error)})")
            continue
        if isinstance(row, dict):
            yield place, row
        else:
            problems.append(f"{place}: expected a JSON object with {' and '.join(columns.required)}")


def _records(path: Path, stream: TextIO, columns: Columns, problems: list[str]) -> Iterator[tuple[str, dict]]:
    if kind_of(path) == ".csv":
        reader = csv.reader(stream, strict=True)
    else:
        reader = csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
    header = _header(path, reader, columns)
    while True:
        first = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            last = f", lines {first} to {reader.line_num}" if reader.line_num > first else ""
            problems.append(f"{path}:{first}: not a row of a table ({error}{last})")
            continue
        if cells is None:
            return
        message = _row_problem(cells, header)
        if message:
            problems.append(f"{path}:{first}: {message}")
        elif cells:
            yield f"{path}:{first}", dict(zip(header, cells, strict=True))


def _row_problem(cells: list[str], header: list[str]) -> str:
    if cells and len(cells) != len(header):
        return f"the row has {len(cells)} columns, the header {len(header)}"
    return "not UTF-8" if any(map(_BROKEN.search, cells)) else ""


def _header(path: Path, reader: Iterator[list[str]], columns: Columns) -> list[str]:
    try:
        header = [column.strip() for column in next(reader, [])]
    except csv.Error as error:
        raise DataError(f"{path}: the first line is not a header of a table ({error}).") from error
    if any("\0" in column or _BROKEN.search(column) for column in header):
        raise DataError(
            f"{path} is not UTF-8 text: convert it, for example with iconv -f UTF-16 -t UTF-8 or "
            "iconv -f WINDOWS-1252 -t UTF-8."
        )
    wanted = columns.required
    if any(column not in header for column in wanted):
        options = (
            "--text-column" if columns.label is None else "--text-column, --label-column, --split-column"
        )
        raise DataError(
            f"{path}: the first line must name the columns {' and '.join(wanted)}; it names "
            f"{', '.join(filter(None, header)) or 'nothing'}. Other names are said with {options}."
        )
    twice = [column for column in (*wanted, columns.split) if header.count(column) > 1]
    if twice:
        raise DataError(f"{path}: the first line names the column {twice[0]} more than once. Rename one.")
    return header


def text_of(cells: dict[str, object], columns: Columns) -> str:
    """The text of a row.

    Raises:
        ValueError: if it is missing, empty, or not a string; the message says so.
    """
    text = _cell(cells, columns.text)
    if not isinstance(text, str):
        raise ValueError(f"column {columns.text} is not a string: {_shown(text)}")
    if not text.strip():
        raise ValueError(f"column {columns.text} is empty")
    return text


def _label(cells: dict[str, object], columns: Columns) -> str:
    label = _cell(cells, columns.label)
    if isinstance(label, bool):
        return json.dumps(label)
    if isinstance(label, int) or (isinstance(label, float) and math.isfinite(label)):
        return str(label)
    if not isinstance(label, str):
        raise ValueError(f"column {columns.label} is neither a string nor a number: {_shown(label)}")
    if not label.strip():
        raise ValueError(f"column {columns.label} is empty")
    if re.search("[\ud800-\udfff]", label):
        raise ValueError(f"column {columns.label} is not valid Unicode: {_shown(label)}")
    return label.strip()


def _split(cells: dict[str, object], columns: Columns) -> str | None:
    asked = columns.split in columns.required
    split = _cell(cells, columns.split) if asked else cells.get(columns.split)
    if split is None or split == "":
        return None
    if not isinstance(split, str) or split_name(split) not in SPLITS:
        raise ValueError(f"column {columns.split} is not one of {', '.join(SPLITS)}: {_shown(split)}")
    return split_name(split)


def _cell(cells: dict[str, object], column: str) -> object:
    if cells.get(column) is None:
        names = ", ".join(cells) or "nothing"
        raise ValueError(f"column {column} is missing; the row has {_clipped(names)}")
    return cells[column]


def _shown(value: object) -> str:
    return _clipped(json.dumps(value))


def _clipped(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
