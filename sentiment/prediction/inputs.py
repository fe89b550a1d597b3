"""The texts to classify, one after the other: from the command line, a file or standard input.

    NAME.jsonl          a JSON object a line; the text in one of its fields
    NAME.csv, NAME.tsv  a table whose first line names the columns, as `sentiment.data.tables` reads it
    any other name, -   a text a line

A name may end in `.gz`. Lines of nothing but white space are passed over, but counted. What cannot be used
becomes an `Item` with an error, and the others follow.
"""

import codecs
import contextlib
import gzip
import re
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from sentiment.data.folders import Columns
from sentiment.data.tables import TABLES, kind_of, table_rows
from shared.system.cli import UserError

STDIN = "-"

# What Python puts in place of a byte that is not UTF-8.
_BAD_BYTE = re.compile("[\udc80-\udcff]")
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Item(NamedTuple):
    """One text to classify, or why there is none.

    Attributes:
        place: where it stands, for messages: `reviews.csv:17`.
        line: the line it begins in, counted from 1; of texts on the command line, which of them it is.
        text: the text, or None.
        fields: what else the input says of it, by name.
        error: why there is no text, or None.
    """

    place: str
    line: int
    text: str | None
    fields: Mapping[str, Any]
    error: str | None


def from_arguments(texts: Iterable[str]) -> Iterator[Item]:
    """The texts of a command line.

    Example:

    >>> [item.text for item in from_arguments(["good", "bad"])]
    ['good', 'bad']
    """
    return (_item(f"TEXT {number}", number, text) for number, text in enumerate(texts, 1))


@contextlib.contextmanager
def open_texts(name: str, column: str = "text") -> Iterator[Iterator[Item]]:
    """Opens a file of texts; each is read when it is wanted.

    Args:
        name: the file, or `-` for standard input.
        column: column or field of the text; of no account where a line is a text.

    Raises:
        UserError: there is no such file, it cannot be read, is not UTF-8 at all, or has no such column.

    Example:

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "reviews.jsonl"
    >>> _ = file.write_text('{"text": "good", "id": 7}')
    >>> with open_texts(str(file)) as texts:
    ...     [(item.text, item.line, item.fields) for item in texts]
    [('good', 1, {'id': 7})]
    """
    items = _line_items(name) if name == STDIN else _file_items(name, column)
    with contextlib.closing(items):
        first = list(islice(items, 1))  # what is wrong with the whole file is said before any work
        yield chain(first, items)


def _file_items(name: str, column: str) -> Iterator[Item]:
    path = Path(name)
    if path.is_dir():
        raise UserError(f"{name} is a folder. Name a file of texts, or - for standard input.")
    if "\0" in name or not path.exists():
        raise UserError(f"There is no file {name}. Name a file of texts, or - for standard input.")
    return _table_items(path, column) if kind_of(path) in TABLES else _line_items(name)


def _line_items(name: str) -> Iterator[Item]:
    """A text a line."""
    shown = "standard input" if name == STDIN else name
    with _opened(name) as stream:
        for number, line in enumerate(_lines(stream, shown), 1):
            if line.strip():
                yield _item(f"{shown}:{number}", number, line.rstrip("\r\n"))


def _opened(name: str) -> contextlib.AbstractContextManager[BinaryIO]:
    if name == STDIN:
        return contextlib.nullcontext(sys.stdin.buffer)
    opener = gzip.open if name.lower().endswith(".gz") else open
    try:
        return opener(name, "rb")
    except OSError as error:
        raise _unreadable(name, error) from error


def _lines(stream: BinaryIO, name: str) -> Iterator[str]:
    """The lines, with their ends."""
    lines = _decoded(stream, name)
    first = next(lines, "")
    # Every other byte of English in UTF-16 is zero, and three of four in UTF-32.
    if first.encode("utf-8", "surrogateescape").startswith(_UTF16) or first.count("\0") * 3 > len(first):
        raise UserError(
            f"{name} is not UTF-8 text; it looks like UTF-16. Convert it, for example with "
            "iconv -f UTF-16 -t UTF-8."
        )
    yield first.removeprefix("\ufeff")
    yield from lines


def _decoded(stream: BinaryIO, name: str) -> Iterator[str]:
    try:
        for line in stream:
            yield line.decode("utf-8", "surrogateescape")
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(name, error) from error


def _unreadable(name: str, error: Exception) -> UserError:
    reason = getattr(error, "strerror", None) or str(error).rstrip(".")
    return UserError(f"{name} cannot be read: {reason}. Name a file that is whole and that you may read.")


def _table_items(path: Path, column: str) -> Iterator[Item]:
    problems: list[str] = []
    with contextlib.closing(table_rows(path, Columns(column, None, None), problems)) as rows:
        for place, cells in rows:
            yield from _problems(problems, path)
            yield _row_item(place, cells, column)
        yield from _problems(problems, path)


def _problems(problems: list[str], path: Path) -> Iterator[Item]:
    """The rows that could not be read since it was last asked."""
    for message in problems:
        line, _, error = message.removeprefix(f"{path}:").partition(": ")
        yield _problem(f"{path}:{line}", int(line), error)
    problems.clear()


def _row_item(place: str, cells: dict[str, Any], column: str) -> Item:
    line = int(place.rpartition(":")[2])
    if column not in cells:
        names = ", ".join(islice(cells, 9)) or "nothing"
        return _problem(place, line, f"no field {column}; there is {names}. --text-column names another")
    text = cells.pop(column)
    if not isinstance(text, str):
        return _problem(place, line, f"the field {column} is not a string")
    return Item(place, line, text, cells, None)


def _item(place: str, line: int, text: str) -> Item:
    bad = _BAD_BYTE.search(text)
    if bad is None:
        return Item(place, line, text, {}, None)
    error = f"not UTF-8: byte 0x{ord(bad[0]) - 0xDC00:02x} at character {bad.start() + 1}"
    return _problem(place, line, error)


def _problem(place: str, line: int, error: str) -> Item:
    return Item(place, line, None, {}, error)
