"""Batched beam search."""

import dataclasses
import math
from typing import Any, NamedTuple

import keras
from keras import ops

from shared.decoding.candidates import Candidates
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
    prefix: Any = (),
    must_tokens: Any = (),
    no_final_tokens: tuple[int, ...] = (),
    diversity: float = 0.0,
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

    The step sees `beam_rows` rows of each example, example by example; `shared.decoding` says what need not
    be state.

    **Tokens that must occur** (grid beam search, Hokamp & Liu 2017): beams are held apart by how many of
    `must_tokens` they have, `num_beams` for each number from none to all. A beam ends only when it has all of
    them, and is dropped when too few tokens are left for those that it lacks.

    **Diverse texts** (Vijayakumar et al. 2018): with a `diversity` above 0, there are `n_best` groups of
    `num_beams` beams, which choose their tokens one after the other at each step. A token counts `diversity`
    less for each beam of an earlier group that has just taken it (Hamming diversity). Each group gives its
    best text that no earlier one gave.
    Log-probabilities and scores remain those of the model.

    Args:
        step: `step(tokens (rows,) int32, state) -> (logits (rows, vocabulary), state)`.
        state: nested structure of tensors (batch, ...), the state before the start token; it is tiled to
            (rows, ...) here. `()` for none.
        start_tokens: (batch,) int32, the first input of the step.
        end_token, max_length, min_length, no_repeat_ngram, banned_tokens, pad_token: see `greedy_search`.
            `banned_tokens` may be a tensor (tokens,) int32.
        num_beams: beginnings followed per example.
        length_penalty: 0 ranks by log-probability, which favours short texts; 1 ranks by that per token.
        n_best: texts returned per example, at most `num_beams`.
        patience: how many hypotheses to wait for, in multiples of `num_beams`; `math.inf`: exact test only.
        prefix: tokens that every text begins with, whatever other rules say; they count in its length and
            log-probability. Ids, or a tensor (tokens,) int32.
        must_tokens: distinct tokens that every text has, in any order; each multiplies the work. Ids, or a
            tensor (tokens,) int32.
        no_final_tokens: ids that no text ends on, whether before `end_token` or cut off at `max_length`.
        diversity: how much a token loses for each beam of an earlier group that takes it, in nats; 0: one
            group gives all `n_best`.

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
    options = (min_length, no_repeat_ngram, _as_tuple(banned_tokens), pad_token, _as_tuple(prefix))
    rules = Rules(end_token, max_length, *options, tuple(no_final_tokens))
    groups = n_best if diversity > 0 else 1
    candidates = Candidates(rules, num_beams, _as_tuple(must_tokens), groups, diversity)
    search = _BeamSearch(rules, num_beams, length_penalty, n_best, patience, candidates)
    return search.run(step, state, start_rows(start_tokens))


def beam_rows(num_beams: int, n_best: int = 1, must_tokens: Any = (), diversity: float = 0.0) -> Any:
    """How many rows of each example the step of a `beam_search` with these options sees.

    Example:

    >>> beam_rows(3), beam_rows(3, must_tokens=(7, 8)), beam_rows(3, n_best=2, diversity=0.5)
    (3, 9, 6)
    """
    groups = n_best if diversity > 0 else 1
    return num_beams * groups * (1 + ops.shape(must_tokens)[0])


def _as_tuple(tokens):
    return tokens if ops.is_tensor(tokens) else tuple(tokens)


class _Beams(NamedTuple):
    """Beginnings of texts, bank by bank, best first; those with minus infinity are vacant."""

    log_probs: Any  # (searches, beams)
    tokens: Any  # (searches, beams), the last one of each
    history: Any  # (searches, beams, max_length)
    rows: Any  # (searches, beams), where the state of each is


@dataclasses.dataclass(frozen=True)
class _BeamSearch:
    """The options of a beam search, and its parts.

    An example has as many searches as groups; without diversity that is one.
    """

    rules: Rules
    num_beams: int
    length_penalty: float
    n_best: int
    patience: float
    candidates: Candidates

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
            # Only beams of the last bank end, and it has the last 2 * num_beams of them.
            first = slice(-2 * self.num_beams, -self.num_beams)
            is_end = (beams.tokens == self.rules.end_token)[:, first]
            hypotheses = ops.where(is_end, beams.log_probs[:, first], -math.inf)
            best = self._merge(best, hypotheses, beams.history[:, first], index + 1)
            ended = ended + ops.sum(ops.cast(hypotheses > -math.inf, "int32"), axis=1)
            beams = self._select(beams, best, ended)
            rows = ops.reshape(beams.rows, (-1,))
            state = keras.tree.map_structure(lambda part: ops.take(part, rows, axis=0), state)
            return index + 1, beams, state, best, ended

        groups, banks = self.candidates.groups, self.candidates.banks
        state = tile_beams(state, groups * banks * self.num_beams)
        start_tokens = tile_beams(start_tokens, groups)
        searches = ops.shape(start_tokens)[0]
        ended = ops.zeros((searches,), "int32")  # hypotheses of each search so far
        loop = (ops.zeros((), "int32"), self._begin(start_tokens), state, self._nothing(searches), ended)
        _, beams, _, best, _ = ops.while_loop(is_running, advance, loop)
        last = slice(-self.num_beams, None)
        best = self._merge(best, beams.log_probs[:, last], beams.history[:, last], self.rules.max_length)
        return best if groups == 1 else self._one_of_each_group(best)

    def _begin(self, start_tokens):
        width = self.num_beams * self.candidates.banks
        shape = (ops.shape(start_tokens)[0], width)
        # All beams of a search begin the same way, so all but one are vacant until the first step.
        log_probs = ops.broadcast_to(ops.where(ops.arange(width) == 0, 0.0, -math.inf), shape)
        tokens = ops.broadcast_to(start_tokens[:, None], shape)
        history = ops.full((*shape, self.rules.max_length), self.rules.pad_token, dtype="int32")
        return _Beams(log_probs, tokens, history, ops.zeros(shape, "int32"))

    def _nothing(self, searches):
        tokens = ops.full((searches, self.n_best, self.rules.max_length), self.rules.pad_token, dtype="int32")
        nothing = ops.full((searches, self.n_best), -math.inf, dtype="float32")
        return Decoded(tokens, ops.zeros((searches, self.n_best), "int32"), nothing, nothing)

    def _expand(self, step, beams, state, index):
        """The 2 * num_beams best continuations of each bank, best first, and the state of all rows."""
        searches, width = ops.shape(beams.tokens)
        history = ops.reshape(beams.history, (-1, self.rules.max_length))  # (rows, max_length)
        log_probs, state = next_log_probs(step, ops.reshape(beams.tokens, (-1,)), state)
        log_probs = self.rules.apply(log_probs, history, index)
        log_probs, tokens, parents = self.candidates.rank(beams.log_probs, history, log_probs, index)
        rows = parents + ops.arange(searches)[:, None] * width
        history = write(ops.take(history, rows, axis=0), tokens, index)
        return _Beams(log_probs, tokens, history, rows), state

    def _select(self, beams, best, ended):
        """The first `num_beams` of each bank that have not ended; none where the search is over."""
        is_live, order = self.candidates.first_live(beams.log_probs, beams.tokens)
        log_probs, tokens, history, rows = (pick(part, order) for part in beams)
        log_probs = ops.where(is_live, log_probs, -math.inf)
        most = ops.max(log_probs, axis=1, keepdims=True)
        is_over = self._score(most, self.rules.max_length) <= best.scores[:, -1:]
        if self.patience < math.inf:
            is_over = is_over | (ended[:, None] >= math.ceil(self.num_beams * self.patience))
        return _Beams(ops.where(is_over, -math.inf, log_probs), tokens, history, rows)

    def _merge(self, best, log_probs, tokens, length):
        """The `n_best` of `best` and more texts of one length; of equals, the first."""
        lengths = ops.zeros_like(log_probs, dtype="int32") + length
        others = Decoded(tokens, lengths, log_probs, self._score(log_probs, length))
        joined = Decoded(*(ops.concatenate(pair, axis=1) for pair in zip(best, others, strict=True)))
        scores, order = ops.top_k(joined.scores, self.n_best)
        return Decoded(*(pick(part, order) for part in joined[:3]), scores)

    def _one_of_each_group(self, best):
        """The best text of each group that no earlier group gave, best first: (batch, n_best, ...)."""
        best = [ops.reshape(part, (-1, self.candidates.groups, *ops.shape(part)[1:])) for part in best]
        chosen = []
        for group in range(self.candidates.groups):
            tokens, lengths, log_probs, scores = (part[:, group] for part in best)
            for other in chosen:
                scores = ops.where(ops.any(tokens != other[0], axis=-1), scores, -math.inf)
            _, order = ops.top_k(scores, 1)
            chosen.append([pick(part, order) for part in (tokens, lengths, log_probs, scores)])
        texts = Decoded(*(ops.concatenate(parts, axis=1) for parts in zip(*chosen, strict=True)))
        scores, order = ops.top_k(texts.scores, self.n_best)
        return Decoded(*(pick(part, order) for part in texts[:3]), scores)

    def _score(self, log_probs, length):
        return log_probs / ops.cast(length, "float32") ** self.length_penalty
