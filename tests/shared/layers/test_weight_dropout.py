"""Dropout of recurrent weights: one mask for all steps of a call, whichever loop runs it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from shared.layers import GRU, LSTM, RecurrentStack, SimpleRNN, placement

BATCH, TIME, FEATURES, UNITS, RATE = 3, 5, 7, 4, 0.25
LAYERS = {
    "simple": (SimpleRNN, keras.layers.SimpleRNN),
    "gru": (GRU, keras.layers.GRU),
    "lstm": (LSTM, keras.layers.LSTM),
}
LOOPS = {  # settings under which the fused loop, or Keras's, runs in training
    "fused": {},
    "keras": {"unroll": True},
    "gpu": {},
}
every_kind = pytest.mark.parametrize("kind", LAYERS)
every_loop = pytest.mark.parametrize("loop", LOOPS)


def make(kind, rate=RATE, seed=8, **settings):
    layer = LAYERS[kind][0](UNITS, recurrent_weight_dropout=rate, seed=seed, **settings)
    layer.build((None, None, FEATURES))
    generator = np.random.default_rng(1)
    layer.set_weights([generator.normal(0, 0.5, weight.shape) for weight in layer.get_weights()])
    return layer


def some_inputs():
    return np.random.default_rng(2).normal(size=(BATCH, TIME, FEATURES)).astype("float32")


def some_mask():
    return np.arange(TIME) < np.array([5, 2, 4])[:, None]


def close(found, expected, tolerance=1e-5):
    for one, other in zip(keras.tree.flatten(found), keras.tree.flatten(expected), strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=tolerance, atol=tolerance)


def with_gradients(call, variables):
    with tf.GradientTape() as tape:
        outputs, states = call()
        loss = tf.reduce_sum(tf.sin(outputs)) + sum(tf.reduce_sum(tf.cos(3.0 * state)) for state in states)
    return outputs, states, tape.gradient(loss, [variable.value for variable in variables])


@pytest.fixture
def drawn(monkeypatch):
    """Every kernel that dropout has made, in order."""
    kernels, dropout = [], keras.random.dropout

    def record(*arguments, **kwargs):
        kernels.append(dropout(*arguments, **kwargs))
        return kernels[-1]

    monkeypatch.setattr(keras.random, "dropout", record)
    return kernels


def powers(layer, training=True):
    """The recurrent kernel to the powers 1 .. TIME: what a linear cell makes of unit vectors."""
    zeros = np.zeros((UNITS, TIME, FEATURES), "float32")
    outputs, _ = layer(zeros, initial_state=[np.eye(UNITS, dtype="float32")], training=training)
    return np.asarray(outputs).transpose(1, 0, 2)  # (time, units, units)


@every_loop
def test_one_mask_for_all_steps_of_a_call_and_another_for_the_next(monkeypatch, loop):
    monkeypatch.setattr(placement, "gpu_is_visible", lambda: loop == "gpu")
    layer = make("simple", activation="linear", use_bias=False, **LOOPS[loop])
    assert layer.is_fused() == (loop == "fused")
    kernel, masks = layer.get_weights()[1], []
    for _ in range(3):
        found = powers(layer)
        dropped = found[0]
        close(found, np.stack([np.linalg.matrix_power(dropped, step) for step in range(1, TIME + 1)]))
        kept = dropped != 0
        np.testing.assert_allclose(dropped[kept], kernel[kept] / (1 - RATE), rtol=1e-6)
        assert 0 < kept.sum() < kept.size
        masks.append(kept)
    assert not np.array_equal(masks[0], masks[1])
    assert not np.array_equal(masks[1], masks[2])


def test_the_rate_is_the_share_of_weights_that_are_dropped():
    layer = SimpleRNN(71, recurrent_weight_dropout=RATE, activation="linear", use_bias=False, seed=8)
    outputs, _ = layer(np.zeros((71, 1, 3)), initial_state=[np.eye(71, dtype="float32")], training=True)
    assert np.mean(np.asarray(outputs) == 0) == pytest.approx(RATE, abs=0.02)


@every_loop
@every_kind
def test_a_call_is_that_of_keras_with_the_dropped_kernel(monkeypatch, drawn, kind, loop):
    monkeypatch.setattr(placement, "gpu_is_visible", lambda: loop == "gpu")
    layer = make(kind, **LOOPS[loop])
    assert layer.is_fused(some_mask()) == (loop == "fused")

    def call():
        return layer(some_inputs(), mask=some_mask(), training=True)

    outputs, states, gradients = with_gradients(call, layer.trainable_variables)
    (dropped,) = drawn
    twin = LAYERS[kind][1](UNITS, return_sequences=True, return_state=True, zero_output_for_mask=True)
    twin.build((None, None, FEATURES))
    kernel, recurrent_kernel, bias = layer.get_weights()
    twin.set_weights([kernel, dropped.numpy(), bias])

    def reference():
        outputs, *states = twin(some_inputs(), mask=some_mask())
        return outputs, states

    expected_outputs, expected_states, expected = with_gradients(reference, twin.trainable_variables)
    close((outputs, states), (expected_outputs, expected_states))
    close([gradients[0], gradients[2]], [expected[0], expected[2]])
    # A dropped weight gets no gradient, a kept one that of what it was scaled to.
    kept = dropped.numpy() != 0
    assert 0 < kept.sum() < kept.size
    assert not np.any(gradients[1].numpy()[~kept])
    np.testing.assert_allclose(gradients[1].numpy()[kept], expected[1].numpy()[kept] / (1 - RATE), rtol=1e-4)
    np.testing.assert_array_equal(layer.get_weights()[1], recurrent_kernel)  # the weights themselves stay


@every_loop
@every_kind
def test_nothing_is_dropped_outside_of_training(monkeypatch, kind, loop):
    monkeypatch.setattr(placement, "gpu_is_visible", lambda: loop == "gpu")
    layer, plain = make(kind, **LOOPS[loop]), make(kind, rate=0.0, **LOOPS[loop])
    close(layer(some_inputs()), plain(some_inputs()), tolerance=0)
    close(layer(some_inputs(), training=False), plain(some_inputs(), training=False), tolerance=0)
    assert not np.allclose(layer(some_inputs(), training=True)[0], plain(some_inputs(), training=True)[0])


@every_kind
def test_a_step_drops_no_weights(kind):
    layer, plain = make(kind), make(kind, rate=0.0)
    states = layer.get_initial_state(BATCH)
    arguments = some_inputs()[:, 0], states
    close(layer.step(*arguments, training=True), plain.step(*arguments, training=True), tolerance=0)


@pytest.mark.parametrize("mode", ["graph", "eager"])
def test_the_same_seed_gives_the_same_masks(mode):
    def three_calls(seed):
        layer = make("gru", seed=seed)

        def call():
            return layer(some_inputs(), training=True)[0]

        run = tf.function(call) if mode == "graph" else call
        return [np.asarray(run()) for _ in range(3)]

    first = three_calls(8)
    close(three_calls(8), first, tolerance=0)
    assert not np.array_equal(first[0], first[1])  # in a graph too, each call draws anew
    assert not np.array_equal(first[0], three_calls(9)[0])


@pytest.mark.parametrize("seed", [8, None])
def test_the_layers_of_a_stack_draw_different_masks(drawn, seed):
    stack = RecurrentStack(
        UNITS, cell="lstm", depth=3, bidirectional=True, recurrent_weight_dropout=0.5, seed=seed
    )
    stack(some_inputs(), training=True)
    masks = {tuple((kernel.numpy() != 0).flatten().tolist()) for kernel in drawn}
    assert len(masks) == len(drawn) == 6


def test_the_seeds_of_a_stack_are_all_different():
    stack = RecurrentStack(
        UNITS, depth=3, bidirectional=True, dropout=0.5, recurrent_weight_dropout=0.5, seed=8
    )
    layers = (*stack.forward_layers, *stack.backward_layers)
    seeds = [*(layer.seed for layer in stack.dropout_layers), *(layer.cell.seed for layer in layers)]
    assert len(set(seeds)) == len(seeds) == 8


@every_kind
def test_the_rate_is_part_of_the_config(kind):
    layer = LAYERS[kind][0](UNITS, recurrent_weight_dropout=RATE, seed=8)
    again = type(layer).from_config(layer.get_config())
    assert again.recurrent_weight_dropout == RATE
    for one in (layer, again):
        one.build((None, None, FEATURES))
    again.set_weights(layer.get_weights())
    close(again(some_inputs(), training=True), layer(some_inputs(), training=True), tolerance=0)
    stack = RecurrentStack(UNITS, cell=kind, recurrent_weight_dropout=RATE)
    copy = RecurrentStack.from_config(stack.get_config())
    assert [layer.recurrent_weight_dropout for layer in copy.forward_layers] == [RATE]


@every_kind
@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_a_rate_that_is_none_is_refused(kind, rate):
    with pytest.raises(ValueError, match=r"recurrent_weight_dropout is .*Expected a rate in \[0, 1\)"):
        LAYERS[kind][0](UNITS, recurrent_weight_dropout=rate)
    with pytest.raises(ValueError, match=r"recurrent_weight_dropout is"):
        RecurrentStack(UNITS, cell=kind, recurrent_weight_dropout=rate)


def test_mixed_bfloat16_drops_weights_of_float32(drawn):
    layer = make("lstm", dtype="mixed_bfloat16")

    def call():
        outputs, states = layer(some_inputs(), training=True)
        return tf.cast(outputs, "float32"), [tf.cast(state, "float32") for state in states]

    outputs, states, gradients = with_gradients(call, layer.trainable_variables)
    kept = tf.cast(drawn[0], "float32").numpy() != 0
    assert {gradient.dtype for gradient in gradients} == {tf.float32}
    np.testing.assert_array_equal(gradients[1].numpy() != 0, kept)
    wide = make("lstm", rate=0.0)
    wide.set_weights([*layer.get_weights()[:1], tf.cast(drawn[0], "float32"), *layer.get_weights()[2:]])
    close((outputs, states), wide(some_inputs()), tolerance=0.03)
