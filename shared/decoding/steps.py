"""What all searches share: the step function, the result, and the handling of rows."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

Step = Callable[[Any, Any], tuple[Any, Any]]


class Decoded(NamedTuple):
    """Texts of a batch, the best of each example first.

    Attributes:
        tokens: (batch, n_best, max_length) int32, without the start token; after the end only `pad_token`.
        lengths: (batch, n_best) int32, number of tokens, end token included.
        log_probs: (batch, n_best) float32, natural logarithm of the text's probability under the model
            itself, end token included: no temperature, no limits, no renormalisation after bans.
        scores: (batch, n_best) float32, `log_prob / length**length_penalty`, what beam search ranks by.

    If the rules leave no text at all, the length is 0, and log-probability and score are minus infinity.
    """

    tokens: Any
    lengths: Any
    log_probs: Any
    scores: Any


def tile_beams(structure: Any, num_beams: int) -> Any:
    """Repeats each example `num_beams` times in place.

    Args:
        structure: tensor (batch, ...) or nested structure of such tensors.
        num_beams: repetitions.

    Returns:
        The same structure of tensors (batch * num_beams, ...).

    Example:

    >>> tile_beams(ops.array([[1, 2], [3, 4]]), 2).numpy().tolist()
    [[1, 2], [1, 2], [3, 4], [3, 4]]
    """

    def tile(tensor):
        tensor = ops.convert_to_tensor(tensor)
        batch, *rest = ops.shape(tensor)
        tiled = ops.tile(tensor[:, None], [1, num_beams] + [1] * len(rest))  # (batch, beams, ...)
        return ops.reshape(tiled, (batch * num_beams, *rest))

    return keras.tree.map_structure(tile, structure)


def start_rows(start_tokens):
    """Start tokens as a tensor (batch,) int32."""
    tokens = ops.cast(start_tokens, "int32")
    if len(tokens.shape) != 1:
        raise ValueError(f"start_tokens must have the shape (batch,), received {tuple(tokens.shape)}.")
    return tokens


def next_log_probs(step, tokens, state):
    """One step: log-probabilities (rows, vocabulary) in float32, and the new state, of the old one's form."""
    logits, new_state = step(tokens, state)
    old, new = keras.tree.flatten(state), keras.tree.flatten(new_state)
    if len(old) != len(new):
        raise ValueError(f"The step was given a state of {len(old)} tensors and returned one of {len(new)}.")
    new = [_as_before(*pair) for pair in zip(old, new, strict=True)]
    return ops.log_softmax(ops.cast(logits, "float32")), keras.tree.pack_sequence_as(state, new)


def _as_before(old, new):
    new = ops.convert_to_tensor(new)
    if old.dtype != new.dtype or len(old.shape) != len(new.shape):
        raise ValueError(
            "The step must return its state with the shapes and dtypes that it came in: "
            f"given {old.shape} {old.dtype.name}, returned {new.shape} {new.dtype.name}."
        )
    # A loop in a graph needs static shapes that stay as precise as they were.
    return new if old.shape == new.shape else ops.reshape(new, ops.shape(old))


def write(history, tokens, index):
    """The texts (..., max_length) with `tokens` (...) at this index."""
    return ops.where(ops.arange(history.shape[-1]) == index, tokens[..., None], history)


def pick(part, order):
    """The entries `order` (batch, count) of each example (batch, width, ...)."""
    batch, width, *rest = ops.shape(part)
    flat = ops.reshape(part, (batch * width, *rest))
    return ops.take(flat, order + ops.arange(batch)[:, None] * width, axis=0)
