"""Masked pooling against plain loops over the valid steps."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from shared.layers import AttentionPooling, masked_max, masked_mean

BATCH, TIME, FEATURES = 4, 5, 3
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 1, 0, 1, 0], [0, 0, 0, 0, 0]], bool)
POOLS = {
    "mean": (masked_mean, lambda steps: steps.mean(axis=0)),
    "max": (masked_max, lambda steps: steps.max(axis=0)),
}
every_mode = pytest.mark.parametrize("mode", POOLS)


def some_inputs():
    return np.random.default_rng(1).normal(-3, 1, (BATCH, TIME, FEATURES)).astype("float32")


def oracle(mode, inputs, mask):
    rows = [row[valid] for row, valid in zip(inputs, mask, strict=True)]
    return np.array([POOLS[mode][1](steps) if len(steps) else np.zeros(FEATURES) for steps in rows])


@every_mode
def test_equals_a_loop_over_valid_steps(mode):
    found = POOLS[mode][0](some_inputs(), MASK)
    np.testing.assert_allclose(np.asarray(found), oracle(mode, some_inputs(), MASK), rtol=1e-6)


@every_mode
def test_without_a_mask_every_step_is_valid(mode):
    found = POOLS[mode][0](some_inputs())
    expected = oracle(mode, some_inputs(), np.ones((BATCH, TIME), bool))
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-6)


@every_mode
@pytest.mark.parametrize("kind", ["int32", "float32", "bool"])
def test_takes_masks_of_any_kind(mode, kind):
    found = POOLS[mode][0](some_inputs(), MASK.astype(kind))
    np.testing.assert_allclose(np.asarray(found), oracle(mode, some_inputs(), MASK), rtol=1e-6)


@every_mode
@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_nothing_of_masked_steps_enters(mode, poison):
    inputs = tf.constant(np.where(MASK[:, :, None], some_inputs(), poison))
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        pooled = POOLS[mode][0](inputs, MASK)
        loss = tf.reduce_sum(pooled**2)
    gradient = tape.gradient(loss, inputs).numpy()
    np.testing.assert_allclose(np.asarray(pooled), oracle(mode, some_inputs(), MASK), rtol=1e-6)
    assert np.all(np.isfinite(gradient))
    assert not np.any(gradient[~MASK])
    assert np.any(gradient[MASK])


@every_mode
def test_a_graph_of_any_batch_and_length_equals_eager(mode):
    signature = [tf.TensorSpec((None, None, FEATURES)), tf.TensorSpec((None, None), tf.bool)]
    run = tf.function(POOLS[mode][0], input_signature=signature)
    np.testing.assert_allclose(run(some_inputs(), MASK), oracle(mode, some_inputs(), MASK), rtol=1e-6)
    short, mask = some_inputs()[:2, :3], MASK[:2, :3]
    np.testing.assert_allclose(run(short, mask), oracle(mode, short, mask), rtol=1e-6)


def test_the_mean_of_a_long_bfloat16_sequence_is_summed_in_float32():
    """In bfloat16 777 / 259 would be 776 / 260."""
    inputs = keras.ops.full((1, 259, 1), 3.0, dtype="bfloat16")
    for mask in (None, np.ones((1, 259), bool)):
        pooled = masked_mean(inputs, mask)
        assert pooled.dtype == tf.bfloat16
        assert float(pooled[0, 0]) == 3.0


# Attention


def attentive(units=7, **kwargs):
    layer = AttentionPooling(units, **kwargs)
    layer.build((None, None, FEATURES))
    random = np.random.default_rng(2)
    for weight in layer.trainable_variables:
        weight.assign(random.normal(0, 1, weight.shape))
    return layer


def attention_oracle(layer, inputs, mask):
    """The equations, one row after the other, over its valid steps alone."""
    kernel, bias, vector = layer.get_weights()
    pooled = np.zeros((BATCH, FEATURES))
    for row, steps in enumerate(inputs[valid] for inputs, valid in zip(inputs, mask, strict=True)):
        if len(steps):
            powers = np.exp(np.tanh(steps @ kernel + bias) @ vector[:, 0])
            pooled[row] = powers / powers.sum() @ steps
    return pooled


@pytest.mark.parametrize("kind", ["bool", "int32", "float32"])
def test_attention_equals_its_equations(kind):
    layer = attentive()
    assert [weight.shape for weight in layer.trainable_variables] == [(FEATURES, 7), (7,), (7, 1)]
    found = layer(some_inputs(), mask=MASK.astype(kind))
    expected = attention_oracle(layer, some_inputs(), MASK)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert not np.allclose(expected[0], some_inputs()[0].mean(axis=0), atol=0.1)  # it is no plain mean
    found = layer(some_inputs())
    expected = attention_oracle(layer, some_inputs(), np.ones((BATCH, TIME), bool))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_attention_sees_nothing_of_masked_steps(poison):
    layer, inputs = attentive(), tf.constant(np.where(MASK[:, :, None], some_inputs(), poison))
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        pooled = layer(inputs, mask=MASK)
        loss = tf.reduce_sum(pooled**2)
    by_inputs, *by_weights = tape.gradient(
        loss, [inputs, *(variable.value for variable in layer.trainable_variables)]
    )
    np.testing.assert_allclose(pooled, attention_oracle(layer, some_inputs(), MASK), rtol=1e-5, atol=1e-6)
    assert not np.any(by_inputs.numpy()[~MASK])
    assert all(np.all(np.isfinite(gradient)) for gradient in (by_inputs, *by_weights))


def test_attention_that_cannot_tell_steps_apart_is_the_mean():
    layer = attentive()
    kernel, bias, vector = layer.get_weights()
    layer.set_weights([0 * kernel, bias, vector])
    found = layer(some_inputs(), mask=MASK)
    np.testing.assert_allclose(found, oracle("mean", some_inputs(), MASK), rtol=1e-5)


def test_the_scores_of_a_long_bfloat16_sequence_are_weighed_in_float32():
    """In bfloat16 the 259 weights of 1 / 259 would not add up to 1."""
    layer = attentive(dtype="mixed_bfloat16")
    pooled = layer(keras.ops.full((1, 259, FEATURES), 3.0, dtype="bfloat16"))
    assert pooled.dtype == tf.bfloat16
    np.testing.assert_array_equal(tf.cast(pooled, tf.float32), np.full((1, FEATURES), 3.0))
