"""What every public layer keeps to: one row a layer, one test a promise.

A row says how to make the layer, the shapes of its inputs without the batch, and which of them the mask
belongs to.
"""

import dataclasses
import json
from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

import shared.layers
from shared.layers import (
    GRU,
    LSTM,
    AdditiveAttention,
    AttentionPooling,
    DotProductAttention,
    RecurrentStack,
    SimpleRNN,
)

LENGTHS = (5, 2, 4)  # valid steps in the masked input of each row of the batch
BATCH, TIME = len(LENGTHS), max(LENGTHS)
SEQUENCE = {"inputs": (TIME, 3)}
STATE = (4,)
ATTENTION = {"query": (7, 6), "memory": (TIME, 3)}


@dataclasses.dataclass(frozen=True)
class Row:
    """One layer of the table.

    `shapes` are the inputs in order; those named `state_...` make up the list `initial_state`, `nested` being
    the structure that the flat list is packed into. `masked` names the input whose second axis the mask
    covers.
    """

    make: Callable[..., keras.layers.Layer]
    shapes: dict[str, tuple[int, ...]]
    masked: str = "inputs"
    nested: list | None = None
    drops: bool = False

    def call(self, layer, tensors, mask=None, **kwargs):
        """Calls `layer` on the dict `tensors`."""
        states = [tensor for name, tensor in tensors.items() if name.startswith("state_")]
        if states:
            kwargs["initial_state"] = keras.tree.pack_sequence_as(self.nested, states)
        return layer(
            *(tensors[name] for name in tensors if not name.startswith("state_")), mask=mask, **kwargs
        )


def states(count):
    return {f"state_{index}": STATE for index in range(count)}


ROWS = {
    "SimpleRNN": Row(lambda **kw: SimpleRNN(4, **kw), SEQUENCE),
    "SimpleRNN, state": Row(lambda **kw: SimpleRNN(4, **kw), SEQUENCE | states(1), nested=[0]),
    "SimpleRNN, dropout": Row(lambda **kw: SimpleRNN(4, dropout=0.5, seed=8, **kw), SEQUENCE, drops=True),
    "SimpleRNN, weight dropout": Row(
        lambda **kw: SimpleRNN(4, recurrent_weight_dropout=0.5, seed=8, **kw), SEQUENCE, drops=True
    ),
    "GRU": Row(lambda **kw: GRU(4, **kw), SEQUENCE),
    "GRU, state": Row(lambda **kw: GRU(4, **kw), SEQUENCE | states(1), nested=[0]),
    "GRU, of the paper": Row(lambda **kw: GRU(4, reset_after=False, **kw), SEQUENCE),
    "GRU, dropout": Row(lambda **kw: GRU(4, dropout=0.5, seed=8, **kw), SEQUENCE, drops=True),
    "GRU, weight dropout": Row(
        lambda **kw: GRU(4, recurrent_weight_dropout=0.5, seed=8, **kw), SEQUENCE, drops=True
    ),
    "LSTM": Row(lambda **kw: LSTM(4, **kw), SEQUENCE),
    "LSTM, state": Row(lambda **kw: LSTM(4, **kw), SEQUENCE | states(2), nested=[0, 0]),
    "LSTM, dropout": Row(
        lambda **kw: LSTM(4, dropout=0.5, recurrent_dropout=0.5, seed=8, **kw), SEQUENCE, drops=True
    ),
    "LSTM, weight dropout": Row(
        lambda **kw: LSTM(4, dropout=0.5, recurrent_weight_dropout=0.5, seed=8, **kw), SEQUENCE, drops=True
    ),
    "RecurrentStack": Row(lambda **kw: RecurrentStack(4, **kw), SEQUENCE),
    "RecurrentStack, deep": Row(
        lambda **kw: RecurrentStack(4, cell="gru", depth=3, dropout=0.5, seed=8, **kw), SEQUENCE, drops=True
    ),
    "RecurrentStack, both ways": Row(
        lambda **kw: RecurrentStack(4, cell="simple", depth=2, bidirectional=True, dropout=0.5, seed=8, **kw),
        SEQUENCE,
        drops=True,
    ),
    "RecurrentStack, weight dropout": Row(
        lambda **kw: RecurrentStack(
            4, depth=2, bidirectional=True, dropout=0.5, recurrent_weight_dropout=0.5, seed=8, **kw
        ),
        SEQUENCE,
        drops=True,
    ),
    "RecurrentStack, state": Row(
        lambda **kw: RecurrentStack(4, depth=2, **kw), SEQUENCE | states(4), nested=[[0, 0], [0, 0]]
    ),
    "RecurrentStack, both ways, state": Row(
        lambda **kw: RecurrentStack(4, depth=1, bidirectional=True, **kw),
        SEQUENCE | states(4),
        nested=[[0, 0, 0, 0]],
    ),
    "AdditiveAttention": Row(lambda **kw: AdditiveAttention(4, **kw), ATTENTION, masked="memory"),
    "DotProductAttention": Row(lambda **kw: DotProductAttention(4, **kw), ATTENTION, masked="memory"),
    "DotProductAttention, heads": Row(
        lambda **kw: DotProductAttention(6, num_heads=3, **kw), ATTENTION, masked="memory"
    ),
    "AttentionPooling": Row(lambda **kw: AttentionPooling(4, **kw), SEQUENCE),
}
every_layer = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
while_training = pytest.mark.parametrize("training", [False, True], ids=["resting", "training"])
layers_that_drop = pytest.mark.parametrize(
    "row", [row for row in ROWS.values() if row.drops], ids=[name for name, row in ROWS.items() if row.drops]
)


def some_tensors(row):
    generator = np.random.default_rng(1)
    return {
        name: generator.normal(size=(BATCH, *shape)).astype("float32") for name, shape in row.shapes.items()
    }


def some_mask():
    return np.arange(TIME) < np.array(LENGTHS)[:, None]


def built(row, **kwargs):
    layer = row.make(**kwargs)
    row.call(layer, some_tensors(row))
    generator = np.random.default_rng(2)
    for weight in layer.trainable_variables:
        weight.assign(generator.normal(0, 0.5, weight.shape))
    return layer


def functional(row, layer):
    """A small model around the layer, of any batch and length, that takes the mask as an input."""
    inputs = {
        name: keras.Input((None, *shape[1:]) if len(shape) > 1 else shape, name=name)
        for name, shape in row.shapes.items()
    }
    mask = keras.Input((None,), dtype="bool", name="mask")
    outputs = keras.tree.flatten(row.call(layer, inputs, mask=mask))
    return keras.Model([*inputs.values(), mask], outputs)


def flat(outputs):
    return [np.asarray(keras.ops.cast(output, "float32")) for output in keras.tree.flatten(outputs)]


def close(found, expected, tolerance=1e-5):
    for one, other in zip(flat(found), flat(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def equal_where_both_are(large, small):
    """The corner of `large` that `small` covers equals it, and there is nothing but zeros beside."""
    for one, other in zip(flat(large), flat(small), strict=True):
        corner = tuple(slice(size) for size in other.shape)
        np.testing.assert_allclose(one[corner], other, rtol=1e-5, atol=1e-6)
        assert np.count_nonzero(one) == np.count_nonzero(one[corner])


def test_every_public_layer_has_a_row():
    public = [getattr(shared.layers, name) for name in shared.layers.__all__]
    layers = {item for item in public if isinstance(item, type)}
    assert {type(row.make()) for row in ROWS.values()} == layers


@every_layer
def test_shapes_are_known_before_anything_runs(row):
    layer = row.make()
    symbols = {name: keras.KerasTensor((None, *shape)) for name, shape in row.shapes.items()}
    promised = row.call(layer, symbols)
    given = row.call(layer, some_tensors(row))
    keras.tree.assert_same_structure(promised, given)
    for symbol, tensor in zip(keras.tree.flatten(promised), keras.tree.flatten(given), strict=True):
        assert symbol.shape == (None, *tensor.shape[1:])
        assert symbol.dtype == keras.backend.standardize_dtype(tensor.dtype)


@every_layer
def test_build_makes_all_weights(row):
    layer = row.make()
    row.call(layer, some_tensors(row))
    by_shapes = row.make()
    by_shapes.build_from_config(json.loads(json.dumps(layer.get_build_config())))
    assert by_shapes.built
    for one, other in zip(by_shapes.weights, layer.weights, strict=True):
        assert one.path.split("/")[1:] == other.path.split("/")[1:]  # the first part is the layer's own name
        assert one.shape == other.shape


@every_layer
def test_config_round_trip(row):
    layer = row.make(name="called", dtype="mixed_bfloat16")
    text = json.dumps(keras.saving.serialize_keras_object(layer))
    again = keras.saving.deserialize_keras_object(json.loads(text))
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()
    assert again.dtype_policy.name == "mixed_bfloat16"
    assert json.loads(text)["registered_name"] == f"unrolled>{type(layer).__name__}"


# Keras converts its variables by an `__array__` without the `copy` that NumPy 2 asks for.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
@every_layer
def test_saved_model_file_round_trip(row, tmp_path):
    layer = built(row)
    model = functional(row, layer)
    inputs = [*some_tensors(row).values(), some_mask()]
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert [type(one) for one in again.layers] == [type(one) for one in model.layers]
    close(again(inputs), model(inputs), tolerance=0)
    close(again(inputs), row.call(layer, some_tensors(row), mask=some_mask()))


@every_layer
def test_graph_of_any_batch_and_length_equals_eager(row):
    layer = built(row)
    signature = {
        name: tf.TensorSpec((None, None, *shape[1:]) if len(shape) > 1 else (None, *shape))
        for name, shape in row.shapes.items()
    }

    @tf.function(input_signature=[signature, tf.TensorSpec((None, None), tf.bool)])
    def run(tensors, mask):
        return row.call(layer, {name: tensors[name] for name in row.shapes}, mask=mask)

    close(run(some_tensors(row), some_mask()), row.call(layer, some_tensors(row), mask=some_mask()))


@every_layer
def test_a_padded_batch_equals_its_singles(row):
    layer, tensors = built(row), some_tensors(row)
    outputs = row.call(layer, tensors, mask=some_mask())
    for index, length in enumerate(LENGTHS):
        single = {name: tensor[index : index + 1] for name, tensor in tensors.items()}
        single[row.masked] = single[row.masked][:, :length]
        one = keras.tree.map_structure(lambda output, index=index: output[index : index + 1], outputs)
        equal_where_both_are(one, row.call(layer, single))


@every_layer
def test_more_padding_changes_nothing(row):
    layer, tensors = built(row), some_tensors(row)
    longer = dict(tensors)
    longer[row.masked] = np.pad(tensors[row.masked], ((0, 0), (0, 3), (0, 0)), constant_values=99.0)
    mask = np.pad(some_mask(), ((0, 0), (0, 3)))
    equal_where_both_are(row.call(layer, longer, mask=mask), row.call(layer, tensors, mask=some_mask()))


@every_layer
@while_training
def test_what_stands_in_padding_gets_no_gradient(row, training):
    layer = built(row)
    tensors = {name: tf.constant(tensor) for name, tensor in some_tensors(row).items()}
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        outputs = keras.tree.flatten(row.call(layer, tensors, mask=some_mask(), training=training))
        loss = sum(tf.reduce_sum(tf.sin(output)) for output in outputs)
    gradient = tape.gradient(loss, tensors[row.masked]).numpy()
    assert not np.any(gradient[~some_mask()])
    assert np.any(gradient[some_mask()])


@every_layer
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
def test_mixed_bfloat16(row, masked):
    layer = built(row, dtype="mixed_bfloat16")
    wide = built(row)
    mask = some_mask() if masked else None
    outputs = row.call(layer, some_tensors(row), mask=mask)
    assert keras.tree.flatten(outputs)[0].dtype == tf.bfloat16
    assert all(weight.dtype == "float32" for weight in layer.trainable_variables)
    close(outputs, row.call(wide, some_tensors(row), mask=mask), tolerance=0.1)  # finite, and about right


@every_layer
@while_training
def test_gradients_reach_every_trainable_weight(row, training):
    layer = built(row)
    with tf.GradientTape() as tape:
        outputs = keras.tree.flatten(row.call(layer, some_tensors(row), mask=some_mask(), training=training))
        loss = sum(tf.reduce_sum(tf.sin(output)) for output in outputs)
    gradients = tape.gradient(loss, [weight.value for weight in layer.trainable_variables])
    for weight, gradient in zip(layer.trainable_variables, gradients, strict=True):
        assert gradient is not None, weight.path
        assert np.all(np.isfinite(gradient)), weight.path
        assert np.any(gradient), weight.path


@layers_that_drop
def test_nothing_is_dropped_outside_of_training(row):
    layer = built(row)
    close(row.call(layer, some_tensors(row)), row.call(layer, some_tensors(row), training=False), tolerance=0)


@layers_that_drop
def test_seeds_make_dropout_deterministic(row):
    one, other = built(row), built(row)
    first = row.call(one, some_tensors(row), training=True)
    close(first, row.call(other, some_tensors(row), training=True), tolerance=0)
    second = row.call(one, some_tensors(row), training=True)
    close(second, row.call(other, some_tensors(row), training=True), tolerance=0)
    assert not np.array_equal(flat(first)[0], flat(second)[0])  # a new mask for each call
    assert not np.array_equal(flat(first)[0], flat(row.call(one, some_tensors(row)))[0])
