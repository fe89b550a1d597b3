"""The reader of reviews against its parts, as an ordinary Keras model, and from and to a folder."""

import dataclasses
import itertools
import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import sentiment.model.exported
from sentiment.app import APP
from sentiment.config import NETWORK, POOLINGS, SentimentConfig
from sentiment.data.labels import LABELS_FILE, save_labels
from sentiment.model.classifier import SentimentClassifier
from shared.runs.folder import RunError, RunFolder
from shared.runs.weights import save_weights
from shared.system.cli import UserError
from shared.text.vocabulary import Vocabulary, VocabularyError

WORDS = Vocabulary((*Vocabulary.SPECIALS, "a", "good", "bad", "film", "with", "songs", "."))
LABELS = ("bad", "good", "so-so")
BATCH, TIME, UNITS, EMBEDDING = 3, 7, 4, 5
KERAS = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU, "simple": keras.layers.SimpleRNN}
MASK = np.arange(TIME) < np.array([[7], [4], [1]])
every_pooling = pytest.mark.parametrize("pooling", POOLINGS)


def shuffle_weights(model, seed=1):
    random = np.random.default_rng(seed)
    for weight in model.trainable_variables:
        weight.assign(random.normal(0, 0.7, weight.shape))
    *_, mean, variance = model.normalization.get_weights()
    model.normalization.moving_mean.assign(random.normal(0, 0.3, mean.shape))
    model.normalization.moving_variance.assign(random.uniform(0.5, 2.0, variance.shape))
    return model


def make_model(**settings):
    settings = {"units": UNITS, "embedding_size": EMBEDDING, "window": 4, "seed": 3, **settings}
    return shuffle_weights(SentimentClassifier(WORDS, LABELS, **settings))


@pytest.fixture(scope="module")
def shared_model():
    """A model that no test changes."""
    return make_model()


def some_tokens(batch=BATCH, time=TIME, seed=2):
    return np.random.default_rng(seed).integers(0, len(WORDS), (batch, time)).astype("int32")


def close(found, expected, tolerance=1e-5):
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=tolerance, atol=tolerance)


# Against its parts


def keras_stack(model, cell):
    """Keras's own layers with the weights of the stack: all outputs and the last states `h` of a row."""
    layers = []
    for index, forward in enumerate(model.stack.forward_layers):
        layer = KERAS[cell](UNITS, return_sequences=True, return_state=True)
        weights = forward.get_weights()
        if model.stack.bidirectional:
            layer = keras.layers.Bidirectional(layer)
            weights += model.stack.backward_layers[index].get_weights()
        layer.build((None, None, weights[0].shape[0]))
        layer.set_weights(weights)
        layers.append(layer)

    def run(row):
        for layer in layers:
            row, *states = layer(row)
        size = len(states) // 2 if model.stack.bidirectional else len(states)
        return np.asarray(row)[0], np.concatenate([np.asarray(h)[0] for h in states[::size]])

    return run


def normal(model, vector):
    gamma, beta, mean, variance = model.normalization.get_weights()
    return gamma * (vector - mean) / np.sqrt(variance + 1e-3) + beta


def pooled(model, outputs, last):
    """What becomes of the outputs `(time, features)` of one row, in NumPy."""
    if model.pooling == "attention":
        kernel, bias, vector = model.attention.get_weights()
        powers = np.exp(np.tanh(outputs @ kernel + bias) @ vector[:, 0])
        return powers / powers.sum() @ outputs
    pools = {"last": last, "mean": outputs.mean(axis=0), "max": outputs.max(axis=0)}
    if model.pooling == "concat":
        return np.concatenate([pools["last"], pools["mean"], pools["max"]])
    return pools[model.pooling]


STACKS = {
    "lstm, both ways": {"cell": "lstm"},
    "gru, two layers, both ways": {"cell": "gru", "depth": 2},
    "simple": {"cell": "simple", "bidirectional": False},
    "lstm": {"cell": "lstm", "bidirectional": False},
}


@pytest.mark.parametrize(
    ("stack", "pooling"),
    [
        *(("lstm, both ways", pooling) for pooling in POOLINGS),
        *(("simple", pooling) for pooling in POOLINGS),
        ("gru, two layers, both ways", "concat"),
        ("lstm", "concat"),
    ],
)
def test_a_padded_batch_equals_layers_of_keras_put_together_row_by_row(stack, pooling):
    settings = STACKS[stack]
    model = make_model(pooling=pooling, **settings)
    run = keras_stack(model, settings["cell"])
    matrix, (kernel, bias) = model.embedding.get_weights()[0], model.output_layer.get_weights()
    found = model(some_tokens(), mask=MASK)
    assert (tuple(found.shape), found.dtype) == ((BATCH, len(LABELS)), tf.float32)
    for row, length in enumerate(MASK.sum(axis=1)):
        outputs, last = run(matrix[some_tokens()[row : row + 1, :length]])
        close(found[row], normal(model, pooled(model, outputs, last)) @ kernel + bias)


@every_pooling
def test_padding_is_never_seen(pooling):
    model, tokens = make_model(pooling=pooling), some_tokens()
    changed = np.where(MASK, tokens, (tokens + 1) % len(WORDS))
    longer = np.pad(changed, ((0, 0), (0, 6)), constant_values=5)
    expected = np.asarray(model(tokens, mask=MASK))
    close(model(changed, mask=MASK), expected, tolerance=0)
    close(model(longer, mask=np.pad(MASK, ((0, 0), (0, 6)))), expected)
    assert not np.allclose(model(tokens), expected, atol=1e-3)  # without a mask every token counts


@pytest.mark.parametrize(
    ("pooling", "bidirectional"),
    [*((pooling, True) for pooling in POOLINGS), ("last", False), ("max", False)],
)
def test_a_long_review_is_read_from_its_first_to_its_last_word(pooling, bidirectional):
    model, count = make_model(pooling=pooling, bidirectional=bidirectional, cell="gru", window=2), 9
    ids = some_tokens(1, count)[0]
    logits = model.logits([ids])
    for place in (0, 1, 4, 7, 8):
        # Not every other word moves a maximum.
        others = [np.where(np.arange(count) == place, other, ids) for other in range(len(WORDS))]
        moved = np.abs(model.logits(others) - logits).max(axis=1)
        assert moved.max() > 1e-3, place
    model.window = None
    close(model(ids[None]), logits)


def test_parts_are_the_whole(shared_model):
    embedded = shared_model.embed(some_tokens())
    assert tuple(embedded.shape) == (BATCH, TIME, EMBEDDING)
    close(shared_model.classify(embedded, mask=MASK), shared_model(some_tokens(), mask=MASK), tolerance=0)


def test_in_training_a_batch_is_normal_and_the_model_remembers_how_it_was():
    model = make_model(pooling="mean", bidirectional=False)
    before = model.normalization.get_weights()
    outputs, _ = model.stack(model.embed(some_tokens(31)))
    means = np.asarray(outputs).mean(axis=1)  # (batch, units)
    kernel, bias = model.output_layer.get_weights()
    gamma, beta, mean, variance = before
    expected = gamma * (means - means.mean(axis=0)) / np.sqrt(means.var(axis=0) + 1e-3) + beta
    close(model(some_tokens(31), training=True), expected @ kernel + bias)
    _, _, after_mean, after_variance = model.normalization.get_weights()
    close(after_mean, 0.9 * mean + 0.1 * means.mean(axis=0))
    close(after_variance, 0.9 * variance + 0.1 * means.var(axis=0))


def test_it_becomes_normal_for_the_texts_that_it_is_given():
    model = make_model(cell="gru")
    random = np.random.default_rng(3)
    sequences = [random.integers(4, len(WORDS), length).astype("int32") for length in (3, 9, 1, 5, 7)]
    model.normalize_by(sequences)
    vectors = np.concatenate([model.pool(model.embed(ids[None])) for ids in sequences])
    close(model.normalization.moving_mean, vectors.mean(axis=0))
    close(model.normalization.moving_variance, vectors.var(axis=0))
    kernel, bias = model.output_layer.get_weights()
    expected = np.array([normal(model, vector) for vector in vectors]) @ kernel + bias
    close(model.logits(sequences), expected)  # a graph that is there already sees the new numbers


# Texts


def test_a_text_becomes_its_words_between_start_and_end(shared_model):
    found = shared_model.encode("A GOOD film, with songs.")
    assert found.dtype == np.int32
    comma = Vocabulary.UNK
    assert found.tolist() == [
        1,
        *WORDS.encode(["a", "good", "film"]),
        comma,
        *WORDS.encode(["with", "songs", "."]),
        2,
    ]
    assert shared_model.encode("").tolist() == [1, 2]


def test_probabilities_are_those_of_the_logits_at_the_temperature():
    model = make_model()
    texts = ["a good film", "", "bad " * 50, "\0 \U0001f600 \u0641\u064a\u0644\u0645", "?!"]
    told = []
    found = model.probabilities(texts, told.append)
    assert (found.shape, found.dtype) == ((5, 3), np.float32)
    assert sum(told) == 5
    logits = np.concatenate([model(model.encode(text)[None]) for text in texts]).astype("float64")
    for temperature in (1.0, 0.25, 3.0):
        model.temperature = temperature
        powers = np.exp(logits / temperature)
        close(model.probabilities(texts), powers / powers.sum(axis=1, keepdims=True))
    close(model.logits([model.encode(text) for text in texts]), logits)  # which have no temperature


def test_one_text_has_one_row(shared_model):
    found = shared_model.probabilities("a good film")
    assert found.shape == (3,)
    np.testing.assert_array_equal(found, shared_model.probabilities(["a good film"])[0])
    np.testing.assert_array_equal(
        found, shared_model.probabilities_of_ids([shared_model.encode("a good film")])[0]
    )


def test_no_texts_give_no_probabilities(shared_model):
    assert shared_model.probabilities([]).shape == (0, 3)


# Dropout

RATES = ("dropout", "word_dropout", "input_dropout", "output_dropout", "recurrent_weight_dropout")
SMALL = {"depth": 2, "cell": "simple", "bidirectional": False, "window": 512}


def test_dropout_is_off_outside_of_training():
    model = make_model(**SMALL, **dict.fromkeys(RATES, 0.5))
    close(model(some_tokens(), mask=MASK), make_model(**SMALL)(some_tokens(), mask=MASK), tolerance=0)


@pytest.mark.parametrize("name", RATES)
def test_each_dropout_is_drawn_anew_and_a_seed_repeats_it(name):
    def calls(seed):
        model = make_model(**{name: 0.5, "seed": seed}, **SMALL)
        return [np.asarray(model(some_tokens(), training=number > 0)) for number in range(4)]

    found = calls(3)
    close(calls(3), found, tolerance=0)
    for one, other in itertools.combinations(found, 2):  # the first has nothing dropped
        assert not np.array_equal(one, other)


@pytest.mark.parametrize(
    ("name", "axis"), [("word_dropout", 2), ("input_dropout", 1)], ids=["whole words", "all steps alike"]
)
def test_what_is_dropped_of_the_embedded_words(monkeypatch, name, axis):
    model = make_model(**{name: 0.5}, embedding_size=31)
    seen = []
    monkeypatch.setattr(
        model.stack,
        "call",
        lambda inputs, **kwargs: seen.append(inputs) or type(model.stack).call(model.stack, inputs, **kwargs),
    )
    embedded = np.ones((BATCH, 31, 31), "float32")
    model.classify(embedded, training=True)
    kept = np.asarray(seen[0])
    np.testing.assert_allclose(np.unique(kept), [0.0, 2.0])
    np.testing.assert_array_equal(kept, np.repeat(np.take(kept, [0], axis=axis), 31, axis=axis))
    assert not np.array_equal(kept[0], kept[1])  # each review has its own


@pytest.mark.parametrize("seed", [0, 2**31])
def test_no_two_kinds_of_dropout_have_the_same_seed(seed):
    model = make_model(seed=seed, depth=2, cell="simple")
    layers = [*model.stack.forward_layers, *model.stack.backward_layers]
    dropouts = [model.drop_words, model.drop_input, model.drop_output, *model.stack.dropout_layers]
    seeds = [layer.seed for layer in dropouts] + [layer.cell.seed for layer in layers]
    assert len(set(seeds)) == len(seeds) == 8
    assert all(one >= 0 for one in seeds)


# An ordinary Keras model


def test_compile_fit_predict_save_and_load(tmp_path):
    settings = {"pooling": "attention", "cell": "simple", "bidirectional": False, "window": 512}
    model = make_model(**settings, output_dropout=0.1)
    random = np.random.default_rng(1)
    tokens = random.integers(4, len(WORDS), (34, 11)).astype("int32")
    labels = (tokens == WORDS.encode(["good"])).any(axis=1).astype("int32")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.05), loss)
    history = model.fit(tokens, labels, batch_size=17, epochs=6, verbose=0)
    assert history.history["loss"][-1] < 0.7 * history.history["loss"][0]
    predicted = model.predict(tokens[:5], verbose=0)
    assert predicted.shape == (5, 3)
    assert model.evaluate(tokens[:5], labels[:5], verbose=0) > 0
    model.temperature = 1.75
    probabilities = model.probabilities(["a good film"])  # a graph is there when the model is saved
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert type(again) is SentimentClassifier
    assert (again.vocabulary, again.labels, again.temperature) == (WORDS, LABELS, 1.75)
    assert dict(again.settings) == dict(model.settings)
    close(again(tokens[:5]), predicted)
    close(again.probabilities(["a good film"]), probabilities)


def test_it_is_a_layer_of_another_model(shared_model):
    tokens, mask = keras.Input((None,), dtype="int32"), keras.Input((None,), dtype="bool")
    model = keras.Model([tokens, mask], keras.ops.softmax(shared_model(tokens, mask=mask)))
    close(model([some_tokens(), MASK]), keras.ops.softmax(shared_model(some_tokens(), mask=MASK)))


def test_config_round_trip_through_json():
    words = (*Vocabulary.SPECIALS, "\u00e9", "\U0001f600", '"')
    settings = {
        "cell": "gru",
        "units": 5,
        "pooling": "attention",
        "embedding_size": 3,
        "window": 9,
        "seed": 4,
    }
    model = SentimentClassifier(words, ["a", "\u00e9"], **settings, dtype="mixed_bfloat16")
    text = json.dumps(keras.saving.serialize_keras_object(model))
    again = keras.saving.deserialize_keras_object(json.loads(text))
    assert again.vocabulary == Vocabulary(words)
    assert again.get_config() == model.get_config()
    assert again.dtype_policy.name == "mixed_bfloat16"
    assert settings.items() <= dict(again.settings).items()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cell": "rnn"}, "Unknown cell 'rnn'"),
        ({"pooling": "sum"}, "Unknown pooling 'sum'. Expected concat, last"),
        ({"depth": 0}, "at least one layer"),
        ({"dropout": 1.0}, "Expected a rate"),
        ({"recurrent_weight_dropout": -0.1}, "Expected a rate"),
        ({"window": 0}, "window is 0. Expected at least one step"),
    ],
)
def test_settings_that_cannot_be_used(settings, message):
    with pytest.raises(ValueError, match=message):
        make_model(**settings)


@pytest.mark.parametrize("labels", [[], ["good"], ["good", "bad", "good"]])
def test_labels_that_cannot_be_told_apart(labels):
    with pytest.raises(ValueError, match="Expected at least two, all different"):
        SentimentClassifier(WORDS, labels, units=UNITS)


def test_mixed_bfloat16_is_near_float32():
    mixed, wide = (make_model(dtype=dtype) for dtype in ("mixed_bfloat16", "float32"))
    logits = mixed(some_tokens(), mask=MASK)
    assert logits.dtype == tf.float32
    assert {weight.dtype for weight in mixed.weights if "seed" not in weight.path} == {"float32"}
    assert mixed.embed(some_tokens()).dtype == tf.bfloat16
    assert mixed.stack.compute_dtype == "bfloat16"
    close(logits, wide(some_tokens(), mask=MASK), tolerance=0.1)
    close(mixed.logits([some_tokens()[0]]), logits[:1], tolerance=0.05)


def test_a_power_of_the_length_makes_short_texts_less_sure():
    plain = make_model()
    model = SentimentClassifier(WORDS, LABELS, **{**plain.settings, "length_power": 0.5})
    for weight, value in zip(model.weights, plain.weights, strict=True):
        weight.assign(value)
    lengths = MASK.sum(axis=1, keepdims=True)
    expected = plain(some_tokens(), mask=MASK) * np.sqrt(lengths / 250.0)
    close(model(some_tokens(), mask=MASK), expected)
    close(model(some_tokens()), plain(some_tokens()) * np.sqrt(MASK.shape[1] / 250.0))


def test_the_temperature_is_no_weight_to_be_trained():
    model = make_model()
    assert all("temperature" not in weight.path for weight in model.trainable_variables)
    assert sum("temperature" in weight.path for weight in model.weights) == 1
    assert model.temperature == 1.0


# From settings, run folders and names


def unusual_config(**changes):
    settings = {"cell": "gru", "units": 7, "depth": 2, "bidirectional": False, "embedding_size": 3}
    settings |= {"pooling": "attention", "dropout": 0.11, "word_dropout": 0.12, "input_dropout": 0.13}
    settings |= {"output_dropout": 0.14, "recurrent_weight_dropout": 0.15, "window": 13, "seed": 5}
    settings |= {"most_surprise": 6.5, "length_power": 0.25}
    return SentimentConfig(**{**settings, **changes})


def test_every_setting_of_a_run_reaches_the_model():
    config = unusual_config()
    model = SentimentClassifier.from_settings(config, WORDS, LABELS, dtype="mixed_bfloat16")
    assert len(model.settings) == len(NETWORK) == 15
    assert dict(model.settings) == {name: getattr(config, name) for name in model.settings}
    assert model.known_words.most_surprise == 6.5
    assert model.dtype_policy.name == "mixed_bfloat16"
    assert (model.drop_words.rate, model.drop_input.rate, model.drop_output.rate) == (0.12, 0.13, 0.14)
    stack = model.stack
    assert (stack.dropout, stack.recurrent_weight_dropout, stack.bidirectional) == (0.11, 0.15, False)
    assert (model.window, model.pooling, model.labels) == (13, "attention", LABELS)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run folder, whose model was trained under a mixed policy."""
    config = unusual_config()
    path = tmp_path_factory.mktemp("finished") / "run"
    run = RunFolder.create(path, dataclasses.asdict(config), "sentiment")
    WORDS.save(run.vocabulary_file)
    save_labels(run, LABELS)
    model = SentimentClassifier.from_settings(config, WORDS, LABELS, dtype="mixed_bfloat16")
    shuffle_weights(model).temperature = 1.375
    run.save_best_weights(model)
    return path


@pytest.fixture
def run(finished, tmp_path):
    return RunFolder.open(shutil.copytree(finished, tmp_path / "run"), "sentiment")


def test_a_run_folder_gives_the_model_back_in_float32(run):
    model = SentimentClassifier.from_run(run)
    assert model.dtype_policy.name == "float32"
    assert (model.vocabulary, model.labels, model.temperature) == (WORDS, LABELS, 1.375)
    expected = shuffle_weights(SentimentClassifier.from_settings(unusual_config(), WORDS, LABELS))
    for one, other in zip(model.weights, expected.weights, strict=True):
        if "seed" not in one.path and "temperature" not in one.path:
            np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=one.path)


def test_half_precision_weights_load(run):
    expected = SentimentClassifier.from_run(run)
    save_weights(run.best_weights, SentimentClassifier.from_run(run), half=True)
    model = SentimentClassifier.from_run(run)
    close(model(some_tokens()), expected(some_tokens()), tolerance=0.01)
    assert not np.array_equal(model(some_tokens()), expected(some_tokens()))
    assert model.temperature == 1.375


def test_a_run_without_weights(run):
    run.best_weights.unlink()
    with pytest.raises(RunError, match="has no checkpoint yet"):
        SentimentClassifier.from_run(run)


def test_a_run_without_labels(run):
    (run.path / LABELS_FILE).unlink()
    with pytest.raises(RunError, match=r"labels\.json cannot be read"):
        SentimentClassifier.from_run(run)


def test_a_vocabulary_that_was_edited(run):
    text = run.vocabulary_file.read_text(encoding="utf-8")
    run.vocabulary_file.write_text(text.replace('"good"', '"fine"'), encoding="utf-8")
    with pytest.raises(VocabularyError, match=r"vocabulary\.json"):
        SentimentClassifier.from_run(run)


def test_a_vocabulary_of_another_run(run):
    Vocabulary((*WORDS.tokens, "one", "more")).save(run.vocabulary_file)
    tokens = len(WORDS) + 2
    with pytest.raises(
        UserError, match=rf"does not fit the {tokens} tokens of vocabulary\.json.*run folder again"
    ):
        SentimentClassifier.from_run(run)


def test_labels_of_another_run(run):
    save_labels(run, LABELS[:2])
    with pytest.raises(UserError, match=r"best\.safetensors does not fit"):
        SentimentClassifier.from_run(run)


@pytest.mark.parametrize(
    "changes", [{"units": 9}, {"depth": 3}, {"cell": "lstm"}, {"bidirectional": True}, {"pooling": "concat"}]
)
def test_settings_of_another_run(run, changes):
    other = RunFolder(run.path, {**run.config, **changes})
    with pytest.raises(UserError, match=r"config\.json beside it, or is damaged"):
        SentimentClassifier.from_run(other)


def test_damaged_weights(run):
    content = run.best_weights.read_bytes()
    run.best_weights.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"best\.safetensors does not fit"):
        SentimentClassifier.from_run(run)


def test_a_name_may_be_a_run_folder_a_preset_or_an_exported_model(run, tmp_path, monkeypatch):
    monkeypatch.setattr(type(APP), "presets", tmp_path)
    monkeypatch.chdir("/")
    expected = SentimentClassifier.from_run(run)(some_tokens())
    for name in (run.path, str(run.path), "run"):  # the last one is a preset now
        close(APP.load(name)(some_tokens()), expected, tolerance=0)
    (tmp_path / "exported").mkdir()
    (tmp_path / "exported" / "saved_model.pb").touch()
    with pytest.raises(UserError, match=r"no settings, and no sentiment\.json"):
        APP.load(tmp_path / "exported")
    (tmp_path / "exported" / "sentiment.json").touch()
    monkeypatch.setattr(sentiment.model.exported, "ExportedSentiment", lambda path: ("exported", path))
    assert APP.load(tmp_path / "exported") == ("exported", tmp_path / "exported")


def test_a_name_of_no_sentiment_model(tmp_path):
    with pytest.raises(UserError, match=r"no model 'poems'.*run folder of sentiment\.train"):
        APP.load("poems")
    RunFolder.create(tmp_path / "pictures", {}, "captioning")
    with pytest.raises(RunError, match="captioning"):
        APP.load(tmp_path / "pictures")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="not a run folder"):
        APP.load(tmp_path / "empty")
    (tmp_path / "other").mkdir()
    for file in ("saved_model.pb", "charlm.json"):
        (tmp_path / "other" / file).touch()
    with pytest.raises(UserError, match=r"not a SavedModel of sentiment\.export: it has charlm\.json"):
        APP.load(tmp_path / "other")
