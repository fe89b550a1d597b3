"""A table of numbers as CSV, such as the history of a run; reading it gives the same bits."""

import contextlib
import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

from shared.system.files import write_atomic


def write_table(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Writes a table with a column for each name that any row has; the cells of other rows stay empty.

    Raises:
        FileError: the file cannot be written; an old one is unchanged.
    """
    rows = [{name: _plain(value) for name, value in row.items()} for row in rows]
    columns = list(dict.fromkeys(name for row in rows for name in row))

    def write(path: Path) -> None:
        with path.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, columns, restval="", lineterminator="\n")
            if columns:
                table.writeheader()
            table.writerows(rows)

    write_atomic(path, write)


def read_table(path: Path) -> list[dict[str, int | float | str]]:
    """The rows of a table, numbers as numbers, empty cells left out; `[]` if there is no file.

    Raises:
        ValueError: the file is not such a table.
        OSError: it cannot be read.
    """
    if not path.exists():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            table = list(csv.DictReader(file, strict=True))
    except csv.Error as error:
        raise ValueError(error) from error
    if any(None in row or None in row.values() for row in table):
        raise ValueError("a row has more or fewer cells than there are columns")
    return [{name: _parse(text) for name, text in row.items() if text != ""} for row in table]


def _plain(value: object) -> object:
    # The Python twin of a NumPy scalar prints with all its digits.
    return value.item() if hasattr(value, "item") else value


def _parse(text: str) -> int | float | str:
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text
