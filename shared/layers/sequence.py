"""A recurrent layer over a sequence of any length, window by window, with its state carried on."""

from keras import ops


def read_sequence(layer, inputs, initial_state=None, mask=None, training=None, window=None, **options):
    """Runs a recurrent layer over a sequence with truncated backpropagation through time.

    Outputs and states do not depend on the window. The gradient does: it ends at the borders of windows, and
    what is kept for it takes the memory of one window. The gradient of a row's final state goes through the
    window in which the row ends, even if others follow. A layer that goes backwards begins with the last
    window.

    Source: Williams and Peng 1990, "An Efficient Gradient-Based Algorithm for On-Line Training of Recurrent
    Network Trajectories".

    Args:
        layer: a recurrent layer of `shared.layers`.
        inputs: `(batch, time, features)`.
        initial_state: list of `(batch, units)`; None for zeros.
        mask: `(batch, time)` bool, False at steps to skip; None for none.
        training: whether dropout is active.
        window: steps of a window; None: one window for all steps.
        **options: other call arguments of the layer: `keep_for_gradient`, `beside`.

    Returns:
        Outputs `(batch, time, units)` in the order of the inputs, and the final states.

    Example:

    >>> import keras
    >>> from shared.layers import GRU
    >>> layer, inputs = GRU(3), keras.random.normal((2, 7, 5), seed=1)
    >>> whole, _ = read_sequence(layer, inputs)
    >>> pieces, _ = read_sequence(layer, inputs, window=3)
    >>> bool(ops.max(ops.abs(whole - pieces)) < 1e-6)
    True
    """

    def read(inputs, states, mask):
        outputs, states = layer(inputs, initial_state=states, mask=mask, training=training, **options)
        return (ops.flip(outputs, axis=1) if layer.go_backwards else outputs), states

    time = inputs.shape[1]
    if window is None or (time is not None and time <= window):
        return read(inputs, initial_state, mask)
    if time is None:
        return _unknown_length(layer, read, inputs, initial_state, mask, window)
    outputs, states, starts = [], initial_state, range(0, time, window)
    for start in reversed(starts) if layer.go_backwards else starts:
        steps = slice(start, start + window)
        valid = None if mask is None else mask[:, steps]
        states = _cut(states, valid) if outputs else states
        output, states = read(inputs[:, steps], states, valid)
        outputs.append(output)
    return ops.concatenate(outputs[::-1] if layer.go_backwards else outputs, axis=1), states


def _cut(states, mask):
    """Stops the gradient of the states, except in rows that have no step in the next window."""
    if mask is None:
        return [ops.stop_gradient(state) for state in states]
    has_steps = ops.any(ops.cast(mask, "bool"), axis=1, keepdims=True)  # (batch, 1)
    return [ops.where(has_steps, ops.stop_gradient(state), state) for state in states]


def _unknown_length(layer, read, inputs, states, mask, window):
    """The same in a graph that does not know the number of steps."""
    batch, time, features = ops.shape(inputs)
    if mask is None:
        mask = ops.ones((batch, time), dtype="bool")
    window = ops.minimum(window, ops.maximum(time, 1))
    missing = ops.mod(-time, window)
    inputs = ops.concatenate([inputs, ops.zeros((batch, missing, features), inputs.dtype)], axis=1)
    # As numbers: TensorFlow writes to standard error when it transposes bools.
    mask = ops.concatenate([ops.cast(mask, "float32"), ops.zeros((batch, missing), "float32")], axis=1)
    windows = ops.moveaxis(ops.reshape(inputs, (batch, -1, window, features)), 1, 0)
    valid = ops.moveaxis(ops.reshape(mask, (batch, -1, window)), 1, 0)  # (windows, batch, window)
    if states is None:
        states = layer.get_initial_state(batch)
    states = [ops.cast(state, layer.compute_dtype) for state in states]

    count = ops.shape(windows)[0]
    first = count - 1 if layer.go_backwards else 0

    def advance(carry, index):
        steps = ops.cast(ops.take(valid, index, axis=0), "bool")
        pairs = zip(carry[1], _cut(carry[1], steps), strict=True)
        states = [ops.where(ops.equal(index, first), *pair) for pair in pairs]
        outputs, states = read(ops.take(windows, index, axis=0), states, steps)
        # Keras's scan wants the carry and the collected outputs to have the same structure.
        return (outputs, states), (outputs, states)

    blank = ops.zeros((batch, window, layer.units), layer.compute_dtype)
    start = blank, states
    (_, states), (outputs, _) = ops.scan(advance, start, ops.arange(count), reverse=layer.go_backwards)
    outputs = ops.reshape(ops.moveaxis(outputs, 0, 1), (batch, -1, layer.units))
    return outputs[:, :time], states
