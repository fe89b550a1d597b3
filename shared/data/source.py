"""What all sources of data share: errors, problems of single rows, and the names of splits."""

import contextlib
import difflib
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.system.cli import UserError
from shared.system.escapes import visible

SPLITS = ("train", "validation", "test")

# What other people call the splits. `restval` is the part of COCO's validation images that Karpathy trains
# on.
_SPLIT_NAMES = {
    "training": "train",
    "restval": "train",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "testing": "test",
}


class DataError(UserError):
    """A source of data that is unknown, empty, or not in the expected form."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A row that was left out.

    Attributes:
        file: the file or source that the row is in.
        line: its line, counted from 1; 0 where there is none to name.
        message: what is wrong with it.

    Example:

    >>> print(Problem("reviews.csv", 7, "column text is empty"))
    reviews.csv:7: column text is empty
    """

    file: str
    line: int
    message: str

    @property
    def place(self) -> str:
        """File and line."""
        return f"{self.file}:{self.line}" if self.line else self.file

    def __str__(self) -> str:
        return visible(f"{self.place}: {self.message}")


def split_name(name: str) -> str:
    """This project's word for a split.

    Example:

    >>> split_name("dev"), split_name("Train"), split_name("minival")
    ('validation', 'train', 'minival')
    """
    name = name.strip().lower()
    return _SPLIT_NAMES.get(name, name)


@contextlib.contextmanager
def reading(name: str | Path) -> Iterator[None]:
    """Turns what goes wrong while a file or folder is read into a `DataError`.

    Args:
        name: what the message calls it.
    """
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error).rstrip(".")
        raise DataError(
            f"{name} cannot be read: {reason}. Name a file that is complete and that you may read."
        ) from error


def unknown_source(source: str, expected: str, names: Iterable[str] = ()) -> DataError:
    """The error for a source that is neither a path nor a known name.

    Args:
        source: as the user wrote it.
        expected: the sources that there are, in words.
        names: those that are a plain name; a similar one is suggested.

    Example:

    >>> print(unknown_source("shape", "a table, or shapes", ["shapes"]))
    Unknown data source 'shape': no such file or folder. Did you mean 'shapes'? Expected a table, or shapes.
    >>> print(unknown_source("https://example.org/a.csv", "a table, or shapes"))
    https://example.org/a.csv is a URL; download the file and give its path.
    """
    if re.match(r"[a-z][a-z0-9+.-]*://", source, re.IGNORECASE):
        return DataError(f"{source} is a URL; download the file and give its path.")
    similar = difflib.get_close_matches(source.lower(), list(names), n=1, cutoff=0.7)
    hint = f"Did you mean {similar[0]!r}? " if similar else ""
    return DataError(f"Unknown data source {source!r}: no such file or folder. {hint}Expected {expected}.")


def nothing_usable(source: str | Path, what: str, problems: Sequence[Problem]) -> DataError:
    """The error for a source without a single usable row; it quotes the first problem.

    Args:
        source: as the user wrote it.
        what: the rows that it should have, such as `"captions"`.
        problems: the rows that were left out.

    Example:

    >>> print(nothing_usable("a.csv", "texts", [Problem("a.csv", 2, "column text is empty")]))
    a.csv has no usable texts. The first of 1 problems: a.csv:2: column text is empty.
    """
    if not problems:
        return DataError(f"{source} has no usable {what}. It is empty.")
    first = problems[0]
    advice = " Name the file's encoding with --encoding." if first.message.startswith("not UTF-8") else ""
    return DataError(
        f"{source} has no usable {what}. The first of {len(problems):,} problems: {first}.{advice}"
    )
