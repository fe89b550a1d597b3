"""Which tokens may come next in a beam search, best first."""

import dataclasses
import math
from typing import Any

from keras import ops

from shared.decoding.rules import Rules, is_given
from shared.decoding.steps import pick


@dataclasses.dataclass(frozen=True)
class Candidates:
    """The continuations of the beams of a search that are worth a look.

    Beams are in banks by how many of the tokens that must occur they have: first those without any. Without
    such tokens there is one bank.

    Args:
        rules: which texts are allowed.
        num_beams: beams of each bank.
        must: ids of the tokens that must occur, or a tensor of them.
        groups: searches of each example, each of which avoids the tokens of those before it.
        diversity: by how much it avoids them.

    Raises:
        ValueError: an option is out of its range.
    """

    rules: Rules
    num_beams: int
    must: Any
    groups: int
    diversity: float

    def __post_init__(self):
        if not 0 <= self.diversity < math.inf:
            raise ValueError(f"diversity must be 0 or a finite number above, received {self.diversity}.")
        if isinstance(self.must, tuple):
            self._check_must()

    def _check_must(self):
        rules = self.rules
        banned = rules.banned_tokens if isinstance(rules.banned_tokens, tuple) else ()
        impossible = {*banned, rules.end_token, rules.pad_token} & {*self.must}
        if impossible:
            raise ValueError(f"Tokens that must occur can not: {sorted(impossible)}.")
        if len({*self.must}) < len(self.must) or len(self.must) > rules.max_length:
            raise ValueError(
                f"must_tokens must be distinct and at most max_length={rules.max_length}; "
                f"received {self.must}."
            )

    @property
    def banks(self):
        return 1 + ops.shape(self.must)[0]

    def rank(self, past, history, log_probs, index):
        """The `2 * num_beams` best continuations of each bank, best first.

        Args:
            past: (searches, beams), log-probabilities of the beams.
            history: (rows, max_length), their tokens.
            log_probs: (rows, vocabulary), of the tokens that may follow; minus infinity for all others.
            index: number of tokens so far.

        Returns:
            Log-probabilities, last tokens, and indices of the beams that are continued, each
            (searches, banks * 2 * num_beams).
        """
        rank = self._rank_one if self.groups == 1 else self._rank_groups
        return rank(past, history, log_probs, index)

    def first_live(self, log_probs, tokens):
        """Whether beams have not ended, and indices of the first `num_beams` of each bank that have not."""
        # A beam has one way to end, so at least half of its continuations have not ended.
        is_live = (tokens != self.rules.end_token) & (log_probs > -math.inf)
        width = 2 * self.num_beams
        is_live = ops.reshape(is_live, (-1, self.banks, width))
        ranks = ops.where(is_live, -ops.arange(width, dtype="float32"), -math.inf)
        ranks, order = ops.top_k(ranks, self.num_beams)  # (searches, banks, num_beams)
        order = order + ops.arange(self.banks)[:, None] * width
        shape = (-1, self.banks * self.num_beams)
        return ops.reshape(ranks > -math.inf, shape), ops.reshape(order, shape)

    def _rank_one(self, past, history, log_probs, index, penalties=None):
        """`rank` by log-probability less penalties (searches, vocabulary), which count in this alone."""
        searches, beams = ops.shape(past)
        values = log_probs if penalties is None else log_probs - ops.repeat(penalties, beams, axis=0)
        # The best continuations of a search are among the best of each beam: one pass over the vocabulary.
        values, tokens = self._best_of_each_beam(values, history)
        width = ops.shape(tokens)[1]
        values = ops.reshape(values + ops.reshape(past, (-1, 1)), (searches, beams * width))
        values, order = ops.top_k(self._in_banks(values, width, index), 2 * self.num_beams)
        values, order = (
            ops.reshape(part, (searches, self.banks * 2 * self.num_beams)) for part in (values, order)
        )
        tokens = pick(ops.reshape(tokens, (searches, beams * width)), order)
        if penalties is not None:
            values = values + ops.take_along_axis(penalties, tokens, axis=1)
        return values, tokens, order // width

    def _best_of_each_beam(self, values, history):
        """The best tokens of each row, and after them all tokens that must occur: (rows, width)."""
        width = min(2 * self.num_beams, values.shape[-1])
        if not is_given(self.must):
            return ops.top_k(values, width)
        is_missing = ops.all(history[:, None, :] != self._must_ids[:, None], axis=-1)  # (rows, must)
        forced = ops.where(is_missing, ops.take(values, self._must_ids, axis=1), -math.inf)
        vocabulary = values.shape[-1]
        is_apart = ops.cast(is_missing, "float32") @ ops.one_hot(self._must_ids, vocabulary) > 0
        is_end = ops.arange(vocabulary) == self.rules.end_token
        is_apart = is_apart | (is_end & ops.any(is_missing, axis=1)[:, None])
        values, tokens = ops.top_k(ops.where(is_apart, -math.inf, values), width)
        must = ops.broadcast_to(self._must_ids, ops.shape(forced))
        return ops.concatenate([values, forced], axis=1), ops.concatenate([tokens, must], axis=1)

    @property
    def _must_ids(self):
        return ops.cast(self.must, "int32")

    def _in_banks(self, values, width, index):
        """The values (searches, beams * width) of each bank, else minus infinity: (searches, banks, same)."""
        if not is_given(self.must):
            return values[:, None]
        columns = ops.arange(ops.shape(values)[1])
        is_gain = columns % width >= width - (self.banks - 1)  # the beam gains a token that must occur
        reached = columns // (width * self.num_beams) + ops.cast(is_gain, "int32")
        banks = ops.arange(self.banks)[:, None]
        is_in_time = self.banks - 1 - banks < self.rules.max_length - index
        return ops.where((reached == banks) & is_in_time, values[:, None], -math.inf)

    def _rank_groups(self, past, history, log_probs, index):
        """`rank` for groups one after the other, where each avoids the tokens of those before it."""
        width, vocabulary = ops.shape(past)[1], log_probs.shape[-1]
        past = ops.reshape(past, (-1, self.groups, width))
        history = ops.reshape(history, (-1, self.groups, width, self.rules.max_length))
        log_probs = ops.reshape(log_probs, (-1, self.groups, width, vocabulary))
        penalties, chosen = ops.zeros((ops.shape(past)[0], vocabulary)), []
        for group in range(self.groups):
            rows = (ops.reshape(part[:, group], (-1, part.shape[-1])) for part in (history, log_probs))
            _, tokens, _ = ranked = self._rank_one(past[:, group], *rows, index, penalties)
            chosen.append(ranked)
            is_live, order = self.first_live(*ranked[:2])
            taken = ops.one_hot(pick(tokens, order), vocabulary) * ops.cast(is_live, "float32")[..., None]
            penalties = penalties + self.diversity * ops.sum(taken, axis=1)
        width = self.banks * 2 * self.num_beams
        return [ops.reshape(ops.stack(part, axis=1), (-1, width)) for part in zip(*chosen, strict=True)]
