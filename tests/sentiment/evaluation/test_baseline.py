from types import SimpleNamespace

import numpy as np
import pytest

from sentiment.evaluation.baseline import NBSVM, log_count_ratios
from sentiment.text.words import split_words
from shared.data.source import DataError

GOOD = ("a great film", "great, just great", "I loved it", "not bad at all", "It's great!", "loved all of it")
BAD = ("a bad film", "bad, just bad", "I hated it", "not great at all", "dull...")
SO_SO = ("neither here nor there", "so so", "a so so film")


def reviews(**texts):
    return [SimpleNamespace(text=text, label=label) for label, some in texts.items() for text in some]


TWO = reviews(good=GOOD, bad=BAD)
THREE = reviews(good=GOOD, bad=BAD, middling=SO_SO)


def table_of(texts, longest):
    """The n-grams of texts, and which text has which: `(texts, n-grams)` of 0 and 1, by another way."""
    sets = []
    for text in texts:
        words = split_words(text)
        sets.append({tuple(words[i:j]) for i in range(len(words)) for j in range(i + 1, i + 1 + longest)
                     if j <= len(words)})  # fmt: skip
    grams = sorted(set().union(*sets))
    return np.array([[gram in found for gram in grams] for found in sets], dtype=float), grams


def ratios_of(table, positive, smoothing=1.0):
    p = smoothing + table[positive].sum(axis=0)
    q = smoothing + table[~positive].sum(axis=0)
    return np.log((p / np.abs(p).sum()) / (q / np.abs(q).sum()))


def fitted(table, positive, strength, steps=50):
    """Logistic regression by Newton's method; the bias is pulled to zero as the weights are."""
    inputs = np.concatenate([table, np.ones((len(table), 1))], axis=1)
    signs, weights = np.where(positive, 1.0, -1.0), np.zeros(inputs.shape[1])
    for _ in range(steps):
        wrong = 1.0 / (1.0 + np.exp(signs * (inputs @ weights)))
        gradient = weights - strength * inputs.T @ (signs * wrong)
        curvature = np.eye(len(weights)) + strength * (inputs.T * (wrong * (1 - wrong))) @ inputs
        weights -= np.linalg.solve(curvature, gradient)
    assert np.abs(gradient).max() < 1e-9
    return weights[:-1], weights[-1]


def by_hand(train, texts, label, longest, strength, beta=1.0, smoothing=1.0):
    """The probability of a label against the others, by the equations."""
    table, grams = table_of([review.text for review in train], longest)
    positive = np.array([review.label == label for review in train])
    ratios = ratios_of(table, positive, smoothing)
    weights, bias = fitted(table * ratios, positive, strength)
    weights = beta * weights + (1 - beta) * np.abs(weights).mean()
    asked, others = table_of(texts, longest)
    known = {gram: asked[:, others.index(gram)] if gram in others else np.zeros(len(texts)) for gram in grams}
    scores = np.stack([known[gram] for gram in grams], axis=1) * ratios @ weights + bias
    return 1.0 / (1.0 + np.exp(-scores))


ASKED = ["great film", "A BAD film, not great.", "", "never seen words", "it's bad bad bad"]


@pytest.mark.parametrize(("longest", "strength"), [(1, 1.0), (2, 0.7), (2, 3.0), (3, 1.0)])
@pytest.mark.parametrize("beta", [1.0, 0.25, 0.0])
def test_probabilities_are_those_of_the_equations(longest, strength, beta):
    found = NBSVM(longest, strength, beta).fit(TWO).probabilities(ASKED)
    expected = by_hand(TWO, ASKED, "good", longest, strength, beta)
    assert found.shape == (5, 2)
    np.testing.assert_allclose(found[:, 1], expected, atol=2e-4)
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    assert np.ptp(expected) > 0.02


def test_many_texts_share_their_strength():
    model = NBSVM().fit(TWO)
    assert model.strength == 1.0
    np.testing.assert_array_equal(
        model.probabilities(ASKED), NBSVM(strength=1.0).fit(TWO).probabilities(ASKED)
    )
    many = TWO * 500
    assert NBSVM(1).fit(many).strength == pytest.approx(2250 / 5500)


def test_the_settings_change_what_is_found():
    likely = [
        NBSVM(*settings).fit(TWO).probabilities(ASKED)[:2, 1]
        for settings in ((1, 1.0), (2, 1.0), (3, 1.0), (2, 0.1), (2, 1.0, 0.25), (2, 1.0, 1.0, 0.1))
    ]
    different = {tuple(np.round(row, 3)) for row in likely}
    assert len(different) == len(likely)


def test_smoothing_is_added_to_all_counts():
    found = NBSVM(2, 1.0, smoothing=0.3).fit(TWO).probabilities(ASKED)
    expected = by_hand(TWO, ASKED, "good", 2, 1.0, smoothing=0.3)
    np.testing.assert_allclose(found[:, 1], expected, atol=2e-4)


def test_of_three_labels_each_stands_against_the_others():
    model = NBSVM(strength=1.0).fit(THREE)
    assert model.labels == ("bad", "good", "middling")
    each = np.stack([by_hand(THREE, ASKED, label, 2, 1.0) for label in model.labels], axis=1)
    np.testing.assert_allclose(model.probabilities(ASKED), each / each.sum(axis=1, keepdims=True), atol=2e-4)
    assert model.probabilities(["so so, neither here nor there"]).argmax() == 2


def test_it_learns_what_pairs_of_words_say():
    texts = reviews(good=["not bad", "good"] * 3, bad=["not good", "bad"] * 3)
    model = NBSVM(strength=100.0).fit(texts)
    assert model.probabilities(["not bad", "not good"]).argmax(axis=1).tolist() == [1, 0]
    alone = NBSVM(1, strength=100.0).fit(texts)
    np.testing.assert_allclose(alone.probabilities(["not bad", "not good"])[:, 1].sum(), 1.0, atol=1e-3)


def test_a_word_counts_once_however_often_it_stands():
    model = NBSVM(1).fit(TWO)
    np.testing.assert_array_equal(model.probabilities(["great"]), model.probabilities(["great GREAT great"]))


def test_the_same_reviews_give_the_same_bits():
    first = NBSVM().fit(TWO)
    np.random.seed(5)  # what scikit-learn would draw from without a seed of its own
    again = NBSVM().fit(TWO)
    np.testing.assert_array_equal(first.probabilities(ASKED), again.probabilities(ASKED))


def test_odd_texts_are_read_and_no_texts_are_none():
    model = NBSVM().fit(TWO)
    likely = model.probabilities(["", "...", "\0", "\U0001f600", "great " * 10_000])
    assert likely.shape == (5, 2)
    assert np.isfinite(likely).all()
    assert model.probabilities([]).shape == (0, 2)
    assert NBSVM().fit(THREE).probabilities([]).shape == (0, 3)


def test_progress_hears_of_every_text():
    heard = []
    model = NBSVM().fit(TWO, heard.append)
    assert sum(heard) == len(TWO)
    model.probabilities(ASKED, heard.append)
    assert sum(heard) == len(TWO) + len(ASKED)


def test_log_count_ratios_of_the_paper():
    random = np.random.default_rng(3)
    table, positive = random.integers(2, size=(7, 5)).astype(float), np.array([1, 1, 0, 1, 0, 0, 0], bool)
    np.testing.assert_allclose(log_count_ratios(table, positive, 0.7), ratios_of(table, positive, 0.7))


def test_ngrams_end_with_the_text_and_are_those_of_neighbours():
    model = NBSVM(3).fit(reviews(good=["a b c"], bad=["a"]))
    assert sorted(model._counter.vocabulary_) == ["a", "a b", "a b c", "b", "b c", "c"]
    assert sorted(NBSVM(3).fit(reviews(good=["a"], bad=["b"]))._counter.vocabulary_) == ["a", "b"]


def test_its_name_says_what_it_counts():
    assert (NBSVM().name, NBSVM(1).name) == ("NB-SVM of 1 to 2 words", "NB-SVM of words")


# -- what cannot be done ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (reviews(good=GOOD), "have 1 different labels. Expected at least two"),
        ([], "have 0 different labels"),
        (reviews(good=["", " "], bad=["\n"]), "No text to learn from has a word"),
    ],
)
def test_there_must_be_something_to_learn(texts, message):
    with pytest.raises(DataError, match=message):
        NBSVM().fit(texts)


@pytest.mark.parametrize(
    "settings",
    [{"longest": 0}, {"strength": 0.0}, {"beta": 1.5}, {"beta": -0.1}, {"smoothing": 0.0}],
)
def test_settings_that_cannot_be_are_refused(settings):
    with pytest.raises(ValueError, match="Expected longest of at least 1"):
        NBSVM(**settings)


def test_it_must_be_fitted_first():
    with pytest.raises(ValueError, match="fit first"):
        NBSVM().probabilities(["great"])
