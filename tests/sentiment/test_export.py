"""The exported sentiment model: texts in, probabilities of the Python model out, with TensorFlow alone."""

import dataclasses
import json
import random
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from sentiment import export as script
from sentiment.config import SentimentConfig
from sentiment.data.labels import save_labels
from sentiment.model import signatures
from sentiment.model.classifier import SentimentClassifier
from sentiment.model.exported import SETTINGS_FILE, VOCABULARY_FILE, ExportedSentiment
from sentiment.model.signatures import check_export, sentiment_signatures
from sentiment.text.graph import encode_texts
from shared.export import ExportError
from shared.runs.folder import RunFolder
from shared.system.cli import UserError, run_script
from shared.text.vocabulary import Vocabulary, VocabularyError

LABELS = ("bad", "g\u00f6od", "so so")
WORDS = ["a", "film", "good", "n\u2019t", "is", "!", "\u203c", "\u597d", "7\u204410", "caf\u00e9", "cafe"]
WINDOW = 7
TEXTS = [
    "",
    "A good film!!!",
    "It isn't a GOOD film... <br /><br />7/10",
    "\u597d\u597d caf\u00e9 Cafe\u0301 \U0001f600\U0001f3fd \0 \ud800 \u202e\u0641\u064a\u0644\u0645",
    " ".join(random.Random(5).choices(["A", "film", "good", "isn't", "!", "zzz"], k=5000)),
    "!",
    "good " * WINDOW,
]


def make_model(seed=3, **options):
    keras.utils.set_random_seed(seed)
    settings = {"units": 5, "depth": 1, "embedding_size": 3, "window": WINDOW, **options}
    model = SentimentClassifier(Vocabulary((*Vocabulary.SPECIALS, *WORDS)), LABELS, **settings)
    for weight in model.weights:  # a new model is indifferent to what it reads
        if "kernel" in weight.path:
            weight.assign(weight * 3.0)
        if "embeddings" in weight.path:
            weight.assign(weight * 10.0)
    kernel = model.output_layer.kernel
    kernel.assign(np.random.default_rng(seed).normal(0, 3.0, kernel.shape))
    model.temperature = 1.7
    return model


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture(scope="module")
def run(model, tmp_path_factory):
    config = SentimentConfig(units=5, depth=1, embedding_size=3, window=WINDOW)
    path = tmp_path_factory.mktemp("runs") / "tiny"
    run = RunFolder.create(path, dataclasses.asdict(config), "sentiment")
    model.vocabulary.save(run.vocabulary_file)
    save_labels(run, model.labels)
    model.save_weights(run.best_weights)
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


def ask(signature, texts):
    return {name: value.numpy() for name, value in signature(texts=encode_texts(texts)).items()}


def in_python(model, texts):
    """Each text alone, without padding and without windows, and the softmax by hand."""
    whole = make_model(**{**model.settings, "window": 10_000, "seed": 3})
    read = tf.function(whole, input_signature=[tf.TensorSpec((1, None), tf.int32)])
    logits = np.concatenate([read(model.encode(text)[None]) for text in texts]).astype(np.float64) / 1.7
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


# -- serving_default -------------------------------------------------------------------------------------


def test_texts_of_very_different_lengths_are_read_as_the_single_ones_are_in_python(model, loaded):
    answer = ask(loaded["serving_default"], TEXTS)
    expected = in_python(model, TEXTS)
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)
    assert answer["probabilities"].dtype == np.float32
    assert np.ptp(expected, axis=0).min() > 0.02, "a model that always says the same proves nothing"


def test_a_batch_gives_what_its_single_texts_give(loaded):
    together = ask(loaded["serving_default"], TEXTS)
    for row, text in enumerate(TEXTS):
        alone = ask(loaded["serving_default"], [text])
        np.testing.assert_allclose(alone["probabilities"][0], together["probabilities"][row], atol=1e-5)
        assert alone["labels"][0] == together["labels"][row]


def test_long_texts_are_read_to_their_end(loaded):
    texts = [TEXTS[4], TEXTS[4] + " 7/10", "7/10 " + TEXTS[4]]
    first, *others = ask(loaded["serving_default"], texts)["probabilities"]
    for other in others:
        assert np.abs(first - other).max() > 1e-6


def test_labels_are_the_likeliest(loaded):
    texts = [*TEXTS, *("good film " * count + "! " * (9 - count) for count in range(9))]
    answer = ask(loaded["serving_default"], texts)
    names = [name.decode() for name in answer["label_names"]]
    assert tuple(names) == LABELS
    likeliest = [names[place] for place in answer["probabilities"].argmax(axis=1)]
    assert [label.decode() for label in answer["labels"]] == likeliest
    assert len(set(likeliest)) > 1, "a model that always says the same proves nothing"


def test_no_texts_no_labels(loaded):
    answer = ask(loaded["serving_default"], [])
    assert answer["labels"].shape == (0,)
    assert answer["probabilities"].shape == (0, 3)
    assert answer["label_names"].shape == (3,)


def test_bytes_that_are_no_text_are_read_as_blanks(loaded):
    found = loaded["serving_default"](texts=tf.constant([b"good\xfffilm", b"\xe2\x82"]))["probabilities"]
    expected = ask(loaded["serving_default"], ["good film", ""])["probabilities"]
    np.testing.assert_array_equal(found, expected)


# -- encode and read -------------------------------------------------------------------------------------


def test_ids_are_those_of_the_model(model, loaded):
    answer = ask(loaded["encode"], TEXTS)
    for text, tokens, mask in zip(TEXTS, answer["tokens"], answer["mask"], strict=True):
        expected = model.encode(text)
        np.testing.assert_array_equal(tokens[: len(expected)], expected)
        assert set(tokens[len(expected) :]) <= {Vocabulary.PAD}
        np.testing.assert_array_equal(mask, np.arange(len(mask)) < len(expected))


def test_read_gives_logits(model, loaded):
    tokens = np.random.default_rng(0).integers(0, len(model.vocabulary), (4, 17)).astype(np.int32)
    mask = np.arange(17) < np.array([[17], [3], [0], [9]])
    found = loaded["read"](tokens=tf.constant(tokens), mask=tf.constant(mask))["logits"]
    np.testing.assert_allclose(found, model(tokens, mask=mask), atol=1e-5)


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (3, 0)], ids=str)
def test_read_takes_no_rows_and_no_steps(model, loaded, shape):
    found = loaded["read"](tokens=tf.zeros(shape, tf.int32), mask=tf.zeros(shape, tf.bool))["logits"]
    nothing = model(np.zeros((1, 1), np.int32), mask=np.zeros((1, 1), bool))
    np.testing.assert_allclose(found, np.repeat(nothing, shape[0], axis=0), atol=1e-6)


# -- the graph -------------------------------------------------------------------------------------------


def test_signatures_are_flat_and_named(loaded):
    expected = {
        "serving_default": ({"texts"}, {"labels", "probabilities", "label_names"}),
        "encode": ({"texts"}, {"tokens", "mask"}),
        "read": ({"tokens", "mask"}, {"logits"}),
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
    assert {"MatMul", "UnicodeDecode", "StaticRegexReplace", "LookupTableFindV2"} <= ops
    unwanted = ("Cudnn", "PyFunc", "EagerPyFunc", "Xla")
    assert not [name for name in ops if name.startswith(unwanted)]
    assert ops <= set(dir(tf.raw_ops))
    compiled = [f.signature.name for f in graph.library.function if f.attr["_XlaMustCompile"].b]
    assert compiled == []


@pytest.mark.parametrize(
    "options",
    [
        {"cell": "gru", "depth": 2, "bidirectional": False, "pooling": "last"},
        {"cell": "simple", "pooling": "attention"},
    ],
    ids=str,
)
def test_other_models(options):
    model = make_model(**options)
    functions, _ = sentiment_signatures(model)
    texts = [text for text in TEXTS if len(text) < 100]
    found = ask(functions["serving_default"], texts)["probabilities"]
    np.testing.assert_allclose(found, in_python(model, texts), atol=1e-5)


# -- the check -------------------------------------------------------------------------------------------


def test_the_check_catches_a_model_that_thinks_something_else(exported):
    with pytest.raises(ExportError, match=r"SavedModel's read gives logits .* where the Python model"):
        check_export(exported, make_model(seed=4))


@pytest.fixture(scope="module")
def in_graph(model):
    """Answers of the graph before it is saved, in place of those that `call_alone` gets."""
    functions, _ = held = sentiment_signatures(model)

    def answer(folder, calls, held=held):  # a table lives as long as what holds it
        answers = {}
        for called, inputs in calls.items():
            given = {argument: tf.constant(value) for argument, value in inputs.items()}
            answers[called] = {key: value.numpy() for key, value in functions[called](**given).items()}
        return answers

    return answer


def test_the_check_catches_another_temperature(model, in_graph, monkeypatch):
    monkeypatch.setattr(signatures, "call_alone", in_graph)
    check_export(None, model)
    monkeypatch.setattr(type(model), "temperature", 1.8)
    with pytest.raises(ExportError, match="SavedModel's serving_default gives probabilities"):
        check_export(None, model)


@pytest.mark.parametrize(
    ("signature", "name", "change"),
    [
        ("encode", "tokens", lambda array: array + (np.arange(array.size).reshape(array.shape) == 9)),
        ("encode", "mask", lambda array: array[:, :-1]),
        ("read", "logits", lambda array: array + np.float32(3e-3)),
        ("serving_default", "probabilities", lambda array: array + np.float32(3e-4)),
        ("serving_default", "labels", lambda array: array[::-1]),
        ("serving_default", "label_names", lambda array: array[::-1]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_check_sees_every_answer(model, in_graph, monkeypatch, signature, name, change):
    def off(folder, calls):
        answers = in_graph(folder, calls)
        answers[signature][name] = change(answers[signature][name])
        return answers

    monkeypatch.setattr(signatures, "call_alone", off)
    with pytest.raises(ExportError, match=rf"SavedModel's {signature} gives {name}"):
        check_export(None, model)


# -- the folder ------------------------------------------------------------------------------------------


def test_an_exported_folder_is_a_model(model, run, exported):
    from_export = SentimentClassifier.from_any(exported)
    assert isinstance(from_export, ExportedSentiment)
    assert from_export.labels == LABELS
    assert from_export.vocabulary == model.vocabulary
    assert from_export.settings == SentimentClassifier.from_any(run.path).settings
    assert from_export.temperature == pytest.approx(1.7)


@pytest.mark.parametrize("texts", [[], TEXTS, ["good"] * 70 + TEXTS[::-1]], ids=len)
def test_probabilities_are_those_of_the_model(model, exported, texts):
    done = []
    found = SentimentClassifier.from_any(exported).probabilities(texts, progress=done.append)
    assert found.dtype == np.float32
    assert found.shape == (len(texts), 3)
    np.testing.assert_allclose(found, model.probabilities(texts), atol=1e-5)
    assert sum(done) == len(texts)


@pytest.fixture
def copy(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / "copy")


def test_an_edited_vocabulary_is_refused(copy):
    file = copy / VOCABULARY_FILE
    file.write_text(file.read_text(encoding="utf-8").replace('"film"', '"movie"'), encoding="utf-8")
    with pytest.raises(VocabularyError, match="was changed after it was written"):
        SentimentClassifier.from_any(copy)


def test_the_files_of_another_model_are_refused(copy):
    Vocabulary.build([["a", "b"]]).save(copy / VOCABULARY_FILE)
    with pytest.raises(UserError, match="a vocabulary of 6 tokens, which were not written together"):
        SentimentClassifier.from_any(copy)


def test_labels_that_are_not_the_models_are_refused(copy):
    file = copy / SETTINGS_FILE
    about = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**about, "labels": ["bad", "good"]}), encoding="utf-8")
    with pytest.raises(UserError, match="a model of 3 labels, the names of 2"):
        SentimentClassifier.from_any(copy)


def test_a_damaged_export_is_refused(copy):
    (copy / "saved_model.pb").write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match="does not load"):
        SentimentClassifier.from_any(copy)


def test_a_saved_model_of_others_is_refused(tmp_path, model):
    path = tmp_path / "other"
    tf.saved_model.save(tf.Module(), str(path))
    with pytest.raises(UserError, match=rf"no readable {SETTINGS_FILE}"):
        SentimentClassifier.from_any(path)
    (path / SETTINGS_FILE).write_text(json.dumps({}))
    model.vocabulary.save(path / VOCABULARY_FILE)
    with pytest.raises(UserError, match="does not load as an exported sentiment model"):
        SentimentClassifier.from_any(path)


# -- the script ------------------------------------------------------------------------------------------


def test_what_is_exported_already_or_in_the_way_is_refused(exported, run, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert run_script(script.main, ["--model", str(exported), "--out", str(tmp_path / "new")]) == 2
    assert "is an exported SavedModel already" in capsys.readouterr().err
    assert run_script(script.main, ["--model", str(run.path), "--out", str(exported)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_help_and_mistakes_need_no_keras():
    code = (
        "import sys, sentiment.export as m\n"
        "for argv in (['--help'], ['--model', 'x']):\n"
        "    try:\n        m.main(argv)\n"
        "    except SystemExit as end:\n        print('status', end.code)\n"
        "sys.exit(int(bool({'keras', 'tensorflow'} & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("status 0") == done.stdout.count("status 2") == 1
