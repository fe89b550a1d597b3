"""A recurrent layer over a sequence of any length, window by window, with its state carried on."""

from keras import ops


def read_sequence(layer, inputs, initial_state=None, mask=None, training=None, window=None):
    """Runs a recurrent layer over a sequence; the result does not depend on the window, the gradient does.

    What lies between inputs and outputs takes the memory of one window. In training the gradient ends at the
    borders of windows (truncated back-propagation through time; Williams and Peng 1990), while the state
    goes on. The final state of a row has the gradient of the last window in which the row has a step. A layer
    that goes backwards begins with the last window.

    Args:
        layer: a recurrent layer of `shared.layers`.
        inputs: `(batch, time, features)`.
        initial_state: list of `(batch, units)`; None for zeros.
        mask: `(batch, time)` bool, False at steps to skip; None for none.
        training: whether dropout is active.
        window: steps of a window; None: all at once.

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
    time = inputs.shape[1]
    if window is None or (time is not None and time <= window):
        outputs, states = layer(inputs, initial_state=initial_state, mask=mask, training=training)
        return (ops.flip(outputs, axis=1) if layer.go_backwards else outputs), states
    if time is None:
        return _unknown_length(layer, inputs, initial_state, mask, training, window)
    pieces, states = [], initial_state
    starts = range(0, time, window)
    for start in reversed(starts) if layer.go_backwards else starts:
        place = slice(start, start + window)
        valid = None if mask is None else mask[:, place]
        states = _cut(states, valid) if pieces else states
        outputs, states = read_sequence(layer, inputs[:, place], states, valid, training)
        pieces.append(outputs)
    return ops.concatenate(pieces[::-1] if layer.go_backwards else pieces, axis=1), states


def _cut(states, mask):
    """States without their gradient, but in rows that are through: what comes only carries these on."""
    if mask is None:
        return [ops.stop_gradient(state) for state in states]
    reads = ops.any(ops.cast(mask, "bool"), axis=1, keepdims=True)  # (batch, 1)
    return [ops.where(reads, ops.stop_gradient(state), state) for state in states]


def _unknown_length(layer, inputs, states, mask, training, window):
    """The same in a graph that does not know how many steps there will be."""
    batch, time, features = ops.shape(inputs)
    if mask is None:
        mask = ops.ones((batch, time), dtype="bool")
    window = ops.minimum(window, ops.maximum(time, 1))
    missing = ops.mod(-time, window)
    inputs = ops.concatenate([inputs, ops.zeros((batch, missing, features), inputs.dtype)], axis=1)
    # As numbers: TensorFlow says a line on standard error where it transposes truth values.
    mask = ops.concatenate([ops.cast(mask, "float32"), ops.zeros((batch, missing), "float32")], axis=1)
    pieces = ops.moveaxis(ops.reshape(inputs, (batch, -1, window, features)), 1, 0)
    valid = ops.moveaxis(ops.reshape(mask, (batch, -1, window)), 1, 0)  # (windows, batch, window)
    if states is None:
        states = layer.get_initial_state(batch)
    states = [ops.cast(state, layer.compute_dtype) for state in states]

    count = ops.shape(pieces)[0]
    first = count - 1 if layer.go_backwards else 0

    def read(carry, index):
        piece, steps = ops.take(pieces, index, axis=0), ops.cast(ops.take(valid, index, axis=0), "bool")
        cut = zip(carry[1], _cut(carry[1], steps), strict=True)
        states = [ops.where(ops.equal(index, first), *both) for both in cut]
        outputs, states = read_sequence(layer, piece, states, steps, training)
        # Keras's scan wants what it carries and what it collects to be of one form.
        return (outputs, states), (outputs, states)

    blank = ops.zeros((batch, window, layer.units), layer.compute_dtype)
    (_, states), (outputs, _) = ops.scan(read, (blank, states), ops.arange(count), reverse=layer.go_backwards)
    outputs = ops.reshape(ops.moveaxis(outputs, 0, 1), (batch, -1, layer.units))
    return outputs[:, :time], states
