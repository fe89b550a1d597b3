"""Truncated back-propagation: windows of 8, 32 and 128 steps, with the state carried on or not.

A stream shows a sign and asks for it 9 to 24 steps later, again and again. The state can carry the value
over any number of windows. But what to store is learned from the gradient, and that ends at the border of a
window.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from lecture.page import page_parser, parse, save_picture
from shared.system.cli import run_script
from shared.system.quiet import import_tensorflow_quietly
from shared.visual.charts import bar_chart

STREAMS, UNITS = 32, 24
GAPS = (9, 24)
WINDOWS = (8, 32, 128)


def make_stream(seed: int, steps: int) -> np.ndarray:
    """`(STREAMS, steps, 3)` float32: signs, mostly 0; questions; and the answer at a question."""
    rng = np.random.default_rng(seed)
    stream = np.zeros((STREAMS, steps, 3), np.float32)
    for row in stream:
        mark = int(rng.integers(0, 8))
        while (question := mark + int(rng.integers(GAPS[0], GAPS[1] + 1))) < steps:
            row[mark, 0] = rng.choice((-1, 1))
            row[question, 1:] = 1, row[mark, 0] > 0
            mark = question + int(rng.integers(1, 9))
    return stream


def windows(stream: np.ndarray, window: int) -> Iterator[np.ndarray]:
    for start in range(0, stream.shape[1] - window + 1, window):
        yield stream[:, start : start + window]


def make_model():
    """From steps `(batch, window, 2)` and a state `(batch, UNITS)` to logits and the state after them."""
    import keras

    from shared.layers import GRU

    inputs, state = keras.Input((None, 2)), keras.Input((UNITS,))
    outputs, states = GRU(UNITS)(inputs, initial_state=[state])
    return keras.Model([inputs, state], [keras.layers.Dense(1)(outputs)[..., 0], states[0]])


def train(model, stream: np.ndarray, window: int, carries: bool) -> None:
    """One pass over the stream, a step of the optimizer for each window."""
    import keras
    from keras import ops

    from shared.training.step import TrainStep

    zeros = np.zeros((STREAMS, UNITS), np.float32)

    def compute_loss(model, batch, state=zeros):
        logits, after = model([batch[..., :2], ops.convert_to_tensor(state)], training=True)
        asked, answer = batch[..., 1], batch[..., 2]
        nats = ops.binary_crossentropy(answer, logits, from_logits=True)
        loss = ops.sum(asked * nats) / ops.maximum(ops.sum(asked), 1)
        return (loss, after) if carries else loss

    carry = zeros if carries else None
    step = TrainStep(model, keras.optimizers.Adam(0.01), compute_loss, clip_norm=1.0, initial_carry=carry)
    for batch in windows(stream, window):
        step(batch)


def accuracy(model, stream: np.ndarray, window: int, carries: bool) -> float:
    """The share of questions answered, read as in training."""
    zeros = state = np.zeros((STREAMS, UNITS), np.float32)
    right = []
    for batch in windows(stream, window):
        logits, after = model.predict_on_batch([batch[..., :2], state])
        state = after if carries else zeros
        asked = batch[..., 1] > 0
        right.append((logits[asked] > 0) == (batch[asked][:, 2] > 0))
    return float(np.mean(np.concatenate(right)))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit status."""
    arguments = parse(page_parser("truncated", __doc__), argv)
    import_tensorflow_quietly()
    import keras

    stream, fresh = make_stream(1, 128 * (60 if arguments.quick else 160)), make_stream(2, 128 * 4)
    print(f"questions {GAPS[0]} to {GAPS[1]} steps after the sign, answered right")
    print("window      " + "".join(f"{window:>8}" for window in WINDOWS))
    bars = {}
    for name, carries in (("from zeros", False), ("carried on", True)):
        bars[name] = []
        for window in WINDOWS:
            keras.utils.set_random_seed(1)
            model = make_model()
            train(model, stream, window, carries)
            bars[name].append(accuracy(model, fresh, window, carries))
        print(f"{name:<12}" + "".join(f"{share:8.2f}" for share in bars[name]))
    chart = bar_chart(
        [f"{window} steps" for window in WINDOWS],
        bars,
        title="Questions answered, by window and by what its state starts from",
        x_label="window of the gradient",
        y_label="accuracy",
        y_range=(0, 1.08),
    )
    save_picture(arguments.picture, chart)
    return 0


if __name__ == "__main__":
    raise SystemExit(run_script(main))
