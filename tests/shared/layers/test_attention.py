"""Both kinds of attention against their equations in NumPy, with and without masks."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from shared.layers import AdditiveAttention, DotProductAttention

BATCH, TIME, CELLS, QUERY, FEATURES, UNITS = 3, 4, 7, 5, 2, 6
MASK = np.array([[1] * 7, [1, 0, 1, 1, 0, 0, 1], [0, 0, 0, 0, 1, 0, 0]], bool)
EMPTY = np.array([[1] * 7, [0] * 7, [1, 1, 0, 0, 0, 0, 0]], bool)
KINDS = {
    "additive": lambda **kwargs: AdditiveAttention(UNITS, **kwargs),
    "one_head": lambda **kwargs: DotProductAttention(UNITS, **kwargs),
    "three_heads": lambda **kwargs: DotProductAttention(UNITS, num_heads=3, **kwargs),
}
every_kind = pytest.mark.parametrize("kind", KINDS)
masks = pytest.mark.parametrize("mask", [None, MASK, EMPTY], ids=["none", "holes", "empty_row"])


def make(kind, dtype="float32"):
    layer = KINDS[kind](dtype=dtype)
    layer.build((None, None, QUERY), (None, None, FEATURES))
    generator = np.random.default_rng(1)
    layer.set_weights([generator.normal(size=weight.shape) for weight in layer.get_weights()])
    return layer


def some_inputs(dtype="float32", seed=2):
    generator = np.random.default_rng(seed)
    query, values = (
        generator.normal(size=(BATCH, TIME, QUERY)),
        generator.normal(size=(BATCH, CELLS, FEATURES)),
    )
    return query.astype(dtype), values.astype(dtype)


def softmax(scores, mask):
    """Over valid cells only; a row without any has weights of zero."""
    weights = np.zeros_like(scores)
    valid = np.ones(len(scores), bool) if mask is None else mask
    if valid.any():
        exponentials = np.exp(scores[valid] - scores[valid].max())
        weights[valid] = exponentials / exponentials.sum()
    return weights


def additive(layer, query, values, mask):
    w, u, b = layer.query_projection.kernel, layer.key_projection.kernel, layer.key_projection.bias
    w, u, b, v = (np.asarray(weight) for weight in (w, u, b, layer.score.kernel))
    scores = np.array([np.tanh(query @ w + cell @ u + b) @ v[:, 0] for cell in values])
    weights = softmax(scores, mask)
    return weights @ values, weights


def dot_product(layer, query, values, mask):
    projections = (layer.query_projection, layer.key_projection, layer.value_projection)
    w_q, w_k, w_v = (np.asarray(projection.kernel) for projection in projections)
    contexts, weights = [], []
    size = UNITS // layer.num_heads
    for head in range(layer.num_heads):
        share = slice(head * size, (head + 1) * size)
        scores = (values @ w_k[:, share]) @ (query @ w_q[:, share]) / np.sqrt(size)
        weights.append(softmax(scores, mask))
        contexts.append(weights[-1] @ (values @ w_v[:, share]))
    return np.concatenate(contexts), np.mean(weights, axis=0)


def oracle(layer, query, values, mask=None):
    """One query and one row of memory at a time."""
    score = additive if isinstance(layer, AdditiveAttention) else dot_product
    rows = [
        [score(layer, one, values[row], None if mask is None else mask[row]) for one in query[row]]
        for row in range(len(query))
    ]
    return tuple(np.array([[pair[part] for pair in row] for row in rows]) for part in (0, 1))


def close(found, expected, tolerance=1e-5):
    for one, other in zip(keras.tree.flatten(found), keras.tree.flatten(expected), strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=tolerance, atol=tolerance)


@every_kind
@masks
def test_equals_the_equations_in_numpy(kind, mask):
    layer, (query, values) = make(kind), some_inputs()
    close(layer(query, layer.project(values), mask=mask), oracle(layer, query, values, mask))


@every_kind
@masks
def test_projects_a_raw_memory_on_the_way(kind, mask):
    layer, (query, values) = make(kind), some_inputs()
    close(layer(query, values, mask=mask), layer(query, layer.project(values), mask=mask), tolerance=0)


@every_kind
def test_one_query_at_a_time_equals_all_at_once(kind):
    layer, (query, values) = make(kind), some_inputs()
    memory = layer.project(values)
    steps = [layer(query[:, t : t + 1], memory, mask=MASK) for t in range(TIME)]
    found = [np.concatenate([np.asarray(step[part]) for step in steps], axis=1) for part in (0, 1)]
    close(found, layer(query, memory, mask=MASK))


@every_kind
def test_weights_add_up_to_one_on_valid_cells(kind):
    layer, (query, values) = make(kind), some_inputs()
    weights = np.asarray(layer(query, values, mask=EMPTY)[1])
    close(weights.sum(axis=-1), np.repeat([[1.0], [0.0], [1.0]], TIME, axis=1))
    assert not np.any(weights.transpose(0, 2, 1)[~EMPTY])


@every_kind
def test_memory_has_the_batch_first(kind):
    layer, (query, values) = make(kind), some_inputs()
    rows = [2, 0, 0, 1]
    memory = keras.tree.map_structure(
        lambda tensor: keras.ops.take(tensor, rows, axis=0), layer.project(values)
    )
    close(layer(query[rows], memory), [part.numpy()[rows] for part in layer(query, values)])


@every_kind
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "float16"])
def test_rows_without_a_cell_give_zeros_and_finite_gradients(kind, policy):
    layer, (query, values) = make(kind, dtype=policy), some_inputs()
    query, values = tf.constant(100 * query), tf.constant(values)  # far into the tails of the softmax
    with tf.GradientTape() as tape:
        tape.watch([query, values])
        context, weights = layer(query, values, mask=EMPTY)
        loss = tf.reduce_sum(tf.cast(context, "float32") ** 2) + tf.reduce_sum(weights**2)
    gradients = tape.gradient(loss, [query, values, *(v.value for v in layer.trainable_variables)])
    assert not np.any(context[1])
    assert not np.any(weights[1])
    assert weights.dtype == tf.float32
    assert context.dtype == layer.compute_dtype
    for tensor in (context, weights, *gradients):
        assert np.all(np.isfinite(tf.cast(tensor, "float32")))
    assert not np.any(gradients[0][1])


@every_kind
def test_gradients_equal_central_differences(kind):
    layer, (query, values) = make(kind, dtype="float64"), some_inputs("float64")
    generator = np.random.default_rng(4)
    mixing = generator.normal(size=layer(query, values)[0].shape)

    def loss():
        context, weights = layer(query, layer.project(values), mask=EMPTY)
        return tf.reduce_sum(context * mixing) + tf.reduce_sum(weights**2)

    with tf.GradientTape() as tape:
        value = loss()
    gradients = tape.gradient(value, [variable.value for variable in layer.trainable_variables])
    for variable, gradient in zip(layer.trainable_variables, gradients, strict=True):
        probe, start, step = generator.normal(size=variable.shape), variable.numpy(), 1e-5
        variable.assign(start + step * probe)
        above = loss().numpy()
        variable.assign(start - step * probe)
        difference = (above - loss().numpy()) / (2 * step)
        variable.assign(start)
        np.testing.assert_allclose(np.sum(gradient.numpy() * probe), difference, rtol=1e-7, atol=1e-9)


@every_kind
def test_a_layer_built_by_a_projected_memory_comes_back_with_its_weights(kind):
    """A projected memory does not tell the width of its values; the build config does."""
    layer, (query, values) = KINDS[kind](), some_inputs()
    expected = layer(query, layer.project(values))
    again = type(layer).from_config(layer.get_config())
    again.build_from_config(layer.get_build_config())
    again.set_weights(layer.get_weights())
    close(again(query, again.project(values)), expected, tolerance=0)


def test_heads_must_divide_the_units():
    with pytest.raises(ValueError, match="6 units do not divide into 4 heads"):
        DotProductAttention(6, num_heads=4)


@pytest.mark.parametrize("kind", [AdditiveAttention, DotProductAttention])
def test_units_must_be_positive(kind):
    with pytest.raises(ValueError, match="Expected a positive number"):
        kind(0)
