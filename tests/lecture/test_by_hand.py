"""Pages 2, 3, 9 and 11: work by hand equals the layers, and gradients behave as the pages say."""

import re

import numpy as np
import pytest

pytestmark = pytest.mark.slow


def test_the_recurrence_by_hand_equals_the_layers(run):
    printed, picture = run("recurrence")
    rows = re.findall(r"^(simple RNN|GRU|LSTM) +(\S+) +(\S+) ", printed, re.MULTILINE)
    assert [name for name, *_ in rows] == ["simple RNN", "GRU", "LSTM"]
    assert max(float(number) for row in rows for number in row[1:]) < 1e-6
    assert picture.count(b'class="cell"') == 5 * 24


def test_hello_is_learned_and_written(run):
    printed, _ = run("hello", "--quick")
    assert "written from 'h': hello" in printed
    inputs = re.findall(r"W_xh x = (\[.*?\]) +W_hh h = (\[.*?\])", printed)
    assert inputs[2][0] == inputs[3][0]  # both read an l
    assert inputs[2][1] != inputs[3][1]
    assert re.findall(r"likeliest ('.'), expected ('.')", printed) == [(f"'{c}'",) * 2 for c in "ello"]


def test_the_gradient_by_hand_equals_differences_and_tensorflow(run):
    printed, _ = run("backpropagation")
    rows = re.findall(r"^(\w+) +(\S+) +(\S+)$", printed, re.MULTILINE)
    assert [name for name, *_ in rows if "_" in name] == ["W_xh", "W_hh", "b_h", "W_hy", "b_y"]
    for name, differences, tensorflow in rows:
        if "_" in name:
            assert float(differences) < 1e-7
            assert float(tensorflow) < 1e-13


def test_a_mistake_in_the_gradient_would_show():
    from lecture.backpropagation import backward, central_differences, loss, relative_error

    rng = np.random.default_rng(1)
    weights = [rng.normal(0, 0.4, shape) for shape in ((2, 4), (4, 4), (4,), (4, 3), (3,))]
    x, target = rng.normal(size=(6, 2)), rng.normal(size=(6, 3))
    (_, recurrent, *_), _ = backward(weights, x, target)
    numeric = central_differences(lambda: loss(weights, x, target), weights[1])
    assert relative_error(recurrent, numeric) < 1e-7
    assert relative_error(1.001 * recurrent, numeric) > 1e-4


def test_the_three_curves_are_ordered_and_clipping_learns(run):
    printed, picture = run("vanishing", "--quick")
    rows = re.findall(r"^([\d.]+), (linear|tanh) +(.*)$", printed, re.MULTILINE)
    norms = {(gain, activation): [float(v) for v in values.split()] for gain, activation, values in rows}
    for activation in ("linear", "tanh"):
        low, middle, high = (norms[gain, activation] for gain in ("0.9", "1.0", "1.1"))
        assert all(a < b < c for a, b, c in zip(low, middle, high, strict=True))
    assert norms["0.9", "linear"][-1] == pytest.approx(0.9**127, rel=0.1)
    assert norms["1.1", "linear"][-1] == pytest.approx(1.1**127, rel=0.1)
    assert picture.count(b"<path") == 3
    without, clipped = (
        [float(value) for value in re.findall(r"[\d.e+]+|nan|inf", line.split("  ")[-2])]
        for line in printed.splitlines()
        if "steps 1" in line
    )
    assert not np.isfinite(without[-1])
    assert clipped[-1] < 1e-6 * clipped[0]
