"""Texts to the ids of their words inside a graph, by the rules of `sentiment.text.words`."""

import re
from collections.abc import Iterable

import numpy as np
import tensorflow as tf

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
        start, end, pad = self._ends
        words = self.split(texts)
        ids = words.with_values(self.table.lookup(words.values))
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
