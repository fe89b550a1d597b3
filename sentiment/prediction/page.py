"""Explained texts as one self-contained HTML page: words coloured by their weights, which are checked.

A word for the label is blue and underlined, one against it orange with a dotted line. The larger the weight
compared with the others in the text, the stronger the colour. The template `page.html.j2` escapes all text.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from sentiment.prediction.shading import ROUGH
from sentiment.text.spans import pieces
from shared.visual.pages import page_environment

if TYPE_CHECKING:
    from sentiment.prediction.explain import Explanation
    from sentiment.prediction.results import Result

WEAKEST = 0.03  # of the largest weight; words below have no colour


class Word(NamedTuple):
    """A word of a text, or what is between two words: then `weight` is None.

    Attributes:
        text: as it is in the text.
        weight: in log-odds.
        strength: the size of the weight as a share of the largest.
        is_colored: whether the weight is large enough to be shown.
    """

    text: str
    weight: float | None
    strength: float
    is_colored: bool


def render(results: Iterable["Result"], model: str) -> str:
    """The page of some results.

    Args:
        results: any results; those without an explanation are shown, too.
        model: the name of the model, for the heading.

    Returns:
        HTML text.
    """
    template = page_environment("sentiment", "prediction").get_template("page.html.j2")
    return template.render(results=results, model=model, words=_words, ROUGH=ROUGH)


def _words(explanation: "Explanation") -> list[Word]:
    largest = max(map(abs, explanation.weights), default=0.0)
    words = []
    for text, weight in pieces(explanation.text, explanation.weights):
        strength = abs(weight or 0.0) / largest if largest else 0.0
        words.append(Word(text, weight, strength, strength >= WEAKEST))
    return words
