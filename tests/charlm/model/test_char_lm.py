"""The character model against its parts, as an ordinary Keras model, and on the way from and to a folder."""

import dataclasses
import itertools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from charlm.app import APP
from charlm.config import NETWORK, CharLMConfig
from charlm.model.char_lm import CharLM
from charlm.text.characters import CharacterVocabulary
from shared.application import Application
from shared.runs.folder import RunError, RunFolder
from shared.runs.weights import save_weights
from shared.system.cli import UserError
from shared.text.vocabulary import VocabularyError

CHARACTERS = "helo w"
SIZE = 256 + len(CHARACTERS)
BATCH, TIME, UNITS, EMBEDDING = 3, 7, 5, 4
KERAS = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU, "simple": keras.layers.SimpleRNN}
MODELS = {
    "lstm": {"cell": "lstm", "depth": 2},
    "gru, tied": {"cell": "gru", "depth": 3, "tie_embeddings": True},
    "simple": {"cell": "simple", "depth": 1},
}
every_model = pytest.mark.parametrize("settings", MODELS.values(), ids=MODELS.keys())


def make_model(**settings):
    model = CharLM(CHARACTERS, **{"units": UNITS, "embedding_size": EMBEDDING, "seed": 3, **settings})
    random = np.random.default_rng(1)
    for weight in model.trainable_variables:
        weight.assign(random.normal(0, 0.5, weight.shape))
    return model


def some_tokens(batch=BATCH, time=TIME, seed=2):
    return np.random.default_rng(seed).integers(0, SIZE, (batch, time)).astype("int32")


def close(found, expected, tolerance=1e-5):
    for one, other in zip(keras.tree.flatten(found), keras.tree.flatten(expected), strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=tolerance, atol=tolerance)


@every_model
def test_equals_layers_of_keras_put_together(settings):
    model = make_model(**settings)
    matrix = model.embedding.get_weights()[0]
    outputs = matrix[some_tokens()] * (UNITS**0.5 if settings.get("tie_embeddings") else 1)
    for own in model.stack.forward_layers:
        layer = KERAS[settings["cell"]](UNITS, return_sequences=True)
        layer.build(outputs.shape)
        layer.set_weights(own.get_weights())
        outputs = np.asarray(layer(outputs))
    if settings.get("tie_embeddings"):
        expected = outputs @ matrix.T
    else:
        kernel, bias = model.output_layer.get_weights()
        expected = outputs @ kernel + bias
    logits = model(some_tokens())
    assert tuple(logits.shape) == (BATCH, TIME, SIZE)
    close(logits, expected)


@every_model
def test_steps_equal_the_call(settings):
    model = make_model(**settings)
    tokens, states = some_tokens(), model.get_initial_state(BATCH)
    found = []
    for index in range(TIME):
        logits, states = model.step(tokens[:, index], states)
        found.append(logits)
    logits, final = model.logits(tokens)
    close(np.stack(found, axis=1), model(tokens))
    close(states, final)
    close(logits, model(tokens))


def test_masked_tokens_are_skipped():
    model, tokens = make_model(**MODELS["lstm"]), some_tokens()
    mask = np.arange(TIME) < np.array([[TIME], [4], [1]])
    logits, states = model.logits(tokens, mask=mask)
    for row, length in enumerate(mask.sum(axis=1)):
        alone, alone_states = model.logits(tokens[row : row + 1, :length])
        close(logits[row : row + 1, :length], alone)
        close([[state[row : row + 1] for state in layer] for layer in states], alone_states)


@every_model
def test_reading_gives_the_logits_of_what_follows_and_goes_on(settings):
    model = make_model(**settings)
    tokens = some_tokens()
    logits, states = model.read(tokens[:, :4], model.get_initial_state(BATCH))
    close(logits, model(tokens)[:, 3])
    logits, states = model.read(tokens[:, 4:], states)
    close(logits, model(tokens)[:, -1])
    close(states, model.logits(tokens)[1])


def test_logits_depend_on_what_came_before_alone():
    model, tokens = make_model(), some_tokens()
    changed = tokens.copy()
    changed[:, 4] = (changed[:, 4] + 1) % SIZE
    one, other = np.asarray(model(tokens)), np.asarray(model(changed))
    close(one[:, :4], other[:, :4], tolerance=0)
    assert np.all(np.any(one[:, 4:] != other[:, 4:], axis=-1))


@pytest.mark.parametrize("tied", [False, True])
def test_weights_are_those_of_the_equations(tied):
    model = make_model(tie_embeddings=tied, cell="lstm", depth=2)
    width = UNITS if tied else EMBEDDING
    expected = [(SIZE, width)]
    for features in (width, UNITS):
        expected += [(features, 4 * UNITS), (UNITS, 4 * UNITS), (4 * UNITS,)]
    expected += [] if tied else [(UNITS, SIZE), (SIZE,)]
    assert sorted(tuple(weight.shape) for weight in model.trainable_variables) == sorted(expected)


def test_a_tied_matrix_learns_from_both_of_its_uses():
    model = make_model(tie_embeddings=True, depth=1)
    tokens = np.full((1, 2), 7)

    def gradient(watch_output_only):
        with tf.GradientTape() as tape:
            hidden, _ = model.stack(model.embed(tokens))
            hidden = tf.stop_gradient(hidden) if watch_output_only else hidden
            loss = tf.reduce_sum(tf.nn.log_softmax(model.head(hidden))[..., 9])
        found = tape.gradient(loss, model.embedding.trainable_variables[0].value)
        return tf.convert_to_tensor(found).numpy()

    both, output = gradient(False), gradient(True)
    assert np.all(np.any(output != 0, axis=-1))  # the softmax moves every row
    changed = np.any(np.abs(both - output) > 1e-6, axis=-1)
    assert np.flatnonzero(changed).tolist() == [7]  # the one that was read moves for that too


# Dropout


def test_dropout_is_off_outside_of_training():
    rates = {"dropout": 0.5, "input_dropout": 0.5, "output_dropout": 0.5, "recurrent_weight_dropout": 0.5}
    close(make_model(**rates)(some_tokens()), make_model()(some_tokens()), tolerance=0)


@pytest.mark.parametrize("name", ["dropout", "input_dropout", "output_dropout", "recurrent_weight_dropout"])
def test_each_dropout_is_drawn_anew_and_a_seed_decides(name):
    def calls(seed):
        model = make_model(**{name: 0.5, "seed": seed})
        return [np.asarray(model(some_tokens(), training=True)) for _ in range(3)]

    first = calls(3)
    close(calls(3), first, tolerance=0)
    dry = np.asarray(make_model()(some_tokens()))
    for one, other in itertools.combinations([*first, dry], 2):
        assert not np.array_equal(one, other)
    assert not np.array_equal(calls(4)[0], first[0])


@pytest.mark.parametrize("name", ["input_dropout", "output_dropout"])
def test_one_mask_for_all_steps_of_a_row(monkeypatch, name):
    seen = []
    model = make_model(**{name: 0.5}, units=31, embedding_size=31)
    layer = {"input_dropout": model.drop_input, "output_dropout": model.drop_output}[name]
    call = layer.call
    monkeypatch.setattr(
        layer, "call", lambda x, training=False: seen.append((x, call(x, training))) or seen[-1][1]
    )
    model(some_tokens(), training=True)
    ((before, after),) = seen
    ratio = np.asarray(after) / np.asarray(before)  # (batch, time, width)
    np.testing.assert_allclose(ratio, np.repeat(ratio[:, :1], TIME, axis=1), rtol=1e-6)
    np.testing.assert_allclose(np.unique(np.round(ratio, 5)), [0.0, 2.0])
    assert not np.array_equal(ratio[0], ratio[1])  # each row has its own


@pytest.mark.parametrize("seed", [0, 1, 2, 2**31])
def test_no_two_kinds_of_dropout_have_the_same_seed(seed):
    model = make_model(seed=seed, depth=3)
    dropouts = [model.drop_input, model.drop_output, *model.stack.dropout_layers]
    seeds = [layer.seed for layer in dropouts] + [layer.cell.seed for layer in model.stack.forward_layers]
    assert len(set(seeds)) == len(seeds) == 7
    assert all(one >= 0 for one in seeds)


# An ordinary Keras model


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
@pytest.mark.parametrize(
    "settings", [MODELS["lstm"], {**MODELS["gru, tied"], "depth": 1}], ids=["lstm", "gru, tied"]
)
def test_compile_fit_predict_save_and_load(settings, tmp_path):
    model = make_model(**settings, dropout=0.1, output_dropout=0.1)
    tokens = np.tile(model.vocabulary.encode("hello w"), (34, 2))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.05), loss)
    history = model.fit(tokens[:, :-1], tokens[:, 1:], batch_size=17, epochs=4, verbose=0)
    assert history.history["loss"][-1] < 0.85 * history.history["loss"][0]
    predicted = model.predict(tokens[:5, :-1], verbose=0)
    assert predicted.shape == (5, 13, SIZE)
    assert model.evaluate(tokens[:5, :-1], tokens[:5, 1:], verbose=0) > 0
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert type(again) is CharLM
    assert again.vocabulary == model.vocabulary
    assert again.settings == model.settings
    close(again(tokens[:5, :-1]), predicted)
    logits, _ = again.step(tokens[:5, 0], again.get_initial_state(5))
    close(logits, predicted[:, 0])


def test_config_round_trip_through_json():
    vocabulary = CharacterVocabulary("\n\u00e9\U0001f600\x00")
    model = CharLM(vocabulary, cell="gru", units=5, depth=1, embedding_size=3, dtype="mixed_bfloat16")
    text = json.dumps(keras.saving.serialize_keras_object(model))
    again = keras.saving.deserialize_keras_object(json.loads(text))
    assert again.vocabulary == vocabulary
    assert again.get_config() == model.get_config()
    assert again.dtype_policy.name == "mixed_bfloat16"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cell": "rnn"}, "Unknown cell 'rnn'"),
        ({"depth": 0}, "at least one layer"),
        ({"dropout": 1.0}, "Expected a rate"),
        ({"recurrent_weight_dropout": -0.1}, "Expected a rate"),
    ],
)
def test_settings_that_cannot_be_used(settings, message):
    with pytest.raises(ValueError, match=message):
        make_model(**settings)


@every_model
def test_mixed_bfloat16_is_near_float32(settings):
    mixed, wide = make_model(**settings, dtype="mixed_bfloat16"), make_model(**settings)
    logits = mixed(some_tokens())
    assert logits.dtype == tf.bfloat16
    assert {weight.dtype for weight in mixed.trainable_variables} == {"float32"}
    assert {layer.compute_dtype for layer in mixed.layers} == {"bfloat16"}
    close(tf.cast(logits, "float32"), wide(some_tokens()), tolerance=0.06)
    states = mixed.get_initial_state(BATCH)
    assert {state.dtype for state in keras.tree.flatten(states)} == {tf.bfloat16}
    logits, after = mixed.step(some_tokens()[:, 0], states)
    assert logits.dtype == tf.bfloat16
    keras.tree.assert_same_structure(states, after)


# From settings, run folders and names


def unusual_config(**changes):
    settings = {"cell": "gru", "units": 7, "depth": 1, "embedding_size": 3, "dropout": 0.11}
    settings |= {"input_dropout": 0.12, "output_dropout": 0.13, "recurrent_weight_dropout": 0.14, "seed": 5}
    return CharLMConfig(**{**settings, **changes})


@pytest.mark.parametrize("tied", [False, True])
def test_every_setting_of_a_run_reaches_the_model(tied):
    config = unusual_config(tie_embeddings=tied)
    model = CharLM(CHARACTERS, **config.pick(NETWORK), dtype="mixed_bfloat16")
    assert model.settings == config.pick(NETWORK)
    assert model.dtype_policy.name == "mixed_bfloat16"
    assert (model.drop_input.rate, model.drop_output.rate) == (0.12, 0.13)
    assert (model.stack.dropout, model.stack.recurrent_weight_dropout) == (0.11, 0.14)
    assert (model.output_layer is None) == tied


@pytest.fixture
def run(tmp_path):
    """A run folder, whose model was trained under a mixed policy."""
    config = unusual_config()
    run = RunFolder.create(tmp_path / "run", dataclasses.asdict(config), "charlm")
    vocabulary = CharacterVocabulary(CHARACTERS)
    vocabulary.save(run.vocabulary_file)
    model = CharLM(vocabulary, **config.pick(NETWORK), dtype="mixed_bfloat16")
    random = np.random.default_rng(1)
    for weight in model.trainable_variables:
        weight.assign(random.normal(0, 0.5, weight.shape))
    run.save_best_weights(model)
    return run


def test_a_run_folder_gives_the_model_back_in_float32(run):
    model = CharLM.from_run(run)
    assert model.dtype_policy.name == "float32"
    assert model.vocabulary.characters == tuple(CHARACTERS)
    random = np.random.default_rng(1)
    for weight in model.trainable_variables:
        np.testing.assert_array_equal(weight.numpy(), random.normal(0, 0.5, weight.shape).astype("float32"))


def test_half_precision_weights_load(run):
    expected = CharLM.from_run(run)(some_tokens())
    save_weights(run.best_weights, CharLM.from_run(run), half=True)
    logits = CharLM.from_run(run)(some_tokens())
    close(logits, expected, tolerance=0.01)
    assert not np.array_equal(logits, expected)


def test_a_run_without_weights(run):
    run.best_weights.unlink()
    with pytest.raises(RunError):
        CharLM.from_run(run)


def test_a_vocabulary_that_was_edited(run):
    text = run.vocabulary_file.read_text(encoding="utf-8")
    assert '"w"' in text
    run.vocabulary_file.write_text(text.replace('"w"', '"q"'), encoding="utf-8")
    with pytest.raises(VocabularyError, match=r"vocabulary\.json"):
        CharLM.from_run(run)


@pytest.mark.parametrize("characters", ["helo", "helo wx"])
def test_a_vocabulary_of_another_run(run, characters):
    CharacterVocabulary(characters).save(run.vocabulary_file)
    tokens = 256 + len(characters)
    with pytest.raises(
        UserError, match=rf"does not fit the {tokens} tokens of vocabulary\.json.*run folder again"
    ):
        CharLM.from_run(run)


@pytest.mark.parametrize("changes", [{"units": 9}, {"depth": 2}, {"cell": "lstm"}, {"tie_embeddings": True}])
def test_settings_of_another_run(run, changes):
    other = RunFolder(run.path, {**run.config, **changes})
    with pytest.raises(UserError, match=r"config\.json beside it, or is damaged"):
        CharLM.from_run(other)


def test_damaged_weights(run):
    content = run.best_weights.read_bytes()
    run.best_weights.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"best\.safetensors does not fit"):
        CharLM.from_run(run)


def test_a_name_may_be_a_run_folder_a_preset_or_an_exported_model(run, tmp_path, monkeypatch):
    monkeypatch.setattr(Application, "presets", tmp_path)
    monkeypatch.chdir("/")
    expected = CharLM.from_run(run)(some_tokens())
    for name in (run.path, str(run.path), "run"):  # the last one is a preset now
        close(APP.load(name)(some_tokens()), expected, tolerance=0)
    (tmp_path / "exported").mkdir()
    for file in ("saved_model.pb", APP.export_file):
        (tmp_path / "exported" / file).touch()
    app = dataclasses.replace(APP, load_export=lambda path: ("exported", path))
    assert app.load(tmp_path / "exported") == ("exported", tmp_path / "exported")


def test_a_name_of_no_character_model(run, tmp_path):
    with pytest.raises(UserError, match=r"no model 'poems'.*run folder of charlm\.train"):
        APP.load("poems")
    RunFolder.create(tmp_path / "pictures", {}, "captioning")
    with pytest.raises(RunError, match="captioning"):
        APP.load(tmp_path / "pictures")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="not a run folder"):
        APP.load(tmp_path / "empty")
    (tmp_path / "reviews").mkdir()
    for file in ("saved_model.pb", "sentiment.json"):
        (tmp_path / "reviews" / file).touch()
    with pytest.raises(UserError, match=r"not a SavedModel of charlm\.export: it has sentiment\.json"):
        APP.load(tmp_path / "reviews")
