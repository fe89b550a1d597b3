"""What the reports of all applications share: `python -m APP.data SOURCE` says what a source holds."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from shared.system.escapes import visible
from shared.system.output import write_whole

# A report prints this many entries of a kind; its JSON file has all of them.
SHOWN = 10


def listed(title: str, entries: Sequence[str], counted: str = "") -> list[str]:
    """A title with the number of entries, and below it the first of them.

    Args:
        title: what the entries are.
        entries: one line each; characters that would control a terminal are written as escapes.
        counted: what follows the title in place of their number.

    Returns:
        Lines to print.

    Example:

    >>> print("\\n".join(listed("rows left out", [f"a.csv:{line}: empty" for line in range(2, 14)])))
    ... # doctest: +ELLIPSIS
    rows left out: 12
      a.csv:2: empty
    ...
      a.csv:11: empty
      and 2 more
    """
    lines = [
        f"{title}: {counted or f'{len(entries):,}'}",
        *(f"  {visible(entry)}" for entry in entries[:SHOWN]),
    ]
    return lines if len(entries) <= SHOWN else [*lines, f"  and {len(entries) - SHOWN:,} more"]


def vocabulary_lines(vocabulary: Mapping, special: int, unknown: Mapping[str, float]) -> list[str]:
    """The size of a vocabulary, and each split's share of words that it lacks.

    Args:
        vocabulary: its `size` in tokens, the number of `distinct_words` in train, and `min_count`, how often
            a word must be seen there.
        special: the tokens that stand for no word.
        unknown: the share of unknown words by split, from 0 to 1.

    Returns:
        Lines to print.

    Example:

    >>> sizes = {"size": 9, "distinct_words": 20, "min_count": 2}
    >>> print("\\n".join(vocabulary_lines(sizes, 4, {"test": 0.125})))
    vocabulary: 9 tokens: 4 special and 5 of the 20 words in train (the most frequent, seen 2+ times)
    unknown words: test 12.50%
    """
    words = vocabulary["size"] - special
    rates = ", ".join(f"{split} {rate:.2%}" for split, rate in unknown.items())
    return [
        f"vocabulary: {vocabulary['size']:,} tokens: {special} special and {words:,} of the "
        f"{vocabulary['distinct_words']:,} words in train (the most frequent, seen "
        f"{vocabulary['min_count']}+ times)",
        f"unknown words: {rates or 'no held-out split'}",
    ]


def print_report(text: str, findings: Mapping, json_file: Path | None) -> None:
    """Prints a report, and writes its findings to a JSON file if one is named.

    Raises:
        UserError: if the file cannot be written.
    """
    print(text)
    if json_file:
        write_whole(json_file, json.dumps(findings, indent=2, ensure_ascii=False) + "\n")
