"""Tables with a header: CSV, TSV and JSON Lines, read row by row.

CSV is that of RFC 4180: commas, and quotation marks around a field, doubled inside it. In TSV, fields are
separated by tabs and a quotation mark is a character like any other. JSON Lines has one object on each line.
A file name may end in `.gz`. Columns may be separated by semicolons, tabs or | as well, and the names of
columns may differ in case. `shared.data.encodings` decodes the file; a byte that it cannot decode spoils its
own row only.
"""

import contextlib
import csv
import json
import re
import shlex
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from shared.data.encodings import UNDECODED, Format, open_text, undecoded
from shared.data.source import DataError, Problem

TABLES = (".csv", ".tsv", ".jsonl")
DELIMITERS = (",", ";", "\t", "|")

# Lines that a header may have, whose names may hold line breaks inside quotation marks.
_HEADER_LINES = 50
# The line that spreadsheets write before the header, to say how columns are separated.
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)

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
        quoted_with: columns of a CSV file that was written with `quoted_cells`, which is undone.
    """

    required: Sequence[str]
    optional: Sequence[str] = ()
    hint: str = ""
    quoted_with: Sequence[str] = ()

    def rename(self, names: Sequence[str]) -> list[str]:
        """The names of a header, where those that differ from a column's in case only get its name.

        Example:

        >>> Columns(["text"]).rename([" Text", "ID"]), Columns(["text"]).rename(["Text", "text"])
        (['text', 'ID'], ['Text', 'text'])
        """
        names = [name.strip() for name in names]
        wanted = {name.casefold(): name for name in (*self.optional, *self.required) if name not in names}
        return [wanted.get(name.casefold(), name) for name in names]


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


def read_table(
    path: Path, columns: Columns, tsv_quotes: bool = False, form: Format = Format()
) -> Iterator[Row | Problem]:
    """The rows of a table, in order.

    Args:
        path: a file; `.jsonl` is JSON Lines, `.tsv` is TSV, and anything else is CSV.
        columns: those to look for. JSON objects are not checked for them.
        tsv_quotes: whether a field of a TSV file may be quoted, as in CSV.
        form: encoding and delimiter. Without a delimiter, it is the usual one of the kind of file, or where
            the header has no such columns under it, the one of `DELIMITERS` under which it has.

    Yields:
        A `Row`, or a `Problem` where there is no row: bad JSON, bad quoting, a number of fields that differs
        from the header's, or bytes that cannot be decoded. Empty lines are skipped.

    Raises:
        DataError: if the file cannot be read, its header lacks a required column, or header or most rows are
            in another encoding.

    Example:

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "texts.csv")
    ...     _ = path.write_text("ID;Text\\n1;One.\\n2;Two;three.\\n")
    ...     rows = list(read_table(path, Columns(["text"])))
    >>> rows[0], rows[1].message
    (Row(line=2, cells={'ID': '1', 'text': 'One.'}), 'the row has 3 fields, the header 2')
    """
    is_json = kind_of(path) == ".jsonl"
    with open_text(path, form.encoding, header=not is_json) as stream:
        if is_json:
            yield from _objects(path, stream, columns, form)
        else:
            with _large_fields():
                yield from _records(path, _csv_reader(path, stream, columns, tsv_quotes, form), columns, form)


@contextlib.contextmanager
def _large_fields() -> Iterator[None]:
    """By default, the csv module refuses a field of more than 131,072 characters; a text may be longer."""
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _objects(path: Path, stream: TextIO, columns: Columns, form: Format) -> Iterator[Row | Problem]:
    for number, line in enumerate(stream, 1):
        if not line.strip():
            continue
        try:
            row = Row(number, _object(line, columns, form))
        except ValueError as error:
            row = Problem(str(path), number, str(error))
        yield row


def _object(line: str, columns: Columns, form: Format) -> dict[str, Any]:
    if UNDECODED.search(line):
        raise ValueError(undecoded(form.encoding))
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON ({getattr(error, 'msg', error)})") from error
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object with {' and '.join(columns.required)}")
    if set(columns.required) <= value.keys():
        return value
    names = columns.rename(list(value))
    return value if len(set(names)) < len(names) else dict(zip(names, value.values(), strict=True))


def _csv_reader(path: Path, stream: TextIO, columns: Columns, tsv_quotes: bool, form: Format):
    """A reader of the records, the header first."""
    usual = "\t" if kind_of(path) == ".tsv" else ","
    lines = [next(stream, "")]
    skipped = _SEPARATOR_LINE.fullmatch(lines[0])
    if skipped:
        lines.append(next(stream, ""))
    header = lines[-1:]
    while header[-1] and "".join(header).count('"') % 2 and len(header) < _HEADER_LINES:
        header.append(next(stream, ""))
    delimiter = form.separator or (skipped and skipped[1]) or _fitting(header, columns, usual)
    # Where the names of a TSV file are quoted, so are its fields, whatever the format says.
    is_plain = usual == delimiter == "\t" and not tsv_quotes and not header[0].startswith('"')
    options = {"quoting": csv.QUOTE_NONE} if is_plain else {"strict": True}
    reader = csv.reader(chain(lines[:-1], header, stream), delimiter=delimiter, **options)
    if skipped:
        next(reader)
    return reader


def _fitting(header: Sequence[str], columns: Columns, usual: str) -> str:
    """The delimiter under which a header has the required columns; the usual one if there is none."""
    fitting = (one for one in (usual, *DELIMITERS) if _has_columns(header, columns, one))
    return next(fitting, usual)


def _has_columns(header: Sequence[str], columns: Columns, delimiter: str) -> bool:
    with contextlib.suppress(csv.Error):
        names = next(csv.reader(header, delimiter=delimiter, strict=True), [])
        return set(columns.required) <= set(columns.rename(names))
    return False


def _records(path: Path, reader, columns: Columns, form: Format) -> Iterator[Row | Problem]:
    header = _header(path, reader, columns, form)
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
        elif any(map(UNDECODED.search, cells)):
            yield Problem(str(path), line, undecoded(form.encoding))
        elif cells:
            row = dict(zip(header, cells, strict=True))
            yield Row(line, unquoted_cells(row) if is_quoted else row)


def _header(path: Path, reader: Iterator[list[str]], columns: Columns, form: Format) -> list[str]:
    try:
        header = columns.rename(next(reader, []))
    except csv.Error as error:
        raise DataError(f"{path}: the first line is not the header of a table ({error}).") from error
    if any("\0" in name or UNDECODED.search(name) for name in header):
        raise DataError(f"{path} is {undecoded(form.encoding)} text. Name another --encoding.")
    if not set(columns.required) <= set(header):
        offer = _offer(header, columns) or columns.hint
        raise DataError(
            f"{path}: the first line must name the columns {' and '.join(columns.required)}; it names "
            f"{', '.join(filter(None, header)) or 'nothing'}. {offer}".rstrip()
        )
    for name in (*columns.required, *columns.optional):
        if header.count(name) > 1:
            raise DataError(f"{path}: the first line names the column {name} more than once. Rename one.")
    return header


def _offer(header: Sequence[str], columns: Columns) -> str:
    """The option that would read a header with the required columns, separated by an unusual character."""
    line = ",".join(header)
    for character in dict.fromkeys(re.sub(r"[\w\s\"]", "", line)):
        if _has_columns([line], columns, character):
            return f"Give --delimiter {shlex.quote(character)}."
    return ""
