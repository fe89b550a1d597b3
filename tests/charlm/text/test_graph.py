"""Tokens of the graph are those of the vocabulary, for any text and any bytes."""

import numpy as np
import pytest
import tensorflow as tf

from charlm.text.characters import CharacterVocabulary
from charlm.text.graph import GraphText, as_utf8

TEXTS = [
    "",
    "abc",
    "a\r\nb\rc\n",
    "a\0b\0\0",
    "e\u0301a\u0308",  # combining marks
    "\u00e9\u00e4",
    "\U0001f600\U0001f601 \U0001f468\u200d\U0001f469",
    "\ufeffabc\ufeff",  # byte order marks
    "\ufffd\uffff\ufffe",
    "\x7f\x80\u07ff\u0800\uffff\U00010000\U0010ffff",  # where characters grow by a byte
    "\ud7ff\ue000",  # beside the surrogates
    "zzz not in it zzz",
]
VOCABULARIES = {
    "letters": CharacterVocabulary("cab\n"),
    "odd": CharacterVocabulary("\U0001f600z\0\u0301\r\ufeff\ufffd\x7f\u00e9\n"),
    "bytes alone": CharacterVocabulary(""),
}


def tokens_of(text, texts):
    tokens, lengths, characters = text.encode(tf.constant(texts))
    assert tokens.dtype == lengths.dtype == characters.dtype == tf.int32
    rows = [row[:length] for row, length in zip(tokens.numpy().tolist(), lengths, strict=True)]
    for row, length in zip(tokens.numpy().tolist(), lengths, strict=True):
        assert set(row[length:]) == {text.start}, "what is filled up is the start"
    assert tokens.shape[1] == max(map(len, rows), default=0) + 1
    return rows, characters.numpy().tolist()


@pytest.mark.parametrize("vocabulary", VOCABULARIES.values(), ids=list(VOCABULARIES))
def test_tokens_are_those_of_the_vocabulary(vocabulary):
    rows, characters = tokens_of(GraphText(vocabulary), TEXTS)
    assert rows == [vocabulary.encode(text).tolist() for text in TEXTS]
    assert characters == [len(text) for text in TEXTS]


def test_random_texts():
    rng = np.random.default_rng(0)
    alphabet = [*range(1, 0xD800, 97), *range(0xE000, 0x110000, 3089), *map(ord, "abc\n")]
    texts = ["".join(map(chr, rng.choice(alphabet, rng.integers(0, 9)))) for _ in range(300)]
    vocabulary = CharacterVocabulary("".join(chr(code) for code in alphabet[::5]))
    rows, characters = tokens_of(GraphText(vocabulary), texts)
    assert rows == [vocabulary.encode(text).tolist() for text in texts]
    assert characters == [len(text) for text in texts]


def odd_bytes(count):
    """Strings of bytes that often begin characters, go on with them, or never stand in UTF-8."""
    rng = np.random.default_rng(1)
    bytes_ = np.frombuffer(
        b"A\n\x80\xbf\xc0\xc3\xe0\xe2\x82\xac\xed\xa0\xef\xf0\x9f\x98\xf4\x90\xf5\xff", np.uint8
    )
    return [rng.choice(bytes_, rng.integers(1, 9)).tobytes() for _ in range(count)]


def test_bytes_that_are_no_text_are_replaced_as_in_python():
    strings = odd_bytes(2000)
    texts = [string.decode("utf-8", "replace") for string in strings]
    assert sum("\ufffd" in text for text in texts) > 1000
    vocabulary = VOCABULARIES["odd"]
    rows, characters = tokens_of(GraphText(vocabulary), strings)
    assert rows == [vocabulary.encode(text).tolist() for text in texts]
    assert characters == [len(text) for text in texts]
    assert [found.decode() for found in as_utf8(tf.constant(strings)).numpy()] == texts


@pytest.mark.parametrize("vocabulary", VOCABULARIES.values(), ids=list(VOCABULARIES))
def test_decoding_gives_the_bytes_back(vocabulary):
    text = GraphText(vocabulary)
    ids = np.random.default_rng(2).integers(0, len(vocabulary), (5, 37)).astype(np.int32)
    assert text.decode(tf.constant(ids)).numpy().tolist() == [vocabulary.to_bytes(row) for row in ids]
    for original in TEXTS:
        tokens, lengths, _ = text.encode(tf.constant([original]))
        assert text.decode(tokens[:, : lengths[0]]).numpy().tolist() == [original.encode()]


def test_no_texts():
    rows, characters = tokens_of(GraphText(VOCABULARIES["letters"]), np.array([], dtype=np.str_))
    assert (rows, characters) == ([], [])
