"""A run that starts from a trained model: its words, its weights, and new words and labels beside them."""

import numpy as np
import pytest

from sentiment.config import SentimentConfig
from sentiment.model.classifier import SentimentClassifier
from sentiment.training.start import extended_vocabulary, load_start, parts_of, start_from
from shared.system.cli import UserError
from shared.text.vocabulary import Vocabulary
from tests.sentiment.conftest import LABELS, SIZES, WORDS


def test_frequent_new_words_follow_those_of_the_model(small_model, capsys):
    words = [["good", "zzz", "film", "yyy"], ["yyy", "xxx", "film", "zzz"], ["zzz"]]
    vocabulary = extended_vocabulary(small_model, words, min_count=2)
    assert vocabulary.tokens == (*small_model.vocabulary.tokens, "zzz", "yyy")
    assert capsys.readouterr().out == "Frequent words: 1 known to the model, 2 new.\n"


def test_a_vocabulary_that_would_double_is_refused(small_model):
    size = len(small_model.vocabulary)
    words = [[f"new{number}" for number in range(size + 1)]]
    with pytest.raises(UserError, match=f"{size + 1} frequent words .* than its own {size}. Raise --min-c"):
        extended_vocabulary(small_model, words, min_count=1)
    assert len(extended_vocabulary(small_model, [words[0][1:]], min_count=1)) == 2 * size


def test_a_start_with_its_own_words_and_labels_gives_the_same_probabilities(small_model, odd_texts):
    model = SentimentClassifier(small_model.vocabulary, LABELS, **SIZES)
    start_from(small_model, model, seed=1)
    np.testing.assert_allclose(
        model.probabilities(odd_texts), small_model.probabilities(odd_texts), atol=1e-6
    )


def test_labels_are_matched_by_name_and_new_ones_begin_at_zero(small_model):
    model = SentimentClassifier(small_model.vocabulary, ("fair", "so so", "bad"), **SIZES)
    start_from(small_model, model, seed=1)
    kernel = small_model.output_layer.kernel.numpy() / small_model.temperature
    np.testing.assert_allclose(model.output_layer.kernel.numpy()[:, 1:], kernel[:, [2, 0]], rtol=1e-6)
    assert not model.output_layer.kernel.numpy()[:, 0].any()


def test_new_words_have_vectors_of_their_parts(small_model):
    new = ("goodfilm", "cafes", "zzz")
    model = SentimentClassifier(Vocabulary((*small_model.vocabulary.tokens, *new)), LABELS, **SIZES)
    start_from(small_model, model, seed=1)
    theirs, made = small_model.embedding.embeddings.numpy(), model.embedding.embeddings.numpy()
    np.testing.assert_array_equal(made[: len(theirs)], theirs)
    good, film, cafe = (theirs[4 + WORDS.index(word)] for word in ("good", "film", "cafe"))
    np.testing.assert_allclose(made[-3], (good + film) / 2, rtol=1e-6)
    np.testing.assert_allclose(made[-2], cafe, rtol=1e-6)
    assert 0.1 < made[-1].std() / theirs.std() < 3


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("leakproof", ["leak", "proof"]),
        ("leaks", ["leak"]),
        ("leakiness", []),  # less than half of it is known
        ("proofleak", ["proof", "leak"]),
        ("thin", []),  # a stem is not a short word that it happens to begin with
        ("leak", []),
    ],
)
def test_parts_of_words(word, parts):
    assert parts_of(word, Vocabulary((*Vocabulary.SPECIALS, "leak", "proof", "th", "thi"))) == parts


def test_a_start_of_another_network_is_refused(small_run):
    assert load_start(SentimentConfig(init_from="")) is None
    with pytest.raises(UserError, match="--units 256, --embedding-size 256 does not go with"):
        load_start(SentimentConfig(init_from=str(small_run.path)))
