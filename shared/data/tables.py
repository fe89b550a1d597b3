"""Tables with a header: CSV, TSV and JSON Lines, read row by row.

CSV is that of RFC 4180: commas, and quotation marks around a field, doubled inside it. In TSV, fields are
separated by tabs and a quotation mark is a character like any other. JSON Lines has one object on each line.
A file name may end in `.gz`. A byte that is not UTF-8 spoils its own row only.
"""

import contextlib
import csv
import gzip
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from shared.data.source import DataError, Problem, reading

TABLES = (".csv", ".tsv", ".jsonl")

# The lone surrogates that Python puts in place of bytes that are not UTF-8.
NOT_UTF8 = re.compile("[\udc80-\udcff]")


# A spreadsheet runs a cell that begins with one of these as a formula. The last one makes quoting reversible.
_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "'")


class Row(NamedTuple):
    """A row of a table: the line where it begins, counted from 1, and its cells by column name."""

    line: int
    cells: dict[str, Any]


class Columns(NamedTuple):
    """The columns that a reader looks for.

    Attributes:
        required: those that the header must name.
        optional: those that it may name, but only once.
        hint: a sentence for the error about a missing column.
        lower: whether upper and lower case are the same in a header.
        quoted_with: columns of a CSV file that was written with `quoted_cells`, which is undone.
    """

    required: Sequence[str]
    optional: Sequence[str] = ()
    hint: str = ""
    lower: bool = False
    quoted_with: Sequence[str] = ()


def kind_of(path: Path) -> str:
    """The suffix that says what kind of file it is, in lower case and without `.gz`.

    Example:

    >>> kind_of(Path("reviews.CSV.gz"))
    '.csv'
    """
    return Path(path.name.lower().removesuffix(".gz")).suffix


def quoted_cells(row: list[Any] | dict[str, Any]) -> list[Any] | dict[str, Any]:
    """A row for a CSV file that people may open in a spreadsheet: text that looks like a formula gets a `'`.

    Numbers stay as they are. `unquoted_cells` takes the mark away again.

    Source: OWASP, "CSV Injection".

    Example:

    >>> quoted_cells(["=1+1", "a dog", -0.5, "'quoted'"])
    ["'=1+1", 'a dog', -0.5, "''quoted'"]
    """

    def quote(cell):
        return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULAS) else cell

    if isinstance(row, dict):
        return {name: quote(cell) for name, cell in row.items()}
    return list(map(quote, row))


def unquoted_cells(row: dict[str, Any]) -> dict[str, Any]:
    """The cells that were given to `quoted_cells`, for readers that know that a table was written so.

    Example:

    >>> unquoted_cells({"image": "'-1.jpg", "caption": "a dog's bowl"})
    {'image': '-1.jpg', 'caption': "a dog's bowl"}
    """
    return {name: cell[1:] if _is_quoted(cell) else cell for name, cell in row.items()}


def _is_quoted(cell: Any) -> bool:
    return isinstance(cell, str) and cell.startswith("'") and cell[1:].startswith(_FORMULAS)


@contextlib.contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Opens a file as UTF-8 text, unpacking `.gz`.

    A byte order mark is skipped. A byte that is not UTF-8 becomes a lone surrogate, which `NOT_UTF8` finds.

    Raises:
        DataError: if it cannot be read.
    """
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    with (
        reading(path),
        opener(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="") as stream,
    ):
        yield stream


def read_table(path: Path, columns: Columns, tsv_quotes: bool = False) -> Iterator[Row | Problem]:
    """The rows of a table, in order.

    Args:
        path: a file; `.jsonl` is JSON Lines, `.tsv` is TSV, and anything else is CSV.
        columns: those to look for. JSON objects are not checked for them.
        tsv_quotes: whether a field of a TSV file may be quoted, as in CSV.

    Yields:
        A `Row`, or a `Problem` where there is no row: bad JSON, bad quoting, a number of fields that differs
        from the header's, or bytes that are not UTF-8. Empty lines are skipped.

    Raises:
        DataError: if the file cannot be read, or its header lacks a required column.

    Example:

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "texts.csv")
    ...     _ = path.write_text("id,text\\n1,One.\\n2,Two,three.\\n")
    ...     rows = list(read_table(path, Columns(["text"])))
    >>> rows[0], rows[1].message
    (Row(line=2, cells={'id': '1', 'text': 'One.'}), 'the row has 3 fields, the header 2')
    """
    with open_text(path) as stream:
        if kind_of(path) == ".jsonl":
            yield from _objects(path, stream, columns)
        else:
            with _large_fields():
                yield from _records(path, _csv_reader(path, stream, tsv_quotes), columns)


@contextlib.contextmanager
def _large_fields() -> Iterator[None]:
    """By default, the csv module refuses a field of more than 131,072 characters; a text may be longer."""
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _objects(path: Path, stream: TextIO, columns: Columns) -> Iterator[Row | Problem]:
    for number, line in enumerate(stream, 1):
        if not line.strip():
            continue
        try:
            row = Row(number, _object(line, columns))
        except ValueError as error:
            row = Problem(str(path), number, str(error))
        yield row


def _object(line: str, columns: Columns) -> dict[str, Any]:
    if NOT_UTF8.search(line):
        raise ValueError("not UTF-8")
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON ({getattr(error, 'msg', error)})") from error
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object with {' and '.join(columns.required)}")
    return value


def _csv_reader(path: Path, stream: TextIO, tsv_quotes: bool):
    if kind_of(path) != ".tsv":
        return csv.reader(stream, strict=True)
    if tsv_quotes:
        return csv.reader(stream, delimiter="\t", strict=True)
    return csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)


def _records(path: Path, reader, columns: Columns) -> Iterator[Row | Problem]:
    header = _header(path, reader, columns)
    is_quoted = bool(columns.quoted_with) and set(columns.quoted_with) <= set(header)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            message = f"not a row of a table ({error})"
            if reader.line_num > line:
                message = f"a quotation mark is not closed: lines {line} to {reader.line_num} are left out"
            yield Problem(str(path), line, message)
            continue
        if cells is None:
            return
        while len(cells) > len(header) and not cells[-1]:  # spreadsheets leave separators at the end
            cells.pop()
        if cells and len(cells) != len(header):
            message = f"the row has {len(cells)} fields, the header {len(header)}"
            yield Problem(str(path), line, message)
        elif any(map(NOT_UTF8.search, cells)):
            yield Problem(str(path), line, "not UTF-8")
        elif cells:
            row = dict(zip(header, cells, strict=True))
            yield Row(line, unquoted_cells(row) if is_quoted else row)


def _header(path: Path, reader: Iterator[list[str]], columns: Columns) -> list[str]:
    try:
        header = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise DataError(f"{path}: the first line is not the header of a table ({error}).") from error
    if any("\0" in name or NOT_UTF8.search(name) for name in header):
        raise DataError(
            f"{path} is not UTF-8 text: convert it, for example with iconv -f UTF-16 -t UTF-8 or "
            "iconv -f WINDOWS-1252 -t UTF-8."
        )
    header = [name.lower() for name in header] if columns.lower else header
    if not set(columns.required) <= set(header):
        raise DataError(
            f"{path}: the first line must name the columns {' and '.join(columns.required)}; it names "
            f"{', '.join(filter(None, header)) or 'nothing'}. {columns.hint}".rstrip()
        )
    for name in (*columns.required, *columns.optional):
        if header.count(name) > 1:
            raise DataError(f"{path}: the first line names the column {name} more than once. Rename one.")
    return header
