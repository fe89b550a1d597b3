"""The nats of a text under a character model, with the state carried through or reset at every window.

Every token of a text but the first is predicted, once. Figures are per character (code point), however many
tokens a character takes, and count all characters but the first one, which is given.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from charlm.text.characters import BYTES

if TYPE_CHECKING:
    from charlm.model.char_lm import CharLM

# Tokens whose characters are counted at a time, so that a memory map is not loaded as a whole.
COUNTED_AT_ONCE = 2**20


@dataclass(frozen=True)
class Score:
    """The negative log-probability of the predicted part of a text.

    Attributes:
        nats: the sum over all predicted tokens, in nats.
        tokens: number of predicted tokens: all of the text but the first.
        characters: number of predicted characters: all of the text but the first. A character that is spelled
            in bytes counts once. (If it is the first one, `nats` still includes its later bytes.)

    Example:

    >>> score = Score(nats=6.0, tokens=5, characters=4)
    >>> round(score.nats_per_character, 3), round(score.bits_per_character, 3), round(score.perplexity, 3)
    (1.5, 2.164, 4.482)
    """

    nats: float
    tokens: int
    characters: int

    @property
    def nats_per_character(self) -> float:
        return self.nats / self.characters

    @property
    def bits_per_character(self) -> float:
        return self.nats_per_character / math.log(2)

    @property
    def perplexity(self) -> float:
        """The exponential of the nats per character; infinite if that overflows."""
        try:
            return math.exp(self.nats_per_character)
        except OverflowError:
            return math.inf


class Scorer:
    """Scores texts with a model's current weights; they may change between calls, the graph is reused.

    Texts and windows of all sizes share that graph. Dropout is not active and no random number is drawn.

    Args:
        model: a `charlm.model.CharLM` or `charlm.model.exported.ExportedCharLM`.
        window: tokens that `windowed` predicts from each state of zeros.
        batch_size: windows that it computes in parallel.

    Raises:
        ValueError: `window` or `batch_size` is below 1.

    Example:

    >>> from charlm.model.char_lm import CharLM
    >>> model = CharLM("helo", units=5, depth=1, embedding_size=3)
    >>> score = Scorer(model, window=3).windowed(model.vocabulary.encode("hello hello"))
    >>> score.tokens, score.characters
    (10, 10)
    """

    def __init__(self, model: "CharLM", window: int = 256, batch_size: int = 64):
        if window < 1 or batch_size < 1:
            raise ValueError(f"window and batch_size must be at least 1, not {window} and {batch_size}.")
        self.model, self.window, self.batch_size = model, window, batch_size
        self._graph = tf.function(self._run, input_signature=segment_signature(model), autograph=False)

    def windowed(self, ids: Sequence[int]) -> Score:
        """Scores a text in independent windows, as nanoGPT evaluates.

        Window k reads the tokens k w to k w + w - 1 from a state of zeros and predicts the tokens k w + 1 to
        k w + w. The last window may be shorter; every token but the first is predicted.

        Args:
            ids: `(tokens,)` int, at least two characters; a memory map is read window by window.

        Raises:
            ValueError: the text has less than two characters.
        """
        ids = checked_text(ids)
        whole, rest = divmod(len(ids) - 1, self.window)
        sizes = [min(self.batch_size, whole - done) for done in range(0, whole, self.batch_size)]
        shapes = [(rows, self.window) for rows in sizes]
        if rest:
            shapes.append((1, rest))
        nats, start = 0.0, 0
        for rows, time in shapes:
            states = self.model.get_initial_state(rows)
            nats += float(self._graph(*read_targets(ids, start, rows, time), states)[0])
            start += rows * time
        return score_of(nats, ids)

    def carried(
        self, ids: Sequence[int], chunk: int = 1024, progress: Callable[[int], object] | None = None
    ) -> Score:
        """Scores a text in one stream: the state is carried from the first token to the last.

        Args:
            ids: `(tokens,)` int, at least two characters; a memory map is read chunk by chunk.
            chunk: tokens read at a time; the score does not depend on it.
            progress: called with the number of tokens predicted since its last call.

        Raises:
            ValueError: the text has less than two characters, or `chunk` is below 1.
        """
        ids = checked_text(ids)
        if chunk < 1:
            raise ValueError(f"chunk must be at least 1, not {chunk}.")
        nats, states = 0.0, self.model.get_initial_state(1)
        for start in range(0, len(ids) - 1, chunk):
            time = min(chunk, len(ids) - 1 - start)
            chunk_nats, states = self._graph(*read_targets(ids, start, 1, time), states)
            nats += float(chunk_nats)
            if progress:
                progress(time)
        return score_of(nats, ids)

    def _run(self, tokens, targets, states):
        logits, states = self.model.logits(tokens, states)
        return total_nats(logits, targets), states


def segment_signature(model: "CharLM"):
    """The input signature of a graph over tokens, targets and states, for any number of rows and steps."""
    tokens = tf.TensorSpec((None, None), "int32")
    states = tf.nest.map_structure(
        lambda state: tf.TensorSpec((None, state.shape[-1]), state.dtype), model.get_initial_state(1)
    )
    return tokens, tokens, states


def total_nats(logits, targets):
    """The negative log-probability of targets `(batch, time)`, summed: logits as float32, sum as float64."""
    nats = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, tf.cast(logits, "float32"))
    return tf.reduce_sum(tf.cast(nats, "float64"))


def count_characters(ids: Sequence[int]) -> int:
    """The number of characters that begin in a sequence of tokens: all tokens but later bytes of a character.

    Example:

    >>> from charlm.text.characters import CharacterVocabulary
    >>> count_characters(CharacterVocabulary("abc").encode("a\\u00e9\\U0001f600"))
    3
    """
    count = 0
    for start in range(0, len(ids), COUNTED_AT_ONCE):
        chunk = np.asarray(ids[start : start + COUNTED_AT_ONCE])
        # In UTF-8, 0x80 to 0xBF continue a character.
        count += int(np.count_nonzero((chunk >= BYTES) | (chunk < 0x80) | (chunk >= 0xC0)))
    return count


def checked_text(ids: Sequence[int]) -> np.ndarray:
    """The ids as an array; a memory map stays one.

    Raises:
        ValueError: they are not a text of at least two characters.
    """
    ids = np.asanyarray(ids)
    if ids.ndim != 1:
        raise ValueError(f"Expected the ids of one text, (tokens,), got the shape {ids.shape}.")
    if not count_characters(ids[1:5]):  # a character has at most four bytes
        raise ValueError("A text must have at least two characters: the first one is not predicted.")
    return ids


def read_targets(ids: np.ndarray, start: int, rows: int, time: int) -> tuple[np.ndarray, np.ndarray]:
    """Tokens `(rows, time)` int32 from index `start` on, row after row, and the token that follows each."""
    block = np.asarray(ids[start : start + rows * time + 1], dtype=np.int32)
    return block[:-1].reshape(rows, time), block[1:].reshape(rows, time)


def score_of(nats: float, ids: np.ndarray) -> Score:
    """The score of a text, from the nats of all its tokens but the first."""
    return Score(nats, len(ids) - 1, count_characters(ids[1:]))
