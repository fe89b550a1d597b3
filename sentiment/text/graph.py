"""Texts to the ids of their words inside a graph, by the rules of `sentiment.text.words`."""

import re
from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from sentiment.text import known
from sentiment.text.words import fold_table, rules
from shared.text.vocabulary import Vocabulary

_PAGE = 256  # code points in a page of the table
_LEFT_OUT = -0x110000  # the sum with any code point is negative
_HALF_PAIR = re.compile("[\ud800-\udfff]")


class GraphWords:
    """The tokeniser of a vocabulary of words for use inside a graph, of stock operations.

    Its words are those of `split_words`. Bytes that are not UTF-8 are read as U+FFFD, which becomes a space,
    as a lone surrogate does in Python; `encode_texts` replaces one by the other.

    Args:
        vocabulary: a `shared.text.vocabulary.Vocabulary`.

    Attributes:
        table: the lookup table from words to ids. A SavedModel has to contain it.

    Example:

    >>> words = GraphWords(Vocabulary.build([["n\\u2019t", "do", "it"]]))
    >>> tokens, lengths = words.encode(tf.constant(["Don't!", ""]))
    >>> tokens.numpy().tolist(), lengths.numpy().tolist()
    ([[1, 4, 6, 3, 2], [1, 2, 0, 0, 0]], [5, 2])
    """

    def __init__(self, vocabulary: Vocabulary):
        self._pages, self._page_of = _pages()
        self._rules = rules()
        ids = tf.range(len(vocabulary), dtype=tf.int32)
        entries = tf.lookup.KeyValueTensorInitializer(tf.constant(vocabulary.tokens), ids)
        self.table = tf.lookup.StaticHashTable(entries, default_value=vocabulary.UNK)
        self._ends = vocabulary.START, vocabulary.END, vocabulary.PAD

    def encode(self, texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The ids of texts `(batch,)`.

        Returns:
            Ids `(batch, longest)` int32: START, the words, END, and PAD on the right; and the number of ids
            of each text without PAD, `(batch,)` int32.
        """
        return self.bounded(self.look_up(self.split(texts)))

    def look_up(self, words: tf.RaggedTensor) -> tf.RaggedTensor:
        """The ids `(batch, words)` int32 of words from `split`."""
        return words.with_values(self.table.lookup(words.values))

    def bounded(self, ids: tf.RaggedTensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The ids of words as `encode` returns them, with START, END and PAD."""
        start, end, pad = self._ends
        one_each = tf.ones([ids.nrows(), 1], tf.int32)
        ids = tf.concat([start * one_each, ids, end * one_each], axis=1)
        return ids.to_tensor(pad, shape=(None, None)), tf.cast(ids.row_lengths(), tf.int32)

    def split(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """The words of texts `(batch,)`: `(batch, words)` string, ragged."""
        codes = tf.strings.unicode_decode(texts, "UTF-8", errors="replace")  # (batch, characters), ragged
        folded = codes.with_values(self._fold(codes.values))
        remaining = tf.ragged.boolean_mask(folded, folded >= 0)
        texts = tf.strings.unicode_encode(remaining, "UTF-8")
        for pattern, replacement in self._rules:
            texts = tf.strings.regex_replace(texts, pattern, replacement)
        return tf.strings.split(texts)

    def _fold(self, codes):
        """The code points that replace code points `(characters,)`; below 0: none."""
        page = tf.gather(self._page_of, codes // _PAGE)
        return codes + tf.gather_nd(self._pages, tf.stack([page, codes % _PAGE], axis=1))


class GraphKnownWords:
    """`sentiment.text.known.KnownWords` for use inside a graph.

    Args:
        known_words: says the same in Python.
    """

    def __init__(self, known_words: known.KnownWords):
        self._counts, self._surprise = tf.constant(known_words.counts), tf.constant(known_words.surprise)
        self._most, self._unknown = known_words.most_surprise, known_words.vocabulary.UNK

    def reasons(self, words: tf.RaggedTensor, ids: tf.RaggedTensor) -> tf.Tensor:
        """Why texts get no label, `(batch,)` string; empty: they get one.

        Args:
            words: `(batch, words)` string, from `GraphWords.split`.
            ids: `(batch, words)` int32, from `GraphWords.look_up`.
        """
        has_letter = tf.strings.regex_full_match(words.values, r"(?s).*\pL.*")
        counts = tf.gather(self._counts, ids.values) & (has_letter | (ids.values != self._unknown))
        counted = tf.ragged.boolean_mask(ids, ids.with_values(counts))
        number = tf.cast(counted.row_lengths(), tf.float32)
        is_known = counted.with_values(tf.cast(counted.values != self._unknown, tf.int32))
        known_number = tf.reduce_sum(is_known, axis=1)
        surprise = tf.reduce_sum(counted.with_values(tf.gather(self._surprise, counted.values)), axis=1)
        mean = (surprise + known.ADDED * known.ADDED_SURPRISE) / (number + known.ADDED)
        shares = tf.strings.as_string(known_number) + " of " + tf.strings.as_string(counted.row_lengths())
        reasons = tf.where(mean > self._most, known.RARE, "")
        few = tf.cast(known_number, tf.float32) < known.LEAST_KNOWN * number
        reasons = tf.where(few, known.FEW_KNOWN + shares + known.WORDS, reasons)
        reasons = tf.where(known_number < 1, known.NONE_KNOWN, reasons)
        nothing = tf.where(words.row_lengths() < 1, known.NO_WORDS, known.ONLY_SYMBOLS)
        return tf.where(number < 1, nothing, reasons)


def _pages() -> tuple[np.ndarray, np.ndarray]:
    """`fold_table` as the number to add to each code point, in pages of which equal ones are stored once.

    Returns:
        The pages `(pages, 256)`, and the index of the page for each 256 code points, `(4352,)`; int32.
    """
    added = np.zeros(0x110000, np.int32)
    for code, folded in fold_table().items():
        added[code] = _LEFT_OUT if folded is None else folded - code
    pages, page_of = np.unique(added.reshape(-1, _PAGE), axis=0, return_inverse=True)
    return pages, page_of.reshape(-1).astype(np.int32)


def encode_texts(texts: Iterable[str]) -> tf.Tensor:
    """Python's texts as a `(texts,)` string tensor; lone surrogates, which have no UTF-8, as U+FFFD.

    Example:

    >>> encode_texts(["caf\\u00e9", "\\ud800"]).numpy().tolist()
    [b'caf\\xc3\\xa9', b'\\xef\\xbf\\xbd']
    """
    # One for one: the number of spaces matters between the numbers of a rating.
    return tf.constant([_HALF_PAIR.sub("\ufffd", text).encode() for text in texts], tf.string)
