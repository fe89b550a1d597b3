"""The texts to classify, one by one: from the command line, a file or standard input.

    NAME.jsonl          a JSON object on each line, with the text in one of its fields
    NAME.csv, NAME.tsv  a table whose first line names the columns, as `shared.data.tables` reads it
    any other name, -   a text on each line

A name may end in `.gz`. Blank lines are skipped, but counted. What cannot be used becomes an `Item` with an
error, and reading continues.
"""

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from sentiment.data.tables import WRITTEN
from shared.data.encodings import UNDECODED, Format, decoded, open_text, undecoded
from shared.data.source import Problem
from shared.data.tables import TABLES, Columns, Row, kind_of, read_table
from shared.system.cli import UserError

STDIN = "-"


class Item(NamedTuple):
    """One text to classify, or why there is none.

    Attributes:
        place: file and line, for messages: `reviews.csv:17`.
        line: the line where it begins, counted from 1; for the command line, the number of the text.
        text: the text, or None.
        fields: the other fields of its row, by name.
        error: why there is no text, or None.
    """

    place: str
    line: int
    text: str | None
    fields: Mapping[str, Any]
    error: str | None


def open_items(
    texts: Sequence[str], name: str | None, column: str, form: Format = Format()
) -> contextlib.AbstractContextManager[Iterator[Item]]:
    """Opens the items of a command line: those of the file `name`, or the texts themselves if it is None.

    A text that is the name of a file is a text all the same; standard error says how to read the file.
    """
    if name is not None:
        return open_texts(name, column, form)
    for text in texts:
        if os.path.isfile(text):
            print(f"treating {text!r} as text; use --input {text} to read the file", file=sys.stderr)
    return contextlib.nullcontext(from_arguments(texts))


def from_arguments(texts: Iterable[str]) -> Iterator[Item]:
    """The texts of a command line.

    Example:

    >>> [item.text for item in from_arguments(["good", "bad"])]
    ['good', 'bad']
    """
    return (_item(f"TEXT {number}", number, text) for number, text in enumerate(texts, 1))


@contextlib.contextmanager
def open_texts(name: str, column: str = "text", form: Format = Format()) -> Iterator[Iterator[Item]]:
    """Opens a file of texts; each is read on demand.

    Args:
        name: the file, or `-` for standard input.
        column: column or field of the text; ignored if each line is a text.
        form: encoding, and delimiter of a table.

    Raises:
        UserError: there is no such file, it cannot be read, needs another encoding, or has no such column.

    Example:

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "reviews.jsonl"
    >>> _ = file.write_text('{"text": "good", "id": 7}')
    >>> with open_texts(str(file)) as texts:
    ...     [(item.text, item.line, item.fields) for item in texts]
    [('good', 1, {'id': 7})]
    """
    items = _line_items(name, form) if name == STDIN else _file_items(name, column, form)
    with contextlib.closing(items):
        first = list(islice(items, 1))  # errors about the whole file come before any work
        yield chain(first, items)


def _file_items(name: str, column: str, form: Format) -> Iterator[Item]:
    path = Path(name)
    if os.path.isdir(path):
        raise UserError(f"{name} is a folder. Name a file of texts, or - for standard input.")
    if not os.path.exists(path):
        raise UserError(f"There is no file {name}. Name a file of texts, or - for standard input.")
    return _table_items(path, column, form) if kind_of(path) in TABLES else _line_items(name, form)


def _line_items(name: str, form: Format) -> Iterator[Item]:
    """A text on each line."""
    shown = "standard input" if name == STDIN else name
    with _opened(name, form.encoding) as stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                yield _item(f"{shown}:{number}", number, line.rstrip("\r\n"), form.encoding)


def _opened(name: str, encoding: str) -> contextlib.AbstractContextManager[TextIO]:
    if name == STDIN:
        return decoded(sys.stdin.buffer, "standard input", encoding, newline="\n")
    return open_text(Path(name), encoding, newline="\n")


def _table_items(path: Path, column: str, form: Format) -> Iterator[Item]:
    columns = Columns((column,), hint="Name another with --text-column.", quoted_with=WRITTEN)
    with contextlib.closing(read_table(path, columns, form=form)) as rows:
        for row in rows:
            if isinstance(row, Problem):
                yield _problem(row.place, row.line, row.message)
            else:
                yield _row_item(f"{path}:{row.line}", row, column)


def _row_item(place: str, row: Row, column: str) -> Item:
    if column not in row.cells:
        names = ", ".join(islice(row.cells, 9)) or "nothing"
        return _problem(place, row.line, f"no field {column}; there is {names}. --text-column names another")
    text = row.cells.pop(column)
    if not isinstance(text, str):
        return _problem(place, row.line, f"the field {column} is not a string")
    return Item(place, row.line, text, row.cells, None)


def _item(place: str, line: int, text: str, encoding: str = "") -> Item:
    bad = UNDECODED.search(text)
    if bad is None:
        return Item(place, line, text, {}, None)
    error = f"{undecoded(encoding)}: byte 0x{ord(bad[0]) - 0xDC00:02x} at character {bad.start() + 1}"
    return _problem(place, line, error)


def _problem(place: str, line: int, error: str) -> Item:
    return Item(place, line, None, {}, error)
