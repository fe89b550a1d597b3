"""Which texts get no label: what the vocabulary knows of their words, in Python and in a graph."""

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from sentiment.app import APP
from sentiment.text.graph import GraphKnownWords, GraphWords, encode_texts
from sentiment.text.known import MOST_SURPRISE, ONLY_SYMBOLS, RARE, KnownWords
from sentiment.text.words import split_words
from shared.runs.folder import RunFolder
from shared.text.vocabulary import Vocabulary

DATA = Path(__file__).parents[2] / "data"
# The eighth and ninth words are rare: their ids are 4,011 and 4,012.
COMMON = ["the", "a", "7", "3\u20444", "!", "\u597d", "film"]
VOCABULARY = Vocabulary(
    (*Vocabulary.SPECIALS, *COMMON, *(f"filler{number}" for number in range(4000)), "el", "final")
)


def rows(name):
    with open(DATA / name, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def imdb():
    """What the shipped preset knows."""
    run = RunFolder.open(APP.find("imdb"), "sentiment")
    return KnownWords(Vocabulary.load(run.vocabulary_file))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("The film!", None),
        ("The film 12345 !!!", None),  # unknown numbers and marks do not count
        ("7", None),
        ("3/4", None),  # a rating
        ("12345", ONLY_SYMBOLS),
        ("\u597d", None),
        ("\u4e0d\u597d", None),
        ("\u4e0d\u597d\u770b\u4e0d\u597d\u770b\u770b", "the model knows only 2 of 7 words"),
        ("the xyzzy plugh", None),
        ("the xyzzy plugh abc", "the model knows only 1 of 4 words"),
        ("final", None),  # one rare word alone
        ("el final el", None),
        ("el final " * 5, RARE),
        ("el final el final the a film the a film", None),
    ],
)
def test_reasons(text, reason):
    assert KnownWords(VOCABULARY).reason(split_words(text)) == reason


def test_the_mean_surprise_is_that_of_zipf_with_two_average_words():
    known = KnownWords(VOCABULARY)
    ids = VOCABULARY.encode(["the", "final"])
    expected = (np.log(ids).sum() + np.log(2 * len(VOCABULARY)) + 2 * 5.0) / 5
    assert known.mean_surprise(["the", "!", "12345", "final", "xyzzy"]) == pytest.approx(expected, rel=1e-6)


def test_another_limit_allows_more():
    words = split_words("el final " * 5)
    surprise = KnownWords(VOCABULARY).mean_surprise(words)
    assert KnownWords(VOCABULARY, surprise + 0.01).reason(words) is None
    assert KnownWords(VOCABULARY, surprise - 0.01).reason(words) == RARE


def test_the_graph_gives_the_same_reasons(odd_texts, imdb):
    texts = [row["text"] for name in ("foreign", "everyday_development") for row in rows(f"{name}.csv")]
    texts += [
        *odd_texts,
        "el final " * 5,
        "the xyzzy plugh abc",
        "\u01c5 \u2164 \u0661\u0662 \u00b2 \u0915\u093f",
    ]
    for known in (KnownWords(VOCABULARY), imdb):
        words = GraphWords(known.vocabulary)
        split = words.split(encode_texts(texts))
        reasons = GraphKnownWords(known).reasons(split, words.look_up(split)).numpy()
        expected = [known.reason(split_words(text)) or "" for text in texts]
        assert [reason.decode() for reason in reasons] == expected
        assert len(set(expected)) > 3


def test_no_texts_have_no_reasons():
    words, known = GraphWords(VOCABULARY), GraphKnownWords(KnownWords(VOCABULARY))
    split = words.split(tf.zeros([0], tf.string))
    assert known.reasons(split, words.look_up(split)).shape == (0,)


def test_labels_of_other_languages_are_withheld_and_english_ones_are_not(imdb):
    withheld = defaultdict(list)
    for row in rows("foreign.csv"):
        withheld[row["language"]].append(imdb.reason(split_words(row["text"])) is not None)
    assert {language: len(each) >= 20 for language, each in withheld.items()} == dict.fromkeys(
        ("Chinese", "Spanish", "German", "French"), True
    )
    assert all(np.mean(each) >= 0.95 for each in withheld.values()), withheld
    # The limit was chosen by the sentences above, and not by these.
    held_out = [imdb.reason(split_words(row["text"])) is not None for row in rows("foreign_held_out.csv")]
    assert len(held_out) == 60
    assert np.mean(held_out) >= 0.95
    english = [row["text"] for name in ("development", "held_out") for row in rows(f"everyday_{name}.csv")]
    assert [text for text in english if imdb.reason(split_words(text))] == []
    assert imdb.most_surprise == MOST_SURPRISE
