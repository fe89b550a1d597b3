"""The rules for texts that all searches share: their length, and tokens that may not occur."""

import dataclasses
import math
from typing import Any

import numpy as np
from keras import ops


@dataclasses.dataclass(frozen=True)
class Rules:
    """Length limits, forbidden tokens and a given beginning; see `greedy_search` and `beam_search`.

    `banned_tokens` and `prefix` may be tensors, so that they can be inputs of an exported model.
    """

    end_token: int
    max_length: int
    min_length: int
    no_repeat_ngram: int
    banned_tokens: Any
    pad_token: int
    prefix: Any = ()
    no_final_tokens: tuple[int, ...] = ()

    def __post_init__(self):
        if self.max_length < 1:
            raise ValueError(f"max_length must be at least 1, received {self.max_length}.")
        if not 0 <= self.min_length <= self.max_length:
            raise ValueError(
                f"min_length must lie between 0 and max_length={self.max_length}, received {self.min_length}."
            )
        if self.no_repeat_ngram < 0:
            raise ValueError(
                f"no_repeat_ngram must be at least 0 (no rule), received {self.no_repeat_ngram}."
            )

        if isinstance(self.prefix, tuple):
            self._check_prefix()

    def _check_prefix(self):
        if len(self.prefix) > self.max_length:
            raise ValueError(f"A prefix of {len(self.prefix)} tokens exceeds max_length={self.max_length}.")
        if self.end_token in self.prefix:
            raise ValueError(f"The prefix {self.prefix} has the end token {self.end_token}.")

    def apply(self, log_probs, history, index):
        """The log-probabilities, minus infinity for tokens that may not be number `index` of a text.

        Args:
            log_probs: (rows, vocabulary).
            history: (rows, max_length), the tokens before `index`.
            index: scalar int32, counted from 0.
        """
        vocabulary = log_probs.shape[-1]
        self._check_vocabulary(vocabulary)
        allowed = log_probs
        if not isinstance(self.banned_tokens, tuple):
            is_banned = ops.any(ops.arange(vocabulary)[:, None] == self.banned_tokens[None, :], axis=1)
            allowed = allowed + ops.where(is_banned, -math.inf, 0.0)
        elif self.banned_tokens:
            is_banned = np.isin(np.arange(vocabulary), self.banned_tokens)
            allowed = allowed + np.where(is_banned, -np.inf, 0.0).astype("float32")
        if self.min_length > 1:
            is_early_end = (ops.arange(vocabulary) == self.end_token) & (index + 1 < self.min_length)
            allowed = allowed + ops.where(is_early_end, -math.inf, 0.0)
        if self.no_final_tokens:
            allowed = ops.where(self._is_bad_ending(vocabulary, history, index), -math.inf, allowed)
        if 0 < self.no_repeat_ngram <= self.max_length:
            allowed = allowed + self._repetitions(ops.shape(log_probs), history, index)
        if is_given(self.prefix):
            allowed = self._follow_prefix(log_probs, allowed, index)
        return allowed

    def _is_bad_ending(self, vocabulary, history, index):
        """Where a text would end after, or be cut off at, one of `no_final_tokens`: (rows, vocabulary)."""
        is_final = np.isin(np.arange(vocabulary), self.no_final_tokens)
        last = ops.take(history, ops.maximum(index - 1, 0), axis=1)  # (rows,)
        ends_badly = ops.take(is_final, last) & (index > 0)
        is_end = np.arange(vocabulary) == self.end_token
        return (ends_badly[:, None] & is_end) | (is_final & (index + 1 == self.max_length))

    def _follow_prefix(self, log_probs, allowed, index):
        """Within the prefix its token alone, whatever other rules say; `allowed` after it."""
        prefix = ops.pad(ops.cast(self.prefix, "int32"), [(0, 1)], constant_values=-1)
        count = ops.shape(prefix)[0] - 1
        token = ops.take(prefix, ops.minimum(index, count))
        forced = ops.where(ops.arange(log_probs.shape[-1]) == token, log_probs, -math.inf)
        return ops.where(index < count, forced, allowed)

    def _check_vocabulary(self, vocabulary):
        if vocabulary is None or vocabulary < 2:
            raise ValueError(
                "The step's logits need a last axis of at least 2 tokens, known when the graph is built; "
                f"received {vocabulary}."
            )
        known = [tokens for tokens in (self.banned_tokens, self.prefix) if isinstance(tokens, tuple)]
        for token in (
            self.end_token,
            *self.no_final_tokens,
            *(token for tokens in known for token in tokens),
        ):
            if not 0 <= token < vocabulary:
                raise ValueError(f"Token {token} is not in the vocabulary: expected 0 to {vocabulary - 1}.")

    def _repetitions(self, shape, history, index):
        """Minus infinity at tokens that would repeat an n-gram of `history`, else 0: (rows, vocabulary)."""
        size = self.no_repeat_ngram
        starts = self.max_length - size + 1  # at which an n-gram can begin
        is_repeated = (ops.arange(starts) + size <= index) & ops.ones_like(history[:, :starts], dtype="bool")
        for offset in range(size - 1):
            # Early in the text this index is negative, but then no n-gram is complete either.
            recent = ops.take(history, index - (size - 1) + offset, axis=1)
            is_repeated = is_repeated & (history[:, offset : offset + starts] == recent[:, None])
        followers = ops.where(is_repeated, history[:, size - 1 :], 0)  # (rows, starts)
        rows = ops.broadcast_to(ops.arange(shape[0])[:, None], ops.shape(followers))
        indices = ops.reshape(ops.stack([rows, followers], axis=-1), (-1, 2))
        # Scattered values are added, so a token that occurs twice, or the 0 for "none", does no harm.
        return ops.scatter(indices, ops.reshape(ops.where(is_repeated, -math.inf, 0.0), (-1,)), shape)


def is_given(tokens):
    """Whether there are any tokens; a tensor, whose length only the graph may know, counts as some."""
    return not isinstance(tokens, tuple) or bool(tokens)
