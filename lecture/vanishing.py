"""Exploding and vanishing gradients: largest singular value 0.9, 1.0 and 1.1, and clipping."""

from collections.abc import Sequence

import numpy as np

from lecture.page import page_parser, parse, save_picture
from shared.system.cli import run_script
from shared.system.quiet import import_tensorflow_quietly
from shared.visual.charts import line_chart

STEPS, UNITS = 128, 16
GAINS = (0.9, 1.0, 1.1)
SHOWN = (1, 2, 8, 32, 64, 127)


def make_layer(gain: float, activation: str):
    """A simple RNN all of whose recurrent singular values are `gain`."""
    import keras

    from shared.layers import SimpleRNN

    return SimpleRNN(
        UNITS,
        activation=activation,
        kernel_initializer=keras.initializers.Orthogonal(seed=1),
        recurrent_initializer=keras.initializers.Orthogonal(gain=gain, seed=2),
    )


def gradient_by_distance(layer) -> np.ndarray:
    """Norms of the gradient of the last output by the input k steps before, `(STEPS,)`, k = 0 first."""
    import tensorflow as tf

    rng = np.random.default_rng(5)
    inputs = tf.constant(0.1 * rng.normal(size=(1, STEPS, UNITS)), tf.float32)
    direction = rng.normal(size=UNITS)
    direction = tf.constant(direction / np.linalg.norm(direction), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs, _ = layer(inputs, training=True)
        value = tf.reduce_sum(outputs[:, -1] * direction)
    return np.linalg.norm(tape.gradient(value, inputs)[0], axis=-1)[::-1]


def losses_while_training(clip_norm: float | None, steps: int) -> list[float]:
    """The loss at each step of SGD on a linear recurrence of gain 1.1 whose last output should be zero."""
    import keras

    from shared.training.step import TrainStep

    inputs = keras.Input((STEPS, UNITS))
    outputs, _ = make_layer(1.1, "linear")(inputs)
    model = keras.Model(inputs, outputs[:, -1])
    optimizer = keras.optimizers.SGD(0.05)

    def compute_loss(model, batch):
        return keras.ops.mean(model(batch, training=True) ** 2)

    step = TrainStep(model, optimizer, compute_loss, clip_norm)
    batch = 0.1 * np.random.default_rng(6).normal(size=(8, STEPS, UNITS)).astype("float32")
    return [step(batch)[0] for _ in range(steps)]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit status."""
    arguments = parse(page_parser("vanishing", __doc__), argv)
    import_tensorflow_quietly()
    print("norm of the gradient k steps back")
    print("singular value, activation" + "".join(f"{f'k = {k}':>10}" for k in SHOWN))
    lines = {}
    for activation in ("linear", "tanh"):
        for gain in GAINS:
            norms = gradient_by_distance(make_layer(gain, activation))
            print(f"{gain}, {activation:<21}" + "".join(f"{norms[k]:10.2g}" for k in SHOWN))
            if activation == "linear":
                lines[str(gain)] = (range(STEPS), norms)
    steps = 20 if arguments.quick else 100
    print("loss of SGD at singular value 1.1")
    for name, clip_norm in (("without clipping", None), ("clipped to 1", 1.0)):
        losses = losses_while_training(clip_norm, steps)
        shown = ", ".join(f"{losses[index]:.2g}" for index in (0, 1, 2, 4, 9, steps - 1))
        print(f"{name:<17} {shown}  (steps 1, 2, 3, 5, 10, {steps})")
    chart = line_chart(
        lines,
        title="Norm of the gradient by distance in time",
        x_label="steps back",
        y_label="norm",
        log_y=True,
    )
    save_picture(arguments.picture, chart)
    return 0


if __name__ == "__main__":
    raise SystemExit(run_script(main))
