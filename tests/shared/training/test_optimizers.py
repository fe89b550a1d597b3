"""Muon for a recurrent network, its products in bfloat16, and AdamW with rates by layer."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from shared.layers import RecurrentStack
from shared.training.optimizers import ADAM_SHARE, BFloat16Muon, LayerwiseAdamW, make_adamw, make_muon

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


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: make_muon(RATE, "mixed_bfloat16", weight_decay=0.5), BFloat16Muon),
        (
            lambda: LayerwiseAdamW(0.01, parts=[(["a/embedding/b"], 0.5, 7)], weight_decay=0.25),
            LayerwiseAdamW,
        ),
    ],
)
def test_it_is_saved_and_loaded_like_any_optimizer(make, kind):
    optimizer = make()
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(again) is kind
    assert again.get_config() == optimizer.get_config()


def test_parts_survive_saving():
    optimizer = LayerwiseAdamW(0.01, parts=[(["a/embedding/b"], 0.5, 7)])
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert again.part_of("a/embedding/b") == (0.5, 7)
    assert again.part_of("a/output/b") == (1.0, 0)


def some_gradients(variables, seed):
    random = np.random.default_rng(seed)
    numbers = [random.uniform(0.5, 2.0, variable.shape) for variable in variables]
    return [tf.constant(n * random.choice([-1, 1], n.shape), "float32") for n in numbers]


def test_without_parts_layerwise_adamw_is_that_of_keras():
    models = make_network(), make_network()
    models[1].set_weights(models[0].get_weights())
    optimizers = LayerwiseAdamW(RATE, weight_decay=0.5), keras.optimizers.AdamW(RATE, weight_decay=0.5)
    for optimizer, model in zip(optimizers, models, strict=True):
        optimizer.exclude_from_weight_decay(var_names=["bias"])
        for step in range(3):
            changes(model, optimizer, some_gradients(model.trainable_variables, step))
    for one, other in zip(*(model.trainable_variables for model in models), strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=one.path)


def test_a_part_of_adamw_has_its_share_of_the_rate_from_its_first_step_on():
    model = make_network()
    variables = model.trainable_variables
    paths = [variable.path for variable in variables if "stack" in variable.path]
    optimizer = make_adamw(RATE, weight_decay=0.5, parts=[(paths, 0.25, 2)])
    assert type(make_adamw(RATE)) is keras.optimizers.AdamW
    for step in range(3):
        before, gradients = [variable.numpy() for variable in variables], some_gradients(variables, 7)
        found = changes(model, optimizer, gradients)
        for variable, change, value, gradient in zip(variables, found, before, gradients, strict=True):
            in_part = variable.path in paths
            rate = RATE * (0.25 if in_part else 1.0) * (step >= 2 or not in_part)
            decay = 0.5 if "kernel" in variable.path else 0.0
            # With the same gradient at each step, Adam's step is its sign.
            expected = -rate * (np.sign(gradient) + decay * value)
            np.testing.assert_allclose(change, expected, rtol=1e-3, atol=1e-6, err_msg=variable.path)
