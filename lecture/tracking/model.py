"""The tracker: a CNN for each frame, a recurrent stack over the frames, a box from every step."""

import keras
from keras import ops

from shared.layers import DotProductAttention, RecurrentStack

CELLS = {
    "frame-wise CNN": None,
    "simple RNN": {"cell": "simple"},
    "GRU": {"cell": "gru"},
    "LSTM": {"cell": "lstm"},
    "bidirectional LSTM": {"cell": "lstm", "bidirectional": True},
}


def make_tracker(cell: str, steps: int, height: int, width: int, units: int = 96) -> keras.Model:
    """A tracker, from frames `(batch, steps, height, width, 3)` to boxes `(batch, steps, 4)` in pixels.

        F_t = CNN(x_t),  h_t = stack(h_{t-1}, F_t),  a_t = attention(h_t, F_t),  box_t = W [a_t, h_t] + b

    The state says where to look and the attention looks there, so the box is as exact as the picture.

    Args:
        cell: a key of `CELLS`; the frame-wise CNN has a dense layer in place of the stack.
        steps, height, width: of a video.
        units: width of the stack.
    """
    inputs = keras.Input((steps, height, width, 3))
    frames = ops.reshape(inputs, (-1, height, width, 3))
    features = keras.layers.Rescaling(1 / 127.5, offset=-1)(frames)
    features = keras.layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(features)
    features = keras.layers.Conv2D(16, 3, padding="same", activation="relu")(features)
    small = keras.layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(features)
    small = keras.layers.Dense(units, activation="relu")(keras.layers.Flatten()(small))
    sequence = ops.reshape(small, (-1, steps, units))
    if CELLS[cell] is None:
        states = keras.layers.Dense(units, activation="relu")(sequence)
    else:
        states, _ = RecurrentStack(units, **CELLS[cell])(sequence)
    queries = ops.reshape(states, (-1, 1, states.shape[-1]))
    context, _ = DotProductAttention(16)(queries, _cells(features))
    joined = ops.concatenate([context, queries], axis=-1)
    boxes = ops.reshape(keras.layers.Dense(4)(joined), (-1, steps, 4))
    scale = ops.array([width, height, width, height], dtype="float32")
    return keras.Model(inputs, boxes * scale)


def _cells(features):
    """The cells of a grid `(frames, rows, columns, channels)` in a row, each with where it is."""
    _, rows, columns, channels = features.shape
    x, y = ops.meshgrid(ops.linspace(-1.0, 1.0, columns), ops.linspace(-1.0, 1.0, rows))
    position = ops.reshape(ops.stack([x, y, x**2 + y**2], axis=-1), (1, rows * columns, 3))
    cells = ops.reshape(features, (-1, rows * columns, channels))
    return ops.concatenate([cells, ops.zeros_like(cells[..., :3]) + position], axis=-1)
