"""Text without an end, drawn piece by piece."""

from typing import Any

import keras
from keras import ops

from shared.decoding.rows import check_sampling, draw, is_number, uniform
from shared.decoding.steps import Step, next_log_probs, start_rows

# Smaller temperatures take the most probable token all the same, and as float32 might be 0.
COLDEST = 1e-30


def sample_stream(
    step: Step,
    state: Any,
    tokens: Any,
    *,
    count: Any,
    seed: Any,
    position: Any = 0,
    temperature: Any = 1.0,
    top_k: Any = None,
    top_p: Any = None,
) -> tuple[Any, Any, Any]:
    """Draws `count` tokens a row; there is no end token, and each costs the same however long the text is.

    The chance by which a token is drawn depends on seed, place in the text and row alone. So a text is the
    same however it is cut into pieces, and however many rows follow it (up to rounding, which in a rare case
    turns a draw, where the step's matrix products have another size).

    All options may be scalar tensors, so that an exported model has them as inputs.

    Args:
        step: `step(tokens (rows,) int32, state) -> (logits (rows, vocabulary), state)`.
        state: nested structure of tensors (rows, ...), the state before `tokens`; `()` for none.
        tokens: (rows,) int32, what the step is given first.
        count: how many tokens to draw, 0 or more.
        seed: integer.
        position: place in the text of the first token that is drawn.
        temperature: divides the logits, above 0; below 1 safer, above 1 wilder.
        top_k: only the `top_k` most probable tokens can come (Fan et al. 2018). All can if it is None, or a
            tensor of 0 or less.
        top_p: of what temperature and `top_k` leave, only the smallest set of most probable tokens that
            together reach probability `top_p` can come (Holtzman et al. 2020). All can if it is None, or 1 or
            more.

    Returns:
        The tokens (rows, count) int32, and what a next call needs to go on at `position + count`: the last
        tokens (rows,), which the step has not been given yet, and the state before them.

    Raises:
        ValueError: a number is out of its range, or the step breaks its contract.

    Example:

    >>> table = ops.log(ops.array([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1], [0.2, 0.5, 0.3]]))  # row: last token
    >>> step = lambda tokens, state: (ops.take(table, tokens, axis=0), state)
    >>> written, tokens, state = sample_stream(step, (), [0, 1], count=4, seed=7, top_k=1)
    >>> written.numpy().tolist(), tokens.numpy().tolist()
    ([[2, 1, 0, 2], [0, 2, 1, 0]], [2, 0])
    """
    check_sampling(temperature, top_k, top_p)
    if is_number(count) and count < 0:
        raise ValueError(f"count must be at least 0, received {count}.")
    tokens, rows = start_rows(tokens), ops.shape(tokens)
    state = keras.tree.map_structure(ops.convert_to_tensor, state)
    temperature = ops.maximum(ops.cast(temperature, "float32"), COLDEST)

    # Keras has no array that is filled in a loop, and its integers are of 32 bits.
    import tensorflow as tf

    position, count = tf.cast(position, "int64"), tf.cast(count, "int32")

    def advance(index, tokens, state, written):
        log_probs, state = next_log_probs(step, tokens, state)
        # The largest is 0 then, however small the temperature is.
        log_probs = log_probs - ops.max(log_probs, axis=-1, keepdims=True)
        chance = uniform(seed, position + tf.cast(index, "int64"), rows)
        tokens = draw(log_probs / temperature, chance, top_k, top_p)
        return index + 1, tokens, state, written.write(index + 1, tokens)

    # With the first tokens in it, the array is never empty, which it may not be while rows are unknown.
    written = tf.TensorArray("int32", size=count + 1, element_shape=tokens.shape).write(0, tokens)
    loop = (ops.zeros((), "int32"), tokens, state, written)
    _, tokens, state, written = ops.while_loop(lambda index, *_: index < count, advance, loop)
    # Transposed as float32, which holds every id: about integers, oneDNN logs an error on some processors.
    written = ops.transpose(ops.cast(written.stack()[1:], "float32"))
    return ops.cast(written, "int32"), tokens, state
