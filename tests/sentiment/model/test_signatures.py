"""The signatures of an exported model: texts in, probabilities of the Python model out."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from sentiment.model.signatures import sentiment_signatures
from sentiment.text.graph import encode_texts
from shared.text.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def loaded(small_export):
    return tf.saved_model.load(str(small_export)).signatures


def ask(signature, texts):
    return {name: value.numpy() for name, value in signature(texts=encode_texts(texts)).items()}


@pytest.fixture(scope="module")
def in_python(make_small_model):
    """A function: each text alone, without padding and without windows, and the softmax by hand."""

    def probabilities(model, texts):
        whole = make_small_model(**{**model.settings, "window": 10_000, "seed": 3})
        read = tf.function(whole, input_signature=[tf.TensorSpec((1, None), tf.int32)])
        logits = np.concatenate([read(model.encode(text)[None]) for text in texts]).astype(np.float64) / 1.7
        return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)

    return probabilities


def test_texts_of_very_different_lengths_are_read_as_the_single_ones_are_in_python(
    small_model, loaded, in_python, odd_texts
):
    answer = ask(loaded["serving_default"], odd_texts)
    expected = in_python(small_model, odd_texts)
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)
    assert answer["probabilities"].dtype == np.float32
    assert np.ptp(expected, axis=0).min() > 0.02, "a model that always says the same proves nothing"


def test_a_batch_gives_what_its_single_texts_give(loaded, odd_texts):
    together = ask(loaded["serving_default"], odd_texts)
    for row, text in enumerate(odd_texts):
        alone = ask(loaded["serving_default"], [text])
        np.testing.assert_allclose(alone["probabilities"][0], together["probabilities"][row], atol=1e-5)
        assert alone["labels"][0] == together["labels"][row]


def test_long_texts_are_read_to_their_end(loaded, odd_texts):
    texts = [odd_texts[4], odd_texts[4] + " 7/10", "7/10 " + odd_texts[4]]
    first, *others = ask(loaded["serving_default"], texts)["probabilities"]
    for other in others:
        assert np.abs(first - other).max() > 1e-6


def test_labels_are_the_likeliest(small_model, loaded, odd_texts):
    texts = [*odd_texts, *("good film " * count + "! " * (9 - count) for count in range(9))]
    answer = ask(loaded["serving_default"], texts)
    names = [name.decode() for name in answer["label_names"]]
    assert tuple(names) == small_model.labels
    likeliest = [names[index] for index in answer["probabilities"].argmax(axis=1)]
    reasons = small_model.reasons(texts)
    assert [reason.decode() for reason in answer["reason"]] == [reason or "" for reason in reasons]
    assert answer["withheld"].tolist() == [reason is not None for reason in reasons]
    expected = ["" if reason else label for label, reason in zip(likeliest, reasons, strict=True)]
    assert [label.decode() for label in answer["labels"]] == expected
    assert len(set(expected)) > 2, "a model that always says the same proves nothing"
    assert "no words" in reasons


def test_no_texts_no_labels(loaded):
    answer = ask(loaded["serving_default"], [])
    assert answer["labels"].shape == answer["withheld"].shape == answer["reason"].shape == (0,)
    assert answer["probabilities"].shape == (0, 3)
    assert answer["label_names"].shape == (3,)


def test_bytes_that_are_no_text_are_read_as_blanks(loaded):
    found = loaded["serving_default"](texts=tf.constant([b"good\xfffilm", b"\xe2\x82"]))["probabilities"]
    expected = ask(loaded["serving_default"], ["good film", ""])["probabilities"]
    np.testing.assert_array_equal(found, expected)


def test_ids_are_those_of_the_model(small_model, loaded, odd_texts):
    answer = ask(loaded["encode"], odd_texts)
    for text, tokens, mask in zip(odd_texts, answer["tokens"], answer["mask"], strict=True):
        expected = small_model.encode(text)
        np.testing.assert_array_equal(tokens[: len(expected)], expected)
        assert set(tokens[len(expected) :]) <= {Vocabulary.PAD}
        np.testing.assert_array_equal(mask, np.arange(len(mask)) < len(expected))


def test_read_gives_logits(small_model, loaded):
    tokens = np.random.default_rng(0).integers(0, len(small_model.vocabulary), (4, 17)).astype(np.int32)
    mask = np.arange(17) < np.array([[17], [3], [0], [9]])
    found = loaded["read"](tokens=tf.constant(tokens), mask=tf.constant(mask))["logits"]
    np.testing.assert_allclose(found, small_model(tokens, mask=mask), atol=1e-5)


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (3, 0)], ids=str)
def test_read_takes_no_rows_and_no_steps(small_model, loaded, shape):
    found = loaded["read"](tokens=tf.zeros(shape, tf.int32), mask=tf.zeros(shape, tf.bool))["logits"]
    nothing = small_model(np.zeros((1, 1), np.int32), mask=np.zeros((1, 1), bool))
    np.testing.assert_allclose(found, np.repeat(nothing, shape[0], axis=0), atol=1e-6)


def test_signatures_are_flat_and_named(loaded):
    answers = {"labels", "withheld", "reason", "probabilities", "label_names"}
    expected = {
        "serving_default": ({"texts"}, answers),
        "encode": ({"texts"}, {"tokens", "mask"}),
        "read": ({"tokens", "mask"}, {"logits"}),
    }
    found = {
        name: (set(function.structured_input_signature[1]), set(function.structured_outputs))
        for name, function in loaded.items()
    }
    assert found == expected


def test_the_graph_has_stock_operations_only(small_export):
    proto = SavedModel.FromString((small_export / "saved_model.pb").read_bytes())
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
def test_other_models(make_small_model, in_python, options, odd_texts):
    model = make_small_model(**options)
    functions, _ = sentiment_signatures(model)
    texts = [text for text in odd_texts if len(text) < 100]
    found = ask(functions["serving_default"], texts)["probabilities"]
    np.testing.assert_allclose(found, in_python(model, texts), atol=1e-5)
