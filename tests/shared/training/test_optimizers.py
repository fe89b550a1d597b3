"""Muon for a recurrent network: which variables it is for, and its matrix products in bfloat16."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from shared.layers import RecurrentStack
from shared.training.optimizers import ADAM_SHARE, BFloat16Muon, make_muon

RATE = 0.1


def make_network(cell="lstm", policy="float32"):
    inputs = keras.Input((None,), dtype="int32")
    embedded = keras.layers.Embedding(11, 7, dtype=policy, name="embedding")(inputs)
    outputs, _ = RecurrentStack(5, cell=cell, depth=2, dtype=policy, name="stack")(embedded)
    return keras.Model(inputs, keras.layers.Dense(3, dtype=policy, name="output")(outputs))


def changes(model, optimizer, gradients):
    before = [variable.numpy() for variable in model.trainable_variables]
    optimizer.apply(gradients, model.trainable_variables)
    after = [variable.numpy() for variable in model.trainable_variables]
    return [new - old for new, old in zip(after, before, strict=True)]


def is_of_the_recurrence(variable):
    return "stack" in variable.path and "kernel" in variable.path


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("cell", ["lstm", "gru", "simple"])
def test_the_matrices_of_the_recurrence_turn_and_all_else_has_the_steps_of_adam(cell, policy):
    model, random = make_network(cell, policy), np.random.default_rng(5)
    numbers = [random.uniform(0.5, 2, v.shape) for v in model.trainable_variables]
    gradients = [tf.constant(n * random.choice([-1, 1], n.shape), "float32") for n in numbers]
    found = changes(model, make_muon(RATE, policy), gradients)
    orthogonal = 0
    for variable, change, gradient in zip(model.trainable_variables, found, gradients, strict=True):
        if is_of_the_recurrence(variable):
            singular = np.linalg.svd(change, compute_uv=False)
            assert singular.max() < 2 * singular.min(), variable.path
            assert np.sum(change * gradient) < 0  # downhill
            orthogonal += 1
        else:  # the first step of Adam: the sign alone
            expected = -RATE * ADAM_SHARE * np.sign(gradient)
            np.testing.assert_allclose(change, expected, rtol=1e-3, err_msg=variable.path)
    assert orthogonal == 4


@pytest.mark.parametrize("cell", ["lstm", "gru", "simple"])
def test_only_matrices_decay(cell):
    model = make_network(cell)
    values = [variable.numpy() + 1.0 for variable in model.trainable_variables]  # biases are not 0
    for variable, value in zip(model.trainable_variables, values, strict=True):
        variable.assign(value)
    nothing = [tf.zeros(variable.shape) for variable in model.trainable_variables]
    found = changes(model, make_muon(RATE, weight_decay=0.5), nothing)
    for variable, change, value in zip(model.trainable_variables, found, values, strict=True):
        share = -RATE * 0.5 if "kernel" in variable.path else 0.0
        np.testing.assert_allclose(change, share * value, rtol=1e-4, atol=1e-7, err_msg=variable.path)


def test_the_policy_says_in_what_it_computes():
    assert type(make_muon(RATE, "mixed_bfloat16")) is BFloat16Muon
    assert type(make_muon(RATE, "float32")) is keras.optimizers.Muon


@pytest.mark.parametrize("shape", [(5, 7), (7, 5), (31, 13)])
def test_in_bfloat16_an_update_becomes_as_orthogonal(shape):
    update = np.random.default_rng(1).normal(size=shape).astype("float32")
    turned = BFloat16Muon(RATE).zeropower_via_newtonschulz5(tf.constant(update), 5)
    assert turned.dtype == tf.float32
    np.testing.assert_array_equal(turned, tf.cast(tf.cast(turned, tf.bfloat16), tf.float32))
    left, _, right = np.linalg.svd(update, full_matrices=False)
    inner = left.T @ turned.numpy() @ right.T  # the identity, if it were the nearest orthogonal matrix
    singular = np.diag(inner)
    assert 0.5 < singular.min() < singular.max() < 1.3
    np.testing.assert_allclose(inner, np.diag(singular), atol=0.1)


def test_it_is_saved_and_loaded_like_any_optimizer():
    optimizer = make_muon(RATE, "mixed_bfloat16", weight_decay=0.5)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(again) is BFloat16Muon
    assert again.get_config() == optimizer.get_config()
