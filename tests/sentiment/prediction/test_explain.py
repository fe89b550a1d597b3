import keras
import numpy as np
import pytest
import tensorflow as tf

from sentiment.model.batching import pad
from sentiment.model.classifier import SentimentClassifier
from sentiment.prediction import explain as module
from sentiment.prediction.explain import TOLERANCE, Explainer
from sentiment.text.words import encode_words, split_words
from shared.system.cli import UserError
from shared.text.vocabulary import Vocabulary

FILLERS = ("the", "film", "was", "a", "story", "about", "some", "people", "and", "it")
VOCABULARY = Vocabulary((*Vocabulary.SPECIALS, *FILLERS, "good", "bad", "great", "awful"))


class Toy:
    """As much of a classifier as an explainer asks for; `read` makes logits of embedded words."""

    vocabulary = VOCABULARY
    has_gradients = True

    def __init__(self, read, labels=("negative", "positive"), temperature=1.0):
        self.read, self.labels, self.temperature = read, labels, temperature
        self.table = np.random.default_rng(3).normal(size=(len(VOCABULARY), 3)).astype(np.float32)
        self.table[[Vocabulary.START, Vocabulary.END]] = 0.0

    def encode(self, text):
        return encode_words(VOCABULARY, split_words(text))

    def embed(self, tokens):
        return tf.gather(self.table, tokens)

    def classify(self, embedded, mask=None, training=False, whole_gradient=False):
        assert not training, "nothing may be dropped"
        assert whole_gradient, "the gradient may not end at a window"
        return self.read(embedded)

    def logits(self, sequences):
        return np.concatenate([self.read(self.embed(ids[None])).numpy() for ids in sequences])


DIRECTIONS = np.array([[0.5, -1.0], [2.0, 0.25], [-0.75, 1.5]], np.float32)


def linear(embedded):
    return tf.reduce_sum(embedded, axis=1) @ DIRECTIONS


def square(embedded):
    along = tf.reduce_sum(embedded @ DIRECTIONS[:, :1], axis=(1, 2))
    return tf.stack([tf.zeros_like(along), along**2], axis=1)


def small(labels=("negative", "positive"), seed=5, **settings):
    keras.utils.set_random_seed(seed)
    model = SentimentClassifier(VOCABULARY, labels, units=5, embedding_size=3, **settings)
    for variable in model.trainable_variables:  # larger than at first, so that it is not nearly linear
        variable.assign(variable * (15.0 if "embeddings" in variable.path else 1.5))
    kernel = model.output_layer.kernel  # a new one is zero
    kernel.assign(np.random.default_rng(seed).normal(size=kernel.shape))
    model.temperature = 1.7
    return model


@pytest.fixture(scope="module")
def explainer():
    return Explainer(small())


TEXT = "A good story, and the film was about it. Some bad people!"

# -- weights known by hand -------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [1.0, 2.5])
@pytest.mark.parametrize("label", ["negative", "positive"])
def test_a_linear_model_gives_each_word_what_it_adds(label, temperature):
    model = Toy(linear, temperature=temperature)
    explanation = Explainer(model).explain(TEXT, label, steps=1)
    margin = DIRECTIONS[:, 1] - DIRECTIONS[:, 0]
    expected = model.table[model.encode(TEXT)[1:-1]] @ margin / temperature
    np.testing.assert_allclose(explanation.weights, expected * (1 if label == "positive" else -1), rtol=1e-4)
    assert explanation.words == tuple(split_words(TEXT))
    assert explanation.baseline_score == pytest.approx(0.0, abs=1e-6)


def test_a_square_gives_each_word_its_share_of_it():
    # F = (sum of s_i)^2 from zero: the integral of 2 a s over a is s, so w_i = s_i s.
    model = Toy(square)
    explanation = Explainer(model).explain(TEXT, "positive", steps=2)
    along = model.table[model.encode(TEXT)[1:-1]] @ DIRECTIONS[:, 0]
    np.testing.assert_allclose(explanation.weights, along * along.sum(), rtol=1e-4)
    assert explanation.score == pytest.approx(along.sum() ** 2, rel=1e-5)
    assert explanation.error < 1e-5


def test_a_word_that_the_model_does_not_hear_has_no_weight():
    def deaf(embedded):  # hears the first word only
        return embedded[:, 1] @ DIRECTIONS

    weights = Explainer(Toy(deaf)).explain(TEXT).weights
    assert weights[0] != 0.0
    assert not weights[1:].any()


# -- a real classifier -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("pooling", "depth"), [("last", 1), ("attention", 2)])
def test_weights_are_those_of_numeric_gradients(pooling, depth):
    # Dropout and windows shorter than the text may change nothing.
    rates = dict.fromkeys(("dropout", "word_dropout", "input_dropout", "output_dropout"), 0.5)
    model = small(pooling=pooling, depth=depth, window=4, recurrent_weight_dropout=0.5, **rates)
    found = Explainer(model).explain(TEXT, "positive", steps=7)
    embedded = model.embed(model.encode(TEXT)[None])[0].numpy()
    start = np.zeros_like(embedded)
    start[[0, -1]] = embedded[[0, -1]]
    points, shares = np.polynomial.legendre.leggauss(7)
    step, words = 0.02, len(found.words)
    moves = step * np.eye(words + 2)[1:-1, :, None] * (embedded - start)  # (words, time, embedding)
    rows = start + (points[:, None, None] + 1) / 2 * (embedded - start)  # (points, time, embedding)
    moved = np.stack([rows[:, None] + moves, rows[:, None] - moves])  # (2, points, words, time, embedding)
    logits = model.classify(moved.reshape(-1, *embedded.shape).astype(np.float32)).numpy()
    scores = (logits[:, 1] - logits[:, 0]).reshape(2, 7, words) / 1.7
    expected = shares / 2 @ (scores[0] - scores[1]) / (2 * step)
    np.testing.assert_allclose(found.weights, expected, atol=2e-3)
    assert np.abs(expected).max() > 0.05


@pytest.mark.parametrize("settings", [{"cell": "gru"}, {"cell": "simple", "bidirectional": False}])
def test_weights_add_up_and_scores_are_those_of_the_probabilities(settings):
    model = small(window=5, **settings)
    explanation = Explainer(model).explain(TEXT)
    probabilities = dict(zip(model.labels, model.probabilities([TEXT])[0].astype(float), strict=True))
    assert explanation.label == max(probabilities, key=probabilities.get)
    assert explanation.probability == pytest.approx(probabilities[explanation.label], abs=1e-5)
    odds = explanation.probability / (1 - explanation.probability)
    assert explanation.score == pytest.approx(np.log(odds), abs=1e-4)
    total = explanation.score - explanation.baseline_score
    size = np.abs(explanation.weights).sum()
    assert explanation.error == pytest.approx(abs(explanation.weights.sum() - total) / size)
    assert explanation.error <= TOLERANCE
    assert size > 0.1


def test_several_labels_have_their_own_odds():
    model = small(labels=("bad", "so so", "good"))
    explainer, probabilities = Explainer(model), model.probabilities([TEXT])[0].astype(float)
    for label, probability in zip(model.labels, probabilities, strict=True):
        explanation = explainer.explain(TEXT, label)
        assert explanation.probability == pytest.approx(probability, abs=1e-5)
        assert explanation.score == pytest.approx(np.log(probability / (1 - probability)), abs=1e-4)
        assert explanation.error <= TOLERANCE


def test_the_baseline_is_the_text_with_nothing_in_the_places_of_its_words(explainer):
    model, explanation = explainer.model, explainer.explain(TEXT, "positive")
    embedded = model.embed(model.encode(TEXT)[None]).numpy()
    embedded[:, 1:-1] = 0.0
    logits = model.classify(embedded).numpy()[0] / 1.7
    assert explanation.baseline_score == pytest.approx(logits[1] - logits[0], abs=1e-5)


def test_batches_of_any_size_give_the_same(explainer, monkeypatch):
    whole = explainer.explain(TEXT, steps=9)
    monkeypatch.setattr(module, "TOKENS_AT_ONCE", 2 * len(explainer.model.encode(TEXT)))
    parts = explainer.explain(TEXT, steps=9)
    np.testing.assert_allclose(parts.weights, whole.weights, atol=1e-5)
    assert parts.score == pytest.approx(whole.score, abs=1e-5)
    assert parts.baseline_score == pytest.approx(whole.baseline_score, abs=1e-5)


def test_more_points_are_taken_until_little_is_missing(monkeypatch):
    def steep(embedded):
        along = tf.tanh(40.0 * (tf.abs(tf.reduce_sum(embedded @ DIRECTIONS[:, :1], axis=(1, 2))) - 0.3))
        return tf.stack([tf.zeros_like(along), along], axis=1)

    model = Toy(steep)
    few = Explainer(model).explain("good", "positive", steps=3)
    assert few.steps == 3
    assert few.error > TOLERANCE
    enough = Explainer(model).explain("good", "positive")
    assert enough.steps > module.STEPS[1] == Explainer(Toy(linear)).explain(TEXT).steps
    assert enough.error <= TOLERANCE
    monkeypatch.setattr(module, "STEPS", (2, 3))
    assert Explainer(model).explain("good", "positive").steps == 3  # and then it ends


def test_the_model_stays_as_it_was():
    model = small(window=4, dropout=0.5)
    before = [variable.numpy().copy() for variable in model.variables]
    Explainer(model).explain(TEXT)
    assert model.window == 4
    for old, variable in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(old, variable.numpy())


@pytest.mark.parametrize("text", ["", " \n", "<br />"])
def test_a_text_without_words_has_no_weights(text, explainer):
    explanation = explainer.explain(text)
    assert explanation.words == ()
    assert explanation.weights.shape == (0,)
    assert explanation.score == pytest.approx(explanation.baseline_score)
    assert explanation.error == pytest.approx(0.0, abs=1e-2)
    curve = explainer.deletion_curve(explanation)
    assert curve.counts == (0,)
    assert curve.probabilities[0] == pytest.approx(explanation.probability, abs=1e-5)


def test_strongest_words_come_first():
    explanation = Explainer(Toy(linear)).explain(TEXT)
    sizes = np.abs(explanation.weights)[explanation.strongest]
    assert list(sizes) == sorted(np.abs(explanation.weights), reverse=True)


# -- what cannot be explained ----------------------------------------------------------------------------


def test_an_exported_model_cannot_be_explained():
    class Exported:
        has_gradients = False
        labels = ("negative", "positive")

        def probabilities(self, texts):
            return np.full((len(texts), 2), 0.5)

    with pytest.raises(UserError, match=r"exported model .* Name a preset or the run folder"):
        Explainer(Exported())


def test_a_text_of_too_many_words_is_refused(monkeypatch):
    monkeypatch.setattr(module, "LONGEST", 3)
    assert len(Explainer(Toy(linear)).explain("a good film").words) == 3
    with pytest.raises(UserError, match=r"4 words, too many .* at most 3"):
        Explainer(Toy(linear)).explain("a good film!")


def test_a_label_that_the_model_does_not_have_is_refused():
    with pytest.raises(ValueError, match=r"no label .fine.\. Expected one of negative, positive"):
        Explainer(Toy(linear)).explain("good", label="fine")


# -- deleting words --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained():
    """Of a classifier that learned which words are good and bad, among words that are neither."""
    rng = np.random.default_rng(7)
    keras.utils.set_random_seed(11)
    model = SentimentClassifier(VOCABULARY, ("negative", "positive"), units=5, embedding_size=3)
    words = [list(rng.choice(FILLERS, 9)) for _ in range(500)]
    labels = rng.integers(0, 2, len(words))
    for row, label in zip(words, labels, strict=True):
        for place in rng.choice(9, 2, replace=False):
            row[place] = rng.choice([("bad", "awful"), ("good", "great")][label])
    tokens, _ = pad([encode_words(VOCABULARY, row) for row in words])
    model.compile(keras.optimizers.Adam(0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(tokens, labels, epochs=4, batch_size=20, shuffle=False, verbose=0)
    model.temperature = 5.0  # it is surer than it should be
    return Explainer(model)


CLEAR = "the film was bad and some people was about a awful story it was"


def test_the_weightiest_words_are_those_that_were_learned(trained):
    explanation = trained.explain(CLEAR)
    assert explanation.label == "negative"
    assert explanation.probability > 0.9
    assert {explanation.words[place] for place in explanation.strongest[:2]} == {"bad", "awful"}
    mixed = trained.explain("the film was awful and good and good", "positive")
    assert mixed.weights[3] < 0 < min(mixed.weights[5], mixed.weights[7])


def test_without_the_weightiest_words_the_probability_falls_and_at_random_it_does_not(trained):
    curve = trained.deletion_curve(trained.explain(CLEAR))
    assert curve.counts[:3] == (0, 1, 2)
    assert list(curve.probabilities[:3]) == sorted(curve.probabilities[:3], reverse=True)
    assert curve.probabilities[2] < curve.probabilities[0] - 0.3
    assert curve.at_random[1] > curve.probabilities[1]
    assert curve.at_random[2] > curve.probabilities[2] + 0.2


def test_probabilities_are_those_of_the_text_without_the_words_that_speak_for_its_label(trained):
    explanation = trained.explain("the film was bad and good and awful it was great", "negative")
    assert 5 in explanation.strongest[:4]
    assert explanation.weights[5] < 0  # a strong word against it must stay
    curve = trained.deletion_curve(explanation)
    place = trained.model.labels.index(explanation.label)
    order = sorted(range(len(explanation.words)), key=lambda number: -explanation.weights[number])
    assert curve.counts == tuple(count for count in (0, 1, 2, 4, 8) if count <= sum(explanation.weights > 0))
    for count, probability in zip(curve.counts, curve.probabilities, strict=True):
        kept = [word for number, word in enumerate(explanation.words) if number not in order[:count]]
        assert trained.model.probabilities([" ".join(kept)])[0, place] == pytest.approx(probability, abs=1e-5)
    assert curve.at_random[0] == pytest.approx(curve.probabilities[0], abs=1e-6)


def test_words_are_drawn_by_the_seed(trained):
    explanation = trained.explain(CLEAR)
    assert trained.deletion_curve(explanation) == trained.deletion_curve(explanation)
    other = Explainer(trained.model).deletion_curve(explanation, seed=2)
    assert other.at_random != trained.deletion_curve(explanation).at_random


def test_a_text_whose_words_all_speak_against_its_label_loses_none():
    model = Toy(linear)
    positive = Explainer(model).explain(TEXT, "positive", steps=1)
    words = [word for word, weight in zip(positive.words, positive.weights, strict=True) if weight < 0]
    against = Explainer(model).explain(" ".join(words), "positive", steps=1)
    assert Explainer(model).deletion_curve(against).counts == (0,)
