"""Lets a character model write: python -m charlm.generate --model MODEL --prompt TEXT.

Keras and TensorFlow are imported after the command line is understood, so that `--help` answers at once.
"""

import argparse
import contextlib
import functools
import json
import math
import secrets
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from charlm.characters import TextStream
from charlm.sources import read_path, read_stdin
from shared.cli import UserError, run_script, whole_number
from shared.quiet import import_tensorflow_quietly

if TYPE_CHECKING:
    from charlm.model import CharLM

DEFAULT_MODEL = "shakespeare"
TEMPERATURE = 0.8
CHUNK = 64  # tokens that are drawn at once: so often a text appears, and Ctrl-C is heard
PIECE = 512  # tokens of a prompt that are read at once


def generate(
    model: "CharLM",
    prompts: Sequence[str],
    num_chars: int,
    *,
    temperature: float = TEMPERATURE,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
) -> list[str]:
    """What a model writes after each of some prompts, all of them side by side.

    Args:
        model: a `charlm.model.CharLM` or `charlm.exported.ExportedCharLM`.
        prompts: texts to go on with, any characters; give one several times for several samples. An empty one
            is begun by `model.vocabulary.start`.
        num_chars: characters to write after each.
        temperature, top_k, top_p: see `shared.decoding.sample_stream`.
        seed: the same gives the same texts; None draws one.

    Returns:
        For each prompt the `num_chars` characters that follow it.

    Raises:
        ValueError: an option is out of its range.
        UserError: a prompt holds half of a surrogate pair.

    Example:

    >>> from charlm.model import CharLM
    >>> model = CharLM("helo", units=5, depth=1, embedding_size=3)
    >>> [len(text) for text in generate(model, ["he", ""], 7, seed=1)]
    [7, 7]
    """
    if isinstance(prompts, str):
        raise ValueError("prompts is one text. Expected a list of texts: put it in brackets.")
    _check_length(num_chars)
    writer = Writer(model, prompts, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
    decoders = [TextStream(model.vocabulary) for _ in prompts]
    texts = ["" for _ in prompts]
    # A token is a character or a part of one, so there may be more tokens to draw than characters are wanted.
    while missing := num_chars - min(map(len, texts), default=num_chars):
        rows = writer.write(min(missing, CHUNK))
        pieces = (decoder.feed(row) for decoder, row in zip(decoders, rows, strict=True))
        texts = [(text + piece)[:num_chars] for text, piece in zip(texts, pieces, strict=True)]
    return texts


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
    """What a model writes after one prompt, piece by piece: together the text of `generate(model, [prompt], ...)`.

    Args:
        model, num_chars, temperature, top_k, top_p, seed: see `generate`.
        prompt: text to go on with.

    Returns:
        An iterator over pieces of text. The prompt has been read when it is there.

    Raises:
        ValueError: an option is out of its range.
        UserError: the prompt holds half of a surrogate pair.

    Example:

    >>> from charlm.model import CharLM
    >>> model = CharLM("helo", units=5, depth=1, embedding_size=3)
    >>> "".join(stream(model, "he", 7, seed=1)) == generate(model, ["he"], 7, seed=1)[0]
    True
    """
    _check_length(num_chars)
    writer = Writer(model, [prompt], temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)

    def pieces():
        decoder, missing = TextStream(model.vocabulary), num_chars
        while missing:
            piece = decoder.feed(writer.write(min(missing, CHUNK))[0])[:missing]
            missing -= len(piece)
            if piece:
                yield piece

    return pieces()


def _check_length(num_chars):
    if num_chars < 0:
        raise ValueError(f"num_chars must be at least 0, received {num_chars}.")


class Writer:
    """A model in the middle of texts, one a row: each `write` goes on where the last one ended.

    Args:
        model, prompts, temperature, top_k, top_p, seed: see `generate`.
    """

    def __init__(self, model, prompts, *, temperature=TEMPERATURE, top_k=None, top_p=None, seed=None):
        import tensorflow as tf

        from shared.decoding import check_sampling

        check_sampling(temperature, top_k, top_p)
        self._options = {
            "seed": tf.constant(draw_seed() if seed is None else seed, tf.int64),
            "temperature": tf.constant(temperature, tf.float32),
            "top_k": tf.constant(min(top_k or 0, 2**31 - 1), tf.int32),
            "top_p": tf.constant(1.0 if top_p is None else top_p, tf.float32),
        }
        self._read, self._draw = _graphs(model)
        self._position = 0
        distinct = list(dict.fromkeys(prompts))
        rows = [distinct.index(prompt) for prompt in prompts]
        begun = [self._begin(model, prompt) for prompt in distinct] or [(0, model.get_initial_state(1))]
        tokens, states = zip(*begun, strict=True)
        self._tokens = tf.gather(tf.constant(tokens, tf.int32), tf.constant(rows, tf.int32))
        self._states = tf.nest.map_structure(lambda *parts: tf.gather(tf.concat(parts, 0), rows), *states)

    def _begin(self, model, prompt):
        """The last token of a prompt, and the state before it."""
        ids = model.vocabulary.encode(prompt)
        ids = ids if len(ids) else np.array([model.vocabulary.start], np.int32)
        states = model.get_initial_state(1)
        for place in range(0, len(ids) - 1, PIECE):
            states = self._read(ids[None, place : min(place + PIECE, len(ids) - 1)], states)
        return int(ids[-1]), states

    def write(self, count: int) -> np.ndarray:
        """The next tokens of each text, `(rows, count)` int32."""
        written, self._tokens, self._states = self._draw(
            self._tokens, self._states, {**self._options, "count": count, "position": self._position}
        )
        self._position += count
        return written.numpy()


@functools.lru_cache(maxsize=2)  # a graph keeps its model alive
def _graphs(model):
    """Two compiled functions of a model: the state after some tokens, and `sample_stream`."""
    import tensorflow as tf

    from shared.decoding import sample_stream

    states = tf.nest.map_structure(
        lambda state: tf.TensorSpec((None, *state.shape[1:]), state.dtype), model.get_initial_state(1)
    )
    dtypes = {
        "count": tf.int32,
        "position": tf.int64,
        "seed": tf.int64,
        "temperature": tf.float32,
        "top_k": tf.int32,
        "top_p": tf.float32,
    }
    options = {name: tf.TensorSpec((), dtype) for name, dtype in dtypes.items()}

    @tf.function(input_signature=[tf.TensorSpec((None, None), tf.int32), states], autograph=False)
    def read(tokens, states):
        return model.read(tokens, states)[1]

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.int32), states, options], autograph=False)
    def draw(tokens, states, options):
        return sample_stream(model.step, states, tokens, **options)

    return read, draw


def draw_seed() -> int:
    """A seed that nobody can foresee, short enough to be typed."""
    return secrets.randbelow(2**31)
