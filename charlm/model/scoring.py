"""What a text costs a character model: with its state carried through, or begun anew at every window.

All figures are per character (code point), whatever tokens the characters took. Of a text, every token but
the first is predicted, once. The characters that are scored are those whose first token is predicted: all
characters of the text but the first one.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from charlm.model.char_lm import CharLM
from charlm.text.characters import BYTES

# Tokens of which characters are counted at once, so that a memory map stays on disk.
COUNTED_AT_ONCE = 2**20


@dataclass(frozen=True)
class Score:
    """What the predicted part of a text costs.

    Attributes:
        nats: the negative log-probability of all predicted tokens together, in nats.
        tokens: how many tokens were predicted: those of the text without its first one.
        characters: how many characters were predicted: those of the text without its first one. One that is
            spelled in bytes counts once. (If the first one is, its later bytes are in `nats` all the same.)

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
        """The exponential of the nats per character; infinite where that is past the largest number."""
        try:
            return math.exp(self.nats_per_character)
        except OverflowError:
            return math.inf


class Scorer:
    """Scores texts with a model as it is at each call: weights may change in between, the graph is kept.

    Texts and windows of all sizes share that graph. Nothing is drawn at random, and dropout is not active.

    Args:
        model: a `charlm.model.CharLM` or `charlm.model.exported.ExportedCharLM`.
        window: tokens that `windowed` predicts from one cold start.
        batch_size: windows that it computes side by side.

    Raises:
        ValueError: `window` or `batch_size` is below 1.

    Example:

    >>> model = CharLM("helo", units=5, depth=1, embedding_size=3)
    >>> score = Scorer(model, window=3).windowed(model.vocabulary.encode("hello hello"))
    >>> score.tokens, score.characters
    (10, 10)
    """

    def __init__(self, model: CharLM, window: int = 256, batch_size: int = 64):
        if window < 1 or batch_size < 1:
            raise ValueError(f"window and batch_size must be at least 1, not {window} and {batch_size}.")
        self.model, self.window, self.batch_size = model, window, batch_size
        self._graph = tf.function(self._run, input_signature=segment_signature(model), autograph=False)

    def windowed(self, ids: Sequence[int]) -> Score:
        """Scores a text in windows that know nothing of each other, as nanoGPT evaluates.

        Window k reads the tokens k w to k w + w - 1 from a state of zeros and predicts those one further. The
        last one may be shorter; no token is left out.

        Args:
            ids: `(tokens,)` int, at least two characters; a memory map is read piece by piece.

        Raises:
            ValueError: the text has less than two characters.
        """
        ids = checked_text(ids)
        whole, rest = divmod(len(ids) - 1, self.window)
        sizes = [min(self.batch_size, whole - done) for done in range(0, whole, self.batch_size)]
        shapes = [(rows, self.window) for rows in sizes] + [(1, rest)] * (rest > 0)
        nats, place = 0.0, 0
        for rows, time in shapes:
            states = self.model.get_initial_state(rows)
            nats += float(self._graph(*read_targets(ids, place, rows, time), states)[0])
            place += rows * time
        return score_of(nats, ids)

    def carried(
        self, ids: Sequence[int], chunk: int = 1024, progress: Callable[[int], object] | None = None
    ) -> Score:
        """Scores a text in one stream: the state runs from its first token to its last.

        Args:
            ids: `(tokens,)` int, at least two characters; a memory map is read piece by piece.
            chunk: tokens that are computed at once; the figure does not depend on it.
            progress: called with the number of tokens that were predicted since it was last called.

        Raises:
            ValueError: the text has less than two characters, or `chunk` is below 1.
        """
        ids = checked_text(ids)
        if chunk < 1:
            raise ValueError(f"chunk must be at least 1, not {chunk}.")
        nats, states = 0.0, self.model.get_initial_state(1)
        for place in range(0, len(ids) - 1, chunk):
            time = min(chunk, len(ids) - 1 - place)
            found, states = self._graph(*read_targets(ids, place, 1, time), states)
            nats += float(found)
            if progress:
                progress(time)
        return score_of(nats, ids)

    def _run(self, tokens, targets, states):
        hidden, states = self.model.hidden(tokens, states)
        return total_nats(self.model.score(hidden), targets), states


def segment_signature(model: CharLM):
    """What a graph over tokens, targets and states takes, whatever the rows and the time."""
    tokens = tf.TensorSpec((None, None), "int32")
    states = tf.nest.map_structure(
        lambda state: tf.TensorSpec((None, state.shape[-1]), state.dtype), model.get_initial_state(1)
    )
    return tokens, tokens, states


def total_nats(logits, targets):
    """The negative log-probability of targets `(batch, time)`, summed: logits as float32, sum as float64."""
    nats = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, tf.cast(logits, "float32"))
    return tf.reduce_sum(tf.cast(nats, "float64"))


def windowed(model: CharLM, ids: Sequence[int], window: int = 256, batch_size: int = 64) -> Score:
    """Scores a text in windows with a cold start each; see `Scorer.windowed`."""
    return Scorer(model, window, batch_size).windowed(ids)


def carried(
    model: CharLM,
    ids: Sequence[int],
    chunk: int = 1024,
    progress: Callable[[int], object] | None = None,
) -> Score:
    """Scores a text in one stream whose state runs through all of it; see `Scorer.carried`."""
    return Scorer(model).carried(ids, chunk, progress)


def count_characters(ids: Sequence[int]) -> int:
    """How many characters begin in a sequence of tokens: all tokens but the later bytes of a character.

    Example:

    >>> from charlm.text.characters import CharacterVocabulary
    >>> count_characters(CharacterVocabulary("abc").encode("a\\u00e9\\U0001f600"))
    3
    """
    count = 0
    for place in range(0, len(ids), COUNTED_AT_ONCE):
        piece = np.asarray(ids[place : place + COUNTED_AT_ONCE])
        # In UTF-8, 0x80 to 0xBF continue a character.
        count += int(np.count_nonzero((piece >= BYTES) | (piece < 0x80) | (piece >= 0xC0)))
    return count


def checked_text(ids: Sequence[int]) -> np.ndarray:
    """The ids as an array; a memory map stays one.

    Raises:
        ValueError: they are no text of at least two characters.
    """
    ids = np.asanyarray(ids)
    if ids.ndim != 1:
        raise ValueError(f"Expected the ids of one text, (tokens,), got the shape {ids.shape}.")
    if not count_characters(ids[1:5]):  # a character has at most four bytes
        raise ValueError("A text must have at least two characters: the first one is not predicted.")
    return ids


def read_targets(ids: np.ndarray, place: int, rows: int, time: int) -> tuple[np.ndarray, np.ndarray]:
    """Tokens `(rows, time)` int32 from `place` on, row after row, and those one further."""
    block = np.asarray(ids[place : place + rows * time + 1], dtype=np.int32)
    return block[:-1].reshape(rows, time), block[1:].reshape(rows, time)


def score_of(nats: float, ids: np.ndarray) -> Score:
    """The score of a text whose tokens, all but the first, cost so much together."""
    return Score(nats, len(ids) - 1, count_characters(ids[1:]))
