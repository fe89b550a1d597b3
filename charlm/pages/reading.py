"""What a character model does while it reads a text: surprise, expectations, cells, gates and memory."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from keras import ops

from charlm.model.char_lm import CharLM

WINDOWS = 128  # whose gradients are computed at a time
# The gates of a cell in the order of Keras's weights; the candidate, which is no gate, has no name.
GATES = {"lstm": ("i", "f", "", "o"), "gru": ("z", "r", ""), "simple": ()}


class Reading(NamedTuple):
    """A model's reading of a text. Row t belongs to token t of the text.

    Attributes:
        bits: `(time,)` surprise at each token, -log2 p(x_t | x_1 .. x_{t-1}).
        expected: `(time, top)` int, the likeliest tokens before token t was read, likeliest first.
        probabilities: `(time, top)` of the expected tokens.
        cells: `(time, layers * units)` in [-1, 1] after token t was read: tanh(c) of an LSTM, else h.
        gates: for each name, `(time, layers * units)` in [0, 1] as token t was read.
        memory: `(time, distances)`, the norm of the gradient of log p(x_t) by the embedding of the token
            k + 1 before.
    """

    bits: np.ndarray
    expected: np.ndarray
    probabilities: np.ndarray
    cells: np.ndarray
    gates: dict[str, np.ndarray]
    memory: np.ndarray


def read(
    model: CharLM,
    ids: np.ndarray,
    *,
    top: int = 5,
    distances: int = 64,
    progress: Callable[[int], object] | None = None,
) -> Reading:
    """Reads a text from a state of zeros, after the token that replaces an empty prompt.

    Sources: Karpathy, Johnson and Fei-Fei 2015, "Visualizing and Understanding Recurrent Networks" (cells);
    Madsen 2019, "Visualizing memorization in RNNs", Distill (memory).

    Args:
        model: the model; only `CharLM`, for an exported one has no gradient.
        ids: `(time,)` int, the tokens of the text, at least one.
        top: how many expected tokens to keep.
        distances: how many tokens back the memory is measured.
        progress: called with the number of tokens whose memory has been measured since its last call.
    """
    tokens = np.concatenate([[model.vocabulary.start], ids]).astype(np.int32)
    embedded = np.asarray(model.embed(tokens[None]), np.float32)
    layers = [embedded]
    for layer in model.stack.forward_layers:
        layers.append(np.asarray(layer(layers[-1])[0], np.float32))  # (1, time + 1, units)
    logits = np.asarray(ops.cast(model.head(layers[-1]), "float32"))[0, :-1]  # (time, vocabulary)
    log_probs = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    expected = np.argsort(-log_probs, axis=-1)[:, :top]
    inner = [
        _inner(model.stack.cell, layer, below[0], outputs[0])
        for layer, below, outputs in zip(model.stack.forward_layers, layers, layers[1:], strict=False)
    ]
    states = [
        [outputs[0], *([cell.state] if cell.state is not None else [])]
        for outputs, cell in zip(layers[1:], inner, strict=True)
    ]
    names = [name for name in GATES[model.stack.cell] if name]
    return Reading(
        bits=-log_probs[np.arange(len(ids)), ids] / math.log(2),
        expected=expected,
        probabilities=np.exp(np.take_along_axis(log_probs, expected, axis=-1)),
        cells=np.concatenate([cell.shown[1:] for cell in inner], axis=-1),
        gates={name: np.concatenate([cell.gates[name][1:] for cell in inner], axis=-1) for name in names},
        memory=_memory(model, tokens, embedded[0], states, distances, progress),
    )


class _Inner(NamedTuple):
    """A layer's cell state `(time, units)`, if it has one, its cells as they are shown, and its gates."""

    state: np.ndarray | None
    shown: np.ndarray
    gates: dict[str, np.ndarray]


def _inner(name: str, layer, inputs: np.ndarray, outputs: np.ndarray) -> _Inner:
    """Recomputes what a layer keeps to itself, from its cell's name, its inputs and its outputs."""
    kernel, recurrent_kernel, *bias = (np.asarray(weight, np.float32) for weight in layer.get_weights())
    bias = bias[0].reshape(-1, kernel.shape[1]).sum(axis=0) if bias else 0.0
    before = np.concatenate([np.zeros_like(outputs[:1]), outputs[:-1]])
    sums = inputs @ kernel + before @ recurrent_kernel + bias
    parts = dict(zip(GATES[name], np.split(sums, len(GATES[name]) or 1, axis=-1), strict=False))
    gates = {gate: _sigmoid(part) for gate, part in parts.items() if gate}
    if name != "lstm":
        return _Inner(None, outputs, gates)
    added = gates["i"] * np.tanh(parts[""])
    state = np.zeros_like(outputs)
    cell = np.zeros_like(outputs[0])
    for t in range(len(outputs)):
        state[t] = cell = gates["f"][t] * cell + added[t]
    return _Inner(state, np.tanh(state), gates)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 + 0.5 * np.tanh(0.5 * x)


def _memory(model, tokens, embedded, states, distances, progress) -> np.ndarray:
    """See `Reading.memory`; distances before the start of the text are 0.

    The state `distances` tokens before is taken as it was, so that a window is all that a gradient passes.
    """
    time = len(tokens) - 1
    padded = np.concatenate([np.zeros((distances - 1, embedded.shape[1]), np.float32), embedded])
    gradients = _gradients(model, distances)
    norms = []
    for start in range(0, time, WINDOWS):
        targets = np.arange(start + 1, min(start + WINDOWS, time) + 1)  # in `tokens`
        first = (
            targets - distances
        )  # the first token of each window; the state before it is that of first - 1
        windows = padded[targets[:, None] + np.arange(distances) - 1]
        mask = first[:, None] + np.arange(distances) >= 0
        initial = [[_before(state, first) for state in layer] for layer in states]
        norms.append(gradients(windows, mask, initial, tokens[targets]).numpy()[:, ::-1])
        if progress:
            progress(len(targets))
    return np.concatenate(norms)


def _before(state: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The state before each token, zeros before the first one."""
    return np.where(first[:, None] > 0, state[np.maximum(first - 1, 0)], 0.0).astype(np.float32)


def _gradients(model, distances):
    """The function of `windows (batch, distances, embedding)`, their mask and states, and the next tokens."""
    specs = (
        tf.TensorSpec((None, distances, model.embed(np.zeros(1, np.int32)).shape[-1])),
        tf.TensorSpec((None, distances), "bool"),
        tf.nest.map_structure(
            lambda state: tf.TensorSpec((None, state.shape[-1])), model.get_initial_state(1)
        ),
        tf.TensorSpec((None,), "int32"),
    )

    @tf.function(input_signature=specs, autograph=False)
    def gradients(windows, mask, initial, targets):
        with tf.GradientTape() as tape:
            tape.watch(windows)
            hidden, _ = model.stack(windows, initial_state=initial, mask=mask, keep_for_gradient=True)
            logits = ops.cast(model.head(hidden[:, -1:])[:, 0], "float32")
            nats = ops.sparse_categorical_crossentropy(targets, logits, from_logits=True)
            total = tf.reduce_sum(nats)
        return tf.norm(tape.gradient(total, windows), axis=-1)  # (windows, distances)

    return gradients
