import dataclasses

import keras
import numpy as np
import pytest

import sentiment.pages.views
from sentiment.model.classifier import SentimentClassifier
from sentiment.pages.page import MOST_TEXTS, render
from sentiment.pages.views import view
from sentiment.prediction.explain import Explainer
from shared.text.vocabulary import Vocabulary
from shared.visual.pages import LARGEST

TEXT = "A good film, but the end was bad."


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(2)
    words = Vocabulary(
        (*Vocabulary.SPECIALS, "a", "good", "film", "but", "the", "end", "was", "bad", ",", ".")
    )
    model = SentimentClassifier(words, ["negative", "neutral", "positive"], units=5, embedding_size=4)
    random = np.random.default_rng(0)
    kernel, bias = model.output_layer.get_weights()
    model.output_layer.set_weights([random.normal(size=kernel.shape), random.normal(size=bias.shape)])
    return model


def test_each_point_is_the_probability_of_a_part_of_the_text(model):
    seen = view(model, Explainer(model), TEXT, "positive")
    words = ["a", "good", "film", ",", "but", "the", "end", "was", "bad", "."]
    assert list(seen.explanation.words) == words
    for index in range(len(words)):
        parts = (words[: index + 1], words[index:], words[:index] + words[index + 1 :])
        expected = [model.probabilities(" ".join(part))[2] for part in parts]
        measured = [seen.forward[index], seen.backward[index], seen.without[index]]
        np.testing.assert_allclose(measured, expected, atol=1e-6)
    whole = model.probabilities(TEXT)
    np.testing.assert_allclose(list(seen.probabilities.values()), whole, atol=1e-6)
    assert seen.forward[-1] == pytest.approx(whole[2], abs=1e-6)
    assert seen.backward[0] == pytest.approx(whole[2], abs=1e-6)


def test_a_long_text_is_measured_at_fewer_points(model, monkeypatch):
    monkeypatch.setattr(sentiment.pages.views, "MOST_POINTS", 4)
    seen = view(model, Explainer(model), TEXT)  # 10 words
    assert seen.stride == 3
    assert len(seen.forward) == len(seen.backward) == len(seen.without) == 4
    without = model.probabilities("a good film the end was bad .")
    assert seen.without[1] != pytest.approx(float(without.max()), abs=1e-9)
    without = model.probabilities("a good film end was bad .")
    assert seen.without[1] == pytest.approx(
        float(without[model.labels.index(seen.explanation.label)]), abs=1e-6
    )


def test_a_text_without_words(model):
    seen = view(model, Explainer(model), "   ")
    assert len(seen.forward) == 0
    assert "has no words" in render([seen], "model")


def test_the_largest_page_is_small_enough(model):
    seen = view(model, Explainer(model), TEXT)
    longer = {"text": " ".join([TEXT] * 600), "weights": np.tile(seen.explanation.weights, 600)}
    long = seen._replace(explanation=dataclasses.replace(seen.explanation, **longer))
    assert len(long.explanation.text) > 20_000
    assert len(render([long] * MOST_TEXTS, "model").encode()) <= LARGEST
