"""What a source of text holds: documents, parts, characters and the longest line."""

import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from charlm.data.text_data import TextData
from shared.data.report import SHOWN


class LongestLine(NamedTuple):
    """The length of a text's longest line in characters, without its line break, and its number from 1."""

    characters: int
    number: int


def describe(data: TextData) -> str:
    """The report as readable text.

    Args:
        data: what `load_text` returned; all of it is read, piece by piece.

    Returns:
        Documents, parts, characters from frequent to rare, and the longest line.
    """
    counts = count_characters(data.chunks("all"))
    longest = longest_line(data.chunks("all"))
    bytes_ = sum(document.bytes for document in data.documents)
    lines = [data.name, "", f"{'characters':>14}{'bytes':>15}  document"]
    lines += [f"{d.characters:>14,}{d.bytes:>15,}  {d.name}" for d in data.documents[:SHOWN]]
    if len(data.documents) > SHOWN:
        lines.append(f"{'':31}and {len(data.documents) - SHOWN:,} more")
    lines += [f"{counts.total():>14,}{bytes_:>15,}  together", "", f"split: {data.rule}"]
    lines += [f"{data.characters(split):>14,}  {split}" for split in data.splits]
    lines += ["", f"distinct characters: {len(counts):,}"]
    frequent = counts.most_common()
    lines.append(f"  most frequent: {_list(frequent[:SHOWN])}")
    lines.append(f"  rarest: {_list(frequent[::-1][:SHOWN])}")
    lines += _unseen(data)
    lines.append(f"longest line: {longest.characters:,} characters, line {longest.number:,}")
    return "\n".join(lines)


def _unseen(data: TextData) -> list[str]:
    """The characters of each part that training lacks."""
    if len(data.splits) == 1:
        return []
    train = count_characters(data.chunks("train"))
    lines = []
    for split in data.splits[1:]:
        counts = count_characters(data.chunks(split))
        unseen = [(character, count) for character, count in counts.most_common() if character not in train]
        more = f" and {len(unseen) - SHOWN:,} more" if len(unseen) > SHOWN else ""
        lines.append(f"  in {split}, not in train: {_list(unseen[:SHOWN]) or 'none'}{more}")
    return lines


def _list(counts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{visible(character)} {count:,}" for character, count in counts)


def visible(character: str) -> str:
    """A character as a report shows it: by code point and name if it cannot be seen.

    Example:

    >>> visible("a"), visible("\\n"), visible("\\u0301")
    ("'a'", "'\\\\n'", 'U+0301 COMBINING ACUTE ACCENT')
    """
    if character.isprintable() and not unicodedata.combining(character):
        return repr(character)
    name = unicodedata.name(character, "")
    return f"U+{ord(character):04X} {name}" if name else ascii(character)


def count_characters(chunks: Iterable[str]) -> Counter[str]:
    """How often each character occurs in the pieces of a text.

    Example:

    >>> count_characters(["hel", "lo"]).most_common(1)
    [('l', 2)]
    """
    counts: Counter[str] = Counter()
    for chunk in chunks:
        codes, seen = np.unique(np.frombuffer(chunk.encode("utf-32-le"), "<u4"), return_counts=True)
        counts.update({chr(code): count for code, count in zip(codes.tolist(), seen.tolist(), strict=True)})
    return counts


def longest_line(chunks: Iterable[str]) -> LongestLine:
    """The first of the longest lines in the pieces of a text.

    Example:

    >>> longest_line(["a\\nbc", "de\\nf", "gh\\n"])
    LongestLine(characters=4, number=2)
    """
    longest, length, number = LongestLine(0, 1), 0, 1
    for chunk in chunks:
        for breaks, piece in enumerate(chunk.split("\n")):
            if breaks:
                length, number = 0, number + 1
            length += len(piece)
            if length > longest.characters:
                longest = LongestLine(length, number)
    return longest
