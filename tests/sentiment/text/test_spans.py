import random

import pytest

from sentiment.text.spans import pieces, word_spans
from sentiment.text.words import split_words

# What odd texts are made of: everything that a rule or the folding changes, and things that nearly are.
PARTS = (
    *(
        " ",
        "  ",
        "\n",
        "\t",
        "\u00a0",
        "\u2028",
        "\x00",
        "\x1f",
        "\ud800",
        "\ufeff",
        "\u200d",
        "\u202e",
        "\ufe0f",
    ),
    *("<br />", "<br", "<p>", "</b>", "<a href='x'>", "< b", "<hr/>", "<", ">"),
    *("&quot;", "&#34;", "&apos;", "&#39;", "&nbsp;", "&lt;", "&gt;", "&amp;", "&amp;quot;", "&", ";"),
    *("7.5", "7/10", "7 / 10", "3/4/5", "1.2.3", ".", "..", "...", "\u2026", "!", "!!", "?!", "??", "---"),
    *(":)", ":-))", ";(", "=-((", ":", "don't", "n't", "can't've", "it's", "o'brien", "'", "\u2019s", "I'M"),
    *("Caf\u00e9", "e\u0301", "\u0301", "\u0130", "\u1e9e", "\u03ac", "\u4e2d\u6587", "\u30ab", "\U0001f600"),
    *(
        "\U0001f468\u200d\U0001f469",
        "\u0645\u0631\u062d\u0628\u0627",
        "\u05e9\u05dc",
        "a",
        "b",
        "Z",
        "9",
        "_",
    ),
)


def shown(text):
    return [text[start:end] for start, end in word_spans(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n\x00", []),
        ("I liked it.", ["I", "liked", "it", "."]),
        ("I don't, it's", ["I", "do", "n't", ",", "it", "'s"]),
        ("DON\u2019T", ["DO", "N\u2019T"]),
        ("so &quot;bad&quot;!!!", ["so", "&quot;", "bad", "&quot;", "!!!"]),
        ("fine... :-) ok", ["fine", "...", ":-)", "ok"]),
        ("one<br /><br />two", ["one", "two"]),
        ("a 7 / 10, 7.5", ["a", "7 / 10", ",", "7.5"]),
        ("o'brien", ["o'brien"]),
        ("cafe\u0301 e\u0301te\u0301", ["cafe\u0301", "e\u0301te\u0301"]),
        ("\u2764\ufe0f\u4e2d\u6587", ["\u2764\ufe0f", "\u4e2d", "\u6587"]),
        ("\u202eab\u200dc \u200d d", ["ab\u200dc", "d"]),
        ("&amp;quot;", ["&amp;", "quot", ";"]),
    ],
)
def test_spans_cover_what_the_words_stand_for(text, expected):
    assert shown(text) == expected


def test_spans_of_odd_texts_are_those_of_the_words_in_order():
    rng = random.Random(3)
    for _ in range(1500):
        text = "".join(rng.choices(PARTS, k=rng.randint(1, 9)))
        words, spans = split_words(text), word_spans(text)
        assert len(spans) == len(words), ascii(text)
        ends = [0, *(end for _, end in spans)]
        for (start, end), before in zip(spans, ends, strict=False):
            assert before <= start < end <= len(text), (ascii(text), spans)


def test_a_word_alone_in_its_span_is_the_word():
    # Independent of how spans are found: what a span covers says the same word, or the part of a contraction.
    rng = random.Random(5)
    plain = [part for part in PARTS if "'" not in part and "\u2019" not in part and "&" not in part]
    for _ in range(500):
        text = " ".join(rng.choices(plain, k=rng.randint(1, 7)))
        words = split_words(text)
        for word, piece in zip(words, shown(text), strict=True):
            assert split_words(piece) == [word], (ascii(text), word, piece)


def test_pieces_are_the_whole_text():
    rng = random.Random(7)
    for _ in range(300):
        text = "".join(rng.choices(PARTS, k=rng.randint(0, 9)))
        weights = [float(number) for number, _ in enumerate(split_words(text))]
        parts = list(pieces(text, weights))
        assert "".join(piece for piece, _ in parts) == text
        assert [weight for _, weight in parts if weight is not None] == weights
        assert all(piece for piece, _ in parts)


def test_pieces_want_a_weight_for_each_word():
    with pytest.raises(ValueError, match="shorter"):
        list(pieces("two words", [1.0]))
