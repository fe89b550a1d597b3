"""The elements of a chart as SVG, and numbers as they are written beside an axis."""

from collections.abc import Iterable
from html import escape

MINUS = "\u2212"
LETTER = 7.3  # pixels, a little more than the mean width of a letter
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def text_width(names: Iterable[str]) -> float:
    """Pixels of the longest of several texts, roughly."""
    return LETTER * max(map(len, names), default=0)


def number(value: float, digits: int = 3) -> str:
    """A number in few characters.

    Example:

    >>> number(0.25), number(1e-7), number(20000.0)
    ('0.25', '10⁻⁷', '2·10⁴')
    """
    if value and not 1e-3 <= abs(value) < 1e4:
        mantissa, power = f"{value:.0e}".split("e")
        raised = "10" + str(int(power)).translate(_RAISED)
        return raised if mantissa == "1" else f"{mantissa}·{raised}".replace("-", MINUS)
    whole = len(f"{abs(value):.0f}")
    return f"{value:.{max(digits, whole)}g}".replace("-", MINUS)


def text(x: float, y: float, content: str, anchor: str, attributes: str = "") -> str:
    """A text at a point; nothing for an empty one."""
    if not content:
        return ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {attributes}>{escape(content)}</text>'


def line(name: str, x1: float, y1: float, x2: float, y2: float, attributes: str = "") -> str:
    """A straight line of a class."""
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line class="{name}" {ends} {attributes}/>'


def box(name: str, x: float, y: float, width: float, height: float, colour: str, opacity: float = 1.0) -> str:
    """A filled rectangle of a class."""
    area = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect class="{name}" {area} fill="{colour}" fill-opacity="{opacity:.2f}"/>'
