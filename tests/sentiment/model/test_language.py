"""The language model against its equations, what it may see, and its loss over few words."""

import itertools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from sentiment.config import SentimentConfig
from sentiment.model.classifier import SentimentClassifier
from sentiment.model.language import WordLM
from shared.text.vocabulary import Vocabulary

WORDS = Vocabulary((*Vocabulary.SPECIALS, *"abcdefg"))
SIZE = len(WORDS)
BATCH, TIME, UNITS, EMBEDDING = 3, 7, 4, 5
KERAS = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU, "simple": keras.layers.SimpleRNN}
both_ways = pytest.mark.parametrize("direction", [0, 1], ids=["forward", "backward"])
every_cell = pytest.mark.parametrize("cell", KERAS)


def shuffle_weights(model, seed=1):
    random = np.random.default_rng(seed)
    for weight in model.trainable_variables:
        weight.assign(random.normal(0, 0.7, weight.shape))
    return model


def make_model(**settings):
    settings = {"units": UNITS, "embedding_size": EMBEDDING, "seed": 3, **settings}
    return shuffle_weights(WordLM(WORDS, **settings))


@pytest.fixture(scope="module")
def model():
    """A model of both directions that no test changes."""
    return make_model()


def some_tokens(batch=BATCH, time=TIME, seed=2):
    return np.random.default_rng(seed).integers(0, SIZE, (batch, time)).astype("int32")


def close(found, expected, tolerance=1e-5):
    for one, other in zip(keras.tree.flatten(found), keras.tree.flatten(expected), strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=tolerance, atol=tolerance)


def logits_of(model, tokens, direction, states=None):
    """In the order in which the direction reads."""
    hidden, states = model.hidden(tokens, direction, states)
    return np.asarray(model.score(hidden)), states


def by_keras(model, cell, tokens, direction):
    """The equations, with Keras's own layers; both directions read forwards what they are given."""
    matrix = model.embedding.get_weights()[0]
    outputs = matrix[tokens]
    for own in model.stack.backward_layers if direction else model.stack.forward_layers:
        layer = KERAS[cell](UNITS, return_sequences=True)
        layer.build(outputs.shape)
        layer.set_weights(own.get_weights())
        outputs = np.asarray(layer(outputs))
    kernel, bias = model.projections[direction].get_weights()
    return (outputs @ kernel + bias) @ matrix.T + model.output_bias.numpy()


@every_cell
@both_ways
def test_equals_its_equations(cell, direction):
    model = make_model(cell=cell)
    found, _ = logits_of(model, some_tokens(), direction)
    assert found.shape == (BATCH, TIME, SIZE)
    close(found, by_keras(model, cell, some_tokens(), direction))
    if not direction:
        close(model(some_tokens()), found, tolerance=0)


def test_several_layers_read_one_way():
    model = make_model(cell="gru", depth=2, bidirectional=False)
    close(model(some_tokens()), by_keras(model, "gru", some_tokens(), 0))
    assert len(model.projections) == len(model.get_initial_state(BATCH)) == 1
    with pytest.raises(ValueError, match=r"one layer, not 2.*--depth 1, or --no-bidirectional"):
        make_model(depth=2)


@both_ways
def test_no_direction_sees_the_word_that_it_predicts(model, direction):
    tokens = some_tokens()
    expected, _ = logits_of(model, tokens, direction)
    for place in range(TIME):
        changed = tokens.copy()
        changed[:, place] = (changed[:, place] + 1) % SIZE
        found, _ = logits_of(model, changed, direction)
        np.testing.assert_array_equal(found[:, :place], expected[:, :place])
        assert np.all(np.any(found[:, place:] != expected[:, place:], axis=2))


def test_the_directions_share_the_embedding_alone():
    model = make_model()
    expected, _ = logits_of(model, some_tokens(), 0)
    for layer in (model.stack.backward_layers[0], model.projections[1]):
        layer.set_weights([weight + 1.0 for weight in layer.get_weights()])
    np.testing.assert_array_equal(logits_of(model, some_tokens(), 0)[0], expected)
    model.embedding.set_weights([weight + 1.0 for weight in model.embedding.get_weights()])
    assert not np.allclose(logits_of(model, some_tokens(), 0)[0], expected)


@every_cell
@both_ways
def test_windows_with_their_state_equal_one_pass(cell, direction):
    model = make_model(cell=cell)
    expected, final = logits_of(model, some_tokens(), direction)
    states, found = model.get_initial_state(BATCH)[direction], []
    for window in np.split(some_tokens(), [2, 3], axis=1):
        logits, after = logits_of(model, window, direction, states)
        keras.tree.assert_same_structure(after, states)
        states = after
        found.append(logits)
    close(np.concatenate(found, axis=1), expected)
    close(states, final)


# The loss


def nats(logits, targets):
    """Of each target `(batch, time)`, in NumPy."""
    logits = logits.astype("float64")
    right = np.take_along_axis(logits, targets[:, :, None], axis=2)[:, :, 0]
    return np.log(np.exp(logits).sum(axis=2)) - right


@both_ways
def test_the_full_loss_is_the_mean_over_all_words_with_the_state_before(model, direction):
    tokens = some_tokens(time=TIME + 1)
    _, before = logits_of(model, some_tokens(seed=9), direction)
    logits, after = logits_of(model, tokens[:, :-1], direction, before)
    loss, states = model.full_loss(tokens, direction, before)
    assert float(loss) == pytest.approx(nats(logits, tokens[:, 1:]).mean(), rel=1e-5)
    assert float(loss) != pytest.approx(float(model.full_loss(tokens, direction)[0]), rel=1e-3)
    close(states, after, tolerance=0)


def loss_and_gradients(model, loss_of, tokens, direction):
    with tf.GradientTape() as tape:
        loss, states = loss_of(tokens, direction)
    weights = [weight.value for weight in model.trainable_variables]
    gradients = tape.gradient(loss, weights, unconnected_gradients="zero")
    return float(loss), [tf.convert_to_tensor(gradient).numpy() for gradient in gradients], states


@both_ways
def test_over_many_words_the_sampled_loss_is_the_full_one(direction):
    model = make_model(counts=np.arange(1, SIZE + 1), samples=60_001)
    tokens = some_tokens(time=TIME + 1)
    expected, full, states = loss_and_gradients(model, model.full_loss, tokens, direction)
    found, sampled, after = loss_and_gradients(model, model.sampled_loss, tokens, direction)
    assert found == pytest.approx(expected, rel=0.02)
    close(after, states)
    for one, other in zip(sampled, full, strict=True):
        np.testing.assert_allclose(one, other, atol=0.04 * max(np.abs(other).max(), 0.1))


def test_over_some_words_the_sampled_loss_is_near_the_full_one_on_average():
    model = make_model(counts=np.arange(1, SIZE + 1), samples=301)
    tokens = some_tokens(time=TIME + 1)
    draws = [float(model.sampled_loss(tokens)[0]) for _ in range(20)]
    assert np.std(draws) > 1e-4  # each call draws anew
    assert np.mean(draws) == pytest.approx(float(model.full_loss(tokens)[0]), rel=0.05)


def expected_gradient(monkeypatch, log_chances, right, counts):
    """Of the sampled loss by the bias, which alone makes the logits; the mean over all that can be drawn."""
    model = WordLM((*Vocabulary.SPECIALS, "a"), counts, samples=2, units=3, embedding_size=2)
    for projection in model.projections:
        projection.set_weights([0 * weight for weight in projection.get_weights()])
    model.output_bias.assign(log_chances)
    chances = np.array(counts) / np.sum(counts)
    middles = np.cumsum(chances) - chances / 2
    tokens, gradient = np.stack([np.zeros_like(right), right], axis=1), 0.0
    for drawn in itertools.product(range(5), repeat=2):
        monkeypatch.setattr(
            keras.random,
            "uniform",
            lambda shape, seed, drawn=drawn: tf.constant(middles[list(drawn)], "float32"),
        )
        with tf.GradientTape() as tape:
            loss, _ = model.sampled_loss(tokens)
        (found,) = tape.gradient(loss, [model.output_bias.value])
        gradient += np.prod(chances[list(drawn)]) * tf.convert_to_tensor(found).numpy()
    return gradient


def test_the_sampled_loss_is_best_where_the_full_one_is(monkeypatch):
    """Also with two words, and with one that is far more frequent than the rest."""
    often = np.array([1, 2, 3, 4, 10])  # how often each token is right
    right = np.repeat(np.arange(5), often).astype("int32")
    for counts in ([5, 3, 1, 2, 4], [1, 1, 1, 1, 30]):
        gradient = expected_gradient(monkeypatch, np.log(often / 20), right, counts)
        np.testing.assert_allclose(gradient, np.zeros(5), atol=1e-3)
        elsewhere = expected_gradient(monkeypatch, np.zeros(5), right, counts)
        assert np.abs(elsewhere).max() > 0.01


def test_from_the_start_frequent_words_are_likely():
    counts = np.arange(1, SIZE + 1) ** 3
    model = WordLM(WORDS, counts, units=UNITS, embedding_size=EMBEDDING, seed=1)
    chances = np.exp(model.output_bias.numpy())
    np.testing.assert_allclose(chances, counts / counts.sum(), rtol=1e-2)


def test_words_that_were_never_counted_can_be_right():
    counts = np.zeros(SIZE)
    counts[4] = 7
    loss, _ = make_model(counts=counts, samples=5).sampled_loss(some_tokens())
    assert np.isfinite(float(loss))


# Dropout, precision, and on the way to a classifier


def test_dropout_is_for_training_and_a_seed_decides():
    tokens = some_tokens()

    def calls(seed):
        model = make_model(dropout=0.5, seed=seed, cell="simple")
        return [np.asarray(model(tokens, training=True)) for _ in range(2)], model

    (first, second), model = calls(3)
    assert not np.array_equal(first, second)
    close(calls(3)[0], [first, second], tolerance=0)
    assert not np.array_equal(calls(4)[0][0], first)
    close(model(tokens), make_model(cell="simple")(tokens), tolerance=0)


def test_mixed_bfloat16_is_near_float32():
    tokens = some_tokens()
    mixed, wide = make_model(dtype="mixed_bfloat16"), make_model()
    assert {weight.dtype for weight in mixed.trainable_variables} == {"float32"}
    for direction in (0, 1):
        hidden, states = mixed.hidden(tokens, direction)
        assert {tensor.dtype for tensor in keras.tree.flatten([hidden, states])} == {tf.bfloat16}
        expected = float(wide.full_loss(tokens, direction)[0])
        for loss, _ in (mixed.full_loss(tokens, direction), mixed.sampled_loss(tokens, direction)):
            assert loss.dtype == tf.float32
        assert float(mixed.full_loss(tokens, direction)[0]) == pytest.approx(expected, rel=0.02)


def classifier(**settings):
    settings = {"units": UNITS, "embedding_size": EMBEDDING, **settings}
    return shuffle_weights(SentimentClassifier(WORDS, ["x", "y"], **settings), seed=7)


def test_a_classifier_starts_with_the_embedding_and_the_recurrence(model):
    started, other = classifier(), classifier()
    model.start(started)
    for name in ("embedding", "stack"):
        close(getattr(started, name).get_weights(), getattr(model, name).get_weights(), tolerance=0)
    close(started.output_layer.get_weights(), other.output_layer.get_weights(), tolerance=0)
    ids = some_tokens()
    outputs, _ = started.stack(started.embed(ids))
    hidden, _ = model.hidden(ids)
    kernel, bias = model.projections[0].get_weights()
    close(outputs[:, :, :UNITS] @ kernel + bias, hidden)  # it reads as it did


@pytest.mark.parametrize("changes", [{"units": 3}, {"bidirectional": False}, {"cell": "gru"}, {"depth": 2}])
def test_a_classifier_of_another_form_cannot_start(model, changes):
    with pytest.raises(ValueError, match="weight"):
        model.start(classifier(**changes))


def test_save_and_load(tmp_path):
    model = make_model(counts=range(SIZE), samples=9, cell="simple", dropout=0.25)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert type(again) is WordLM
    assert again.get_config() == model.get_config()
    assert json.loads(json.dumps(model.get_config()))["counts"] == list(range(SIZE))
    for direction in (0, 1):
        close(logits_of(again, some_tokens(), direction), logits_of(model, some_tokens(), direction))


def test_every_setting_of_a_run_reaches_the_model():
    settings = {"cell": "gru", "units": 7, "depth": 2, "bidirectional": False, "embedding_size": 3}
    settings |= {"samples": 11, "seed": 5}
    config = SentimentConfig(**settings, dropout=0.5, pretrain_dropout=0.25)
    model = WordLM.from_settings(config, WORDS, range(SIZE), dtype="mixed_bfloat16")
    assert (settings | {"dropout": 0.25}).items() <= {**model.get_config(), "counts": None}.items()
    assert (model.drop_output.rate, model.dtype_policy.name) == (0.25, "mixed_bfloat16")
    assert model.counts.tolist() == list(range(SIZE))
