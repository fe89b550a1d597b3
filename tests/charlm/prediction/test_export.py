"""The exported character model: prompts in, the texts of the Python model out, with TensorFlow alone."""

import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from charlm import evaluate
from charlm import export as script
from charlm.app import APP
from charlm.config import CharLMConfig
from charlm.model import signatures
from charlm.model.char_lm import CharLM
from charlm.model.exported import SETTINGS_FILE, VOCABULARY_FILE, ExportedCharLM, nested, state_names
from charlm.model.generate import generate, stream
from charlm.model.scoring import Scorer
from charlm.model.signatures import charlm_signatures
from charlm.prediction import export
from charlm.prediction.export import check_export
from charlm.text.characters import CharacterVocabulary
from shared.export import ExportError
from shared.runs.folder import RunFolder
from shared.system.cli import UserError, run_script
from shared.text.vocabulary import VocabularyError

CHARACTERS = "helo\n\u00e9"
ODD = "h\u00e9l\U0001f600\u20ac\0"  # with characters that the vocabulary lacks
PROMPTS = ["hello", "", ODD, "l", "hello hello hello"]
NO_LIMITS = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 3}
DTYPES = {
    "count": tf.int32,
    "temperature": tf.float32,
    "top_k": tf.int32,
    "top_p": tf.float32,
    "seed": tf.int64,
}


def make_model(seed=3, **options):
    keras.utils.set_random_seed(seed)
    settings = {"units": 7, "depth": 2, "embedding_size": 5, **options}
    model = CharLM(CHARACTERS, **settings)
    for weight in model.weights:  # a new model is indifferent to what it reads
        if "embeddings" in weight.path or "kernel" in weight.path:
            weight.assign(weight * 3.0)
    return model


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture(scope="module")
def run(model, tmp_path_factory):
    config = CharLMConfig(units=7, depth=2, embedding_size=5)
    run = RunFolder.create(tmp_path_factory.mktemp("runs") / "tiny", dataclasses.asdict(config), "charlm")
    model.vocabulary.save(run.vocabulary_file)
    run.save_best_weights(model)
    return run


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    """The folder that the script makes of the run; the script compares it with the model."""
    path = tmp_path_factory.mktemp("exports") / "model"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUDA_VISIBLE_DEVICES", "-1")  # as the script will, and back again
        assert run_script(script.main, ["--model", str(run.path), "--out", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def loaded(exported):
    return tf.saved_model.load(str(exported)).signatures


@pytest.fixture(scope="module")
def in_python(model):
    """The signatures before they are saved."""
    return charlm_signatures(model)


def write(signature, prompts, count, **options):
    told = {**NO_LIMITS, "count": count, **options}
    inputs = {name: tf.constant(value, DTYPES[name]) for name, value in told.items()}
    return [text.decode() for text in signature(prompts=tf.constant(prompts), **inputs)["texts"].numpy()]


# -- generate --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["generate", "serving_default"])
@pytest.mark.parametrize(
    "options", [{}, {"temperature": 0.6, "seed": 2**40}, {"top_k": 3}, {"top_p": 0.7, "top_k": 50}], ids=str
)
def test_texts_are_those_of_python(model, loaded, name, options):
    expected = generate(model, PROMPTS, 31, **{"temperature": 1.0, "seed": 3, **options})
    assert write(loaded[name], PROMPTS, 31, **options) == expected
    assert len(set("".join(expected))) > 20, "a model that always writes the same proves nothing"


def test_prompts_of_different_lengths_are_read_as_if_alone(loaded):
    together = write(loaded["generate"], PROMPTS, 23, top_k=1)
    assert together == [write(loaded["generate"], [prompt], 23, top_k=1)[0] for prompt in PROMPTS]
    assert len(set(together)) == len(PROMPTS), "prompts must matter"


@pytest.mark.parametrize("chunk", [1, 4])
def test_long_prompts_are_read_in_chunks(model, chunk, monkeypatch):
    expected = generate(model, PROMPTS, 19, temperature=1.0, seed=3)
    monkeypatch.setattr(signatures, "CHUNK", chunk)
    assert write(charlm_signatures(model)["generate"], PROMPTS, 19) == expected


def test_count_is_of_characters(loaded):
    longer = write(loaded["generate"], PROMPTS, 40)
    assert any(len(text.encode()) > 40 for text in longer)
    for count in (0, 1, 17):
        assert write(loaded["generate"], PROMPTS, count) == [text[:count] for text in longer]


def test_no_prompts_no_texts(loaded):
    assert write(loaded["generate"], np.array([], dtype=np.str_), 5) == []


def test_bytes_that_are_no_text_are_read_as_replacements(loaded):
    strings = [b"he\xff", b"\xe2\x82", b"\xed\xa0\x80l"]
    texts = [string.decode("utf-8", "replace") for string in strings]
    assert write(loaded["generate"], strings, 17) == write(loaded["generate"], texts, 17)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": -1}, "count must be at least 0, received"),
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"temperature": -1.0}, "temperature must be above 0"),
        ({"temperature": np.nan}, "temperature must be above 0"),
        ({"top_p": 0.0}, "top_p must be above 0"),
        ({"top_p": np.nan}, "top_p must be above 0"),
    ],
    ids=str,
)
def test_options_out_of_range_fail_the_call(loaded, options, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        write(loaded["generate"], ["h"], **{"count": 3, **options})


# -- score -----------------------------------------------------------------------------------------------


def nats_in_numpy(model, text):
    """The chain rule, one call of the model for each token."""
    ids, total = [model.vocabulary.start], 0.0
    for token in model.vocabulary.encode(text).tolist():
        logits = np.asarray(model(np.array([ids]))[0, -1], np.float64)
        total += np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[token]
        ids.append(token)
    return total / max(len(text), 1)


def test_scores_are_those_of_the_chain_rule(model, loaded):
    outputs = loaded["score"](texts=tf.constant(PROMPTS))
    np.testing.assert_allclose(outputs["nats"], [nats_in_numpy(model, text) for text in PROMPTS], atol=1e-5)
    assert outputs["characters"].numpy().tolist() == [len(text) for text in PROMPTS]
    assert outputs["nats"].dtype == tf.float32
    assert outputs["nats"][PROMPTS.index("")] == 0.0


def test_ragged_texts_are_scored_as_if_alone(loaded):
    together = loaded["score"](texts=tf.constant(PROMPTS))["nats"]
    alone = [loaded["score"](texts=tf.constant([text]))["nats"][0] for text in PROMPTS]
    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("chunk", [1, 4])
def test_long_texts_are_scored_in_chunks(loaded, model, chunk, monkeypatch):
    whole = loaded["score"](texts=tf.constant(PROMPTS))["nats"]
    monkeypatch.setattr(signatures, "CHUNK", chunk)
    found = charlm_signatures(model)["score"](texts=tf.constant(PROMPTS))["nats"]
    np.testing.assert_allclose(found, whole, atol=1e-5)


def test_texts_without_characters(loaded):
    outputs = loaded["score"](texts=tf.constant(["", ""]))
    assert outputs["nats"].numpy().tolist() == [0.0, 0.0]
    assert outputs["characters"].numpy().tolist() == [0, 0]
    assert loaded["score"](texts=tf.constant([], tf.string))["nats"].shape == (0,)


# -- steps -----------------------------------------------------------------------------------------------


def test_steps_equal_the_call_of_the_model(model, loaded):
    tokens = np.random.default_rng(0).integers(0, len(model.vocabulary), (3, 5)).astype(np.int32)
    expected = model(tokens)
    states = loaded["initial_state"](batch_size=tf.constant(3))
    read = loaded["read"](tokens=tf.constant(tokens), **states)
    np.testing.assert_allclose(read.pop("logits"), expected, atol=1e-5)
    for time in range(5):
        outputs = loaded["step"](tokens=tf.constant(tokens[:, time]), **states)
        np.testing.assert_allclose(outputs.pop("logits"), expected[:, time], atol=1e-5)
        states = outputs
    assert states.keys() == read.keys() == {"state_0_0", "state_0_1", "state_1_0", "state_1_1"}
    for name, state in states.items():
        np.testing.assert_allclose(read[name], state, atol=1e-5)


def test_the_first_states_are_zeros(loaded):
    for state in loaded["initial_state"](batch_size=tf.constant(3)).values():
        np.testing.assert_array_equal(state, np.zeros((3, 7), np.float32))


def test_names_of_states_are_flat_and_lead_back():
    states = [[f"h{layer}", f"c{layer}"] for layer in range(11)]
    names = state_names(states)
    assert names[:3] == ["state_0_0", "state_0_1", "state_1_0"]
    by_name = dict(zip(names, [part for layer in states for part in layer], strict=True))
    assert nested(dict(sorted(by_name.items()))) == states, "state_10_0 comes after state_2_0"


# -- the graph -------------------------------------------------------------------------------------------


def test_signatures_are_flat_and_named(loaded):
    states = {f"state_{layer}_{part}" for layer in range(2) for part in range(2)}
    options = {"prompts", "count", "temperature", "top_k", "top_p", "seed"}
    expected = {
        "serving_default": (options, {"texts"}),
        "generate": (options, {"texts"}),
        "score": ({"texts"}, {"nats", "characters"}),
        "initial_state": ({"batch_size"}, states),
        "step": ({"tokens"} | states, {"logits"} | states),
        "read": ({"tokens"} | states, {"logits"} | states),
    }
    found = {
        name: (set(function.structured_input_signature[1]), set(function.structured_outputs))
        for name, function in loaded.items()
    }
    assert found == expected


def test_the_graph_has_stock_operations_only(exported):
    proto = SavedModel.FromString((exported / "saved_model.pb").read_bytes())
    graph = proto.meta_graphs[0].graph_def
    ops = {node.op for nodes in (graph.node, *(f.node_def for f in graph.library.function)) for node in nodes}
    assert {"MatMul", "UnicodeDecode"} <= ops
    unwanted = ("Cudnn", "PyFunc", "EagerPyFunc", "Xla")
    assert not [name for name in ops if name.startswith(unwanted)]
    assert ops <= set(dir(tf.raw_ops))
    compiled = [f.signature.name for f in graph.library.function if f.attr["_XlaMustCompile"].b]
    assert compiled == []


@pytest.mark.parametrize(
    "options", [{"cell": "gru"}, {"cell": "simple", "depth": 1}, {"tie_embeddings": True}], ids=str
)
def test_other_models(options):
    model = make_model(**options)
    found = charlm_signatures(model)
    assert write(found["generate"], PROMPTS, 19) == generate(model, PROMPTS, 19, temperature=1.0, seed=3)
    nats = found["score"](texts=tf.constant(PROMPTS))["nats"]
    np.testing.assert_allclose(nats, [nats_in_numpy(model, text) for text in PROMPTS], atol=1e-5)


def test_a_vocabulary_without_characters():
    keras.utils.set_random_seed(1)
    model = CharLM("", units=5, depth=1, embedding_size=3)
    found = write(charlm_signatures(model)["generate"], PROMPTS, 19)
    assert found == generate(model, PROMPTS, 19, temperature=1.0, seed=3)


# -- the check -------------------------------------------------------------------------------------------


@pytest.fixture
def answer(in_python, monkeypatch):
    """Stands in for the process of its own, which the script has proved: the graph answers here."""

    def answer(folder, calls):
        answers = {}
        for called, inputs in calls.items():
            given = {argument: tf.constant(value) for argument, value in inputs.items()}
            answers[called] = {key: value.numpy() for key, value in in_python[called](**given).items()}
        return answers

    monkeypatch.setattr(export, "call_alone", answer)
    return answer


def test_the_check_catches_a_model_that_writes_something_else(answer):
    with pytest.raises(ExportError, match=r"SavedModel's generate gives texts .* where the Python model"):
        check_export(None, make_model(seed=4))


@pytest.mark.parametrize(
    ("signature", "name"), [("score", "nats"), ("step", "logits"), ("read", "logits"), ("step", "state_1_0")]
)
def test_the_check_sees_every_number(model, monkeypatch, answer, signature, name):
    """Answers of the graph itself pass, and do not where one number is a little off."""
    check_export(None, model)

    def a_little_off(folder, calls):
        answers = answer(folder, calls)
        answers[signature][name].flat[-1] += 2e-4
        return answers

    monkeypatch.setattr(export, "call_alone", a_little_off)
    with pytest.raises(ExportError, match=rf"SavedModel's {signature} gives {name}"):
        check_export(None, model)


def test_of_each_text_most_samples_must_agree():
    expected = np.array([b"a", b"b", b"c", b"d", b"e", b"f"], dtype=object)  # two prompts, three samples
    for wrong, same in (([], True), ([0], True), ([0, 1], True), ([0, 2], False), ([1, 3, 5], False)):
        found = expected.copy()
        found[wrong] = b"x"
        assert export._same_texts(found, expected) == same


# -- the folder ------------------------------------------------------------------------------------------


def test_an_exported_folder_is_a_model(model, run, exported):
    from_export = APP.load(exported)
    assert isinstance(from_export, ExportedCharLM)
    assert from_export.vocabulary == model.vocabulary
    assert from_export.settings == APP.load(run.path).settings
    texts = generate(from_export, PROMPTS, 19, seed=5)
    assert texts == generate(model, PROMPTS, 19, seed=5)
    assert "".join(stream(from_export, PROMPTS[0], 19, seed=5)) == texts[0]


def test_an_exported_folder_can_be_scored(model, exported):
    ids = model.vocabulary.encode("hello" + ODD + "hello")
    ours, theirs = (Scorer(one, window=3, batch_size=2) for one in (model, APP.load(exported)))
    assert theirs.carried(ids, chunk=4).nats == pytest.approx(ours.carried(ids, chunk=4).nats, abs=1e-4)
    assert theirs.windowed(ids).nats == pytest.approx(ours.windowed(ids).nats, abs=1e-4)


def test_the_script_of_evaluation_scores_an_export_like_the_run(run, exported, tmp_path):
    (tmp_path / "text.txt").write_text("hello hole\n" * 9 + ODD.replace("\0", ""), encoding="utf-8")
    records = []
    for model in (run.path, exported):
        options = ["--model", model, "--data", tmp_path / "text.txt", "--window", 7]
        assert evaluate.main([*map(str, options), "--json", str(tmp_path / "scores.json")]) == 0
        records.append(json.loads((tmp_path / "scores.json").read_text(encoding="utf-8")))
    expected, of_export = records
    for kind in ("carried", "windowed", "baseline"):
        assert of_export["scores"][kind]["nats"] == pytest.approx(expected["scores"][kind]["nats"], rel=1e-5)


def test_calls_of_an_exported_folder(model, exported):
    from_export = APP.load(exported)
    tokens = model.vocabulary.encode("hello")[None]
    logits, states = from_export.read(tokens, from_export.get_initial_state(1))
    expected, expected_states = model.read(tokens, model.get_initial_state(1))
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    for found, wanted in zip(tf.nest.flatten(states), tf.nest.flatten(expected_states), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)
    logits, states = from_export.logits(tokens)
    np.testing.assert_allclose(logits, model(tokens), atol=1e-5)
    for found, wanted in zip(tf.nest.flatten(states), tf.nest.flatten(expected_states), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.fixture
def copy(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / "copy")


def test_an_edited_vocabulary_is_refused(copy):
    file = copy / VOCABULARY_FILE
    file.write_text(file.read_text(encoding="utf-8").replace('"h"', '"H"'), encoding="utf-8")
    with pytest.raises(VocabularyError, match="was changed after it was written"):
        APP.load(copy)


def test_the_vocabulary_of_another_model_is_refused(copy):
    CharacterVocabulary("ab").save(copy / VOCABULARY_FILE)
    with pytest.raises(UserError, match="a model of 262 tokens and a vocabulary of 258"):
        APP.load(copy)


def test_a_damaged_export_is_refused(copy):
    (copy / "saved_model.pb").write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match="does not load"):
        APP.load(copy)


def test_a_saved_model_of_others_is_refused(tmp_path, model):
    path = tmp_path / "other"
    tf.saved_model.save(tf.Module(), str(path))
    with pytest.raises(UserError, match=rf"is not a SavedModel of charlm.export.* no {SETTINGS_FILE}"):
        APP.load(path)
    (path / SETTINGS_FILE).write_text(json.dumps({}))
    model.vocabulary.save(path / VOCABULARY_FILE)
    with pytest.raises(UserError, match="does not load as an exported model"):
        APP.load(path)


# -- the script ------------------------------------------------------------------------------------------


def test_what_is_exported_already_or_in_the_way_is_refused(exported, run, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert run_script(script.main, ["--model", str(exported), "--out", str(tmp_path / "new")]) == 2
    assert "can be neither trained nor exported again" in capsys.readouterr().err
    assert run_script(script.main, ["--model", str(run.path), "--out", str(exported)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
