"""The three recurrent layers: simple RNN, GRU and LSTM, with their state in the open.

They are Keras's own layers under one contract, so weights have Keras's layout and gate order, move in and out
by `get_weights` and `set_weights`, and Keras's cuDNN path stays in use on a GPU. What differs from Keras:

- a call always returns the whole sequence and the final states: `outputs, states = layer(inputs, ...)`;
- `step` runs one step of the same recurrence with the same weights;
- outputs of masked steps are zero on every device (Keras repeats the last output on a CPU and writes zeros
  with cuDNN; `zero_output_for_mask=False` brings that back);
- no state hides in the layer: `stateful=True` is refused.

Legend of the equations: x_t input (features), h_t output and state (units), c_t cell state (units), W_xh
kernel (features to units), W_hh recurrent kernel (units to units), b bias, * product element by element, s
the sigmoid.
"""

import contextlib

import keras
from keras import ops

from shared.layers import fused


class ExplicitState:
    """What the three layers share, mixed in before a Keras layer: state goes in and out of every call.

    Attributes:
        beside: how many other layers can run at the same time as this one, which then have the cores that it
            would take; the owner of the layers sets it.
    """

    beside = 0

    def __init__(
        self,
        units: int,
        *,
        zero_output_for_mask: bool = True,
        recurrent_weight_dropout: float = 0.0,
        stateful: bool = False,
        **kwargs,
    ):
        for name in ("return_sequences", "return_state"):
            if kwargs.pop(name, True) is not True:
                raise ValueError(
                    f"{type(self).__name__} always returns the whole sequence and its final states. "
                    f"Expected no {name} argument; take `states` or `shared.layers.last_step(outputs, mask)`."
                )
        if stateful:
            raise ValueError(
                f"{type(self).__name__} holds no state between calls. Expected stateful=False; "
                "pass the states that a call returns as `initial_state` of the next."
            )
        if not 0 <= recurrent_weight_dropout < 1:
            raise ValueError(
                f"recurrent_weight_dropout is {recurrent_weight_dropout}. Expected a rate in [0, 1)."
            )
        self.recurrent_weight_dropout = recurrent_weight_dropout
        super().__init__(
            units,
            return_sequences=True,
            return_state=True,
            zero_output_for_mask=zero_output_for_mask,
            **kwargs,
        )

    def get_config(self):
        config = super().get_config()
        for name in ("return_sequences", "return_state", "stateful"):
            del config[name]
        if hasattr(self, "use_cudnn"):  # Keras leaves it out
            config["use_cudnn"] = self.use_cudnn
        # The seed is one more that Keras leaves out, in a simple RNN.
        own = {"recurrent_weight_dropout": self.recurrent_weight_dropout, "seed": self.cell.seed}
        return {**config, **own}

    def build(self, inputs_shape, initial_state_shape=None):
        super().build(inputs_shape)

    def compute_output_shape(self, inputs_shape, initial_state_shape=None):
        batch, time = inputs_shape[:2]
        return (batch, time, self.units), [(batch, size) for size in self.state_size]

    def compute_mask(self, inputs, previous_mask):
        # Masks are passed by the caller, never implied.
        return None

    def call(self, inputs, initial_state=None, mask=None, training=None):
        outputs, *states = super().call(
            inputs, initial_state=self._checked(initial_state), mask=mask, training=training
        )
        return outputs, states

    def inner_loop(self, sequences, initial_state, mask, training=False):
        """Computes the whole sequence; state, casts and dropout masks of the cell are done by `call`.

        On a CPU it is `shared.layers.fused` that does so. Keras's own loop is in its place where a GPU is
        visible (there Keras has cuDNN), and for what the fused loop does not know: the cell's
        `recurrent_dropout`, `unroll`, a GRU with `reset_after=False`, and masks with
        `zero_output_for_mask=False`.

        Args:
            sequences: `(batch, time, features)`.
            initial_state: list of `(batch, units)`.
            mask: `(batch, time)` bool or None; masked steps keep the state and, with `zero_output_for_mask`,
                give 0.
            training: whether dropout is active and a gradient will be asked for.

        Returns:
            The last output `(batch, units)`, all outputs `(batch, time, units)` and the list of final states;
            with `go_backwards` the outputs are in the order in which the steps were computed.
        """
        if not self.is_fused(mask):
            with self._dropped_weights(training):
                return super().inner_loop(sequences, initial_state, mask, training=training)
        if training and self.cell.dropout:
            sequences = sequences * self.cell.get_dropout_mask(sequences[:, 0, :])[:, None, :]
        if self.go_backwards:
            sequences = ops.flip(sequences, axis=1)
            mask = None if mask is None else ops.flip(mask, axis=1)
        bias, recurrent_bias = self._biases()
        outputs, states = fused.run_sequence(
            self._fused_cell(),
            sequences,
            initial_state,
            kernel=ops.convert_to_tensor(self.cell.kernel, dtype=self.compute_dtype),
            recurrent_kernel=self._recurrent_kernel(training),
            bias=bias,
            recurrent_bias=recurrent_bias,
            mask=None if mask is None else ops.cast(mask, "bool"),
            training=bool(training),
            beside=self.beside,
        )
        return states[0], outputs, states

    def is_fused(self, mask=None) -> bool:
        """Whether a call with this mask runs the fused loop, and not Keras's."""
        known = not (self.cell.recurrent_dropout or self.unroll) and getattr(self.cell, "reset_after", True)
        return known and (mask is None or self.zero_output_for_mask) and not fused.gpu_is_visible()

    def _recurrent_kernel(self, training):
        """The recurrent kernel of one call, in training with its own dropout."""
        kernel = ops.convert_to_tensor(self.cell.recurrent_kernel, dtype=self.compute_dtype)
        if not (training and self.recurrent_weight_dropout):
            return kernel
        return keras.random.dropout(kernel, self.recurrent_weight_dropout, seed=self.cell.seed_generator)

    @contextlib.contextmanager
    def _dropped_weights(self, training):
        """Inside, Keras's own loop finds the recurrent kernel of one call where it looks for its weights."""
        kept = self.cell.recurrent_kernel
        if training and self.recurrent_weight_dropout:
            self.cell.recurrent_kernel = self._recurrent_kernel(training)
        try:
            yield
        finally:
            self.cell.recurrent_kernel = kept

    def _biases(self):
        """The biases of input and state; only a GRU has the second."""
        if not self.cell.use_bias:
            return None, None
        bias = ops.convert_to_tensor(self.cell.bias, dtype=self.compute_dtype)
        return (bias[0], bias[1]) if len(bias.shape) == 2 else (bias, None)

    def _fused_cell(self):
        raise NotImplementedError

    def step(self, inputs, states, training=None):
        """One step of the recurrence, with the weights of the layer; T steps equal one call over T steps.

        Dropout of inputs and state, where the layer has any, draws anew at each step: the mask of a sequence
        is known to `call` only. `recurrent_weight_dropout` drops nothing here.

        Args:
            inputs: `(batch, features)`.
            states: list of `(batch, units)`, from `get_initial_state`, a call or the step before.
            training: whether the layer's dropout is active.

        Returns:
            The output `(batch, units)` and the list of new states.
        """
        if not self.built:
            self.build((None, None, inputs.shape[-1]))
        output, states = self.cell(inputs, self._checked(states), training=training)
        # The cell caches its dropout masks for a sequence; the next step may belong to another one.
        self.cell.reset_dropout_mask()
        self.cell.reset_recurrent_dropout_mask()
        return output, list(states)

    def _checked(self, states):
        if states is None:
            return None
        states = list(states) if isinstance(states, list | tuple) else [states]
        if len(states) != len(self.state_size):
            raise ValueError(
                f"{type(self).__name__} got {len(states)} state tensors. "
                f"Expected a list of {len(self.state_size)}, each (batch, {self.units}), "
                "as `get_initial_state` makes them."
            )
        return states


@keras.saving.register_keras_serializable("unrolled")
class SimpleRNN(ExplicitState, keras.layers.SimpleRNN):
    """The simple recurrent network: the new state is a squashed sum of the old one and the input.

        h_t = tanh(W_hh h_{t-1} + W_xh x_t + b)

    Source: Elman 1990, "Finding Structure in Time".

    Args:
        units: width of the output and of the state.
        zero_output_for_mask: whether outputs of masked steps are zero; otherwise the last valid output is
            repeated.
        recurrent_weight_dropout: rate in [0, 1) on the weights of the recurrent kernel in training: drawn
            once a call, the same at all steps (Merity et al. 2018, "Regularizing and Optimizing LSTM Language
            Models", section 3). Unlike `recurrent_dropout` it leaves the fast path in use.
        **kwargs: as in `keras.layers.SimpleRNN` (`activation`, `use_bias`, initializers, `dropout`, ...),
            without `return_sequences`, `return_state` and `stateful`.

    Call arguments:
        inputs: `(batch, time, features)`.
        initial_state: list `[h]`, `h` `(batch, units)`; None for zeros.
        mask: `(batch, time)` bool, False at steps to skip: they leave the state as it is. None for none.
        training: whether dropout is active.

    Returns:
        Outputs `(batch, time, units)` and the list of final states `[h]`.

    Raises:
        ValueError: `stateful`, or the wrong number of states.

    Example:

    >>> import keras
    >>> layer = SimpleRNN(4)
    >>> outputs, states = layer(keras.ops.ones((2, 3, 5)))
    >>> tuple(outputs.shape), len(states)
    ((2, 3, 4), 1)
    """

    def _fused_cell(self):
        return fused.simple_cell(self.cell.activation)


@keras.saving.register_keras_serializable("unrolled")
class GRU(ExplicitState, keras.layers.GRU):
    """Gated recurrent unit: an update gate z mixes the old state with a candidate, a reset gate r guards it.

        z_t = s(W_xz x_t + W_hz h_{t-1} + b_z)
        r_t = s(W_xr x_t + W_hr h_{t-1} + b_r)
        g_t = tanh(W_xg x_t + b_g + r_t * (W_hg h_{t-1} + b'_g))
        h_t = z_t * h_{t-1} + (1 - z_t) * g_t

    These are the equations of cuDNN (`reset_after=True`, Keras's default, with one bias on the input's and
    one on the state's side). With `reset_after=False` the candidate is that of the paper, g_t = tanh(W_xg x_t
    + W_hg (r_t * h_{t-1}) + b_g). Gate order in the weights: z, r, g.

    Source: Cho et al. 2014, "Learning Phrase Representations using RNN Encoder-Decoder", equations 5 to 8.

    Args:
        units: width of the output and of the state.
        zero_output_for_mask: whether outputs of masked steps are zero; otherwise the last valid output is
            repeated.
        recurrent_weight_dropout: rate in [0, 1) on the weights of the recurrent kernel in training: drawn
            once a call, the same at all steps (Merity et al. 2018, "Regularizing and Optimizing LSTM Language
            Models", section 3). Unlike `recurrent_dropout` it leaves the fast path in use.
        **kwargs: as in `keras.layers.GRU` (`reset_after`, `use_bias`, initializers, `dropout`, `use_cudnn`,
            ...), without `return_sequences`, `return_state` and `stateful`.

    Call arguments:
        inputs: `(batch, time, features)`.
        initial_state: list `[h]`, `h` `(batch, units)`; None for zeros.
        mask: `(batch, time)` bool, False at steps to skip: they leave the state as it is. None for none.
            Inside a graph on a GPU Keras takes only right-padded rows of at least one step; `use_cudnn=False`
            takes any.
        training: whether dropout is active.

    Returns:
        Outputs `(batch, time, units)` and the list of final states `[h]`.

    Raises:
        ValueError: `stateful`, or the wrong number of states.

    Example:

    >>> import keras
    >>> layer = GRU(4)
    >>> output, states = layer.step(keras.ops.ones((2, 5)), layer.get_initial_state(2))
    >>> tuple(output.shape), len(states)
    ((2, 4), 1)
    """

    def _fused_cell(self):
        return fused.gru_cell(self.cell.activation, self.cell.recurrent_activation)


@keras.saving.register_keras_serializable("unrolled")
class LSTM(ExplicitState, keras.layers.LSTM):
    """Long short-term memory: gates write to, keep and read a cell c, along which gradients last.

        i_t = s(W_xi x_t + W_hi h_{t-1} + b_i)        input gate
        f_t = s(W_xf x_t + W_hf h_{t-1} + b_f)        forget gate
        g_t = tanh(W_xg x_t + W_hg h_{t-1} + b_g)     candidate
        o_t = s(W_xo x_t + W_ho h_{t-1} + b_o)        output gate
        c_t = f_t * c_{t-1} + i_t * g_t
        h_t = o_t * tanh(c_t)

    Gate order in the weights: i, f, g, o. The bias of the forget gate starts at 1 (`unit_forget_bias`).

    Source: Hochreiter and Schmidhuber 1997, "Long Short-Term Memory", with the forget gate of Gers et al.
    2000.

    Args:
        units: width of the output and of both states.
        zero_output_for_mask: whether outputs of masked steps are zero; otherwise the last valid output is
            repeated.
        recurrent_weight_dropout: rate in [0, 1) on the weights of the recurrent kernel in training: drawn
            once a call, the same at all steps (Merity et al. 2018, "Regularizing and Optimizing LSTM Language
            Models", section 3). Unlike `recurrent_dropout` it leaves the fast path in use.
        **kwargs: as in `keras.layers.LSTM` (`unit_forget_bias`, `use_bias`, initializers, `dropout`,
            `use_cudnn`, ...), without `return_sequences`, `return_state` and `stateful`.

    Call arguments:
        inputs: `(batch, time, features)`.
        initial_state: list `[h, c]`, each `(batch, units)`; None for zeros.
        mask: `(batch, time)` bool, False at steps to skip: they leave the state as it is. None for none.
            Inside a graph on a GPU Keras takes only right-padded rows of at least one step; `use_cudnn=False`
            takes any.
        training: whether dropout is active.

    Returns:
        Outputs `(batch, time, units)` and the list of final states `[h, c]`.

    Raises:
        ValueError: `stateful`, or the wrong number of states.

    Example:

    >>> import keras
    >>> layer = LSTM(4)
    >>> first, states = layer(keras.ops.ones((2, 3, 5)))
    >>> more, states = layer(keras.ops.ones((2, 6, 5)), initial_state=states)
    >>> tuple(more.shape), [tuple(state.shape) for state in states]
    ((2, 6, 4), [(2, 4), (2, 4)])
    """

    def _fused_cell(self):
        return fused.lstm_cell(self.cell.activation, self.cell.recurrent_activation)
