"""Charts as SVG: lines, bars and heat maps.

Each function returns a complete `<svg>` element, which is a file of its own or part of a page. Colours are
those of Okabe and Ito 2008, "Color Universal Design"; lines differ in their dashes, too. Text and axes follow
the reader's light or dark mode.
"""

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from shared.visual import svg

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("none", "9 4", "2 3", "9 3 2 3", "5 2", "1 2")
POSITIVE, NEGATIVE = COLOURS[0], COLOURS[1]

_STYLE = """<style>
.chart { --ink: #1f2328; --faint: #d0d7de; font: 13px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; }
@media (prefers-color-scheme: dark) { .chart { --ink: #e6edf3; --faint: #444c56; } }
.chart text { fill: var(--ink); }
.chart .title { font-size: 15px; font-weight: 600; }
.chart .axis { stroke: var(--ink); fill: none; }
.chart .grid { stroke: var(--faint); fill: none; }
.chart .line { fill: none; stroke-width: 2.2; stroke-linejoin: round; }
</style>"""


def line_chart(
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    title: str,
    x_label: str = "",
    y_label: str = "",
    log_x: bool = False,
    log_y: bool = False,
    y_range: tuple[float, float] | None = None,
    x_names: Sequence[str] = (),
    size: tuple[int, int] = (760, 400),
) -> str:
    """Lines over a common axis. A line has a gap where a value is not finite, or not positive on a log axis.

    Args:
        lines: for each name its x and y values.
        title, x_label, y_label: what is written above and beside the chart.
        log_x, log_y: whether an axis is logarithmic.
        y_range: lowest and highest y; None: those of the values.
        x_names: names in place of the numbers 0, 1, 2, ... of the x axis.
        size: width and height in pixels.

    Returns:
        The chart as SVG.

    Raises:
        ValueError: there is no value that can be drawn.

    Example:

    >>> chart = line_chart({"LSTM": ([1, 2, 4], [3.1, 2.0, 1.6])}, title="Loss", x_label="epoch", log_x=True)
    >>> chart.startswith("<svg"), chart.count('class="line"')
    (True, 1)
    """
    points = {name: _points(*values, log_x, log_y) for name, values in lines.items()}
    shown = [point for line in points.values() for point in line if point]
    if not shown:
        raise ValueError("the chart has no value that can be drawn; expected at least one finite one")
    plot = _Plot(size, title, x_label, y_label, legend=list(lines) if len(lines) > 1 else [])
    x = _Axis([point[0] for point in shown], plot.left, plot.right, log_x)
    y = _Axis(y_range or [point[1] for point in shown], plot.bottom, plot.top, log_y)
    parts = [plot.y_axis(y), plot.x_axis(_named(x, x_names) if x_names else _ticks(x))]
    for index, line in enumerate(points.values()):
        path = _path([(x.at(point[0]), y.at(point[1])) if point else None for point in line])
        parts.append(f'<path class="line" {plot.stroke(index)} d="{path}"/>')
    return plot.drawn(parts)


def bar_chart(
    labels: Sequence[str],
    bars: Mapping[str, Sequence[float]],
    *,
    title: str,
    x_label: str = "",
    y_label: str = "",
    log_y: bool = False,
    y_range: tuple[float, float] | None = None,
    size: tuple[int, int] = (760, 400),
) -> str:
    """Bars side by side, a group for each label. On a log axis, bars start at the lowest value drawn.

    Args:
        labels: names of the groups.
        bars: for each name its bar in each group.
        title, x_label, y_label: what is written above and beside the chart.
        log_y: whether the y axis is logarithmic.
        y_range: lowest and highest y; None: 0 (or the smallest bar on a log axis) and the highest bar.
        size: width and height in pixels.

    Returns:
        The chart as SVG.

    Example:

    >>> chart = bar_chart(["short", "long"], {"CNN": [1.0, 0.5], "RNN": [1.0, 0.99]}, title="Accuracy")
    >>> chart.count('class="bar"')
    4
    """
    plot = _Plot(size, title, x_label, y_label, legend=list(bars) if len(bars) > 1 else [], bars=True)
    values = [value for row in bars.values() for value in row]
    y = _Axis(
        y_range or (values if log_y else [0, *values, 1.06 * max(values)]), plot.bottom, plot.top, log_y
    )
    group = (plot.right - plot.left) / len(labels)
    width = 0.8 * group / len(bars)
    parts = [plot.y_axis(y)]
    for index, row in enumerate(bars.values()):
        for number, value in enumerate(row):
            left = plot.left + group * (number + 0.1) + width * index
            top, bottom = sorted((y.at(value), y.at(0) if y.low < 0 < y.high else plot.bottom))
            parts.append(svg.box("bar", left, top, 0.94 * width, bottom - top, _colour(index)))
            if width > 34:  # there is room for the number
                parts.append(svg.text(left + 0.47 * width, top - 5, svg.number(value), "middle"))
    centres = [(plot.left + group * (number + 0.5), label) for number, label in enumerate(labels)]
    return plot.drawn([*parts, plot.x_axis(centres)])


def heat_map(
    values: Sequence[Sequence[float]],
    *,
    title: str,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    x_label: str = "",
    y_label: str = "",
    numbers: bool = False,
    size: tuple[int, int] = (760, 400),
) -> str:
    """A matrix as coloured cells: positive values blue, negative ones orange, the stronger the larger.

    Args:
        values: rows of numbers, the first at the top.
        title, x_label, y_label: what is written above and beside the chart.
        rows, columns: names of rows and columns; where names have no room, some are left out.
        numbers: whether to write the numbers into the cells.
        size: width and height in pixels.

    Returns:
        The chart as SVG.

    Example:

    >>> chart = heat_map([[0.5, -1.0], [0.0, 0.25]], title="W", rows=["a", "b"], columns=["x", "y"])
    >>> chart.count('class="cell"')
    4
    """
    values = [[float(value) for value in row] for row in values]
    largest = max(abs(value) for row in values for value in row) or 1.0
    scale = f"darkest: {svg.number(largest)}"
    plot = _Plot(size, title, x_label, y_label, legend=[], note=scale, margin=svg.text_width(rows))
    width = (plot.right - plot.left) / len(values[0])
    height = (plot.bottom - plot.top) / len(values)
    parts = []
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            left, top = plot.left + j * width, plot.top + i * height
            colour, strength = (POSITIVE if value > 0 else NEGATIVE), 0.8 * abs(value) / largest
            parts.append(svg.box("cell", left, top, width, height, colour, strength))
            if numbers:
                parts.append(svg.text(left + width / 2, top + height / 2 + 4, svg.number(value, 2), "middle"))
    for i, name in _thinned(rows, 15 / height):
        parts.append(svg.text(plot.left - 8, plot.top + (i + 0.5) * height + 4, name, "end"))
    names = [(plot.left + (j + 0.5) * width, name) for j, name in enumerate(columns)]
    return plot.drawn([*parts, plot.x_axis(names)])


def stack(charts: Sequence[str]) -> str:
    """Charts of one width, one below the other, as one SVG.

    Example:

    >>> chart = bar_chart(["a"], {"b": [1.0]}, title="c", size=(300, 200))
    >>> 'viewBox="0 0 300 400"' in stack([chart, chart])
    True
    """
    sizes = [tuple(map(int, re.search(r'viewBox="0 0 (\d+) (\d+)"', chart).groups())) for chart in charts]
    width, height = max((size[0] for size in sizes), default=0), sum(size[1] for size in sizes)
    tops = itertools.accumulate((size[1] for size in sizes), initial=0)
    moved = [chart.replace("<svg ", f'<svg y="{top}" ', 1) for chart, top in zip(charts, tops, strict=False)]
    area = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" {area}>\n' + "".join(moved) + "</svg>\n"


class _Axis:
    """Numbers from `low` to `high` as pixels from `start` to `stop`."""

    def __init__(self, values: Iterable[float], start: float, stop: float, log: bool):
        values = list(values)
        self.low, self.high, self.log = min(values), max(values), log
        if self.low == self.high:
            self.low, self.high = (self.low / 2, self.high * 2) if log else (self.low - 0.5, self.high + 0.5)
        self.start, self.stop = start, stop

    def at(self, value: float) -> float:
        scale = math.log if self.log else float
        low, high = scale(self.low), scale(self.high)
        share = (scale(value) - low) / (high - low)
        return self.start + share * (self.stop - self.start)

    def ticks(self) -> list[float]:
        ticks = self._log_ticks() if self.log else self._linear_ticks()
        first, last = sorted((self.start, self.stop))
        return [tick for tick in ticks if first - 0.01 <= self.at(tick) <= last + 0.01]

    def _linear_ticks(self):
        step = 10 ** math.floor(math.log10((self.high - self.low) / 4))
        step *= next(factor for factor in (1, 2, 2.5, 5, 10) if (self.high - self.low) / (step * factor) <= 6)
        first = math.ceil(self.low / step - 1e-9)
        return [step * (first + number) for number in range(8)]

    def _log_ticks(self):
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        stride = max(1, round((last - first) / 8))
        factors = (1, 2, 5) if last - first <= 3 else (1,)
        return [factor * 10.0**power for power in range(first, last + 1, stride) for factor in factors]


class _Plot:
    """The frame of a chart: title, labels, legend, axes."""

    def __init__(self, size, title, x_label, y_label, legend, note="", margin=0.0, bars=False):
        self.width, self.height = size
        self.bars = bars
        self.title, self.x_label, self.y_label, self.legend, self.note = title, x_label, y_label, legend, note
        self.left = 16 + (20 if y_label else 0) + max(margin, 44)
        self.right = self.width - (svg.text_width(legend) + 52 if legend else 16)
        self.top, self.bottom = 44, self.height - (54 if x_label else 34)

    def x_axis(self, ticks: Sequence[tuple[float, str]]) -> str:
        room = (self.right - self.left) / max(1, len(ticks))
        kept = _thinned([name for _, name in ticks], (svg.text_width([name for _, name in ticks]) + 6) / room)
        names = [svg.text(ticks[index][0], self.bottom + 18, name, "middle") for index, name in kept]
        return svg.line("axis", self.left, self.bottom, self.right, self.bottom) + "".join(names)

    def y_axis(self, axis: _Axis) -> str:
        parts = []
        for tick in axis.ticks():
            y = axis.at(tick)
            parts.append(svg.line("grid", self.left, y, self.right, y))
            parts.append(svg.text(self.left - 8, y + 4, svg.number(tick), "end"))
        return "".join(parts)

    def stroke(self, index: int) -> str:
        """How the line, or in a chart of bars the key, of a name is drawn."""
        if self.bars:
            return f'stroke="{_colour(index)}" style="stroke-width: 12"'
        return f'stroke="{_colour(index)}" stroke-dasharray="{DASHES[index % len(DASHES)]}"'

    def drawn(self, parts: Sequence[str]) -> str:
        middle, centre = (self.left + self.right) / 2, (self.top + self.bottom) / 2
        frame = [svg.text(self.left, 24, self.title, "start", 'class="title"')]
        frame.append(svg.text(middle, self.height - 12, self.x_label, "middle"))
        frame.append(svg.text(18, centre, self.y_label, "middle", f'transform="rotate(-90 18 {centre:.0f})"'))
        frame.append(svg.text(self.width - 16, 24, self.note, "end"))
        for index, name in enumerate(self.legend):
            y = self.top + 8 + 22 * index
            frame.append(svg.line("line", self.right + 14, y, self.right + 40, y, self.stroke(index)))
            frame.append(svg.text(self.right + 46, y + 4, name, "start"))
        area = f'viewBox="0 0 {self.width} {self.height}" width="{self.width}" height="{self.height}"'
        opening = f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" {area}>'
        name = f"<title>{escape(self.title)}</title>"
        return "\n".join([opening, name, _STYLE, *parts, *filter(None, frame), "</svg>\n"])


def _points(xs, ys, log_x, log_y):
    """The points of a line, None where there is nothing to draw."""
    pairs = [(float(x), float(y)) for x, y in zip(xs, ys, strict=True)]
    return [pair if _is_drawn(pair[0], log_x) and _is_drawn(pair[1], log_y) else None for pair in pairs]


def _is_drawn(value, log):
    return math.isfinite(value) and (value > 0 or not log)


def _path(points):
    parts, command = [], "M"
    for point in points:
        if point:
            parts.append(f"{command}{point[0]:.1f} {point[1]:.1f}")
        command = "L" if point else "M"
    return "".join(parts)


def _ticks(axis):
    return [(axis.at(tick), svg.number(tick)) for tick in axis.ticks()]


def _named(axis, names):
    return [(axis.at(index), name) for index, name in enumerate(names)]


def _thinned(names, crowding):
    """Every n-th name with its index, where each needs the room of `crowding` names."""
    return list(enumerate(names))[:: max(1, math.ceil(crowding))]


def _colour(index):
    return COLOURS[index % len(COLOURS)]
