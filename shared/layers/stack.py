"""Several recurrent layers on top of each other, in one or both directions of time."""

import keras
from keras import ops

from shared.layers import placement
from shared.layers.recurrent import GRU, LSTM, SimpleRNN
from shared.layers.sequence import read_sequence

CELLS = {"lstm": LSTM, "gru": GRU, "simple": SimpleRNN}


@keras.saving.register_keras_serializable("unrolled")
class RecurrentStack(keras.layers.Layer):
    """A stack of recurrent layers: layer l reads the outputs of layer l - 1.

        h_t^l = f(W_hh^l h_{t-1}^l + W_xh^l d^l * h_t^{l-1} + b^l)

    for l = 1 .. depth, with h_t^0 = x_t and f one of the cells of `shared.layers.recurrent`. d^l is a dropout
    mask, the same at all steps of a sequence; d^1 is 1, so the inputs are not dropped. Each layer of a
    bidirectional stack has a second recurrence, which starts at the end of the sequence; the outputs of both
    are concatenated.

    Sources: Graves 2013, "Generating Sequences with Recurrent Neural Networks", equation 1 (stack);
    Schuster and Paliwal 1997, "Bidirectional Recurrent Neural Networks"; Gal and Ghahramani 2016, "A
    Theoretically Grounded Application of Dropout in Recurrent Neural Networks", section 4 (one mask for all
    steps).

    Args:
        units: width of each recurrence.
        cell: `"lstm"`, `"gru"` or `"simple"`.
        depth: number of layers.
        bidirectional: whether each layer reads the sequence both ways; outputs are then `2 * units` wide.
        dropout: rate in [0, 1) on the inputs of each layer after the first.
        recurrent_weight_dropout: rate in [0, 1) on the weights of each recurrent kernel, see `LSTM`.
        seed: seed of the dropout masks; None draws one.

    Call arguments:
        inputs: `(batch, time, features)`.
        initial_state: a list over layers of lists of `(batch, units)`, as `get_initial_state` makes it; in a
            bidirectional stack the forward states of a layer come before its backward states. None for zeros.
        mask: `(batch, time)` bool, False at steps to skip. None for none.
        training: whether dropout is active.
        window: steps of a window of truncated backpropagation through time, see `read_sequence`; None: one
            window for all steps.
        keep_for_gradient: whether to keep what a fast gradient needs, see `ExplicitState`; None: as
            `training`.

    Returns:
        Outputs `(batch, time, units or 2 * units)`, zero at masked steps, and the final states in the
        structure of `initial_state`. A backward recurrence ends at the first step of the sequence.

    Raises:
        ValueError: an unknown cell, a depth below 1, a rate outside [0, 1), or states that do not fit the
            stack.

    Example:

    >>> import keras
    >>> stack = RecurrentStack(4, cell="gru", depth=2)
    >>> outputs, states = stack(keras.ops.ones((2, 3, 5)))
    >>> output, states = stack.step(keras.ops.ones((2, 5)), states)
    >>> tuple(outputs.shape), tuple(output.shape), [len(layer) for layer in states]
    ((2, 3, 4), (2, 4), [1, 1])
    """

    def __init__(
        self,
        units: int,
        cell: str = "lstm",
        depth: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        recurrent_weight_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        _check(cell, depth, dropout)
        self.units = units
        self.cell = cell
        self.depth = depth
        self.bidirectional = bidirectional
        self.dropout = dropout
        self.recurrent_weight_dropout = recurrent_weight_dropout
        self.seed = seed
        self.supports_masking = True
        self.forward_layers = [self._recurrence("forward", index) for index in range(depth)]
        self.backward_layers = [
            self._recurrence("backward", index, go_backwards=True) for index in range(depth) if bidirectional
        ]
        self.dropout_layers = [self._dropout(index) for index in range(1, depth)]

    def _recurrence(self, direction, index, **kwargs):
        # Seeds differ between layers and from those of `_dropout`, which are below seed + depth.
        offset = index + self.depth * (1 if direction == "forward" else 2)
        return CELLS[self.cell](
            self.units,
            recurrent_weight_dropout=self.recurrent_weight_dropout,
            seed=None if self.seed is None else self.seed + offset,
            dtype=self.dtype_policy,
            name=f"{direction}_{index}",
            **kwargs,
        )

    def _dropout(self, index):
        return keras.layers.Dropout(
            self.dropout,
            noise_shape=(None, 1, None),  # one mask for all steps
            seed=None if self.seed is None else self.seed + index,
            dtype=self.dtype_policy,
            name=f"dropout_{index}",
        )

    def get_config(self):
        names = ("units", "cell", "depth", "bidirectional", "dropout", "recurrent_weight_dropout", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    @property
    def output_size(self) -> int:
        """Width of the outputs."""
        return self.units * (2 if self.bidirectional else 1)

    def build(self, inputs_shape, initial_state_shape=None):
        features = inputs_shape[-1]
        for index in range(self.depth):
            for layer in self._directions(index):
                layer.build((None, None, features))
            if index:
                self.dropout_layers[index - 1].build((None, None, features))
            features = self.output_size

    def compute_output_shape(self, inputs_shape, initial_state_shape=None):
        batch, time = inputs_shape[:2]
        states = [
            [(batch, size) for layer in self._directions(index) for size in layer.state_size]
            for index in range(self.depth)
        ]
        return (batch, time, self.output_size), states

    def compute_mask(self, inputs, previous_mask):
        # Masks are passed by the caller, never implied.
        return None

    def get_initial_state(self, batch_size, direction=None):
        """States of zeros for `batch_size` sequences, in the structure of `initial_state`.

        With a direction, 0 or 1, they are the states of this direction alone, for `read_one_way`.
        """
        ways = slice(None) if direction is None else slice(direction, direction + 1)
        layers = [self._directions(index)[ways] for index in range(self.depth)]
        return [[state for layer in pair for state in layer.get_initial_state(batch_size)] for pair in layers]

    def call(self, inputs, initial_state=None, mask=None, training=None, window=None, keep_for_gradient=None):
        states = self._checked(initial_state)
        options = {"training": training, "keep_for_gradient": keep_for_gradient}
        parts = self._staggered_parts(inputs.shape[1], mask, training, window)
        if parts:
            return self._staggered(parts, inputs, states, mask, options)
        outputs, final = inputs, []
        for index in range(self.depth):
            outputs = self._dropped(index, outputs, training)
            outputs, layer_states = self._sequence(index, outputs, states[index], mask, window, options)
            final.append(layer_states)
        return outputs, final

    def read_one_way(self, inputs, direction=0, initial_state=None, training=None):
        """Reads with one direction alone, as a language model does.

        Args:
            inputs: `(batch, time, features)` in the order in which the direction reads: for direction 1, the
                last step of the sequence comes first.
            direction: 0 forward, 1 backward.
            initial_state: a list over layers of lists of `(batch, units)`, the states of this direction, as
                `get_initial_state` makes them; None for zeros.
            training: whether dropout is active.

        Returns:
            Outputs `(batch, time, units)` in the order of the inputs, and the final states of this direction.

        Raises:
            ValueError: the stack has two directions and several layers, whose upper ones read both.
        """
        if not self.bidirectional:
            return self(inputs, initial_state=initial_state, training=training)
        if self.depth > 1:
            raise ValueError(
                f"No direction of a bidirectional stack of {self.depth} layers can read alone: the upper "
                "layers read both. Expected depth=1 or bidirectional=False."
            )
        layer, state = self._directions(0)[direction], None if initial_state is None else initial_state[0]
        # A layer that goes backwards expects its inputs in the order of the sequence.
        inputs = ops.flip(inputs, axis=1) if layer.go_backwards else inputs
        # The other direction can read at the same time.
        outputs, state = layer(inputs, initial_state=state, training=training, beside=1)
        return outputs, [state]

    def layer_variables(self, index):
        """The trainable variables of one layer, those of both directions in a bidirectional stack."""
        return [variable for layer in self._directions(index) for variable in layer.trainable_variables]

    def step(self, inputs, states, training=None):
        """One step through all layers, with the weights of the stack; T steps equal one call over T steps.

        In training, dropout draws a new mask at each step, as only a call knows the whole sequence.
        `recurrent_weight_dropout` drops nothing here.

        Args:
            inputs: `(batch, features)`.
            states: a list over layers of lists of `(batch, units)`.
            training: whether dropout is active.

        Returns:
            The output `(batch, units)` and the new states.

        Raises:
            ValueError: the stack is bidirectional: its backward half needs the end of the sequence first.
        """
        if self.bidirectional:
            raise ValueError(
                "A bidirectional stack has no single step: it needs the end of the sequence first. "
                "Expected bidirectional=False; call the stack on the whole sequence instead."
            )
        if not self.built:
            self.build((None, None, inputs.shape[-1]))
        states = self._checked(states)
        outputs, new = inputs, []
        for index, layer in enumerate(self.forward_layers):
            outputs = self._dropped(index, outputs[:, None, :], training)[:, 0]
            outputs, layer_states = layer.step(outputs, states[index], training=training)
            new.append(layer_states)
        return outputs, new

    def _directions(self, index):
        return [layers[index] for layers in (self.forward_layers, self.backward_layers) if layers]

    def _dropped(self, index, outputs, training):
        return self.dropout_layers[index - 1](outputs, training=training) if index else outputs

    def _staggered_parts(self, time, mask, training, window):
        """Parts of the sequence for `_staggered`; none where the layers read the sequence in turn."""
        in_one_window = window is None or (time is not None and time <= window)
        # What a call draws must be the same at all steps.
        draws_weights = training and self.recurrent_weight_dropout
        is_possible = in_one_window and not (self.bidirectional or draws_weights)
        if not (is_possible and self.forward_layers[0].is_fused(mask)):
            return []
        return placement.staggered_parts(time, self.depth)

    def _staggered(self, parts, inputs, states, mask, options):
        """One part after the other, each through all layers; TensorFlow runs at once what is ready."""
        drops = [None] * self.depth
        if options["training"] and self.dropout:  # drawn once for all parts
            ones = ops.ones((ops.shape(inputs)[0], 1, self.units), self.compute_dtype)
            drops[1:] = [layer(ones, training=True) for layer in self.dropout_layers]
        read = []
        for part in parts:
            outputs, valid = inputs[:, part], None if mask is None else mask[:, part]
            for index, layer in enumerate(self.forward_layers):
                outputs = outputs if drops[index] is None else outputs * drops[index]
                outputs, states[index] = layer(
                    outputs, initial_state=states[index], mask=valid, beside=self.depth - 1, **options
                )
            read.append(outputs)
        return ops.concatenate(read, axis=1), states

    def _sequence(self, index, inputs, states, mask, window, options):
        """One layer over the whole sequence: outputs in order of time, and the states of its directions."""
        layers, outputs, final = self._directions(index), [], []
        for direction, layer in enumerate(layers):
            size = len(layer.state_size)
            state = None if states is None else states[direction * size : (direction + 1) * size]
            read, state = read_sequence(
                layer, inputs, state, mask, window=window, beside=len(layers) - 1, **options
            )
            outputs.append(read)
            final += state
        return (ops.concatenate(outputs, axis=-1) if self.bidirectional else outputs[0]), final

    def _checked(self, states):
        if states is None:
            return [None] * self.depth
        expected = [sum(len(layer.state_size) for layer in self._directions(0))] * self.depth
        sizes = [len(layer) if isinstance(layer, list | tuple) else None for layer in states]
        if sizes != expected:
            raise ValueError(
                f"The states do not fit the stack: the layers have {sizes} tensors. Expected {expected}, "
                "in the structure that `get_initial_state` makes."
            )
        return [list(layer) for layer in states]


def _check(cell, depth, dropout):
    if cell not in CELLS:
        raise ValueError(f"Unknown cell {cell!r}. Expected one of {', '.join(map(repr, CELLS))}.")
    if depth < 1:
        raise ValueError(f"depth is {depth}. Expected at least one layer.")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout is {dropout}. Expected a rate in [0, 1).")
