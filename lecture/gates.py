"""The gates of GRU and LSTM, and the gradient that lasts: recalling a value after up to 47 steps."""

from collections.abc import Sequence

import numpy as np

from lecture.page import page_parser, parse, save_picture
from lecture.recall import recall
from lecture.recurrence import sigmoid
from shared.system.cli import run_script
from shared.system.quiet import import_tensorflow_quietly
from shared.visual.charts import line_chart

STEPS, UNITS = 48, 24
DISTANCES = (1, 2, 4, 8, 16, 32, 40)
CELLS = {"simple RNN": "SimpleRNN", "GRU": "GRU", "LSTM": "LSTM"}


def make_model(cell: str):
    """The layer, and a model from sequences `(batch, STEPS, 2)` to a logit `(batch, 1)`."""
    import keras

    import shared.layers

    keras.utils.set_random_seed(1)
    layer, inputs = getattr(shared.layers, CELLS[cell])(UNITS), keras.Input((STEPS, 2))
    model = keras.Model(inputs, keras.layers.Dense(1)(layer(inputs)[0][:, -1]))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01, clipnorm=1.0), loss, jit_compile=False)
    return layer, model


def train(model, rounds: int) -> None:
    """Trains on distances of all lengths, new sequences in each round."""
    rng = np.random.default_rng(1)
    for _ in range(rounds):
        model.fit(*recall(rng, 3200, STEPS, rng.integers(0, STEPS, 3200)), batch_size=64, verbose=0)


def accuracies(model) -> list[float]:
    """The share of right answers at each of `DISTANCES`."""
    inputs, answers = recall(np.random.default_rng(2), 400 * len(DISTANCES), STEPS, np.repeat(DISTANCES, 400))
    right = (model.predict(inputs, batch_size=2800, verbose=0) > 0) == answers
    return right.reshape(-1, 400).mean(axis=1).tolist()


def gradient_by_distance(layer, model) -> list[float]:
    """The norm of the gradient of the logit by the state k steps before, the mean over sequences."""
    import tensorflow as tf

    inputs, _ = recall(np.random.default_rng(3), 100, STEPS, STEPS - 1)
    norms = []
    for k in DISTANCES:
        _, states = layer(inputs[:, : STEPS - k])
        states = [tf.identity(state) for state in states]
        with tf.GradientTape() as tape:
            tape.watch(states)
            outputs, _ = layer(inputs[:, STEPS - k :], initial_state=states, training=True)
            logit = tf.reduce_sum(model.layers[-1](outputs[:, -1]))
        gradient = np.concatenate(tape.gradient(logit, states), axis=-1)  # (batch, units or 2 * units)
        norms.append(float(np.linalg.norm(gradient, axis=-1).mean()))
    return norms


def print_gates(cell: str, layer) -> None:
    """The mean of each gate over all units, at the marked step and after it."""
    distance = 32
    inputs, _ = recall(np.random.default_rng(4), 200, STEPS, distance)
    outputs, _ = layer(inputs)
    before = np.concatenate([np.zeros((200, 1, UNITS)), outputs[:, :-1]], axis=1)
    kernel, recurrent_kernel, bias = layer.get_weights()
    sums = inputs @ kernel + before @ recurrent_kernel + (bias.sum(axis=0) if bias.ndim == 2 else bias)
    names = {
        "GRU": ("update gate z", "reset gate r"),
        "LSTM": ("input gate i", "forget gate f", "", "output gate o"),
    }
    for index, name in enumerate(names[cell]):
        if name:
            gate = sigmoid(sums[..., index * UNITS : (index + 1) * UNITS]).mean(axis=(0, 2))
            marked = STEPS - 1 - distance
            print(
                f"{cell}, {name:<28}{gate[marked]:6.2f} at the mark, {gate[marked + 1 :].mean():.2f} after it"
            )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit status."""
    arguments = parse(page_parser("gates", __doc__), argv)
    import_tensorflow_quietly()
    lines = {}
    print(f"{'steps back':<32}" + "".join(f"{k:>9}" for k in DISTANCES))
    for cell in CELLS:
        layer, model = make_model(cell)
        rows = {"gradient before training": gradient_by_distance(layer, model)}
        train(model, 4 if arguments.quick else 12)
        rows |= {"gradient after": gradient_by_distance(layer, model), "accuracy": accuracies(model)}
        for name, row in rows.items():
            print(f"{cell + ', ' + name:<36}" + "".join(f"{value:9.2g}" for value in row)[4:])
        lines[cell] = (DISTANCES, rows["gradient after"])
        if cell != "simple RNN":
            print_gates(cell, layer)
    chart = line_chart(
        lines,
        title="The gradient by the state k steps before, after training",
        x_label="steps back",
        y_label="norm",
        log_y=True,
    )
    save_picture(arguments.picture, chart)
    return 0


if __name__ == "__main__":
    raise SystemExit(run_script(main))
