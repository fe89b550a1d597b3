"""The recurrence over a whole sequence, fast on a CPU: one product for all inputs, and a gradient of its own.

Keras multiplies the input of each step by the kernel inside the loop over time, and automatic differentiation
then adds up the gradient of every weight step by step. Here

- the inputs of all steps are multiplied at once, before the loop;
- the loop holds one matrix product and one compiled function, the cell's equations element by element;
- its gradient runs the loop backwards, recomputes the cell from its products, of which only the sum is kept
  where no more is needed, and leaves each weight's gradient to one product over all steps;
- a batch is cut in two where it is large enough and a core would be idle: each half has one;
- a long sequence is read in two windows, so that products and their gradients are there for one at a time.

Under a mixed policy the products are in bfloat16, while the cell computes in float32 and its inner state
stays in float32 over the whole sequence. Numbers are those of Keras's layers up to rounding.

Source of the hoisted products: Appleyard et al. 2016, "Optimizing Performance of Recurrent Neural Networks on
GPUs", section 3. What was tried and measured is in benchmarks/README.md.

Legend: gates = what a cell reads of one product (4 units for an LSTM, 3 for a GRU, 1 for a simple RNN).
"""

import functools
import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

SMALLEST_HALF = 16  # rows of a batch; below, a second loop costs more than it hides
SMALLEST_WINDOW = 2048  # rows of a batch, times steps; below, the products of all steps are small


class Cell(NamedTuple):
    """One step of a recurrence after its matrix products.

    Attributes:
        update: `update(from_input, from_state, states) -> states`, all in float32 at least: the products of
            input and kernel and of state and recurrent kernel, biases included, `(batch, gates)`; states
            `(batch, units)`, the output first.
        is_additive: only the sum of the two products matters, so their gradients are the same.
    """

    update: Callable[..., list[tf.Tensor]]
    is_additive: bool


@functools.cache
def simple_cell(activation: Callable) -> Cell:
    """The update of a simple RNN."""
    return Cell(lambda x, m, states: [activation(x + m)], True)


@functools.cache
def gru_cell(activation: Callable, recurrent_activation: Callable) -> Cell:
    """The update of a GRU with `reset_after=True`; gates z, r, g."""

    def update(x, m, states):
        (x_z, x_r, x_g), (m_z, m_r, m_g) = _gates(x, 3), _gates(m, 3)
        z, r = recurrent_activation(x_z + m_z), recurrent_activation(x_r + m_r)
        g = activation(x_g + r * m_g)
        return [z * states[0] + (1 - z) * g]

    return Cell(update, False)


@functools.cache
def lstm_cell(activation: Callable, recurrent_activation: Callable) -> Cell:
    """The update of an LSTM; gates i, f, g, o."""

    def update(x, m, states):
        i, f, g, o = _gates(x + m, 4)
        c = recurrent_activation(f) * states[1] + recurrent_activation(i) * activation(g)
        return [recurrent_activation(o) * activation(c), c]

    return Cell(update, True)


def _gates(product, count):
    """The gates of a product, each `(batch, units)`.

    Not split along the last axis: the gradient would join them there, which XLA does in a pass of its own.
    """
    gates = tf.reshape(product, (-1, count, product.shape[-1] // count))
    return tf.unstack(gates, axis=1)


def run_sequence(
    cell: Cell,
    inputs: tf.Tensor,
    states: Sequence[tf.Tensor],
    *,
    kernel: tf.Tensor,
    recurrent_kernel: tf.Tensor,
    bias: tf.Tensor | None,
    recurrent_bias: tf.Tensor | None,
    mask: tf.Tensor | None,
    training: bool,
    beside: int = 0,
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """A recurrence over a sequence, in the dtype of its inputs.

    Args:
        cell: the update.
        inputs: `(batch, time, features)`.
        states: each `(batch, units)`, the output first.
        kernel: `(features, gates)`.
        recurrent_kernel: `(units, gates)`.
        bias: `(gates,)` or None, added on the side of the input.
        recurrent_bias: `(gates,)` or None, added on the side of the state.
        mask: `(batch, time)` bool or None; masked steps keep the states, and their outputs are zero.
        training: whether a gradient is wanted soon. Without, only stock operations are used and nothing is
            kept for a gradient; TensorFlow can still derive one, slowly.
        beside: how many other recurrences can run at the same time.

    Returns:
        Outputs `(batch, time, units)` and the final states.
    """
    weights = [
        None if weight is None else tf.convert_to_tensor(weight)  # not the variable that it may be
        for weight in (kernel, recurrent_kernel, bias, recurrent_bias)
    ]
    if not (training and _in_halves(inputs.shape[0], beside)):
        return _run_rows(cell, inputs, states, weights, mask, training)
    parts = [tf.split(inputs, 2), *(tf.split(state, 2) for state in states)]
    masks = [None, None] if mask is None else tf.split(mask, 2)
    halves = [
        _run_rows(cell, rows, list(rest), weights, rows_mask, training)
        for rows, *rest, rows_mask in zip(*parts, masks, strict=True)
    ]
    (first, first_states), (second, second_states) = halves
    joined = [tf.concat(pair, axis=0) for pair in zip(first_states, second_states, strict=True)]
    return tf.concat([first, second], axis=0), joined


def _in_halves(batch: int | None, beside: int) -> bool:
    is_large = batch is not None and batch % 2 == 0 and batch // 2 >= SMALLEST_HALF
    return is_large and cores() >= 2 * (1 + beside)


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _run_rows(cell, inputs, states, weights, mask, training):
    dtype = inputs.dtype
    states = [states[0], *(tf.cast(state, _wide(dtype)) for state in states[1:])]
    loop = _with_gradient if training else _without_gradient
    sequence = tf.transpose(inputs, (1, 0, 2))  # time first: a step is then one piece of memory
    read = []
    for start, end in _windows(inputs.shape):
        window, valid = sequence[start:end], None if mask is None else mask[:, start:end]
        outputs, states = _run_window(loop(cell, valid), window, states, weights)
        read.append(outputs)
    outputs = read[0] if len(read) == 1 else tf.concat(read, axis=0)
    outputs = tf.transpose(outputs, (1, 0, 2))  # (batch, time, units)
    outputs.set_shape((*inputs.shape[:2], None))  # what is known, the loop forgot
    outputs = outputs if mask is None else tf.where(mask[:, :, None], outputs, tf.zeros_like(outputs))
    return outputs, [tf.cast(state, dtype) for state in states]


def _windows(shape):
    """The bounds in time of what is read at once of inputs `(batch, time, features)`."""
    batch, steps, _ = shape
    if batch is None or steps is None or batch * steps < 2 * SMALLEST_WINDOW or steps == 1:
        return [(0, steps)]
    return [(0, steps // 2), (steps // 2, steps)]


def _run_window(run, window, states, weights):
    """A loop over `(time, batch, features)`: outputs `(time, batch, units)` and the states after them."""
    kernel, recurrent_kernel, bias, recurrent_bias = weights
    steps, batch, features = window.shape
    products = tf.matmul(tf.reshape(window, (-1, features)), kernel)  # (time * batch, gates)
    products = products if bias is None else tf.nn.bias_add(products, bias)
    products = tf.reshape(products, (tf.shape(window)[0], -1, products.shape[-1]))  # (time, batch, gates)
    products.set_shape((steps, batch, None))  # what is known, the reshape forgot
    biases = [] if recurrent_bias is None else [recurrent_bias]
    outputs, *rest = run(products, recurrent_kernel, biases, *states)
    return outputs, [outputs[-1], *rest]


def _wide(dtype):
    return tf.float64 if dtype == tf.float64 else tf.float32


def _advance(cell, x, m, states, valid):
    """One step: the cell in wide numbers, outputs in the dtype of the products.

    Returns:
        What the way back needs of the products, which is their sum where only that matters; and the states.
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
    """One step backwards.

    Args:
        products: the two products of the step, or their sum alone where only that matters.
        states, valid: what `_advance` was given.
        output_gradient: gradient of the step's output by what reads the outputs.
        through_product: gradient of the output by the product of the next step.
        gradients: gradients of the new states, without those two.

    Returns:
        Gradients of the products, and of the old states past the product.
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
    unread = tf.UnconnectedGradients.ZERO
    found, before = tape.gradient(
        after, (products, states), [first, *gradients[1:]], unconnected_gradients=unread
    )
    return [tf.cast(gradient, dtype) for gradient in found], before


@functools.cache
def _compiled(function: Callable, cell: Cell) -> Callable:
    """`function` for this cell, compiled by XLA into one pass over the numbers."""
    return tf.function(functools.partial(function, cell), jit_compile=True, autograph=False)


def _in_step(function, cell):
    """The compiled function inside a graph; outside of one, where compiling would take longer, itself."""
    return _compiled(function, cell) if tf.inside_function() else functools.partial(function, cell)


def _without_gradient(cell, mask):
    """The loop over time, of stock operations that keep nothing but the outputs."""

    def run(products, recurrent_kernel, biases, *states):
        steps, multiplied = tf.shape(products)[0], _times(recurrent_kernel, *biases)
        written = _array(steps, states[0])

        def body(step, states, written):
            m = multiplied(states[0])
            _, states = _advance(cell, products[step], m, states, _valid(mask, step))
            return step + 1, states, written.write(step, states[0])

        start = (tf.constant(0), list(states), written)
        _, states, written = tf.while_loop(
            lambda step, *_: step < steps, body, start, maximum_iterations=steps
        )
        return written.stack(), *states[1:]

    return run


def _with_gradient(cell, mask):
    """The loop over time with its own gradient; what that needs lies on stacks, to be gone once read."""

    @tf.custom_gradient
    def run(products, recurrent_kernel, biases, *states):
        steps, multiplied = tf.shape(products)[0], _times(recurrent_kernel, *biases)
        advance = _in_step(_advance, cell)

        def body(step, before, written, stacks):
            m = multiplied(before[0])
            needed, after = advance(products[step], m, before, _valid(mask, step))
            kept = zip(stacks, (needed, *before[1:]), strict=True)
            stacks = [_push(stack, value) for stack, value in kept]
            return step + 1, after, written.write(step + 1, after[0]), stacks

        written = _array(steps + 1, states[0]).write(0, states[0])
        stacks = [_stack(steps, like) for like in (products[0], *states[1:])]
        _, final, written, stacks = tf.while_loop(
            lambda step, *_: step < steps,
            body,
            (0, list(states), written, stacks),
            maximum_iterations=steps,
        )
        outputs = written.stack()  # (1 + time, batch, units), the initial state first

        def gradient(output_gradients, *state_gradients):
            retreat = _in_step(_retreat, cell)

            def retreat_from(step, stacks, *gradients):
                stacks, (needed, *inner) = _pop(stacks, (products[0], *states[1:]))
                # Where the sum was kept, nothing holds the products any longer.
                read = [needed] if cell.is_additive else [products[step], needed]
                before, valid = [outputs[step], *inner], _valid(mask, step)
                return stacks, *retreat(read, before, valid, output_gradients[step], *gradients)

            count = 1 if cell.is_additive else 2
            return _backwards(
                retreat_from, stacks, count, outputs[:-1], recurrent_kernel, biases, state_gradients
            )

        return (outputs[1:], *final[1:]), gradient

    return run


def _times(right, bias=None):
    """`left -> left @ right + bias` for many `left`, with `right` laid out as it is read fastest."""
    # A processor multiplies pairs of bfloat16 along the inner axis, which are side by side in the transpose.
    in_pairs = right.dtype == tf.bfloat16
    right = tf.transpose(right) if in_pairs else right

    def multiplied(left):
        product = tf.matmul(left, right, transpose_b=in_pairs)
        return product if bias is None else tf.nn.bias_add(product, bias)

    return multiplied


def _array(steps, like):
    """An empty array over time of tensors like this one."""
    return tf.TensorArray(like.dtype, steps, element_shape=like.shape, clear_after_read=False)


def _stack(steps, like):
    """An empty stack for as many tensors like this one as there are steps."""
    return tf.raw_ops.EmptyTensorList(
        element_shape=_shape(like), max_num_elements=steps, element_dtype=like.dtype
    )


def _push(stack, value):
    return tf.raw_ops.TensorListPushBack(input_handle=stack, tensor=value)


def _pop(stacks, likes):
    """The stacks without their last tensors, and those."""
    popped = [
        tf.raw_ops.TensorListPopBack(input_handle=stack, element_shape=_shape(like), element_dtype=like.dtype)
        for stack, like in zip(stacks, likes, strict=True)
    ]
    return [each.output_handle for each in popped], [each.tensor for each in popped]


def _shape(like):
    """The shape as far as it is known, -1 where it is not."""
    return [-1 if size is None else size for size in like.shape]


def _valid(mask, step):
    """Of a mask `(batch, time)`, which rows count at a step, `(batch, 1)`; None where all do."""
    return None if mask is None else mask[:, step, None]


def _backwards(retreat_from, stacks, count, earlier, recurrent_kernel, biases, state_gradients):
    """The loop backwards.

    Args:
        retreat_from: `retreat_from(step, stacks, through_product, gradients)`, one step as in `_retreat`;
            what is left of the stacks comes before what that returns.
        stacks: what the way forward left for the way back.
        count: of how many products each step has gradients.
        earlier: the output before each step, `(time, batch, units)`.
        recurrent_kernel, biases: of the product with the state.
        state_gradients: of the final states but the output.

    Returns:
        Gradients of products, recurrent kernel, biases and initial states.
    """
    steps, zero = tf.shape(earlier)[0], tf.zeros_like(earlier[0])
    multiplied = _times(tf.transpose(recurrent_kernel))
    like = tf.TensorSpec((zero.shape[0], recurrent_kernel.shape[-1]), zero.dtype)

    def body(step, stacks, through_product, gradients, arrays):
        stacks, found, gradients = retreat_from(step, stacks, through_product, gradients)
        arrays = [array.write(step, value) for array, value in zip(arrays, found, strict=True)]
        return step - 1, stacks, multiplied(found[-1]), gradients, arrays

    # Each its own array: outside of a graph, the same one in two places would be overwritten.
    arrays = [_array(steps, like) for _ in range(count)]
    start = (steps - 1, stacks, zero, [tf.cast(zero, _wide(zero.dtype)), *state_gradients], arrays)
    _, _, through_product, gradients, arrays = tf.while_loop(
        lambda step, *_: step >= 0, body, start, maximum_iterations=steps
    )
    dx, dm = arrays[0].stack(), arrays[-1].stack()  # (time, batch, gates), the same if there is one
    flat = tf.reshape(dm, (-1, dm.shape[-1]))
    kernel_gradient = tf.matmul(tf.reshape(earlier, (-1, earlier.shape[-1])), flat, transpose_a=True)
    bias_gradients = [tf.raw_ops.BiasAddGrad(out_backprop=flat) for _ in biases]
    first = tf.cast(through_product, gradients[0].dtype) + gradients[0]
    return dx, kernel_gradient, bias_gradients, tf.cast(first, zero.dtype), *gradients[1:]


def gpu_is_visible() -> bool:
    """Whether TensorFlow may place operations on a GPU, where Keras has the faster path."""
    return bool(tf.config.get_visible_devices("GPU"))
