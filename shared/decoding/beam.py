"""Batched beam search."""

import dataclasses
import math
from typing import Any, NamedTuple

import keras
from keras import ops

from shared.decoding.rules import Rules
from shared.decoding.steps import Decoded, Step, next_log_probs, pick, start_rows, tile_beams, write


def beam_search(
    step: Step,
    state: Any,
    start_tokens: Any,
    *,
    end_token: int,
    max_length: int,
    num_beams: int = 3,
    length_penalty: float = 1.0,
    min_length: int = 0,
    no_repeat_ngram: int = 0,
    banned_tokens: tuple[int, ...] = (),
    n_best: int = 1,
    patience: float = 1.0,
    pad_token: int = 0,
) -> Decoded:
    """Follows several beginnings of a text at once and ranks texts by `log_prob / length**length_penalty`.

    At each step the continuations of an example's beams are ranked by log-probability. Those among the first
    `num_beams` that end become hypotheses; the first `num_beams` of those that do not end are the next beams.
    The search in an example is over

    - when `num_beams * patience` hypotheses have ended (with one beam that is greedy search; for patience see
      Kasai et al. 2022), or
    - when no beam can reach the `n_best` any more: log-probabilities only fall, and `length**length_penalty`
      is at most `max_length**length_penalty`, so the score of a beam's text is at most
      `log_prob / max_length**length_penalty`. If this bound of the best beam does not exceed the score of the
      last of `n_best` hypotheses, more steps would change nothing. The test is exact: it only saves time.

    Beams that reach `max_length` without an end compete with the hypotheses, unless the search is over.
    The loop stops when the search is over in all examples; no example influences another.

    The step sees batch * num_beams rows, example by example; `shared.decoding` says what need not be state.

    Args:
        step: `step(tokens (rows,) int32, state) -> (logits (rows, vocabulary), state)`.
        state: nested structure of tensors (batch, ...), the state before the start token; it is tiled to
            (rows, ...) here. `()` for none.
        start_tokens: (batch,) int32, the first input of the step.
        end_token, max_length, min_length, no_repeat_ngram, banned_tokens, pad_token: see `greedy_search`.
        num_beams: beginnings followed per example.
        length_penalty: 0 ranks by log-probability, which favours short texts; 1 ranks by that per token.
        n_best: texts returned per example, at most `num_beams`.
        patience: how many hypotheses to wait for, in multiples of `num_beams`; `math.inf`: exact test only.

    Returns:
        `Decoded`, best first.

    Raises:
        ValueError: an option is out of its range, or the step breaks its contract.

    Example:

    >>> table = ops.log(ops.array([[0.1, 0.4, 0.5], [0.9, 0.05, 0.05], [0.4, 0.3, 0.3]]))  # row: last token
    >>> step = lambda tokens, state: (ops.take(table, tokens, axis=0), state)
    >>> text = beam_search(step, (), [0], end_token=0, max_length=4, n_best=2, length_penalty=0.0)
    >>> text.tokens.numpy().tolist()  # greedy search would begin with 2
    [[[1, 0, 0, 0], [2, 0, 0, 0]]]
    >>> [round(float(p), 2) for p in ops.exp(text.log_probs[0])]
    [0.36, 0.2]
    """
    rules = Rules(end_token, max_length, min_length, no_repeat_ngram, tuple(banned_tokens), pad_token)
    search = _BeamSearch(rules, num_beams, length_penalty, n_best, patience)
    return search.run(step, state, start_rows(start_tokens))


class _Beams(NamedTuple):
    """Beginnings of texts, the most probable first; those with minus infinity are vacant."""

    log_probs: Any  # (batch, beams)
    tokens: Any  # (batch, beams), the last one of each
    history: Any  # (batch, beams, max_length)
    rows: Any  # (batch, beams), where the state of each is


@dataclasses.dataclass(frozen=True)
class _BeamSearch:
    """The options of a beam search, and its parts."""

    rules: Rules
    num_beams: int
    length_penalty: float
    n_best: int
    patience: float

    def __post_init__(self):
        if self.num_beams < 1:
            raise ValueError(f"num_beams must be at least 1, received {self.num_beams}.")
        if not 1 <= self.n_best <= self.num_beams:
            raise ValueError(
                f"n_best must be between 1 and num_beams={self.num_beams}, received {self.n_best}."
            )
        if not 0 <= self.length_penalty < math.inf:
            raise ValueError(
                f"length_penalty must be 0 or a finite number above, received {self.length_penalty}."
            )
        if not self.patience > 0:
            raise ValueError(f"patience must be above 0, received {self.patience}.")

    def run(self, step, state, start_tokens):
        def is_running(index, beams, state, best, ended):
            return (index < self.rules.max_length) & ops.any(beams.log_probs > -math.inf)

        def advance(index, beams, state, best, ended):
            beams, state = self._expand(step, beams, state, index)  # now twice as many
            is_end = (beams.tokens == self.rules.end_token) & (beams.log_probs > -math.inf)
            hypotheses = ops.where(is_end, beams.log_probs, -math.inf)[:, : self.num_beams]
            best = self._merge(best, hypotheses, beams.history[:, : self.num_beams], index + 1)
            ended = ended + ops.sum(ops.cast(is_end[:, : self.num_beams], "int32"), axis=1)
            beams = self._select(beams, is_end, best, ended)
            rows = ops.reshape(beams.rows, (-1,))
            state = keras.tree.map_structure(lambda part: ops.take(part, rows, axis=0), state)
            return index + 1, beams, state, best, ended

        batch = ops.shape(start_tokens)[0]
        ended = ops.zeros((batch,), "int32")  # hypotheses of each example so far
        state = tile_beams(state, self.num_beams)
        loop = (ops.zeros((), "int32"), self._begin(start_tokens), state, self._nothing(batch), ended)
        _, beams, _, best, _ = ops.while_loop(is_running, advance, loop)
        return self._merge(best, beams.log_probs, beams.history, self.rules.max_length)

    def _begin(self, start_tokens):
        shape = (ops.shape(start_tokens)[0], self.num_beams)
        # All beams of an example begin the same way, so all but one are vacant until the first step.
        log_probs = ops.broadcast_to([0.0] + [-math.inf] * (self.num_beams - 1), shape)
        tokens = ops.broadcast_to(start_tokens[:, None], shape)
        history = ops.full((*shape, self.rules.max_length), self.rules.pad_token, dtype="int32")
        return _Beams(log_probs, tokens, history, ops.zeros(shape, "int32"))

    def _nothing(self, batch):
        tokens = ops.full((batch, self.n_best, self.rules.max_length), self.rules.pad_token, dtype="int32")
        nothing = ops.full((batch, self.n_best), -math.inf, dtype="float32")
        return Decoded(tokens, ops.zeros((batch, self.n_best), "int32"), nothing, nothing)

    def _expand(self, step, beams, state, index):
        """The 2 * beams most probable continuations of each example, and the state of all rows."""
        batch = ops.shape(beams.tokens)[0]
        history = ops.reshape(beams.history, (-1, self.rules.max_length))  # (rows, max_length)
        log_probs, state = next_log_probs(step, ops.reshape(beams.tokens, (-1,)), state)
        log_probs = self.rules.apply(log_probs, history, index)
        # The best continuations of an example are among the best of each beam: one pass over the vocabulary.
        width = min(2 * self.num_beams, log_probs.shape[-1])
        log_probs, tokens = ops.top_k(log_probs, width)  # (rows, width)
        log_probs = log_probs + ops.reshape(beams.log_probs, (-1, 1))
        log_probs = ops.reshape(log_probs, (batch, self.num_beams * width))
        log_probs, order = ops.top_k(log_probs, 2 * self.num_beams)  # (batch, 2 * beams)
        order = order + ops.arange(batch)[:, None] * (self.num_beams * width)
        rows, tokens = order // width, ops.take(ops.reshape(tokens, (-1,)), order, axis=0)
        history = write(ops.take(history, rows, axis=0), tokens, index)
        return _Beams(log_probs, tokens, history, rows), state

    def _select(self, beams, is_end, best, ended):
        """The best beams that have not ended, of twice as many; none where the search is over."""
        # A beam has one way to end, so at least half of its continuations have not ended.
        log_probs, order = ops.top_k(ops.where(is_end, -math.inf, beams.log_probs), self.num_beams)
        is_over = self._score(log_probs[:, :1], self.rules.max_length) <= best.scores[:, -1:]
        if self.patience < math.inf:
            is_over = is_over | (ended[:, None] >= math.ceil(self.num_beams * self.patience))
        tokens, history, rows = (pick(part, order) for part in beams[1:])
        return _Beams(ops.where(is_over, -math.inf, log_probs), tokens, history, rows)

    def _merge(self, best, log_probs, tokens, length):
        """The `n_best` of `best` and more texts of one length; of equals, the first."""
        lengths = ops.zeros_like(log_probs, dtype="int32") + length
        others = Decoded(tokens, lengths, log_probs, self._score(log_probs, length))
        joined = Decoded(*(ops.concatenate(pair, axis=1) for pair in zip(best, others, strict=True)))
        scores, order = ops.top_k(joined.scores, self.n_best)
        return Decoded(*(pick(part, order) for part in joined[:3]), scores)

    def _score(self, log_probs, length):
        return log_probs / ops.cast(length, "float32") ** self.length_penalty
