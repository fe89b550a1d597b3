"""The recurrent cells against their equations in NumPy, against Keras's layers, and against themselves."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from shared.layers import GRU, LSTM, SimpleRNN

BATCH, TIME, FEATURES, UNITS = 3, 7, 5, 4
MASK = np.arange(TIME) < np.array([[7], [4], [1]])  # right padding, each row another length
HOLES = np.array([[1, 0, 1, 1, 0, 0, 1], [0, 0, 1, 1, 1, 0, 0], [0, 0, 0, 0, 0, 0, 0]], bool)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def simple_step(x, states, kernel, recurrent, bias):
    h = np.tanh(x @ kernel + states[0] @ recurrent + bias)
    return [h]


def gru_step(x, states, kernel, recurrent, bias):
    (h,) = states
    w_z, w_r, w_g = np.split(kernel, 3, axis=1)
    u_z, u_r, u_g = np.split(recurrent, 3, axis=1)
    (b_z, b_r, b_g), (d_z, d_r, d_g) = np.split(bias[0], 3), np.split(bias[1], 3)
    z = sigmoid(x @ w_z + b_z + h @ u_z + d_z)
    r = sigmoid(x @ w_r + b_r + h @ u_r + d_r)
    g = np.tanh(x @ w_g + b_g + r * (h @ u_g + d_g))
    return [z * h + (1 - z) * g]


def gru_of_the_paper_step(x, states, kernel, recurrent, bias):
    (h,) = states
    w_z, w_r, w_g = np.split(kernel, 3, axis=1)
    u_z, u_r, u_g = np.split(recurrent, 3, axis=1)
    b_z, b_r, b_g = np.split(bias, 3)
    z = sigmoid(x @ w_z + h @ u_z + b_z)
    r = sigmoid(x @ w_r + h @ u_r + b_r)
    g = np.tanh(x @ w_g + (r * h) @ u_g + b_g)
    return [z * h + (1 - z) * g]


def lstm_step(x, states, kernel, recurrent, bias):
    h, c = states
    i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4, axis=1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return [sigmoid(o) * np.tanh(c), c]


CELLS = {
    "simple": (SimpleRNN, keras.layers.SimpleRNN, {}, simple_step),
    "gru": (GRU, keras.layers.GRU, {}, gru_step),
    "gru_of_the_paper": (GRU, keras.layers.GRU, {"reset_after": False}, gru_of_the_paper_step),
    "lstm": (LSTM, keras.layers.LSTM, {}, lstm_step),
}
every_cell = pytest.mark.parametrize("cell", CELLS)


def make(cell, dtype="float32", **kwargs):
    layer = CELLS[cell][0](UNITS, dtype=dtype, **CELLS[cell][2], **kwargs)
    layer.build((None, None, FEATURES))
    scramble(layer)
    return layer


def scramble(layer, seed=1):
    """No weight stays at its initial value: biases of zero would hide a bias in the wrong place."""
    generator = np.random.default_rng(seed)
    layer.set_weights([generator.normal(0, 0.5, weight.shape) for weight in layer.get_weights()])


def some_inputs(dtype="float32", time=TIME, seed=2):
    return np.random.default_rng(seed).normal(size=(BATCH, time, FEATURES)).astype(dtype)


def some_states(layer, dtype="float32", seed=3):
    generator = np.random.default_rng(seed)
    return [generator.normal(0, 0.5, (BATCH, UNITS)).astype(dtype) for _ in layer.state_size]


def oracle(cell, layer, inputs, states, mask=None):
    """The recurrence in a plain loop: a masked step writes zeros and keeps the state."""
    weights = [weight.astype("float64") for weight in layer.get_weights()]
    outputs, states = [], [state.astype("float64") for state in states]
    for t in range(inputs.shape[1]):
        new = CELLS[cell][3](inputs[:, t].astype("float64"), states, *weights)
        valid = np.ones((len(inputs), 1), bool) if mask is None else mask[:, t, None]
        outputs.append(np.where(valid, new[0], 0))
        states = [np.where(valid, after, before) for after, before in zip(new, states, strict=True)]
    return np.stack(outputs, axis=1), states


def close(found, expected, tolerance=1e-5):
    for one, other in zip(keras.tree.flatten(found), keras.tree.flatten(expected), strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=tolerance, atol=tolerance)


@every_cell
@pytest.mark.parametrize("mask", [None, MASK, HOLES], ids=["whole", "padded", "holes"])
def test_equals_the_equations_in_numpy(cell, mask):
    layer = make(cell)
    inputs, states = some_inputs(), some_states(layer)
    close(layer(inputs, initial_state=states, mask=mask), oracle(cell, layer, inputs, states, mask))


@every_cell
def test_starts_from_zeros_without_an_initial_state(cell):
    layer = make(cell)
    zeros = [np.zeros((BATCH, UNITS)) for _ in layer.state_size]
    close(layer(some_inputs()), oracle(cell, layer, some_inputs(), zeros))
    close(layer.get_initial_state(BATCH), zeros, tolerance=0)


@every_cell
def test_gradients_equal_central_differences(cell):
    layer = make(cell, dtype="float64")
    inputs, states = some_inputs("float64", time=4), some_states(layer, "float64")
    mask = MASK[:, :4]
    rows = np.random.default_rng(5)
    weight_of_outputs = rows.normal(size=(BATCH, 4, UNITS))
    weight_of_states = [rows.normal(size=state.shape) for state in states]

    def loss():
        outputs, final = layer(inputs, initial_state=states, mask=mask)
        total = tf.reduce_sum(outputs * weight_of_outputs)
        return total + sum(
            tf.reduce_sum(one * other) for one, other in zip(final, weight_of_states, strict=True)
        )

    with tf.GradientTape() as tape:
        value = loss()
    gradients = tape.gradient(value, [variable.value for variable in layer.trainable_variables])
    for variable, gradient in zip(layer.trainable_variables, gradients, strict=True):
        direction = rows.normal(size=variable.shape)  # one directional derivative tests all entries at once
        for probe in (direction, _single_entry(variable.shape, rows)):
            np.testing.assert_allclose(
                np.sum(gradient.numpy() * probe), _difference(loss, variable, probe), rtol=1e-7, atol=1e-9
            )


def _single_entry(shape, generator):
    probe = np.zeros(shape)
    probe.flat[generator.integers(probe.size)] = 1
    return probe


def _difference(loss, variable, probe, step=1e-5):
    start = variable.numpy()
    variable.assign(start + step * probe)
    above = loss().numpy()
    variable.assign(start - step * probe)
    below = loss().numpy()
    variable.assign(start)
    return (above - below) / (2 * step)


def keras_twin(cell, layer, **kwargs):
    twin = CELLS[cell][1](UNITS, return_sequences=True, return_state=True, **CELLS[cell][2], **kwargs)
    twin.build((None, None, FEATURES))
    twin.set_weights(layer.get_weights())
    return twin


def with_gradients(call, variables, inputs):
    inputs = tf.constant(inputs)
    values = [variable.value for variable in variables]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs, states = call(inputs)
        loss = tf.reduce_sum(tf.sin(outputs)) + sum(tf.reduce_sum(tf.cos(3.0 * state)) for state in states)
    return outputs, states, tape.gradient(loss, [inputs, *values])


@every_cell
@pytest.mark.parametrize("start", [False, True], ids=["zeros", "given"])
@pytest.mark.parametrize("mask", [None, MASK, HOLES], ids=["whole", "padded", "holes"])
@pytest.mark.parametrize("zero", [True, False], ids=["zero", "repeat"])
def test_equals_keras_with_the_same_weights(cell, start, mask, zero):
    layer = make(cell, zero_output_for_mask=zero)
    twin = keras_twin(cell, layer, zero_output_for_mask=zero)
    states = some_states(layer) if start else None

    def reference(inputs):
        outputs, *final = twin(inputs, initial_state=states, mask=mask)
        return outputs, final

    def ours(inputs):
        return layer(inputs, initial_state=states, mask=mask)

    close(
        with_gradients(ours, layer.trainable_variables, some_inputs()),
        with_gradients(reference, twin.trainable_variables, some_inputs()),
    )


@every_cell
def test_weights_have_the_names_and_shapes_of_keras(cell):
    layer = make(cell)
    twin = keras_twin(cell, layer)
    assert [(w.name, tuple(w.shape)) for w in layer.weights] == [
        (w.name, tuple(w.shape)) for w in twin.weights
    ]


@every_cell
def test_reads_backwards_as_keras_does(cell):
    layer = make(cell, go_backwards=True)
    outputs, *states = keras_twin(cell, layer, go_backwards=True)(some_inputs())
    close(layer(some_inputs()), (outputs, states))


@every_cell
def test_steps_equal_the_sequence(cell):
    layer = make(cell)
    inputs, states = some_inputs(), some_states(layer)
    expected = layer(inputs, initial_state=states)
    outputs = []
    for t in range(TIME):
        output, states = layer.step(inputs[:, t], states)
        outputs.append(output)
    close((np.stack(outputs, axis=1), states), expected)


@every_cell
def test_two_halves_with_carried_state_equal_the_whole(cell):
    layer = make(cell)
    inputs = some_inputs()
    first, states = layer(inputs[:, :3])
    second, states = layer(inputs[:, 3:], initial_state=states)
    close((np.concatenate([first, second], axis=1), states), layer(inputs))


@every_cell
def test_step_builds_the_layer(cell):
    layer = CELLS[cell][0](UNITS, **CELLS[cell][2])
    output, states = layer.step(np.ones((BATCH, FEATURES), "float32"), layer.get_initial_state(BATCH))
    assert tuple(output.shape) == (BATCH, UNITS)
    assert isinstance(states, list)
    assert len(layer.weights) == len(make(cell).weights)


@every_cell
def test_step_runs_in_a_graph_loop(cell):
    layer = make(cell)

    @tf.function(input_signature=[tf.TensorSpec((None, None, FEATURES))])
    def run(inputs):
        start = layer.get_initial_state(tf.shape(inputs)[0])
        steps = tf.transpose(inputs, (1, 0, 2))
        states = tf.scan(lambda states, step: layer.step(step, states)[1], steps, start)
        return tf.transpose(states[0], (1, 0, 2)), [state[-1] for state in states]

    close(run(some_inputs()), layer(some_inputs()))


@every_cell
def test_a_row_without_any_step_keeps_its_state(cell):
    layer = make(cell)
    states = some_states(layer)
    outputs, final = layer(some_inputs(), initial_state=states, mask=HOLES)
    assert not np.any(outputs[2])
    close([state[2] for state in final], [state[2] for state in states], tolerance=0)


@every_cell
def test_dropout_masks_do_not_outlive_a_step(cell):
    layer = make(cell, dropout=0.5, seed=11)
    states = layer.get_initial_state(BATCH)
    inputs = np.ones((BATCH, FEATURES), "float32")
    drawn = [np.asarray(layer.step(inputs, states, training=True)[0]) for _ in range(4)]
    assert any(not np.array_equal(drawn[0], other) for other in drawn[1:])
    outputs, _ = layer(np.ones((2, TIME, FEATURES), "float32"), training=True)  # another batch size
    assert np.all(np.isfinite(outputs))


@pytest.mark.parametrize("kind", [GRU, LSTM])
def test_the_choice_of_cudnn_is_kept(kind):
    layer = kind.from_config(kind(UNITS, use_cudnn=False).get_config())
    assert layer.use_cudnn is False


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_implied_masks_end_at_the_layer(cell):
    words = keras.layers.Embedding(6, FEATURES, mask_zero=True)(np.array([[1, 2, 0]]))
    outputs, states = make(cell)(words)
    assert all(getattr(tensor, "_keras_mask", None) is None for tensor in (outputs, *states))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"stateful": True}, "Expected stateful=False"),
        ({"return_sequences": False}, "no return_sequences argument"),
        ({"return_state": False}, "no return_state argument"),
    ],
)
def test_refuses_what_would_hide_the_state(arguments, message):
    with pytest.raises(ValueError, match=message):
        LSTM(UNITS, **arguments)


def test_refuses_the_wrong_number_of_states():
    layer = make("lstm")
    states = [np.zeros((BATCH, UNITS), "float32")]
    with pytest.raises(ValueError, match=r"got 1 state tensors.*list of 2"):
        layer(some_inputs(), initial_state=states)
    with pytest.raises(ValueError, match=r"got 1 state tensors.*list of 2"):
        layer.step(some_inputs()[:, 0], states)
