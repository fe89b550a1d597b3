"""The recurrence by hand: simple RNN, GRU and LSTM in NumPy, against the layers of the suite.

The steps below are the equations of the page, line by line. The weights are laid out as in Keras: the gates
side by side in one matrix.
"""

from collections.abc import Callable, Sequence

import numpy as np

from lecture.page import page_parser, parse, save_picture
from shared.system.cli import run_script
from shared.system.quiet import import_tensorflow_quietly
from shared.visual.charts import heat_map

UNITS, FEATURES, STEPS = 5, 3, 24


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def simple_step(x, states, kernel, recurrent_kernel, bias):
    """h_t = tanh(W_xh x_t + W_hh h_{t-1} + b)"""
    (h,) = states
    return [np.tanh(x @ kernel + h @ recurrent_kernel + bias)]


def gru_step(x, states, kernel, recurrent_kernel, bias):
    """z and r decide how much of the old state stays and how much of it the candidate g sees."""
    (h,) = states
    x_z, x_r, x_g = np.split(x @ kernel + bias[0], 3, axis=-1)
    h_z, h_r, h_g = np.split(h @ recurrent_kernel + bias[1], 3, axis=-1)
    z, r = sigmoid(x_z + h_z), sigmoid(x_r + h_r)
    g = np.tanh(x_g + r * h_g)
    return [z * h + (1 - z) * g]


def lstm_step(x, states, kernel, recurrent_kernel, bias):
    """i writes to the cell, f keeps it, o reads it."""
    h, c = states
    i, f, g, o = np.split(x @ kernel + h @ recurrent_kernel + bias, 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return [sigmoid(o) * np.tanh(c), c]


def run(step: Callable, inputs: np.ndarray, states: list, weights: Sequence[np.ndarray]):
    """Outputs `(batch, time, units)` and the last states: the loop that all recurrent layers are."""
    outputs = []
    for t in range(inputs.shape[1]):
        states = step(inputs[:, t], states, *weights)
        outputs.append(states[0])
    return np.stack(outputs, axis=1), states


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit status."""
    arguments = parse(page_parser("recurrence", __doc__), argv)
    import_tensorflow_quietly()
    from shared.layers import GRU, LSTM, SimpleRNN

    rng = np.random.default_rng(7)
    inputs = rng.normal(size=(2, STEPS, FEATURES)).astype("float32")
    print("largest difference between NumPy and the layer, and between one call and two")
    cells = {"simple RNN": (SimpleRNN, simple_step), "GRU": (GRU, gru_step), "LSTM": (LSTM, lstm_step)}
    for name, (layer_class, step) in cells.items():
        layer = layer_class(UNITS)
        layer.build((None, None, FEATURES))
        layer.set_weights([rng.normal(0, 0.5, weight.shape) for weight in layer.get_weights()])
        outputs, states = layer(inputs)
        zeros = [np.zeros((2, UNITS), "float32") for _ in states]
        by_hand, last = run(step, inputs, zeros, layer.get_weights())
        differences = [np.abs(by_hand - outputs).max()]
        differences += [np.abs(a - b).max() for a, b in zip(last, states, strict=True)]
        first, carried = layer(inputs[:, :10])
        second, _ = layer(inputs[:, 10:], initial_state=carried)
        two_calls = np.abs(np.concatenate([first, second], axis=1) - outputs).max()
        shapes = [tuple(weight.shape) for weight in layer.get_weights()]
        print(f"{name:<11} {max(differences):.0e}   {two_calls:.0e}   weights {shapes}")
    save_picture(arguments.picture, impulse_picture(rng))
    return 0


def impulse_picture(rng: np.random.Generator) -> str:
    """What one input at step 4 leaves in the state of a simple RNN."""
    inputs = np.zeros((1, STEPS, FEATURES))
    inputs[:, 4] = 2.0
    orthogonal = np.linalg.qr(rng.normal(size=(UNITS, UNITS)))[0]
    weights = (rng.normal(0, 0.5, (FEATURES, UNITS)), 0.9 * orthogonal, np.zeros(UNITS))
    outputs, _ = run(simple_step, inputs, [np.zeros((1, UNITS))], weights)
    return heat_map(
        outputs[0].T,
        title="One input at step 4, and what the state remembers of it",
        rows=[f"unit {index}" for index in range(1, UNITS + 1)],
        columns=[str(t) for t in range(STEPS)],
        x_label="step",
        size=(760, 280),
    )


if __name__ == "__main__":
    raise SystemExit(run_script(main))
