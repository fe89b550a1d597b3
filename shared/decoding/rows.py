"""Searches that keep one text per row: greedy search and sampling."""

import math
import numbers
from typing import Any

import keras
from keras import ops

from shared.decoding.rules import Rules
from shared.decoding.steps import Decoded, Step, next_log_probs, start_rows, write


def greedy_search(
    step: Step,
    state: Any,
    start_tokens: Any,
    *,
    end_token: int,
    max_length: int,
    min_length: int = 0,
    no_repeat_ngram: int = 0,
    banned_tokens: tuple[int, ...] = (),
    pad_token: int = 0,
) -> Decoded:
    """Extends each text by its most probable next token, step by step.

    Args:
        step: `step(tokens (rows,) int32, state) -> (logits (rows, vocabulary), state)`.
        state: nested structure of tensors (batch, ...), the state before the start token; `()` for none.
        start_tokens: (batch,) int32, the first input of the step.
        end_token: id that ends a text.
        max_length: largest number of tokens, end token included; a text that is cut off has no end token.
        min_length: smallest number of tokens, end token included.
        no_repeat_ngram: no sequence of that many tokens occurs twice in a text, not counting the start token;
            0: no rule.
        banned_tokens: ids that never occur.
        pad_token: id that fills up a text after its end.

    Returns:
        `Decoded` with n_best = 1; scores are per token, `log_prob / length`.

    Raises:
        ValueError: an option is out of its range, or the step breaks its contract.

    Example:

    >>> table = ops.log(ops.array([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1], [0.2, 0.5, 0.3]]))  # row: last token
    >>> step = lambda tokens, state: (ops.take(table, tokens, axis=0), state)
    >>> text = greedy_search(step, (), [0], end_token=0, max_length=5)
    >>> text.tokens.numpy().tolist(), text.lengths.numpy().tolist()
    ([[[2, 1, 0, 0, 0]]], [[3]])
    """
    rules = Rules(end_token, max_length, min_length, no_repeat_ngram, tuple(banned_tokens), pad_token)

    def choose(log_probs, index):
        values, tokens = ops.top_k(log_probs, 1)
        return tokens[:, 0], values[:, 0]

    return _extend(step, state, start_rows(start_tokens), rules, choose)


def sample(
    step: Step,
    state: Any,
    start_tokens: Any,
    *,
    end_token: int,
    max_length: int,
    seed: Any,
    temperature: Any = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_length: int = 0,
    no_repeat_ngram: int = 0,
    banned_tokens: tuple[int, ...] = (),
    pad_token: int = 0,
) -> Decoded:
    """Draws each next token at random, by its probability.

    The same seed gives the same texts. Rows are drawn independently, and the text of a row does not depend on
    the number of rows after it. For several texts per example, pass state and start tokens through
    `tile_beams`.

    Args:
        step, state, start_tokens, end_token, max_length: see `greedy_search`.
        seed: int or scalar integer tensor.
        temperature: divides the logits; below 1 safer, above 1 wilder. Number or scalar tensor, above 0.
        top_k: only the `top_k` most probable tokens can be drawn (Fan et al. 2018); None: all.
        top_p: of these, at this temperature, only the fewest most probable tokens that together have a
            probability of `top_p` or more can be drawn (Holtzman et al. 2020); None: all.
        min_length, no_repeat_ngram, banned_tokens, pad_token: see `greedy_search`.

    Returns:
        `Decoded` with n_best = 1; log-probabilities are those of the model, whatever the temperature; scores
        are per token, `log_prob / length`.

    Raises:
        ValueError: an option is out of its range, or the step breaks its contract.

    Example:

    >>> table = ops.log(ops.array([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1], [0.2, 0.5, 0.3]]))  # row: last token
    >>> step = lambda tokens, state: (ops.take(table, tokens, axis=0), state)
    >>> text = sample(step, (), [0, 0], end_token=0, max_length=5, seed=7, top_k=1)
    >>> text.tokens.numpy().tolist()
    [[[2, 1, 0, 0, 0]], [[2, 1, 0, 0, 0]]]
    """
    rules = Rules(end_token, max_length, min_length, no_repeat_ngram, tuple(banned_tokens), pad_token)
    check_sampling(temperature, top_k, top_p)
    start_tokens = start_rows(start_tokens)
    chances = uniform(seed, 0, (ops.shape(start_tokens)[0], max_length))

    def choose(log_probs, index):
        chance = ops.take(chances, index, axis=1)
        tokens = draw(log_probs / ops.cast(temperature, "float32"), chance, top_k, top_p)
        return tokens, ops.take_along_axis(log_probs, tokens[:, None], axis=1)[:, 0]

    return _extend(step, state, start_tokens, rules, choose)


def _extend(step, state, tokens, rules, choose):
    """Extends each row by what `choose(log_probs, index) -> (tokens, log_probs)` picks, until all end."""

    def is_running(index, tokens, state, history, totals, lengths, is_live):
        return (index < rules.max_length) & ops.any(is_live)

    def advance(index, tokens, state, history, totals, lengths, is_live):
        log_probs, state = next_log_probs(step, tokens, state)
        tokens, chosen = choose(rules.apply(log_probs, history, index), index)
        totals = totals + ops.where(is_live, chosen, 0.0)
        # A row in which every token is forbidden is at a dead end: minus infinity, and no text.
        is_live = is_live & (chosen > -math.inf)
        history = write(history, ops.where(is_live, tokens, rules.pad_token), index)
        lengths = lengths + ops.cast(is_live, "int32")
        return index + 1, tokens, state, history, totals, lengths, is_live & (tokens != rules.end_token)

    batch = ops.shape(tokens)[0]
    state = keras.tree.map_structure(ops.convert_to_tensor, state)
    history = ops.full((batch, rules.max_length), rules.pad_token, dtype="int32")
    totals, lengths = ops.zeros((batch,), "float32"), ops.zeros((batch,), "int32")
    loop = (ops.zeros((), "int32"), tokens, state, history, totals, lengths, ops.ones((batch,), "bool"))
    _, _, _, history, totals, lengths, _ = ops.while_loop(is_running, advance, loop)
    is_text = totals > -math.inf
    history, lengths = ops.where(is_text[:, None], history, rules.pad_token), ops.where(is_text, lengths, 0)
    scores = totals / ops.cast(ops.maximum(lengths, 1), "float32")
    return Decoded(*(part[:, None] for part in (history, lengths, totals, scores)))


def draw(logits, chance, top_k=None, top_p=None):
    """Draws one token per row by inverting the cumulative probabilities.

    Args:
        logits: (rows, vocabulary).
        chance: (rows,) uniform random numbers in [0, 1).
        top_k, top_p: limits as in `sample`, or scalar tensors; in a tensor, a `top_k` of 0 or less and a
            `top_p` of 1 or more mean no limit.
    """
    top_p = None if is_number(top_p) and top_p >= 1 else top_p
    if top_k is None and top_p is None:
        return _invert_cumulative(logits, chance)
    if all(limit is None or is_number(limit) for limit in (top_k, top_p)):
        return _draw_within_limits(logits, chance, top_k or logits.shape[-1], top_p)
    return _draw_within_tensor_limits(logits, chance, top_k, top_p)


def _draw_within_tensor_limits(logits, chance, top_k, top_p):
    """The same with limits from tensors: only the running graph knows whether there are any."""
    top_k = ops.cast(0 if top_k is None else top_k, "int32")
    top_p = ops.cast(1.0 if top_p is None else top_p, "float32")
    most = ops.where(top_k > 0, top_k, logits.shape[-1])
    return ops.cond(
        (top_k > 0) | (top_p < 1.0),
        lambda: _draw_within_limits(logits, chance, most, top_p),
        lambda: _invert_cumulative(logits, chance),
    )


def _draw_within_limits(logits, chance, top_k, top_p):
    """Draws one of the `top_k` most probable tokens, or of those of them that `top_p` leaves."""
    # The smaller of two numbers is a number, so that the shape stays known.
    smaller = min if is_number(top_k) else ops.minimum
    logits, tokens = ops.top_k(logits, smaller(top_k, logits.shape[-1]))
    indices = _invert_cumulative(logits, chance, top_p)
    return ops.take_along_axis(tokens, indices[:, None], axis=1)[:, 0]


def _invert_cumulative(logits, chance, top_p=None):
    """The index (rows,) at which the cumulative probability exceeds `chance`.

    With a `top_p`, the logits (rows, tokens) must be in descending order.
    """
    weights = ops.exp(logits - ops.max(logits, axis=-1, keepdims=True))
    cumulative = ops.cumsum(weights, axis=-1)
    total = cumulative[:, -1:]
    if top_p is not None:
        is_nucleus = cumulative - weights < top_p * total
        total = ops.max(ops.where(is_nucleus, cumulative, 0.0), axis=-1, keepdims=True)
    # "<=" rather than "<", so that a token of probability 0 is not drawn even if chance is 0.
    return ops.sum(ops.cast(cumulative <= chance[:, None] * total, "int32"), axis=-1)


def uniform(seed, index, shape):
    """Random numbers in [0, 1) of this shape, a function of seed and index, which may be tensors."""
    # keras.random takes no tensor as seed, but an exported model may have the seed as an input.
    import tensorflow as tf

    seed = tf.stack([tf.cast(seed, "int64"), tf.cast(index, "int64")])
    return tf.random.stateless_uniform(shape, seed)


def check_sampling(temperature=1.0, top_k=None, top_p=None):
    """Raises `ValueError` for a number that is out of its range; tensors pass."""
    if is_number(temperature) and not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be above 0, received {temperature}; 0 would be greedy_search.")
    if is_number(top_k) and top_k < 1:
        raise ValueError(f"top_k must be at least 1 (None: no limit), received {top_k}.")
    if is_number(top_p) and not 0 < top_p <= 1:
        raise ValueError(f"top_p must be above 0 and at most 1 (None: no limit), received {top_p}.")


def is_number(value):
    """Whether the value is a Python or NumPy number, and not a tensor or None."""
    return isinstance(value, numbers.Real)
