"""Generating text: `generate` and `stream`, and the `Writer` behind both."""

import functools
import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from charlm.config import TEMPERATURE
from charlm.text.characters import TextStream
from shared.decoding import check_sampling, sample_stream

if TYPE_CHECKING:
    from charlm.model.char_lm import CharLM

CHUNK = 64  # tokens drawn at a time; after each chunk, text appears and Ctrl-C takes effect
PROMPT_CHUNK = 512  # tokens of a prompt read at a time


def generate(
    model: "CharLM",
    prompts: str | Sequence[str],
    num_chars: int,
    *,
    temperature: float = TEMPERATURE,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
) -> str | list[str]:
    """The text that a model writes after each prompt, all prompts in parallel.

    Args:
        model: a `charlm.model.CharLM` or `charlm.model.exported.ExportedCharLM`.
        prompts: a text, or several, of any characters; repeat a prompt for several samples. An empty prompt
            is replaced by `model.vocabulary.start`.
        num_chars: characters to write after each.
        temperature, top_k, top_p: see `shared.decoding.sample_stream`.
        seed: the same seed gives the same texts; None: a random one.

    Returns:
        The `num_chars` characters that follow the prompt; for several prompts, a list.

    Raises:
        ValueError: an option is out of range.
        UserError: a prompt holds half of a surrogate pair.

    Example:

    >>> from charlm.model.char_lm import CharLM
    >>> model = CharLM("helo", units=5, depth=1, embedding_size=3)
    >>> len(generate(model, "he", 7, seed=1)), [len(text) for text in generate(model, ["he", ""], 7, seed=1)]
    (7, [7, 7])
    """
    is_single = isinstance(prompts, str)
    prompts = [prompts] if is_single else prompts
    writer = Writer(model, prompts, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
    texts = writer.texts(num_chars)
    return texts[0] if is_single else texts


def stream(
    model: "CharLM",
    prompt: str,
    num_chars: int,
    *,
    temperature: float = TEMPERATURE,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
) -> Iterator[str]:
    """The text that a model writes after one prompt, in pieces as it is written.

    Args:
        model, num_chars, temperature, top_k, top_p, seed: see `generate`.
        prompt: the beginning of the text.

    Returns:
        An iterator over pieces; joined, they are the text of `generate`. The prompt is read before it is
        returned.

    Raises:
        ValueError: an option is out of range.
        UserError: the prompt holds half of a surrogate pair.

    Example:

    >>> from charlm.model.char_lm import CharLM
    >>> model = CharLM("helo", units=5, depth=1, embedding_size=3)
    >>> "".join(stream(model, "he", 7, seed=1)) == generate(model, "he", 7, seed=1)
    True
    """
    writer = Writer(model, [prompt], temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
    return (piece for (piece,) in writer.pieces(num_chars) if piece)


class Writer:
    """Texts in progress: it reads the prompts, then continues all of them in parallel, call after call.

    Args:
        model: see `generate`.
        prompts: texts; equal ones are read once.
        temperature, top_k, top_p, seed: see `generate`.
        progress: called with the number of tokens of prompts read since its last call.
    """

    def __init__(
        self,
        model: "CharLM",
        prompts: Sequence[str],
        *,
        temperature: float = TEMPERATURE,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        progress: Callable[[int], object] | None = None,
    ):
        check_sampling(temperature, top_k, top_p)
        self._options = {
            "seed": tf.constant(draw_seed() if seed is None else seed, tf.int64),
            "temperature": tf.constant(temperature, tf.float32),
            "top_k": tf.constant(min(top_k or 0, len(model.vocabulary)), tf.int32),
            "top_p": tf.constant(1.0 if top_p is None else top_p, tf.float32),
        }
        self._vocabulary, self._position = model.vocabulary, 0
        self._read, self._draw = _graphs(model)
        distinct = list(dict.fromkeys(prompts)) or [""]
        begun = [self._begin(model, prompt, progress) for prompt in distinct]
        tokens, states = zip(*begun, strict=True)
        rows = tf.constant([distinct.index(prompt) for prompt in prompts], tf.int32)
        self._tokens = tf.gather(tf.constant(tokens, tf.int32), rows)
        self._states = tf.nest.map_structure(lambda *parts: tf.gather(tf.concat(parts, 0), rows), *states)

    def _begin(self, model, prompt, progress):
        """The last token of a prompt, and the state before it."""
        ids = model.vocabulary.encode(prompt)
        ids = ids if len(ids) else np.array([model.vocabulary.start], np.int32)
        states = model.get_initial_state(1)
        for start in range(0, len(ids) - 1, PROMPT_CHUNK):
            chunk = ids[start : min(start + PROMPT_CHUNK, len(ids) - 1)]
            states = self._read(chunk[None], states)
            if progress:
                progress(len(chunk))
        return int(ids[-1]), states

    def texts(self, num_chars: int) -> list[str]:
        """The next `num_chars` characters of each text."""
        pieces = list(self.pieces(num_chars))
        return ["".join(parts) for parts in zip(*pieces, strict=True)] or [""] * len(self._tokens)

    def pieces(self, num_chars: int) -> Iterator[list[str]]:
        """The next `num_chars` characters of each text, some at a time; a piece may be empty.

        Raises:
            ValueError: `num_chars` is negative.
        """
        if num_chars < 0:
            raise ValueError(f"num_chars must be at least 0, received {num_chars}.")
        return self._pieces([num_chars] * len(self._tokens))

    def _pieces(self, missing):
        decoders = [TextStream(self._vocabulary) for _ in missing]
        # A token may be one byte of a character: more tokens may be needed than characters are missing.
        while most := max(missing, default=0):
            rows = self.draw(min(most, CHUNK))
            pieces = [decoder.feed(row) for decoder, row in zip(decoders, rows, strict=True)]
            pieces = [piece[:left] for piece, left in zip(pieces, missing, strict=True)]
            missing = [left - len(piece) for piece, left in zip(pieces, missing, strict=True)]
            yield pieces

    def draw(self, count: int) -> np.ndarray:
        """The next tokens of each text, `(rows, count)` int32."""
        options = {**self._options, "count": count, "position": self._position}
        written, self._tokens, self._states = self._draw(self._tokens, self._states, options)
        self._position += count
        return written.numpy()


@functools.lru_cache(maxsize=2)  # a graph keeps its model alive
def _graphs(model):
    """Two graphs of a model: the state after a chunk of tokens, and `sample_stream`."""
    states = tf.nest.map_structure(
        lambda state: tf.TensorSpec((None, *state.shape[1:]), state.dtype), model.get_initial_state(1)
    )
    integers = dict.fromkeys(("count", "top_k"), tf.int32) | dict.fromkeys(("position", "seed"), tf.int64)
    dtypes = integers | dict.fromkeys(("temperature", "top_p"), tf.float32)
    options = {name: tf.TensorSpec((), dtype) for name, dtype in dtypes.items()}

    @tf.function(input_signature=[tf.TensorSpec((None, None), tf.int32), states], autograph=False)
    def read(tokens, states):
        return model.read(tokens, states)[1]

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.int32), states, options], autograph=False)
    def draw(tokens, states, options):
        return sample_stream(model.step, states, tokens, **options)

    return read, draw


def draw_seed() -> int:
    """A random seed, short enough to type."""
    return secrets.randbelow(2**31)
