"""The loop over time of a recurrence, fast on a CPU, and its gradient.

Keras multiplies the input of each step by the kernel inside the loop over time, and automatic differentiation
adds up the gradient of every weight step by step. Here

- the inputs of all steps are multiplied at once, before the loop;
- the loop holds one matrix product and one compiled function, the cell's equations element by element;
- the gradient runs the loop backwards and recomputes the cell from the saved products (only their sum, where
  that is enough); each weight's gradient is then one product over all steps;
- `shared.layers.placement` cuts a batch into halves and a sequence into chunks, to use the cores and so that
  products and their gradients are in memory for one chunk at a time.

Under a mixed policy the products are in bfloat16, while the cell computes in float32 and its inner state
stays in float32 over the whole sequence. Results are those of Keras's layers up to rounding.

Source of the hoisted products: Appleyard et al. 2016, "Optimizing Performance of Recurrent Neural Networks on
GPUs", section 3. What was tried and measured is in benchmarks/README.md.
"""

import functools
from collections.abc import Callable, Sequence

import tensorflow as tf

from shared.layers import placement
from shared.layers.cells import Cell, Weights


def run_sequence(
    cell: Cell,
    weights: Weights,
    inputs: tf.Tensor,
    states: Sequence[tf.Tensor],
    *,
    mask: tf.Tensor | None = None,
    keep_for_gradient: bool = False,
    beside: int = 0,
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """A recurrence over a sequence, in the dtype of its inputs.

    Args:
        cell: the equations.
        weights: its tensors or variables.
        inputs: `(batch, time, features)`.
        states: each `(batch, units)`, the output first.
        mask: `(batch, time)` bool or None; masked steps leave the states as they are, and their outputs are
            zero.
        keep_for_gradient: whether to run the loop that has a fast gradient. The other loop consists of stock
            operations and keeps nothing for a gradient; TensorFlow can still derive one, slowly.
        beside: how many other recurrences can run at the same time.

    Returns:
        Outputs `(batch, time, units)` and the final states.
    """
    weights = Weights(*(None if weight is None else tf.convert_to_tensor(weight) for weight in weights))
    if not placement.in_halves(inputs.shape[0], keep_for_gradient, beside):
        return _run_rows(cell, weights, inputs, states, mask, keep_for_gradient)
    parts = [tf.split(inputs, 2), *(tf.split(state, 2) for state in states)]
    masks = [None, None] if mask is None else tf.split(mask, 2)
    (first, first_states), (second, second_states) = (
        _run_rows(cell, weights, rows, rows_states, rows_mask, keep_for_gradient)
        for rows, *rows_states, rows_mask in zip(*parts, masks, strict=True)
    )
    joined = [tf.concat(pair, axis=0) for pair in zip(first_states, second_states, strict=True)]
    return tf.concat([first, second], axis=0), joined


def _run_rows(cell, weights, inputs, states, mask, keep_for_gradient):
    """All rows in one loop, chunk by chunk."""
    dtype = inputs.dtype
    states = [states[0], *(tf.cast(state, _wide(dtype)) for state in states[1:])]
    loop = _with_gradient if keep_for_gradient else _without_gradient
    sequence = tf.transpose(inputs, (1, 0, 2))  # time first: a step is then one piece of memory
    read = []
    for chunk in placement.chunks(*inputs.shape[:2]):
        run = loop(cell, None if mask is None else mask[:, chunk])
        outputs, states = _run_chunk(run, weights, sequence[chunk], states)
        read.append(outputs)
    outputs = read[0] if len(read) == 1 else tf.concat(read, axis=0)
    outputs = tf.transpose(outputs, (1, 0, 2))  # (batch, time, units)
    outputs.set_shape((*inputs.shape[:2], None))  # the loop has lost what was known
    outputs = outputs if mask is None else tf.where(mask[:, :, None], outputs, tf.zeros_like(outputs))
    return outputs, [tf.cast(state, dtype) for state in states]


def _run_chunk(run, weights, chunk, states):
    """A loop over `(time, batch, features)`: outputs `(time, batch, units)` and the states after them."""
    steps, batch, features = chunk.shape
    products = tf.matmul(tf.reshape(chunk, (-1, features)), weights.kernel)  # (time * batch, gates)
    products = products if weights.bias is None else tf.nn.bias_add(products, weights.bias)
    products = tf.reshape(products, (tf.shape(chunk)[0], -1, products.shape[-1]))  # (time, batch, gates)
    products.set_shape((steps, batch, None))  # the reshape has lost what was known
    biases = [] if weights.recurrent_bias is None else [weights.recurrent_bias]
    outputs, *rest = run(products, weights.recurrent_kernel, biases, *states)
    return outputs, [outputs[-1], *rest]


def _wide(dtype):
    return tf.float64 if dtype == tf.float64 else tf.float32


def _advance(cell, x, m, states, valid):
    """One step, computed in float32 or wider; its output has the dtype of the products x and m.

    Returns what the backward pass needs of the products (their sum if the cell is additive, otherwise m), and
    the new states.
    """
    dtype, wide = x.dtype, _wide(x.dtype)
    before = [tf.cast(state, wide) for state in states]
    x, m = tf.cast(x, wide), tf.cast(m, wide)
    after = cell.update(x, m, before)
    if valid is not None:
        after = [tf.where(valid, new, old) for new, old in zip(after, before, strict=True)]
    needed = x + m if cell.is_additive else m
    return tf.cast(needed, dtype), [tf.cast(after[0], dtype), *after[1:]]


def _retreat(cell, products, states, valid, output_gradient, through_product, gradients):
    """One step backwards; its output has three gradients, which add up.

    Args:
        products: x and m of the step, or their sum alone if the cell is additive.
        states, valid: as given to `_advance`.
        output_gradient, through_product: of the output, from its readers and from the next step's product.
        gradients: of the new states, from the rest of the next step.

    Returns:
        Gradients of the products, and of the old states, without that through the product.
    """
    dtype, wide = output_gradient.dtype, _wide(output_gradient.dtype)
    products, states = ([tf.cast(tensor, wide) for tensor in some] for some in (products, states))
    with tf.GradientTape() as tape:
        tape.watch((products, states))
        x, m = products if len(products) == 2 else (products[0], tf.zeros_like(products[0]))
        after = cell.update(x, m, states)
        if valid is not None:
            after = [tf.where(valid, new, old) for new, old in zip(after, states, strict=True)]
    first = tf.cast(output_gradient, wide) + tf.cast(through_product, wide) + gradients[0]
    by_products, by_states = tape.gradient(
        after, (products, states), [first, *gradients[1:]], unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    return [tf.cast(gradient, dtype) for gradient in by_products], by_states


def _in_step(function, cell):
    """`function` for this cell; compiled only inside a graph, as an eager call is over sooner."""
    return _compiled(function, cell) if tf.inside_function() else functools.partial(function, cell)


@functools.cache
def _compiled(function: Callable, cell: Cell) -> Callable:
    """By XLA, into one pass over the numbers."""
    return tf.function(functools.partial(function, cell), jit_compile=True, autograph=False)


def _without_gradient(cell, mask):
    """The loop over time, of stock operations, which keeps nothing but the outputs."""

    def run(products, recurrent_kernel, biases, *states):
        steps, multiplied = tf.shape(products)[0], _times(recurrent_kernel, *biases)
        written = _array(steps, states[0])

        def body(step, states, written):
            m = multiplied(states[0])
            _, states = _advance(cell, products[step], m, states, _valid(mask, step))
            return step + 1, states, written.write(step, states[0])

        _, states, written = tf.while_loop(
            lambda step, *_: step < steps, body, (0, list(states), written), maximum_iterations=steps
        )
        return written.stack(), *states[1:]

    return run


def _with_gradient(cell, mask):
    """The loop over time with its own gradient, which pops what it needs from stacks that the loop fills."""

    @tf.custom_gradient
    def run(products, recurrent_kernel, biases, *states):
        steps, multiplied = tf.shape(products)[0], _times(recurrent_kernel, *biases)
        advance = _in_step(_advance, cell)

        def body(step, before, written, stacks):
            m = multiplied(before[0])
            needed, after = advance(products[step], m, before, _valid(mask, step))
            stacks = _push(stacks, (needed, *before[1:]))
            return step + 1, after, written.write(step + 1, after[0]), stacks

        written = _array(steps + 1, states[0]).write(0, states[0])
        likes = products[0], *states[1:]
        start = 0, list(states), written, _stacks(steps, likes)
        _, final, written, stacks = tf.while_loop(
            lambda step, *_: step < steps, body, start, maximum_iterations=steps
        )
        outputs = written.stack()  # (1 + time, batch, units), the initial state first

        def gradient(output_gradients, *state_gradients):
            retreat = _in_step(_retreat, cell)

            def retreat_from(step, stacks, *gradients):
                stacks, (needed, *inner) = _pop(stacks, likes)
                # An additive cell has no use for x: without this reference its memory is free.
                read = [needed] if cell.is_additive else [products[step], needed]
                before, valid = [outputs[step], *inner], _valid(mask, step)
                return stacks, *retreat(read, before, valid, output_gradients[step], *gradients)

            count, earlier = 1 if cell.is_additive else 2, outputs[:-1]
            return _backwards(retreat_from, stacks, count, earlier, recurrent_kernel, biases, state_gradients)

        return (outputs[1:], *final[1:]), gradient

    return run


def _times(right, bias=None):
    """`left -> left @ right + bias` for many `left`, with `right` in the layout that is read fastest."""
    # Processors multiply pairs of bfloat16 along the inner axis; in the transpose they are neighbours.
    in_pairs = right.dtype == tf.bfloat16
    right = tf.transpose(right) if in_pairs else right

    def multiplied(left):
        product = tf.matmul(left, right, transpose_b=in_pairs)
        return product if bias is None else tf.nn.bias_add(product, bias)

    return multiplied


def _array(steps, like):
    """An empty array of `steps` tensors like this one."""
    return tf.TensorArray(like.dtype, steps, element_shape=like.shape, clear_after_read=False)


def _stacks(steps, likes):
    """Empty stacks, one for each of these tensors."""
    make = functools.partial(tf.raw_ops.EmptyTensorList, max_num_elements=steps)
    return [make(element_shape=_shape(like), element_dtype=like.dtype) for like in likes]


def _push(stacks, values):
    pairs = zip(stacks, values, strict=True)
    return [tf.raw_ops.TensorListPushBack(input_handle=stack, tensor=value) for stack, value in pairs]


def _pop(stacks, likes):
    """The stacks without their last tensors, and these tensors."""
    popped = [
        tf.raw_ops.TensorListPopBack(input_handle=stack, element_shape=_shape(like), element_dtype=like.dtype)
        for stack, like in zip(stacks, likes, strict=True)
    ]
    return [each.output_handle for each in popped], [each.tensor for each in popped]


def _shape(like):
    """The static shape, -1 where a size is unknown."""
    return [-1 if size is None else size for size in like.shape]


def _valid(mask, step):
    """Which rows count at a step `(batch, 1)`, by a mask `(batch, time)`; None: all do."""
    return None if mask is None else mask[:, step, None]


def _backwards(retreat_from, stacks, count, earlier, recurrent_kernel, biases, state_gradients):
    """The loop backwards.

    Args:
        retreat_from: `retreat_from(step, stacks, through_product, gradients)`: the stacks that remain, and
            what `_retreat` returns.
        stacks: filled by the forward pass.
        count: products of a step that have a gradient of their own.
        earlier: the output before each step, `(time, batch, units)`.
        recurrent_kernel, biases: of the product with the state.
        state_gradients: of the final states after the first.

    Returns:
        Gradients of products, recurrent kernel, biases and initial states.
    """
    steps, zero = tf.shape(earlier)[0], tf.zeros_like(earlier[0])
    multiplied = _times(tf.transpose(recurrent_kernel))
    like = tf.TensorSpec((zero.shape[0], recurrent_kernel.shape[-1]), zero.dtype)

    def body(step, stacks, through_product, gradients, arrays):
        stacks, by_products, gradients = retreat_from(step, stacks, through_product, gradients)
        arrays = [array.write(step, value) for array, value in zip(arrays, by_products, strict=True)]
        return step - 1, stacks, multiplied(by_products[-1]), gradients, arrays

    # One array each: outside of a graph, an array that is in the list twice would be overwritten.
    arrays = [_array(steps, like) for _ in range(count)]
    start = (steps - 1, stacks, zero, [tf.cast(zero, _wide(zero.dtype)), *state_gradients], arrays)
    _, _, through_product, gradients, arrays = tf.while_loop(
        lambda step, *_: step >= 0, body, start, maximum_iterations=steps
    )
    dx, dm = arrays[0].stack(), arrays[-1].stack()  # (time, batch, gates), the same if additive
    flat = tf.reshape(dm, (-1, dm.shape[-1]))
    kernel_gradient = tf.matmul(tf.reshape(earlier, (-1, earlier.shape[-1])), flat, transpose_a=True)
    bias_gradients = [tf.raw_ops.BiasAddGrad(out_backprop=flat) for _ in biases]
    first = tf.cast(through_product, gradients[0].dtype) + gradients[0]
    return dx, kernel_gradient, bias_gradients, tf.cast(first, zero.dtype), *gradients[1:]
