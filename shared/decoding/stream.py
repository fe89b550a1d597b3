"""Text without an end, drawn in as many calls as one likes."""

from typing import Any

import keras
from keras import ops

from shared.decoding.rows import check_sampling, draw, is_number, uniform
from shared.decoding.steps import Step, next_log_probs, start_rows

# A smaller temperature would draw the same token, the most probable, and might be 0 in float32.
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
    """Draws `count` tokens a row; there is no end token, and each costs the same, however long the text is.

    The random number of a token depends only on the seed, its position in the text and its row. So the text
    is the same, however many calls draw it and however many rows come after it. (The step's matrix products
    then have another size, and in rare cases their rounding changes a token.)

    All options may be scalar tensors, so that they can be inputs of an exported model.

    Args:
        step: `step(tokens (rows,) int32, state) -> (logits (rows, vocabulary), state)`.
        state: nested structure of tensors (rows, ...), the state before `tokens`; `()` for none.
        tokens: (rows,) int32, the first input of the step.
        count: how many tokens to draw, 0 or more.
        seed: integer.
        position: index in the text of the first token that is drawn.
        temperature: divides the logits, above 0; below 1 safer, above 1 wilder.
        top_k: only the `top_k` most probable tokens can be drawn (Fan et al. 2018). None, or a tensor of 0 or
            less: all.
        top_p: of these, at this temperature, only the fewest most probable tokens that together have a
            probability of `top_p` or more can be drawn (Holtzman et al. 2020). None, or 1 or more: all.

    Returns:
        The tokens (rows, count) int32, and what the next call needs to continue at `position + count`: the
        last tokens (rows,), which the step has not seen yet, and the state before them.

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

    # Keras has no array that a loop can fill, and its integers have 32 bits.
    import tensorflow as tf

    position, count = tf.cast(position, "int64"), tf.cast(count, "int32")

    def advance(index, tokens, state, written):
        log_probs, state = next_log_probs(step, tokens, state)
        # The largest is then 0, so that no temperature is too small.
        log_probs = log_probs - ops.max(log_probs, axis=-1, keepdims=True)
        chance = uniform(seed, position + tf.cast(index, "int64"), rows)
        tokens = draw(log_probs / temperature, chance, top_k, top_p)
        return index + 1, tokens, state, written.write(index + 1, tokens)

    # The array may not be empty while the number of rows is unknown, so it starts with the first tokens.
    written = tf.TensorArray("int32", size=count + 1, element_shape=tokens.shape).write(0, tokens)
    loop = (ops.zeros((), "int32"), tokens, state, written)
    _, tokens, state, written = ops.while_loop(lambda index, *_: index < count, advance, loop)
    # Transposed as float32, which holds every id: for integers, oneDNN logs an error on some processors.
    written = ops.transpose(ops.cast(written.stack()[1:], "float32"))
    return ops.cast(written, "int32"), tokens, state
