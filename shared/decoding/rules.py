"""The rules for texts that all searches share: their length, and tokens that may not occur."""

import dataclasses
import math

import numpy as np
from keras import ops


@dataclasses.dataclass(frozen=True)
class Rules:
    """Length limits and forbidden tokens; see `greedy_search` for the meaning of each."""

    end_token: int
    max_length: int
    min_length: int
    no_repeat_ngram: int
    banned_tokens: tuple[int, ...]
    pad_token: int

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

    def apply(self, log_probs, history, index):
        """The log-probabilities, minus infinity for tokens that may not be number `index` of a text.

        Args:
            log_probs: (rows, vocabulary).
            history: (rows, max_length), the tokens before `index`.
            index: scalar int32, counted from 0.
        """
        vocabulary = log_probs.shape[-1]
        self._check_vocabulary(vocabulary)
        if self.banned_tokens:
            is_banned = np.isin(np.arange(vocabulary), self.banned_tokens)
            log_probs = log_probs + np.where(is_banned, -np.inf, 0.0).astype("float32")
        if self.min_length > 1:
            is_early_end = (ops.arange(vocabulary) == self.end_token) & (index + 1 < self.min_length)
            log_probs = log_probs + ops.where(is_early_end, -math.inf, 0.0)
        if 0 < self.no_repeat_ngram <= self.max_length:
            log_probs = log_probs + self._repetitions(ops.shape(log_probs), history, index)
        return log_probs

    def _check_vocabulary(self, vocabulary):
        if vocabulary is None or vocabulary < 2:
            raise ValueError(
                "The step's logits need a last axis of at least 2 tokens, known when the graph is built; "
                f"received {vocabulary}."
            )
        for token in (self.end_token, *self.banned_tokens):
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
