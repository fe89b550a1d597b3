"""Back-propagation through time by hand in NumPy, against central differences and TensorFlow."""

from collections.abc import Callable, Sequence

import numpy as np

from lecture.page import page_parser, parse, save_picture
from shared.system.cli import run_script
from shared.system.quiet import import_tensorflow_quietly
from shared.visual.charts import bar_chart

STEPS, FEATURES, UNITS, OUTPUTS = 9, 3, 5, 2
NAMES = ("W_xh", "W_hh", "b_h", "W_hy", "b_y")


def forward(weights: Sequence[np.ndarray], x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """States `(steps + 1, units)`, zeros first, and outputs `(steps, outputs)` of `x` `(steps, features)`."""
    W_xh, W_hh, b_h, W_hy, b_y = weights
    h = np.zeros((len(x) + 1, len(b_h)))
    for t in range(len(x)):
        h[t + 1] = np.tanh(x[t] @ W_xh + h[t] @ W_hh + b_h)
    return h, h[1:] @ W_hy + b_y


def loss(weights: Sequence[np.ndarray], x: np.ndarray, target: np.ndarray) -> float:
    """Half of the squared error, summed over all steps."""
    return 0.5 * np.sum((forward(weights, x)[1] - target) ** 2)


def backward(weights: Sequence[np.ndarray], x: np.ndarray, target: np.ndarray):
    """The gradient of the loss by each weight, and the norm of what each step adds to that of W_hh."""
    _, W_hh, b_h, W_hy, _ = weights
    h, y = forward(weights, x)
    dy = y - target  # (steps, outputs)
    gradients = [np.zeros_like(weight) for weight in weights]
    dW_xh, dW_hh, db_h, dW_hy, db_y = gradients
    dW_hy += h[1:].T @ dy
    db_y += dy.sum(axis=0)
    from_later, shares = np.zeros_like(b_h), []
    for t in reversed(range(len(x))):
        dh = dy[t] @ W_hy.T + from_later  # through the output of step t, and through all later states
        da = dh * (1 - h[t + 1] ** 2)  # through tanh
        dW_xh += np.outer(x[t], da)
        dW_hh += np.outer(h[t], da)
        db_h += da
        shares.append(np.linalg.norm(np.outer(h[t], da)))
        from_later = da @ W_hh.T
    return gradients, shares[::-1]


def central_differences(function: Callable[[], float], weight: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """(f(w + e) - f(w - e)) / 2e for each number of a weight, which is changed in place and restored."""
    gradient = np.zeros_like(weight)
    for index in np.ndindex(weight.shape):
        before = weight[index]
        weight[index] = before + step
        above = function()
        weight[index] = before - step
        gradient[index] = (above - function()) / (2 * step)
        weight[index] = before
    return gradient


def by_tensorflow(weights: Sequence[np.ndarray], x: np.ndarray, target: np.ndarray) -> list[np.ndarray]:
    """The same gradient from `shared.layers` and TensorFlow's tape, in float64."""
    import keras
    import tensorflow as tf

    from shared.layers import SimpleRNN

    recurrent, dense = SimpleRNN(UNITS, dtype="float64"), keras.layers.Dense(OUTPUTS, dtype="float64")
    recurrent.build((None, None, FEATURES))
    dense.build((None, None, UNITS))
    recurrent.set_weights(weights[:3])
    dense.set_weights(weights[3:])
    with tf.GradientTape() as tape:
        outputs, _ = recurrent(x[None], training=True)
        cost = 0.5 * tf.reduce_sum((dense(outputs)[0] - target) ** 2)
    variables = [variable.value for layer in (recurrent, dense) for variable in layer.trainable_variables]
    return [gradient.numpy() for gradient in tape.gradient(cost, variables)]


def relative_error(a: np.ndarray, b: np.ndarray) -> float:
    return np.linalg.norm(a - b) / (np.linalg.norm(a) + np.linalg.norm(b))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit status."""
    arguments = parse(page_parser("backpropagation", __doc__), argv)
    rng = np.random.default_rng(3)
    shapes = ((FEATURES, UNITS), (UNITS, UNITS), (UNITS,), (UNITS, OUTPUTS), (OUTPUTS,))
    weights = [rng.normal(0, 0.4, shape) for shape in shapes]
    x, target = rng.normal(size=(STEPS, FEATURES)), rng.normal(size=(STEPS, OUTPUTS))
    gradients, shares = backward(weights, x, target)
    import_tensorflow_quietly()
    print("relative error of the gradient by hand, against\n        differences  TensorFlow")
    for name, weight, gradient, other in zip(
        NAMES, weights, gradients, by_tensorflow(weights, x, target), strict=True
    ):
        numeric = central_differences(lambda: loss(weights, x, target), weight)
        print(f"{name:<6} {relative_error(gradient, numeric):12.0e} {relative_error(gradient, other):11.0e}")
    chart = bar_chart(
        [str(t) for t in range(1, STEPS + 1)],
        {"share": shares},
        title="The gradient by W_hh is a sum over the steps",
        x_label="step t",
        y_label="norm of its term",
    )
    save_picture(arguments.picture, chart)
    return 0


if __name__ == "__main__":
    raise SystemExit(run_script(main))
