"""The fused loop over time against Keras's layers with the same weights, and against central differences."""

from typing import NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf

from shared.layers import GRU, LSTM, RecurrentStack, SimpleRNN, fused, placement

pytestmark = pytest.mark.usefixtures("two_cores")

BATCH, TIME, FEATURES, UNITS = 3, 5, 7, 4
HALVES, WHOLE = 34, 33  # rows: two halves that are large enough, and an odd number
LAYERS = {
    "simple": (SimpleRNN, keras.layers.SimpleRNN),
    "gru": (GRU, keras.layers.GRU),
    "lstm": (LSTM, keras.layers.LSTM),
}
ACTIVATIONS = {
    "simple": {"activation": "relu"},
    "gru": {"activation": "relu", "recurrent_activation": "hard_sigmoid"},
    "lstm": {"activation": "relu", "recurrent_activation": "hard_sigmoid"},
}
every_kind = pytest.mark.parametrize("kind", LAYERS)
graph_and_eager = pytest.mark.parametrize("mode", ["graph", "eager"])


class Case(NamedTuple):
    batch: int = BATCH
    mask: str | None = None
    start: bool = False
    chunks: bool = False
    settings: dict = {}  # noqa: RUF012 - never changed


CASES = {
    "whole": Case(),
    "state": Case(start=True),
    "padded": Case(mask="padded", start=True),
    "holes": Case(mask="holes"),
    "not cut": Case(batch=WHOLE),
    "halves": Case(batch=HALVES, start=True),
    "halves, holes": Case(batch=HALVES, mask="holes", start=True),
    "chunks": Case(start=True, chunks=True),
    "chunks, holes": Case(mask="holes", chunks=True),
    "chunks, halves, backwards": Case(
        HALVES, mask="padded", start=True, chunks=True, settings={"go_backwards": True}
    ),
    "backwards": Case(mask="padded", settings={"go_backwards": True}),
    "backwards, whole": Case(start=True, settings={"go_backwards": True}),
    "activations": Case(start=True, settings=ACTIVATIONS),
    "no bias": Case(settings={"use_bias": False}),
}


def make_both(kind, **settings):
    """Our layer and Keras's, with the same weights, none of which stays at its initial value."""
    settings = settings.get(kind, settings)  # some settings differ between the layers
    ours, theirs = LAYERS[kind]
    layer = ours(UNITS, **settings)
    twin = theirs(
        UNITS, return_sequences=True, return_state=True, **{"zero_output_for_mask": True, **settings}
    )
    for one in (layer, twin):
        one.build((None, None, FEATURES))
    generator = np.random.default_rng(1)
    weights = [generator.normal(0, 0.5, weight.shape) for weight in layer.get_weights()]
    for one in (layer, twin):
        one.set_weights(weights)
    return layer, twin


def call_ours(layer, **kwargs):
    return lambda inputs, states, mask: layer(inputs, initial_state=states, mask=mask, **kwargs)


def call_keras(twin, **kwargs):
    def call(inputs, states, mask):
        outputs, *final = twin(inputs, initial_state=states, mask=mask, **kwargs)
        return outputs, final

    return call


def some_inputs(batch=BATCH, dtype="float32", time=TIME):
    return tf.constant(np.random.default_rng(2).normal(size=(batch, time, FEATURES)), dtype)


def some_states(layer, batch=BATCH, dtype="float32"):
    generator = np.random.default_rng(3)
    return [tf.constant(generator.normal(0, 0.5, (batch, UNITS)), dtype) for _ in layer.state_size]


def some_mask(kind, batch=BATCH, time=TIME):
    if kind is None:
        return None
    if kind == "padded":
        lengths = 1 + (np.arange(batch) * 3 + time - 1) % time  # 5, 3, 1, 4, 2, ... of 5
        return tf.constant(np.arange(time) < lengths[:, None])
    mask = np.random.default_rng(4).random((batch, time)) < 0.6
    mask[1::7] = False  # rows without any step, in both halves
    return tf.constant(mask)


def all_of_it(outputs, states):
    """A loss that depends on every output and every final state."""
    return tf.reduce_sum(tf.sin(outputs)) + sum(tf.reduce_sum(tf.cos(3.0 * state)) for state in states)


def with_gradients(call, variables, inputs, states, mask, loss=all_of_it):
    """Outputs, final states, and gradients with respect to inputs, initial states and weights."""
    watched = [inputs, *(states or [])]
    with tf.GradientTape() as tape:
        tape.watch(watched)
        outputs, final = call(inputs, states, mask)
        value = loss(outputs, final)
    gradients = tape.gradient(value, [*watched, *(variable.value for variable in variables)])
    return outputs, final, gradients


def close(found, expected, tolerance=1e-5):
    for one, other in zip(keras.tree.flatten(found), keras.tree.flatten(expected), strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=tolerance, atol=tolerance)


def compiled_functions(function, *arguments):
    """The functions in a graph, at any depth, that XLA must compile."""
    graph = function.get_concrete_function(*arguments).graph.as_graph_def()
    return [each.signature.name for each in graph.library.function if each.attr["_XlaMustCompile"].b]


@every_kind
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
@graph_and_eager
def test_equals_keras_with_the_same_weights(kind, case, mode, monkeypatch):
    monkeypatch.setattr(placement, "SMALLEST_CHUNK", 1 if case.chunks else placement.SMALLEST_CHUNK)
    layer, twin = make_both(kind, **case.settings)
    states = some_states(layer, case.batch) if case.start else None
    arguments = some_inputs(case.batch), states, some_mask(case.mask, case.batch)

    def run(*arguments):
        return with_gradients(call_ours(layer, training=True), layer.trainable_variables, *arguments)

    found = (tf.function(run) if mode == "graph" else run)(*arguments)
    expected = with_gradients(call_keras(twin), twin.trainable_variables, *arguments)
    assert all(gradient is not None for gradient in expected[2])
    close(found, expected)


LOSSES = {
    "the last cell state": lambda outputs, states: tf.reduce_sum(tf.sin(states[-1])),
    "the last output": lambda outputs, states: tf.reduce_sum(tf.sin(states[0])),
    "one output": lambda outputs, states: tf.reduce_sum(tf.sin(outputs[:, 2])),
}


@every_kind
@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
def test_losses_that_see_a_part_only(kind, loss):
    layer, twin = make_both(kind)
    arguments = some_inputs(), some_states(layer), some_mask("holes")
    close(
        with_gradients(call_ours(layer, training=True), layer.trainable_variables, *arguments, loss=loss),
        with_gradients(call_keras(twin), twin.trainable_variables, *arguments, loss=loss),
    )


@every_kind
def test_a_graph_of_any_batch_and_time(kind):
    layer, twin = make_both(kind)
    states = [tf.TensorSpec((None, UNITS)) for _ in layer.state_size]

    @tf.function(
        input_signature=[tf.TensorSpec((None, None, FEATURES)), states, tf.TensorSpec((None, None), tf.bool)]
    )
    def run(inputs, states, mask):
        return with_gradients(
            call_ours(layer, training=True), layer.trainable_variables, inputs, states, mask
        )

    for batch, time in ((BATCH, TIME), (HALVES, 1)):
        arguments = some_inputs(batch, time=time), some_states(layer, batch), some_mask("padded", batch, time)
        close(run(*arguments), with_gradients(call_keras(twin), twin.trainable_variables, *arguments))


@every_kind
@pytest.mark.parametrize("batch", [BATCH, HALVES])
def test_gradients_equal_central_differences(kind, batch):
    layer, _ = make_both(kind, dtype="float64")
    tensors = [some_inputs(batch, "float64"), *some_states(layer, batch, "float64")]
    values = [tf.Variable(tensor) for tensor in tensors]
    mask = some_mask("holes", batch)

    def loss():
        outputs, final = layer(
            values[0].value(), initial_state=[v.value() for v in values[1:]], mask=mask, training=True
        )
        return all_of_it(outputs, final)

    variables = [*values, *(variable.value for variable in layer.trainable_variables)]
    with tf.GradientTape() as tape:
        value = loss()
    gradients = tape.gradient(value, variables)
    generator = np.random.default_rng(5)
    for variable, gradient in zip(variables, gradients, strict=True):
        direction = generator.normal(size=variable.shape)  # one directional derivative tests all entries
        entry = np.zeros(variable.shape)
        entry.flat[generator.integers(entry.size)] = 1
        for probe in (direction, entry):
            slope = np.sum(gradient.numpy() * probe)
            np.testing.assert_allclose(slope, difference(loss, variable, probe), rtol=1e-6, atol=1e-8)


def difference(loss, variable, probe, step=1e-5):
    start = variable.numpy()
    found = []
    for sign in (1, -1):
        variable.assign(start + sign * step * probe)
        found.append(loss().numpy())
    variable.assign(start)
    return (found[0] - found[1]) / (2 * step)


@pytest.mark.parametrize(("kind", "mode"), [("gru", "graph"), ("gru", "eager"), ("lstm", "eager")])
def test_second_derivatives_equal_those_of_keras(kind, mode):
    layer, twin = make_both(kind)
    inputs = some_inputs()

    def second(call):
        with tf.GradientTape() as outer:
            outer.watch(inputs)
            _, _, gradients = with_gradients(call, [], inputs, None, None)
            penalty = tf.reduce_sum(gradients[0] ** 2)
        return outer.gradient(penalty, inputs)

    run = tf.function(second, autograph=False) if mode == "graph" else second
    close(run(call_ours(layer, training=True)), second(call_keras(twin)), tolerance=1e-4)


@every_kind
def test_mixed_bfloat16_is_near_float32(kind):
    layer, twin = make_both(kind)
    mixed, _ = make_both(kind, dtype="mixed_bfloat16")
    arguments = some_inputs(), some_states(layer), some_mask("holes")
    call = call_ours(mixed, training=True)

    def run(*arguments):
        def loss(outputs, states):
            return all_of_it(tf.cast(outputs, "float32"), [tf.cast(state, "float32") for state in states])

        return with_gradients(call, mixed.trainable_variables, *arguments, loss=loss)

    outputs, states, gradients = tf.function(run)(*arguments)
    assert {tensor.dtype for tensor in (outputs, *states)} == {tf.bfloat16}
    assert {gradient.dtype for gradient in gradients} == {tf.float32}
    expected = with_gradients(call_keras(twin), twin.trainable_variables, *arguments)
    for part, bound in ((0, 0.01), (1, 0.01), (2, 0.04)):
        found = keras.tree.flatten((outputs, states, gradients)[part])
        for one, other in zip(found, keras.tree.flatten(expected[part]), strict=True):
            error = tf.norm(tf.cast(one, "float32") - other) / tf.norm(other)
            assert 1e-5 < float(error) < bound  # the products are in bfloat16


@pytest.mark.parametrize("training", [True, False])
def test_a_cell_state_under_bfloat16_adds_up_small_numbers(training):
    """What is added in each step is less than half of the last digit that bfloat16 has at 0.5."""
    layer = LSTM(UNITS, dtype="mixed_bfloat16")
    layer.build((None, None, FEATURES))
    kernel, recurrent, bias = (np.zeros(weight.shape) for weight in layer.get_weights())
    bias[: 2 * UNITS], bias[2 * UNITS : 3 * UNITS] = 100.0, 0.001  # gates i and f are open, g is 0.001
    layer.set_weights([kernel, recurrent, bias])

    run = tf.function(lambda inputs: layer(inputs, training=training)[1][1])
    cell_state = run(some_inputs(time=777))
    np.testing.assert_allclose(tf.cast(cell_state, "float32"), 0.777, rtol=0.005)


@every_kind
@pytest.mark.parametrize("mask", [None, "holes"])
def test_without_training_the_numbers_are_the_same_and_the_operations_stock(kind, mask):
    layer, _ = make_both(kind)
    arguments = some_inputs(), some_states(layer), some_mask(mask)
    learning = tf.function(call_ours(layer, training=True), autograph=False)
    resting = tf.function(call_ours(layer, training=False), autograph=False)
    close(resting(*arguments), learning(*arguments), tolerance=1e-6)
    assert compiled_functions(learning, *arguments)
    assert not compiled_functions(resting, *arguments)


@pytest.mark.parametrize("make", [lambda: LSTM(UNITS), lambda: RecurrentStack(UNITS, depth=2)])
@pytest.mark.parametrize("time", [TIME, 41], ids=["in turn", "staggered"])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("keeps", [False, True])
def test_what_is_kept_for_a_gradient_need_not_follow_training(make, time, training, keeps):
    layer = make()

    def run(inputs):
        return layer(inputs, training=training, keep_for_gradient=keeps)

    inputs = some_inputs(time=time)
    assert bool(compiled_functions(tf.function(run, autograph=False), inputs)) == keeps
    close(tf.function(run, autograph=False)(inputs), layer(inputs), tolerance=1e-6)


def test_a_gradient_is_kept_without_dropping_anything():
    layer, dry = LSTM(UNITS, dropout=0.5, recurrent_weight_dropout=0.5, seed=11), LSTM(UNITS)
    for one in (layer, dry):
        one.build((None, None, FEATURES))
    dry.set_weights(layer.get_weights())
    arguments = some_inputs(), some_states(layer), some_mask("holes")
    close(
        with_gradients(call_ours(layer, keep_for_gradient=True), layer.trainable_variables, *arguments),
        with_gradients(call_ours(dry, training=True), dry.trainable_variables, *arguments),
        tolerance=1e-6,
    )


@pytest.mark.parametrize(
    ("beside", "cores", "loops"), [(0, 2, 2), (1, 2, 1), (1, 4, 2), (2, 5, 1), (2, 6, 2)]
)
def test_no_batch_is_cut_where_what_runs_beside_needs_the_cores(
    monkeypatch, count_loops, beside, cores, loops
):
    monkeypatch.setattr(placement, "cores", lambda: cores)
    layer, _ = make_both("simple")

    def run(inputs):
        return layer(inputs, training=True, beside=beside)[0]

    assert count_loops(run, HALVES, TIME, FEATURES) == loops


@every_kind
def test_without_training_a_gradient_can_be_had_all_the_same(kind):
    layer, _ = make_both(kind)
    arguments = some_inputs(), some_states(layer), some_mask("holes")
    resting, learning = (
        with_gradients(call_ours(layer, training=training), layer.trainable_variables, *arguments)
        for training in (False, True)
    )
    close(resting, learning)


@pytest.mark.parametrize(
    ("batch", "training", "cores", "loops"),
    [
        (HALVES, True, 2, 2),
        (HALVES, False, 2, 1),
        (HALVES, True, 1, 1),
        (WHOLE, True, 2, 1),
        (30, True, 2, 1),
        (32, True, 2, 2),
        (None, True, 2, 1),
    ],
)
def test_large_batches_are_cut_in_two_loops(monkeypatch, count_loops, batch, training, cores, loops):
    monkeypatch.setattr(placement, "cores", lambda: cores)
    layer, _ = make_both("simple")
    found = count_loops(lambda inputs: layer(inputs, training=training)[0], batch, TIME, FEATURES)
    assert found == loops


@pytest.mark.parametrize(
    ("bidirectional", "cores", "loops"), [(False, 2, 2), (True, 2, 2), (True, 3, 2), (True, 4, 4)]
)
def test_no_batch_is_cut_where_both_directions_keep_the_cores_busy(
    monkeypatch, count_loops, bidirectional, cores, loops
):
    monkeypatch.setattr(placement, "cores", lambda: cores)
    stack = RecurrentStack(UNITS, bidirectional=bidirectional)
    stack.build((None, None, FEATURES))
    found = count_loops(lambda inputs: stack(inputs, training=True)[0], HALVES, TIME, FEATURES)
    assert found == loops


@pytest.mark.parametrize(
    ("batch", "time", "loops"), [(3, 9, 2), (2, 12, 2), (1, 23, 1), (24, 1, 1), (None, 24, 1), (24, None, 1)]
)
def test_long_sequences_are_read_in_two_chunks(monkeypatch, count_loops, batch, time, loops):
    monkeypatch.setattr(placement, "cores", lambda: 1)
    monkeypatch.setattr(placement, "SMALLEST_CHUNK", 12)
    layer, _ = make_both("simple")
    assert count_loops(lambda inputs: layer(inputs, training=True)[0], batch, time, FEATURES) == loops


@every_kind
@pytest.mark.parametrize("batch", [BATCH, HALVES])
def test_dropout_of_the_inputs_is_that_of_keras(kind, batch):
    layer, twin = make_both(kind, dropout=0.4, seed=11)
    arguments = some_inputs(batch), some_states(layer, batch), some_mask("padded", batch)
    ours = call_ours(layer, training=True)
    for _ in range(2):  # each call has masks of its own, and in the same order
        found = with_gradients(ours, layer.trainable_variables, *arguments)
        expected = with_gradients(call_keras(twin, training=True), twin.trainable_variables, *arguments)
        close(found, expected)
    dry = with_gradients(call_ours(layer), layer.trainable_variables, *arguments)
    assert not np.allclose(dry[0], found[0])


FALLBACKS = {
    "recurrent_dropout": ({"recurrent_dropout": 0.4, "seed": 11}, None),
    "unroll": ({"unroll": True}, "padded"),
    "reset_after": ({"reset_after": False}, "padded"),
    "last output repeated": ({"zero_output_for_mask": False}, "padded"),
    "gpu": ({}, "padded"),
}


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for name in FALLBACKS for kind in LAYERS if name != "reset_after" or kind == "gru"],
)
def test_what_the_fused_loop_does_not_know_is_done_by_keras(monkeypatch, kind, name):
    settings, mask = FALLBACKS[name]
    monkeypatch.setattr(placement, "gpu_is_visible", lambda: name == "gpu")
    monkeypatch.setattr(fused, "run_sequence", forbidden)
    layer, twin = make_both(kind, **settings)
    arguments = some_inputs(), some_states(layer), some_mask(mask)
    assert not layer.is_fused(arguments[2])
    close(
        with_gradients(call_ours(layer, training=True), layer.trainable_variables, *arguments),
        with_gradients(call_keras(twin, training=True), twin.trainable_variables, *arguments),
    )


def forbidden(*arguments, **kwargs):
    raise RuntimeError("the fused loop ran")


@every_kind
@pytest.mark.parametrize(
    ("settings", "mask"),
    [({}, None), ({}, "holes"), ({"zero_output_for_mask": False}, None), ({"dropout": 0.4}, "holes")],
)
def test_everything_else_runs_the_fused_loop(monkeypatch, kind, settings, mask):
    layer, _ = make_both(kind, **settings)
    monkeypatch.setattr(fused, "run_sequence", forbidden)
    assert layer.is_fused(some_mask(mask))
    with pytest.raises(RuntimeError, match="the fused loop ran"):
        layer(some_inputs(), mask=some_mask(mask))


@every_kind
def test_thirty_steps_of_adam_go_the_same_way(kind):
    layer, twin = make_both(kind)
    inputs = some_inputs(HALVES)
    targets = tf.sin(tf.cumsum(inputs[:, :, :UNITS], axis=1))  # what came before matters

    def curve(layer, call):
        optimizer = keras.optimizers.Adam(0.03)
        optimizer.build(layer.trainable_variables)

        @tf.function(autograph=False)
        def step():
            def loss(outputs, states):
                return tf.reduce_mean((outputs - targets) ** 2)

            outputs, _, gradients = with_gradients(
                call, layer.trainable_variables, inputs, None, None, loss=loss
            )
            optimizer.apply(gradients[1:], layer.trainable_variables)
            return loss(outputs, None)

        return [float(step()) for _ in range(30)]

    found = curve(layer, call_ours(layer, training=True))
    assert found[-1] < 0.8 * found[0]
    np.testing.assert_allclose(found, curve(twin, call_keras(twin, training=True)), rtol=1e-3)


def test_all_of_it_can_be_compiled_by_xla():
    layer, _ = make_both("lstm")
    call = call_ours(layer, training=True)

    def run(inputs):
        return with_gradients(call, layer.trainable_variables, inputs, None, None)

    inputs = some_inputs()
    close(tf.function(run, jit_compile=True)(inputs), run(inputs))
