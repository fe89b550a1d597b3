"""The recurrent stack against Keras's layers put together by hand, and its dropout against its definition."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from shared.layers import GRU, LSTM, RecurrentStack, SimpleRNN, placement

pytestmark = pytest.mark.usefixtures("two_cores")

BATCH, TIME, FEATURES, UNITS, DEPTH = 3, 7, 5, 4, 2
MASK = np.arange(TIME) < np.array([[7], [4], [1]])
KERAS = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU, "simple": keras.layers.SimpleRNN}
every_cell = pytest.mark.parametrize("cell", KERAS)
both_masks = pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "padded"])
both_directions = pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "bidirectional"])


@pytest.fixture(params=["in turn", "staggered"])
def order(request, monkeypatch):
    """Layers that read the whole sequence in turn, and layers that read parts of it at the same time."""
    monkeypatch.setattr(placement, "SMALLEST_PART", 1 if request.param == "staggered" else 1000)


def make(cell="lstm", depth=DEPTH, **kwargs):
    stack = RecurrentStack(UNITS, cell=cell, depth=depth, **kwargs)
    stack.build((None, None, FEATURES))
    generator = np.random.default_rng(1)
    for weight in stack.trainable_variables:
        weight.assign(generator.normal(0, 0.5, weight.shape))
    return stack


def some_inputs(batch=BATCH):
    return np.random.default_rng(2).normal(size=(batch, TIME, FEATURES)).astype("float32")


def some_states(stack):
    generator = np.random.default_rng(3)
    return keras.tree.map_structure(
        lambda state: generator.normal(0, 0.5, state.shape).astype("float32"), stack.get_initial_state(BATCH)
    )


def close(found, expected, tolerance=1e-5):
    for one, other in zip(keras.tree.flatten(found), keras.tree.flatten(expected), strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=tolerance, atol=tolerance)


def keras_stack(cell, stack):
    """The same layers from Keras, with the weights of the stack, and a function that runs them."""
    layers = []
    for index, forward in enumerate(stack.forward_layers):
        layer = KERAS[cell](
            UNITS, return_sequences=True, return_state=True, zero_output_for_mask=not stack.bidirectional
        )
        weights = forward.get_weights()
        if stack.bidirectional:
            layer = keras.layers.Bidirectional(layer)
            weights += stack.backward_layers[index].get_weights()
        layer.build((None, None, weights[0].shape[0]))
        layer.set_weights(weights)
        layers.append(layer)

    def run(inputs, initial_state=None, mask=None):
        final = []
        for index, layer in enumerate(layers):
            start = None if initial_state is None else initial_state[index]
            inputs, *states = layer(inputs, initial_state=start, mask=mask)
            final.append(states)
        return inputs, final

    return run, [variable for layer in layers for variable in layer.trainable_variables]


def with_gradients(run, variables, inputs, **kwargs):
    inputs = tf.constant(inputs)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs, states = run(inputs, **kwargs)
        loss = tf.reduce_sum(tf.sin(outputs))
        loss += sum(tf.reduce_sum(tf.cos(3.0 * state)) for state in keras.tree.flatten(states))
    return outputs, states, tape.gradient(loss, [inputs, *(variable.value for variable in variables)])


@every_cell
@pytest.mark.usefixtures("order")
@both_directions
@both_masks
@pytest.mark.parametrize("start", [False, True], ids=["zeros", "given"])
def test_equals_layers_of_keras_put_together(cell, bidirectional, mask, start):
    stack = make(cell, bidirectional=bidirectional)
    states = some_states(stack) if start else None
    run, variables = keras_stack(cell, stack)
    own = [
        variable
        for index in range(DEPTH)
        for layer in (stack.forward_layers[index], *stack.backward_layers[index : index + 1])
        for variable in layer.trainable_variables
    ]
    close(
        with_gradients(stack, own, some_inputs(), initial_state=states, mask=mask),
        with_gradients(run, variables, some_inputs(), initial_state=states, mask=mask),
    )


@every_cell
def test_steps_equal_the_sequence(cell):
    stack = make(cell, depth=3)
    inputs, states = some_inputs(), some_states(stack)
    expected = stack(inputs, initial_state=states)
    outputs = []
    for t in range(TIME):
        output, states = stack.step(inputs[:, t], states)
        outputs.append(output)
    close((np.stack(outputs, axis=1), states), expected)


@pytest.mark.usefixtures("order")
@both_directions
def test_states_are_a_list_over_layers(bidirectional):
    stack = make("lstm", depth=3, bidirectional=bidirectional)
    outputs, states = stack(some_inputs())
    per_layer = 4 if bidirectional else 2
    assert tuple(outputs.shape) == (BATCH, TIME, stack.output_size)
    assert stack.output_size == UNITS * (2 if bidirectional else 1)
    assert [len(layer) for layer in states] == [per_layer] * 3
    keras.tree.assert_same_structure(states, stack.get_initial_state(BATCH))


@every_cell
@pytest.mark.parametrize("direction", [0, 1], ids=["forward", "backward"])
@pytest.mark.parametrize("start", [False, True], ids=["zeros", "given"])
def test_one_direction_reads_what_it_is_given_in_its_order(cell, direction, start):
    stack = make(cell, depth=1, bidirectional=True)
    layer = (stack.forward_layers, stack.backward_layers)[direction][0]
    plain = make(cell, depth=1)
    plain.set_weights(layer.get_weights())
    states = some_states(plain) if start else None
    close(stack.read_one_way(some_inputs(), direction, states), plain(some_inputs(), initial_state=states))
    own = stack.get_initial_state(BATCH, direction)
    keras.tree.assert_same_structure(own, plain.get_initial_state(BATCH))
    # The other direction has no part in it.
    other = (stack.backward_layers, stack.forward_layers)[direction][0]
    other.set_weights([weight + 1 for weight in other.get_weights()])
    close(stack.read_one_way(some_inputs(), direction, states), plain(some_inputs(), initial_state=states))


def test_a_stack_of_one_direction_reads_one_way_as_it_reads():
    stack = make(depth=3)
    states = some_states(stack)
    found = stack.read_one_way(some_inputs(), 0, states)
    close(found, stack(some_inputs(), initial_state=states), tolerance=0)
    keras.tree.assert_same_structure(stack.get_initial_state(BATCH, 0), stack.get_initial_state(BATCH))


def test_one_direction_of_several_layers_cannot_read_alone():
    with pytest.raises(ValueError, match=r"stack of 2 layers can read alone.*Expected depth=1 or bidir"):
        make(bidirectional=True).read_one_way(some_inputs())


@pytest.mark.parametrize(("settings", "directions"), [({}, 1), ({"bidirectional": True}, 2)])
def test_variables_of_the_layers_are_all_there_are(settings, directions):
    stack = make("lstm", depth=3, **settings)
    variables = [stack.layer_variables(index) for index in range(3)]
    assert [len(layer) for layer in variables] == [3 * directions] * 3
    assert all(f"ward_{index}" in one.path for index, layer in enumerate(variables) for one in layer)
    flat = {id(one) for layer in variables for one in layer}
    assert flat == {id(one) for one in stack.trainable_variables}


def test_the_backward_half_sees_no_padding():
    """Reading a padded row from its end gives what reading the row without its padding gives."""
    stack = make("gru", bidirectional=True)
    inputs = some_inputs()
    outputs, states = stack(inputs, mask=MASK)
    short, short_states = stack(inputs[1:2, :4])
    close(outputs[1:2, :4], short)
    close([[state[1:2] for state in layer] for layer in states], short_states)
    assert not np.any(outputs[1, 4:])


def transparent(dropout, seed):
    """Two layers that copy their input, so that outputs show the dropout mask between them."""
    stack = RecurrentStack(UNITS, cell="simple", depth=2, dropout=dropout, seed=seed)
    stack.build((None, None, UNITS))
    for layer in stack.forward_layers:
        layer.cell.activation = keras.activations.linear
        layer.set_weights([np.eye(UNITS), np.zeros((UNITS, UNITS)), np.zeros(UNITS)])
    return stack


@pytest.mark.usefixtures("order")
def test_dropout_draws_one_mask_for_all_steps_of_a_sequence():
    outputs, _ = transparent(dropout=0.5, seed=7)(np.ones((31, TIME, UNITS), "float32"), training=True)
    outputs = np.asarray(outputs)
    assert set(np.unique(outputs)) == {0.0, 2.0}  # kept values are scaled by 1 / (1 - rate)
    np.testing.assert_array_equal(outputs, np.repeat(outputs[:, :1], TIME, axis=1))
    assert len(np.unique(outputs[:, 0], axis=0)) > 5  # each sequence has a mask of its own
    assert 0.3 < np.mean(outputs == 0) < 0.7


def test_dropout_leaves_the_first_inputs_and_the_last_outputs_alone():
    stack = RecurrentStack(UNITS, cell="simple", depth=1, dropout=0.9, seed=7)
    close(stack(some_inputs(), training=True), stack(some_inputs(), training=False), tolerance=0)


@pytest.mark.usefixtures("order")
def test_dropout_is_off_outside_of_training():
    ones = np.ones((BATCH, TIME, UNITS), "float32")
    close(transparent(dropout=0.5, seed=7)(ones)[0], ones, tolerance=0)


def test_dropout_is_the_same_in_both_orders(monkeypatch):
    found = []
    for smallest in (1, 1000):
        monkeypatch.setattr(placement, "SMALLEST_PART", smallest)
        stack = make(depth=3, dropout=0.4, seed=7)
        found.append(with_gradients(stack, stack.trainable_variables, some_inputs(), training=True))
    close(*found)


@pytest.mark.parametrize(
    ("time", "settings", "options", "loops"),
    [
        (40, {}, {}, 10),
        (41, {}, {"training": True}, 10),
        (39, {}, {}, 2),
        (None, {}, {}, 2),
        (40, {"depth": 1}, {}, 1),
        (40, {"depth": 3}, {}, 15),
        (40, {"bidirectional": True}, {}, 4),
        (40, {"recurrent_weight_dropout": 0.1}, {"training": True}, 2),
        (40, {"recurrent_weight_dropout": 0.1}, {}, 10),
        (40, {}, {"window": 40}, 10),
        (40, {}, {"window": 20}, 4),
    ],
)
def test_layers_are_staggered_where_that_is_faster(count_loops, time, settings, options, loops):
    """Five parts of at least eight steps, with a loop for each layer."""
    stack = make(**settings)
    assert count_loops(lambda inputs: stack(inputs, **options)[0], BATCH, time, FEATURES) == loops


@pytest.mark.parametrize(("cores", "gpu"), [(1, False), (2, True)])
def test_layers_are_not_staggered_without_a_second_core_or_with_a_gpu(monkeypatch, count_loops, cores, gpu):
    monkeypatch.setattr(placement, "cores", lambda: cores)
    monkeypatch.setattr(placement, "gpu_is_visible", lambda: gpu)
    monkeypatch.setattr(placement, "SMALLEST_PART", 1)
    stack = make("simple")
    assert count_loops(lambda inputs: stack(inputs)[0], BATCH, TIME, FEATURES) == DEPTH


def test_seeds_of_the_layers_differ():
    stack = RecurrentStack(UNITS, depth=3, dropout=0.5, seed=7)
    assert [layer.seed for layer in stack.dropout_layers] == [8, 9]


def test_step_builds_the_stack():
    stack = RecurrentStack(UNITS, cell="gru", depth=2)
    output, states = stack.step(some_inputs()[:, 0], stack.get_initial_state(BATCH))
    assert tuple(output.shape) == (BATCH, UNITS)
    assert len(states) == 2
    assert len(stack.weights) == 6


@pytest.mark.parametrize(("cell", "kind"), [("lstm", LSTM), ("gru", GRU), ("simple", SimpleRNN)])
def test_is_made_of_the_layers_of_the_house(cell, kind):
    stack = RecurrentStack(UNITS, cell=cell, bidirectional=True)
    assert {type(layer) for layer in (*stack.forward_layers, *stack.backward_layers)} == {kind}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cell": "peephole"}, "Unknown cell 'peephole'. Expected one of 'lstm', 'gru', 'simple'"),
        ({"depth": 0}, "at least one layer"),
        ({"dropout": 1.0}, "Expected a rate"),
        ({"dropout": -0.1}, "Expected a rate"),
    ],
)
def test_refuses_bad_settings(arguments, message):
    with pytest.raises(ValueError, match=message):
        RecurrentStack(UNITS, **arguments)


@pytest.mark.parametrize("cut", [lambda states: states[:1], lambda states: [states[0], states[1][:1]]])
def test_refuses_states_that_do_not_fit(cut):
    stack = make("lstm")
    with pytest.raises(ValueError, match=r"Expected \[2, 2\]"):
        stack(some_inputs(), initial_state=cut(some_states(stack)))


def test_a_bidirectional_stack_refuses_to_step():
    stack = make(bidirectional=True)
    with pytest.raises(ValueError, match="no single step"):
        stack.step(some_inputs()[:, 0], stack.get_initial_state(BATCH))
