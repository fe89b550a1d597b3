"""Views of texts as one HTML page that opens from disk."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sentiment.text.spans import pieces
from shared import __version__
from shared.visual.pages import command_line, page_environment

if TYPE_CHECKING:
    from sentiment.pages.views import View

MOST_TEXTS = 16
MOST_CHARACTERS = 20_000  # of each text


def render(views: "Sequence[View]", model: str, notes: Sequence[str] = ()) -> str:
    """The page.

    Args:
        views: of at least one text.
        model: its name.
        notes: sentences for the reader, such as what was left out.

    Returns:
        HTML text.
    """
    template = page_environment("sentiment", "pages").get_template("visualize.html.j2")
    return template.render(
        title=f"How {model} reads",
        data={"texts": [_text(view) for view in views]},
        notes=notes,
        command=command_line(),
        version=__version__,
    )


def _text(view: "View") -> dict[str, Any]:
    explanation = view.explanation
    return {
        "label": explanation.label,
        "probability": round(explanation.probability, 4),
        "probabilities": {name: round(p, 4) for name, p in view.probabilities.items()},
        "error": round(explanation.error, 3),
        "pieces": [
            [text, None if weight is None else round(weight, 3)]
            for text, weight in pieces(explanation.text, explanation.weights)
        ],
        "stride": view.stride,
        "forward": [round(float(p), 4) for p in view.forward],
        "backward": [round(float(p), 4) for p in view.backward],
        "without": [round(float(p), 4) for p in view.without],
    }
