"""The check of an export against the model."""

import numpy as np
import pytest
import tensorflow as tf

from sentiment.model.signatures import sentiment_signatures
from sentiment.prediction import export
from sentiment.prediction.export import check_export
from shared.export import ExportError


@pytest.fixture(scope="module")
def in_graph(small_model):
    """Answers of the graph before it is saved, in place of those that `call_alone` gets."""
    functions, _ = held = sentiment_signatures(small_model)

    def answer(folder, calls, held=held):  # a table lives as long as what holds it
        answers = {}
        for called, inputs in calls.items():
            given = {argument: tf.constant(value) for argument, value in inputs.items()}
            answers[called] = {key: value.numpy() for key, value in functions[called](**given).items()}
        return answers

    return answer


def test_the_check_catches_a_model_that_thinks_something_else(make_small_model, in_graph, monkeypatch):
    monkeypatch.setattr(export, "call_alone", in_graph)
    with pytest.raises(ExportError, match=r"SavedModel's read gives logits .* where the Python model"):
        check_export(None, make_small_model(seed=4))


def test_the_check_catches_another_temperature(small_model, in_graph, monkeypatch):
    monkeypatch.setattr(export, "call_alone", in_graph)
    check_export(None, small_model)
    monkeypatch.setattr(type(small_model), "temperature", 1.8)
    with pytest.raises(ExportError, match="SavedModel's serving_default gives probabilities"):
        check_export(None, small_model)


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
def test_the_check_sees_every_answer(small_model, in_graph, monkeypatch, signature, name, change):
    def off(folder, calls):
        answers = in_graph(folder, calls)
        answers[signature][name] = change(answers[signature][name])
        return answers

    monkeypatch.setattr(export, "call_alone", off)
    with pytest.raises(ExportError, match=rf"SavedModel's {signature} gives {name}"):
        check_export(None, small_model)
