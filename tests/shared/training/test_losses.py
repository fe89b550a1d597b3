"""Sequence cross entropy against Keras's own loss, and where that one cannot go."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from shared.training.losses import sequence_cross_entropy

VOCABULARY = 11


def make_batch(shape=(3, 5, 7), scale=2.0):
    random = np.random.default_rng(4)
    logits = random.normal(scale=scale, size=(*shape, VOCABULARY)).astype("float32")
    targets = random.integers(0, VOCABULARY, shape)
    return targets, logits, random.random(shape) < 0.6


def keras_loss(targets, logits, mask, smoothing):
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing, reduction=None)
    losses = loss(np.eye(VOCABULARY, dtype="float32")[targets], logits)
    weights = ops.cast(mask, "float32")
    return ops.sum(losses * weights) / ops.sum(weights)


def value_and_gradient(function, logits):
    logits = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = function(logits)
    return float(value), tape.gradient(value, logits).numpy()


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
@pytest.mark.parametrize("shape", [(4, 7), (3, 5, 7)])
def test_equals_keras_with_smoothing_and_mask(shape, smoothing):
    targets, logits, mask = make_batch(shape)
    value, gradient = value_and_gradient(
        lambda z: sequence_cross_entropy(targets, z, mask, label_smoothing=smoothing), logits
    )
    expected, expected_gradient = value_and_gradient(
        lambda z: keras_loss(targets, z, mask, smoothing), logits
    )
    assert value == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(gradient, expected_gradient, atol=1e-7)


def test_without_a_mask_all_tokens_count():
    targets, logits, mask = make_batch()
    everywhere = sequence_cross_entropy(targets, logits, np.ones_like(mask), 0.1)
    assert float(sequence_cross_entropy(targets, logits, label_smoothing=0.1)) == float(everywhere)


def test_masked_tokens_change_nothing_whatever_they_hold():
    targets, logits, mask = make_batch()
    value = float(sequence_cross_entropy(targets, logits, mask, 0.1))
    targets[~mask] = -1
    logits[~mask] = np.nan
    assert float(sequence_cross_entropy(targets, logits, mask, 0.1)) == value


def test_nothing_to_count_is_zero():
    targets, logits, mask = make_batch()
    value, gradient = value_and_gradient(
        lambda z: sequence_cross_entropy(targets, z, np.zeros_like(mask), 0.1), logits
    )
    assert value == 0.0
    assert not gradient.any()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_large_bfloat16_logits_are_safe(smoothing):
    # Powers of two are exact in bfloat16; their exponentials overflow any type.
    logits = np.full((2, 3, VOCABULARY), -512.0, "float32")
    logits[..., 4] = 1024.0
    targets = np.array([[4, 4, 4], [4, 4, 0]])
    value, gradient = value_and_gradient(
        lambda z: sequence_cross_entropy(targets, ops.cast(z, "bfloat16"), label_smoothing=smoothing), logits
    )
    wrong = 1536.0
    uniform = wrong * (VOCABULARY - 1) / VOCABULARY
    assert value == pytest.approx((1 - smoothing) * wrong / 6 + smoothing * uniform, rel=1e-6)
    assert np.isfinite(gradient).all()


def test_bfloat16_logits_lose_nothing_but_their_own_rounding():
    targets, logits, mask = make_batch()
    rounded = ops.cast(logits, "bfloat16")
    loss = sequence_cross_entropy(targets, rounded, mask, 0.1)
    assert keras.backend.standardize_dtype(loss.dtype) == "float32"
    assert float(loss) == float(sequence_cross_entropy(targets, ops.cast(rounded, "float32"), mask, 0.1))


@pytest.mark.parametrize("smoothing", [-0.1, 1.0])
def test_smoothing_outside_its_range_is_refused(smoothing):
    with pytest.raises(ValueError, match="label_smoothing"):
        sequence_cross_entropy(*make_batch(), smoothing)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_weights_make_a_weighted_mean(smoothing):
    targets, logits, mask = make_batch()
    weights = np.random.default_rng(9).uniform(0.1, 3.0, targets.shape).astype("float32")
    value, gradient = value_and_gradient(
        lambda z: sequence_cross_entropy(targets, z, mask, smoothing, weights=weights), logits
    )
    expected, expected_gradient = value_and_gradient(
        lambda z: keras_loss(targets, z, mask * weights, smoothing), logits
    )
    assert value == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(gradient, expected_gradient, atol=1e-7)


def test_equal_weights_are_no_weights_and_a_weight_of_zero_is_a_mask():
    targets, logits, mask = make_batch()
    plain = sequence_cross_entropy(targets, logits, mask, 0.1)
    for weight in (1.0, 0.25):
        weighted = sequence_cross_entropy(targets, logits, mask, 0.1, np.full(targets.shape, weight))
        assert float(weighted) == pytest.approx(float(plain), rel=1e-6)
    masked = sequence_cross_entropy(targets, logits, None, 0.1, mask.astype("float32"))
    assert float(masked) == pytest.approx(float(plain), rel=1e-6)
    assert float(sequence_cross_entropy(targets, logits, mask, 0.1, np.zeros(targets.shape))) == 0.0
