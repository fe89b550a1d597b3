"""Explained texts as one HTML page that needs nothing else: words coloured by their weights, and the check.

A word for the label is blue and underlined, one against it orange with a dotted line; both the stronger, the
larger the weight is beside those of its text. Nothing of a text is taken for HTML.
"""

import re
from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

from sentiment.prediction.shading import ROUGH
from sentiment.text.spans import pieces

if TYPE_CHECKING:
    from sentiment.prediction.explain import DeletionCurve, Explanation
    from sentiment.prediction.results import Result

WEAKEST = 0.03  # of the largest weight; words below have no colour
# What no HTML page may contain, in whatever form.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]")


def render(results: Iterable["Result"], model: str) -> str:
    """The page of some results.

    Args:
        results: what became of each text; those without an explanation are shown all the same.
        model: the name of the model, for the heading.

    Returns:
        HTML text.
    """
    sections = "\n".join(_section(result) for result in results)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<title>Which words decided</title>
<style>{STYLE}</style>
</head>
<body>
<h1>Which words decided</h1>
<p>Model: {_text(model)}. {LEGEND}</p>
{sections}
</body>
</html>
"""


LEGEND = (
    '<span class="for" style="--s:0.7">Underlined words</span> speak for the label, '
    '<span class="against" style="--s:0.7">dotted ones</span> against it, the stronger the colour, the more. '
    "Point at a word for its weight in log-odds (integrated gradients). The table below a text is the check: "
    "the probability of the label without the words that speak for it most, and without as many words drawn "
    "at random."
)

STYLE = """
:root { --for: 30 110 220; --against: 215 110 0; --ink: #1b1b1b; --paper: #fff; --line: #bbb; }
@media (prefers-color-scheme: dark) {
  :root { --for: 70 140 240; --against: 225 130 30; --ink: #eaeaea; --paper: #161616; --line: #555; }
}
body { font: 1rem/1.6 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 50rem; margin: 2rem auto; padding: 0 1rem; }
section { border-top: 1px solid var(--line); padding: 0.5rem 0 1rem; }
h2 { font-size: 1.1rem; overflow-wrap: anywhere; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; }
.for, .against { text-decoration: underline; text-underline-offset: 0.2em;
  text-decoration-thickness: calc(0.05em + var(--s) * 0.15em); }
.for { background: rgb(var(--for) / calc(var(--s) * 0.5)); }
.against { background: rgb(var(--against) / calc(var(--s) * 0.5)); text-decoration-style: dotted; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 0.5rem 0; }
th, td { padding: 0.1rem 0.6rem 0.1rem 0; text-align: left; font-weight: normal; }
.number { text-align: right; }
.bar { width: 12rem; border: 1px solid var(--line); }
.bar div { background: rgb(var(--for)); height: 0.7rem; }
"""


def _section(result: "Result") -> str:
    item = result.item
    if item.error is not None:
        return f"<section><h2>{_text(item.place)}</h2><p>{_text(item.error)}</p></section>"
    remarks = f"<p>{_text('; '.join(result.remarks))}</p>" if result.remarks else ""
    if result.explanation is None:
        shown, check = _block(_text(item.text)), ""
    else:
        shown, check = _explained(result.explanation), _check(result.deletion)
    title = f"{_text(item.place)}: <strong>{_text(result.shown_label)}</strong>"
    return f"<section><h2>{title}</h2>{_bars(result)}{remarks}{shown}{check}</section>"


def _bars(result: "Result") -> str:
    rows = "".join(
        f'<tr><th scope="row">{_text(label)}</th><td class="number">{probability:.3f}</td>'
        f'<td><div class="bar"><div style="width:{100 * probability:.1f}%"></div></div></td></tr>'
        for label, probability in result.probabilities.items()
    )
    return f"<table>{rows}</table>"


def _explained(explanation: "Explanation") -> str:
    largest = max(map(abs, explanation.weights), default=0.0)
    words = "".join(
        _text(piece) if weight is None else _word(piece, weight, largest)
        for piece, weight in pieces(explanation.text, explanation.weights)
    )
    about = f"<p>Words for and against {_text(explanation.label)}:</p>" if explanation.words else ""
    if explanation.error > ROUGH:
        about += f"<p>They are rough: {explanation.error:.0%} of what they should add up to is missing.</p>"
    return about + _block(words)


def _block(content: str) -> str:
    return f'<p class="text" dir="auto">{content}</p>'


def _word(piece: str, weight: float, largest: float) -> str:
    share = abs(weight) / largest if largest else 0.0
    side = "for" if weight > 0 else "against"
    look = f' class="{side}" style="--s:{share:.2f}"' if share >= WEAKEST else ""
    return f'<span{look} title="{weight:+.3f}">{_text(piece)}</span>'


def _check(deletion: "DeletionCurve") -> str:
    if len(deletion.counts) < 2:
        return ""

    def row(title, values):
        cells = "".join(f'<td class="number">{value}</td>' for value in values)
        return f'<tr><th scope="row">{title}</th>{cells}</tr>'

    rows = (
        row("without so many words", deletion.counts),
        row("the weightiest", (f"{value:.3f}" for value in deletion.probabilities)),
        row("drawn at random", (f"{value:.3f}" for value in deletion.at_random)),
    )
    return f"<table>{''.join(rows)}</table>"


def _text(text: str) -> str:
    return escape(_FORBIDDEN.sub("\ufffd", text))
