"""Labelled texts: what every source is read into."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TextIO

from shared.data.source import DataError, Problem

# The number of problems that are printed.
SHOWN = 5


class ColumnNames(NamedTuple):
    """What a table calls its columns, or a dataset its features."""

    text: str = "text"
    label: str = "label"
    split: str = "split"

    @property
    def required(self) -> tuple[str, ...]:
        """The columns that must be there: that of the split only if it was given a name."""
        return self[:2] if self.split == ColumnNames().split else self


@dataclass(frozen=True, slots=True)
class Review:
    """One labelled text.

    Attributes:
        text: as the source has it.
        label: the label's name.
        place: file and line, for messages, such as `reviews.csv:17`.
    """

    text: str
    label: str
    place: str


@dataclass(frozen=True)
class ReviewData:
    """Labelled texts and their parts.

    Attributes:
        name: the source as the user named it.
        rule: how the parts were made, in words.
        splits: for each part its reviews, in the order of the source.
        problems: rows that could not be used.
    """

    name: str
    rule: str
    splits: Mapping[str, tuple[Review, ...]]
    problems: tuple[Problem, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of all parts, sorted."""
        return tuple(sorted({review.label for reviews in self.splits.values() for review in reviews}))

    def split(self, name: str) -> tuple[Review, ...]:
        """The reviews of a part; `"all"` is all of them.

        Raises:
            DataError: if there is no such part.
        """
        if name == "all":
            return tuple(review for reviews in self.splits.values() for review in reviews)
        if name not in self.splits:
            raise DataError(
                f"{self.name} has no split {name!r}. Expected one of {', '.join(self.splits)}, or all."
            )
        return self.splits[name]


def print_problems(problems: Sequence[Problem], stream: TextIO | None = None) -> None:
    """Prints the first rows that could not be used, and how many there are; nothing if there are none.

    Args:
        problems: those of a `ReviewData`, or from `load_texts`.
        stream: where to; by default the standard error stream.

    Example:

    >>> print_problems([Problem("a.csv", 3, "column text is empty")], sys.stdout)
    left out: a.csv:3: column text is empty
    rows left out: 1
    """
    if problems:
        shown = "".join(f"left out: {problem}\n" for problem in problems[:SHOWN])
        stream = sys.stderr if stream is None else stream
        print(f"{shown}rows left out: {len(problems):,}", file=stream, flush=True)
