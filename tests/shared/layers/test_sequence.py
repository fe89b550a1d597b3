"""Reading in windows against reading at once: the same numbers, and a gradient that ends where it should."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from shared.layers import GRU, LSTM, RecurrentStack, SimpleRNN
from shared.layers.sequence import read_sequence

BATCH, TIME, FEATURES, UNITS = 4, 11, 5, 3
WINDOWS = (1, 4, 11, 20)
CELLS = {"lstm": LSTM, "gru": GRU, "simple": SimpleRNN}
# Rows that end in the last window of 4 steps, at its border and before, and one with holes.
PADDED = np.arange(TIME) < np.array([[11], [8], [1], [0]])
HOLES = np.array([[1] * 11, [0, 1, 1, 0] * 2 + [0] * 3, [0] * 8 + [1, 0, 1], [1] + [0] * 9 + [1]], bool)
MASKS = {"whole": None, "padded": PADDED, "holes": HOLES}
every_cell = pytest.mark.parametrize("cell", CELLS)
both_ways = pytest.mark.parametrize("backwards", [False, True], ids=["forward", "backward"])
every_mask = pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS.keys())


def make(cell="gru", backwards=False, **kwargs):
    layer = CELLS[cell](UNITS, go_backwards=backwards, **kwargs)
    layer.build((None, None, FEATURES))
    random = np.random.default_rng(1)
    for weight in layer.trainable_variables:
        weight.assign(random.normal(0, 0.5, weight.shape))
    return layer


def some_inputs():
    return np.random.default_rng(2).normal(size=(BATCH, TIME, FEATURES)).astype("float32")


def some_states(layer):
    random = np.random.default_rng(3)
    return [random.normal(size=(BATCH, size)).astype("float32") for size in layer.state_size]


def at_once(layer, inputs, states=None, mask=None):
    """The layer itself, its outputs in the order of the inputs."""
    outputs, states = layer(inputs, initial_state=states, mask=mask)
    outputs = np.asarray(outputs)
    return outputs[:, ::-1] if layer.go_backwards else outputs, states


def in_a_graph(layer, window, training=None):
    """`read_sequence` in a graph that knows neither the batch nor the length."""

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None, FEATURES)),
            [tf.TensorSpec((None, UNITS)) for _ in layer.state_size],
            tf.TensorSpec((None, None), tf.bool),
        ]
    )
    def run(inputs, states, mask):
        return read_sequence(layer, inputs, states, mask, training, window)

    return run


def close(found, expected, tolerance=1e-6):
    (outputs, states), (expected_outputs, expected_states) = found, expected
    np.testing.assert_allclose(outputs, expected_outputs, rtol=tolerance, atol=tolerance)
    assert len(states) == len(expected_states)
    for one, other in zip(states, expected_states, strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


@every_cell
@both_ways
@every_mask
@pytest.mark.parametrize("start", [False, True], ids=["zeros", "given"])
def test_no_window_changes_outputs_or_states(cell, backwards, mask, start):
    layer = make(cell, backwards)
    states = some_states(layer) if start else None
    expected = at_once(layer, some_inputs(), states, mask)
    for window in (None, *WINDOWS):
        close(read_sequence(layer, some_inputs(), states, mask, window=window), expected)


@both_ways
@pytest.mark.parametrize(("cell", "window"), [("lstm", 4), ("gru", 4), ("simple", 4), ("gru", 20)])
def test_a_graph_of_unknown_length_reads_the_same(cell, backwards, window):
    layer = make(cell, backwards)
    run, states = in_a_graph(layer, window), some_states(layer)
    for mask in (np.ones((BATCH, TIME), bool), PADDED, HOLES):
        close(run(some_inputs(), states, mask), at_once(layer, some_inputs(), states, mask))
    short = some_inputs()[:2, :8]  # a whole number of windows
    mask, states = np.ones((2, 8), bool), [state[:2] for state in states]
    close(run(short, states, mask), at_once(layer, short, states, mask))


@both_ways
def test_a_graph_of_unknown_length_without_mask_and_state(backwards):
    layer = make("lstm", backwards)

    @tf.function(input_signature=[tf.TensorSpec((None, None, FEATURES))])
    def run(inputs):
        return read_sequence(layer, inputs, window=4)

    close(run(some_inputs()), at_once(layer, some_inputs()))


def test_a_mask_may_be_of_numbers():
    layer = make()
    expected = at_once(layer, some_inputs(), mask=PADDED)
    close(read_sequence(layer, some_inputs(), mask=PADDED.astype("float32"), window=4), expected)


def test_bfloat16_keeps_its_type():
    layer = make("lstm", dtype="mixed_bfloat16")
    inputs = tf.cast(some_inputs(), tf.bfloat16)

    @tf.function(input_signature=[tf.TensorSpec((None, None, FEATURES), tf.bfloat16)])
    def run(inputs):
        return read_sequence(layer, inputs, window=4)

    outputs, states = run(inputs)
    assert {outputs.dtype, *(state.dtype for state in states)} == {tf.bfloat16}
    whole, _ = layer(inputs)
    np.testing.assert_allclose(tf.cast(outputs, tf.float32), tf.cast(whole, tf.float32), atol=0.02)


# The gradient


def gradients(layer, loss_of, run):
    """Of inputs, weights and the state at the beginning."""
    inputs, states = tf.constant(some_inputs()), [tf.constant(state) for state in some_states(layer)]
    with tf.GradientTape() as tape:
        tape.watch([inputs, states])
        loss = loss_of(*run(inputs, states))
    weights = [weight.value for weight in layer.trainable_variables]
    return tape.gradient(loss, [inputs, *weights, *states], unconnected_gradients="zero")


def piece_by_piece(layer, mask, window):
    """The definition: each window for itself, beginning with numbers that have no gradient."""

    def run(inputs, states):
        pieces, starts = [], list(range(0, TIME, window))
        for start in starts[::-1] if layer.go_backwards else starts:
            place = slice(start, start + window)
            if pieces:
                states = [tf.constant(state.numpy()) for state in states]
            outputs, states = layer(
                inputs[:, place], initial_state=states, mask=mask[:, place], training=True
            )
            pieces.append(tf.reverse(outputs, [1]) if layer.go_backwards else outputs)
        return tf.concat(pieces[::-1] if layer.go_backwards else pieces, axis=1), states

    return run


@pytest.mark.parametrize(
    ("cell", "graph"),
    [("lstm", False), ("gru", False), ("simple", False), ("gru", True)],
    ids=["lstm", "gru", "simple", "gru, unknown length"],
)
@both_ways
def test_the_gradient_ends_at_the_borders(cell, backwards, graph):
    layer, mask = make(cell, backwards), np.ones((BATCH, TIME), bool)
    run = in_a_graph(layer, 4, training=True)

    def windowed(inputs, states):
        if graph:
            return run(inputs, states, mask)
        return read_sequence(layer, inputs, states, mask, training=True, window=4)

    def loss(outputs, states):
        return tf.reduce_sum(tf.sin(outputs)) + sum(tf.reduce_sum(tf.cos(3 * state)) for state in states)

    found = gradients(layer, loss, windowed)
    expected = gradients(layer, loss, piece_by_piece(layer, mask, 4))
    whole = gradients(layer, loss, piece_by_piece(layer, mask, TIME))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
        assert np.any(other)
    assert not np.allclose(found[0], whole[0], atol=1e-3)  # the borders do make a difference


@pytest.mark.parametrize("graph", [False, True], ids=["known length", "unknown length"])
@both_ways
def test_the_final_state_of_a_row_has_the_gradient_of_the_window_in_which_it_ends(backwards, graph):
    layer = make("lstm", backwards)
    run = in_a_graph(layer, 4, training=True)

    def windowed(inputs, states):
        if graph:
            return run(inputs, states, PADDED)
        return read_sequence(layer, inputs, states, PADDED, training=True, window=4)

    inputs, *_ = gradients(layer, lambda outputs, states: tf.reduce_sum(states[0]), windowed)
    moved = np.any(np.asarray(inputs), axis=2)
    # Forwards rows end at steps 10, 7 and 0; backwards all end at step 0. The last row has no step.
    expected = {False: [range(8, 11), range(4, 8), range(1), ()], True: [range(4), range(4), range(1), ()]}
    assert [np.flatnonzero(row).tolist() for row in moved] == [list(row) for row in expected[backwards]]


# In a stack


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "bidirectional"])
@every_mask
def test_a_stack_reads_each_of_its_layers_in_windows(cell, bidirectional, mask):
    stack = RecurrentStack(UNITS, cell=cell, depth=2, bidirectional=bidirectional)
    stack.build((None, None, FEATURES))
    random = np.random.default_rng(4)
    states = keras.tree.map_structure(
        lambda state: random.normal(size=state.shape).astype("float32"), stack.get_initial_state(BATCH)
    )
    outputs, final = stack(some_inputs(), initial_state=states, mask=mask)
    for window in WINDOWS:
        found, after = stack(some_inputs(), initial_state=states, mask=mask, window=window)
        close((found, keras.tree.flatten(after)), (outputs, keras.tree.flatten(final)))
