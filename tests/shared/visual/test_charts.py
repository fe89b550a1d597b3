"""Charts are valid SVG and draw each value where it belongs."""

import itertools
import math
import re
from xml.etree import ElementTree

import pytest

from shared.visual.charts import COLOURS, bar_chart, heat_map, line_chart
from shared.visual.svg import number

SVG = "{http://www.w3.org/2000/svg}"


def parse(chart):
    """The root element and all texts of a chart."""
    root = ElementTree.fromstring(chart)
    return root, [text.text for text in root.iter(f"{SVG}text")]


def paths(chart):
    """The points of each line in pixels, one list for each unbroken piece."""
    lines = re.findall(r'<path [^>]* d="([^"]*)"', chart)
    return [
        [[tuple(map(float, point.split())) for point in piece.split("L")] for piece in line.split("M")[1:]]
        for line in lines
    ]


def test_a_line_is_drawn_to_scale():
    ((points,),) = paths(line_chart({"a": ([0, 1, 2], [0.0, 1.0, 4.0])}, title="t"))
    (x0, y0), (x1, y1), (x2, y2) = points
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y0 - y2 == pytest.approx(4 * (y0 - y1), abs=0.5)  # pixels count downwards


def test_on_log_axes_equal_factors_are_equal_distances():
    chart = line_chart({"a": ([1, 10, 100], [1e-6, 1e-3, 1.0])}, title="t", log_x=True, log_y=True)
    ((points,),) = paths(chart)
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in itertools.pairwise(points)]
    assert steps[0] == pytest.approx(steps[1], abs=0.2)
    assert "10⁻⁶" in parse(chart)[1]


@pytest.mark.parametrize(("bad", "log"), [(math.nan, False), (math.inf, False), (0.0, True), (-1.0, True)])
def test_a_value_that_cannot_be_drawn_leaves_a_gap(bad, log):
    (pieces,) = paths(line_chart({"a": (range(5), [1, 2, bad, 2, 3])}, title="t", log_y=log))
    assert [len(piece) for piece in pieces] == [2, 2]


def test_a_chart_without_values_is_refused():
    with pytest.raises(ValueError, match="no value that can be drawn"):
        line_chart({"a": ([1], [math.nan])}, title="t")


def test_lines_differ_in_colour_and_dashes_and_are_named():
    root, texts = parse(line_chart({n: ([0, 1], [i, i]) for i, n in enumerate("abcdef")}, title="t"))
    lines = [line for line in root.iter(f"{SVG}path") if line.get("class") == "line"]
    assert [line.get("stroke") for line in lines] == list(COLOURS)
    assert len({line.get("stroke-dasharray") for line in lines}) == len(lines)
    assert set("abcdef") <= set(texts)


def test_bars_are_as_high_as_their_values():
    root, texts = parse(bar_chart(["x", "y"], {"a": [1, 2], "b": [3, 4]}, title="t", y_label="units"))
    heights = [float(bar.get("height")) for bar in root.iter(f"{SVG}rect")]
    assert [height / heights[0] for height in heights] == pytest.approx([1, 2, 3, 4], rel=0.01)
    assert {"x", "y", "a", "b", "t", "units"} <= set(texts)


def test_cells_show_sign_by_colour_and_size_by_strength():
    root, texts = parse(heat_map([[1, -2], [0, 4]], title="t", rows="ab", columns="cd", numbers=True))
    cells = list(root.iter(f"{SVG}rect"))
    assert [cell.get("fill") == COLOURS[0] for cell in cells] == [True, False, False, True]
    strengths = [float(cell.get("fill-opacity")) for cell in cells]
    assert strengths == pytest.approx([0.2, 0.4, 0.0, 0.8])
    assert {"a", "b", "c", "d", "4"} <= set(texts)


@pytest.mark.parametrize(
    "chart",
    [
        line_chart(
            {"a & <b>": ([0, 1], [5, 5])}, title='"<&>"', x_label="<", y_label="&", x_names=["<", "&"]
        ),
        bar_chart(["<"], {"&": [0.0]}, title="<&>"),
        heat_map([[0.0]], title="<&>", rows=["<"], columns=["&"]),
    ],
)
def test_any_text_is_escaped_and_large_enough(chart):
    parse(chart)
    sizes = [int(size) for size in re.findall(r"(\d+)px", chart)]
    assert min(sizes) >= 12
    assert "prefers-color-scheme: dark" in chart


def test_many_names_do_not_overlap():
    _, texts = parse(heat_map([[1.0] * 200], title="t", columns=[f"name {i}" for i in range(200)]))
    assert 3 < sum(text.startswith("name") for text in texts) < 20


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.5, "0.5"), (1e-7, "10⁻⁷"), (2e5, "2·10⁵"), (-2.0, "\u22122"), (1500, "1500")],
)
def test_numbers_are_short(value, text):
    assert number(value) == text
