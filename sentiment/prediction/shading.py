"""Texts and explanations made fit to be read: coloured or listed words for a terminal, records for JSON."""

import textwrap
import unicodedata
from itertools import islice
from typing import TYPE_CHECKING, Any

from sentiment.text.spans import pieces, word_spans

if TYPE_CHECKING:
    from sentiment.prediction.explain import DeletionCurve, Explanation

WIDTH = 96  # columns of a line of words
WORDS_SHOWN = 20
DIGITS = 4  # of a number in JSON and CSV
ROUGH = 0.05  # weights that miss more of what they should add up to come with a warning

# Backgrounds of 256 colours, with black on them: blue for a label, orange and underlined against it.
_FOR, _AGAINST = ("153", "111", "75"), ("223", "215", "208")
_PLAIN = "\033[0m"


def one_line(text: str, width: int) -> str:
    """The beginning of a text in one line that no terminal takes for commands.

    Example:

    >>> one_line("A fine\\x1b[31m\\n  film, and long.", 16)
    'A fine [31m film...'
    """
    shown = " ".join(_harmless(text[: 2 * width]).split())
    rest = len(shown) > width or len(text) > 2 * width
    return shown[:width].rstrip(" .,") + "..." if rest else shown


def _harmless(text: str) -> str:
    """Without what a terminal takes for commands: blanks for control characters, nothing for the marks that
    turn the direction of all that follows."""
    return "".join(
        " " if unicodedata.category(character) in ("Cc", "Zl", "Zp") else character
        for character in text
        if not ("\u202a" <= character <= "\u202e" or "\u2066" <= character <= "\u2069")
    )


def colored_lines(explanation: "Explanation") -> list[str]:
    """What the colours mean, and the text with its words on them."""
    largest = max(map(abs, explanation.weights), default=0.0)
    shown = "".join(
        _colored(_harmless(piece), weight, largest)
        for piece, weight in pieces(explanation.text, explanation.weights)
    ).strip()
    legend = f"{_on(_FOR[1], 'for')} and {_on(_AGAINST[1], 'against', ';4')} {explanation.label}"
    return [*_legend_lines(legend, explanation), shown] if explanation.words else []


def _colored(piece: str, weight: float | None, largest: float) -> str:
    level = strength(weight or 0.0, largest)
    if not level:
        return piece
    return _on(_FOR[level - 1], piece) if weight > 0 else _on(_AGAINST[level - 1], piece, ";4")


def _on(background: str, text: str, more: str = "") -> str:
    return f"\033[38;5;16;48;5;{background}{more}m{text}{_PLAIN}"


def strength(weight: float, largest: float) -> int:
    """How strongly a word is coloured, from 0 (not at all) to 3.

    Args:
        weight: that of the word.
        largest: the largest size of all weights of the text.

    Example:

    >>> [strength(weight, 2.0) for weight in (0.1, -0.5, 1.0, -2.0)]
    [0, 1, 2, 3]
    """
    share = abs(weight) / largest if largest else 0.0
    return sum(share >= least for least in (0.1, 0.35, 0.7))


def listed_lines(explanation: "Explanation") -> list[str]:
    """Signed weights of the words, the strongest first."""
    spans = word_spans(explanation.text)
    words = [
        # A line does not break between them.
        f"{explanation.weights[place]:+.2f}\u00a0{one_line(explanation.text[slice(*spans[place])], 30)}"
        for place in islice(explanation.strongest, WORDS_SHOWN)
    ]
    more = len(spans) - len(words)
    words += [f"and\u00a0{more}\u00a0weaker"] if more > 0 else []
    lines = textwrap.wrap("   ".join(words), WIDTH, break_long_words=False, break_on_hyphens=False)
    legend = f"for (+) and against (-) {explanation.label}, in log-odds"
    return [*_legend_lines(legend, explanation), *(line.replace("\u00a0", " ") for line in lines)]


def _legend_lines(legend: str, explanation: "Explanation") -> list[str]:
    rough = f" (rough: {explanation.error:.0%} is missing)" if explanation.error > ROUGH else ""
    return [f"words {legend}{rough}:"] if explanation.words else []


def deletion_lines(deletion: "DeletionCurve") -> list[str]:
    """How the probability falls without the weightiest words, and without as many others."""
    if len(deletion.counts) < 2:
        return []

    def row(title, values, form):
        return f"{title:<22}" + "".join(f"{format(value, form):>7}" for value in values)

    return [
        row("without so many words", deletion.counts, "d"),
        row("the weightiest", deletion.probabilities, ".3f"),
        row("drawn at random", deletion.at_random, ".3f"),
    ]


def explained_record(explanation: "Explanation") -> dict[str, Any]:
    """An explanation as it is written to JSON."""
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
    """The check of an explanation as it is written to JSON."""
    rows = zip(deletion.counts, deletion.probabilities, deletion.at_random, strict=True)
    return [
        {"words": count, "probability": round(found, DIGITS), "at_random": round(random, DIGITS)}
        for count, found, random in rows
    ]
