"""Explanations to read: coloured or listed words in a terminal, records for JSON."""

import io
import textwrap
import unicodedata
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from sentiment.text.spans import pieces, word_spans

if TYPE_CHECKING:
    from sentiment.prediction.explain import DeletionCurve, Explanation

WIDTH = 96  # columns of a line of words
WORDS_SHOWN = 20
DIGITS = 4  # of a number in JSON and CSV
ROUGH = 0.05  # explanations with a larger error come with a warning

# Black on blue for a label, black on orange and underlined against it; the stronger, the darker.
_FOR = tuple(f"color(16) on color({background})" for background in (153, 111, 75))
_AGAINST = tuple(f"underline color(16) on color({background})" for background in (223, 215, 208))


def one_line(text: str, width: int) -> str:
    """The beginning of a text in one line, without control characters.

    Example:

    >>> one_line("A fine\\x1b[31m\\n  film, and long.", 16)
    'A fine [31m film...'
    """
    shown = " ".join(_harmless(text[: 2 * width]).split())
    rest = len(shown) > width or len(text) > 2 * width
    return shown[:width].rstrip(" .,") + "..." if rest else shown


def _harmless(text: str) -> str:
    """The text with spaces for control characters, and without marks that change the direction of writing.

    Rich removes only some control characters, and leaves these marks.
    """
    return "".join(
        " " if unicodedata.category(character) in ("Cc", "Zl", "Zp") else character
        for character in text
        if not ("\u202a" <= character <= "\u202e" or "\u2066" <= character <= "\u2069")
    )


def wants_color(choice: str, output: Path | None) -> bool:
    """Whether to write colours: as `choice` says; `"auto"`: on a terminal that shows them.

    Source: https://no-color.org for the environment variable NO_COLOR.
    """
    if choice != "auto":
        return choice == "always"
    console = Console()
    shows = console.is_terminal and not console.is_dumb_terminal and not console.no_color
    return output is None and shows


def colored_lines(explanation: "Explanation") -> list[str]:
    """A legend, and the text with coloured words; nothing for a text without words."""
    if not explanation.words:
        return []
    largest = max(map(abs, explanation.weights))
    legend = Text.assemble("words ", ("for", _FOR[1]), " and ", ("against", _AGAINST[1]))
    legend.append(f" {one_line(explanation.label, WIDTH)}{_rough(explanation)}:")
    text = Text()
    for piece, weight in pieces(explanation.text, explanation.weights):
        text.append(_harmless(piece), _style(weight or 0.0, largest))
    return [_codes(legend), _codes(text).strip()]


def _style(weight: float, largest: float) -> str:
    level = strength(weight, largest)
    if not level:
        return ""
    return (_FOR if weight > 0 else _AGAINST)[level - 1]


def _codes(text: Text) -> str:
    """A text with the codes by which terminals show its styles."""
    file = io.StringIO()
    console = Console(
        file=file, force_terminal=True, color_system="256", no_color=False, legacy_windows=False
    )
    console.print(text, end="", soft_wrap=True)
    return file.getvalue()


def strength(weight: float, largest: float) -> int:
    """How strongly a word is coloured, from 0 (not at all) to 3.

    Args:
        weight: of the word.
        largest: the largest absolute weight in the text.

    Example:

    >>> [strength(weight, 2.0) for weight in (0.1, -0.5, 1.0, -2.0)]
    [0, 1, 2, 3]
    """
    share = abs(weight) / largest if largest else 0.0
    return sum(share >= least for least in (0.1, 0.35, 0.7))


def listed_lines(explanation: "Explanation") -> list[str]:
    """A legend, and the words with signed weights, the strongest first; nothing for a text without words."""
    if not explanation.words:
        return []
    spans = word_spans(explanation.text)
    words = [
        # A line does not break at this space.
        f"{explanation.weights[index]:+.2f}\u00a0{one_line(explanation.text[slice(*spans[index])], 30)}"
        for index in islice(explanation.strongest, WORDS_SHOWN)
    ]
    more = len(spans) - len(words)
    if more > 0:
        words.append(f"and\u00a0{more}\u00a0weaker")
    lines = textwrap.wrap("   ".join(words), WIDTH, break_long_words=False, break_on_hyphens=False)
    legend = f"words for (+) and against (-) {explanation.label}, in log-odds{_rough(explanation)}:"
    return [legend, *(line.replace("\u00a0", " ") for line in lines)]


def _rough(explanation: "Explanation") -> str:
    """A warning about a large error."""
    return f" (rough: {explanation.error:.0%} is missing)" if explanation.error > ROUGH else ""


def deletion_lines(deletion: "DeletionCurve") -> list[str]:
    """How the probability falls without the words of the largest weights, and without as many random ones."""
    if len(deletion.counts) < 2:
        return []

    def row(title, values, form):
        return f"{title:<22}" + "".join(f"{format(value, form):>7}" for value in values)

    return [
        row("words removed", deletion.counts, "d"),
        row("largest weights", deletion.probabilities, ".3f"),
        row("random words", deletion.at_random, ".3f"),
    ]


def explained_record(explanation: "Explanation") -> dict[str, Any]:
    """An explanation for JSON."""
    spans = word_spans(explanation.text)
    words = zip(explanation.words, explanation.weights, spans, strict=True)
    return {
        "label": explanation.label,
        "log_odds": round(explanation.score, DIGITS),
        "baseline_log_odds": round(explanation.baseline_score, DIGITS),
        "error": round(explanation.error, DIGITS),
        "words": [
            {"word": word, "weight": round(float(weight), DIGITS), "start": start, "end": end}
            for word, weight, (start, end) in words
        ],
    }


def deletion_record(deletion: "DeletionCurve") -> list[dict[str, float]]:
    """A deletion curve for JSON."""
    rows = zip(deletion.counts, deletion.probabilities, deletion.at_random, strict=True)
    return [
        {"words": count, "probability": round(probability, DIGITS), "at_random": round(random, DIGITS)}
        for count, probability, random in rows
    ]
