"""A model in the middle of texts: the engine of `charlm.generate`."""

import functools
import secrets
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from charlm.text.characters import TextStream
from shared.decoding import check_sampling, sample_stream

CHUNK = 64  # tokens that are drawn at once: so often text appears, and Ctrl-C is heard
PIECE = 512  # tokens of a prompt that are read at once


class Writer:
    """A model in the middle of some texts, at first after the prompts.

    Args:
        model, prompts, temperature, top_k, top_p, seed: see `generate`.
        progress: called with the number of tokens of prompts that were read since it was last called. Prompts
            that are equal are read once.
    """

    def __init__(self, model, prompts, *, temperature=1.0, top_k=None, top_p=None, seed=None, progress=None):
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
        begun = [self._begin(model, prompt, progress or (lambda count: None)) for prompt in distinct]
        tokens, states = zip(*begun, strict=True)
        rows = tf.constant([distinct.index(prompt) for prompt in prompts], tf.int32)
        self._tokens = tf.gather(tf.constant(tokens, tf.int32), rows)
        self._states = tf.nest.map_structure(lambda *parts: tf.gather(tf.concat(parts, 0), rows), *states)

    def _begin(self, model, prompt, progress):
        """The last token of a prompt, and the state before it."""
        ids = model.vocabulary.encode(prompt)
        ids = ids if len(ids) else np.array([model.vocabulary.start], np.int32)
        states = model.get_initial_state(1)
        for place in range(0, len(ids) - 1, PIECE):
            piece = ids[place : min(place + PIECE, len(ids) - 1)]
            states = self._read(piece[None], states)
            progress(len(piece))
        return int(ids[-1]), states

    def texts(self, num_chars: int) -> list[str]:
        """The next `num_chars` characters of each text."""
        pieces = list(self.pieces(num_chars))
        return ["".join(parts) for parts in zip(*pieces, strict=True)] or [""] * len(self._tokens)

    def pieces(self, num_chars: int) -> Iterator[list[str]]:
        """Some characters of each text at a time, until there are `num_chars` of each; some may be empty.

        Raises:
            ValueError: `num_chars` is negative.
        """
        if num_chars < 0:
            raise ValueError(f"num_chars must be at least 0, received {num_chars}.")
        return self._pieces([num_chars] * len(self._tokens))

    def _pieces(self, missing):
        decoders = [TextStream(self._vocabulary) for _ in missing]
        # A token is a character or a part of one: more tokens may be needed than characters are missing.
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
    """Two compiled functions of a model: the state after some tokens, and `sample_stream`."""
    states = tf.nest.map_structure(
        lambda state: tf.TensorSpec((None, *state.shape[1:]), state.dtype), model.get_initial_state(1)
    )
    whole = dict.fromkeys(("count", "top_k"), tf.int32) | dict.fromkeys(("position", "seed"), tf.int64)
    dtypes = whole | dict.fromkeys(("temperature", "top_p"), tf.float32)
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
