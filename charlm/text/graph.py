"""Text to tokens and back inside a graph, as in `CharacterVocabulary`, with stock operations only."""

import numpy as np
import tensorflow as tf

from charlm.text.characters import BYTES, CharacterVocabulary

# The leading bits of the first byte of a character of 1 to 4 bytes.
_LEADS = (0x00, 0xC0, 0xE0, 0xF0)
_BEYOND = 0x110000  # larger than any code point


class GraphText:
    """The tokeniser of a vocabulary for use inside a graph.

    Args:
        vocabulary: a `charlm.text.characters.CharacterVocabulary`.

    Example:

    >>> text = GraphText(CharacterVocabulary("abc"))
    >>> tokens, lengths, characters = text.encode(tf.constant(["b\\u00e9", ""]))
    >>> tokens.numpy().tolist(), lengths.numpy().tolist(), characters.numpy().tolist()
    ([[257, 195, 169, 256], [256, 256, 256, 256]], [3, 0], [2, 0])
    >>> text.decode(tokens[:1, :3]).numpy()[0].decode()
    'b\u00e9'
    """

    def __init__(self, vocabulary: CharacterVocabulary):
        codes = np.array([*map(ord, vocabulary.characters), _BEYOND], dtype=np.int32)
        order = np.argsort(codes)
        self._codes, self._ids = codes[order], (BYTES + order).astype(np.int32)
        self._bytes = vocabulary.token_bytes()
        self.start = vocabulary.start

    def encode(self, texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The tokens of texts `(batch,)`; bytes that are not valid UTF-8 become U+FFFD.

        Returns:
            Tokens `(batch, longest + 1)` int32, padded with `start`; and for each text the number of its
            tokens and of its characters, both `(batch,)` int32.
        """
        codes = tf.strings.unicode_decode(texts, "UTF-8", errors="replace")  # (batch, characters), ragged
        slots, counts = self._spell(codes.flat_values)
        tokens = tf.boolean_mask(slots, tf.sequence_mask(counts, 4))
        ends = tf.concat([[0], tf.cumsum(counts)], axis=0)  # of each character's tokens
        splits = tf.gather(ends, codes.row_splits)
        tokens = tf.RaggedTensor.from_row_splits(tokens, splits, validate=False)
        padded = tf.pad(tokens.to_tensor(self.start), [[0, 0], [0, 1]], constant_values=self.start)
        return padded, tf.cast(tokens.row_lengths(), tf.int32), tf.cast(codes.row_lengths(), tf.int32)

    def _spell(self, codes):
        """Tokens `(characters, 4)` of code points, and how many of each row count, `(characters,)`."""
        indices = tf.searchsorted(self._codes, codes)
        is_known = tf.gather(self._codes, indices) == codes
        lengths = 1 + sum(tf.cast(codes >= least, tf.int32) for least in (0x80, 0x800, 0x10000))
        # Six bits in each byte but the first; the slots beyond a character's length are not used.
        shifts = tf.maximum(6 * (lengths[:, None] - 1 - tf.range(4)), 0)
        bits = tf.bitwise.right_shift(codes[:, None], shifts)
        first = tf.where(is_known, tf.gather(self._ids, indices), bits[:, 0] + tf.gather(_LEADS, lengths - 1))
        slots = tf.concat([first[:, None], bits[:, 1:] % 64 + 0x80], axis=1)
        return slots, tf.where(is_known, 1, lengths)

    def decode(self, tokens: tf.Tensor) -> tf.Tensor:
        """The bytes `(batch,)` string of tokens `(batch, time)`; they may end inside a character."""
        return tf.strings.reduce_join(tf.gather(self._bytes, tokens), axis=1)


def as_utf8(texts: tf.Tensor) -> tf.Tensor:
    """Bytes as valid UTF-8; invalid ones become U+FFFD, as in Python."""
    return tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace")
