"""The three recurrent layers, simple RNN, GRU and LSTM, whose state goes in and comes out of every call.

They are Keras's own layers, so their weights have Keras's layout and gate order, `get_weights` and
`set_weights` move them in and out, and a GPU uses Keras's cuDNN path. What differs from Keras:

- a call always returns the whole sequence and the final states: `outputs, states = layer(inputs, ...)`;
- `step` runs one step of the same recurrence with the same weights;
- outputs of masked steps are zero on every device (Keras repeats the last output on a CPU and writes zeros
  with cuDNN; `zero_output_for_mask=False` restores that);
- no state hides in the layer: `stateful=True` is refused;
- on a CPU the loop over time is that of `shared.layers.fused`, which is faster.

Legend of the equations: x_t input (features), h_t output and state (units), c_t cell state (units), W_xh
kernel (features to units), W_hh recurrent kernel (units to units), b bias, * product element by element, s
the sigmoid.
"""

import keras
from keras import ops

from shared.layers import fused, placement
from shared.layers.cells import Weights, gru_cell, lstm_cell, simple_cell


class ExplicitState:
    """What the three layers share, mixed in before a Keras layer: state goes in and comes out of a call.

    A layer has `_fused_cell`, too, which returns its `shared.layers.cells.Cell`.

    Args:
        units: width of the output and of each state.
        zero_output_for_mask: whether outputs of masked steps are zero; otherwise the last valid output is
            repeated.
        recurrent_weight_dropout: rate in [0, 1) on the weights of the recurrent kernel in training: drawn
            once a call, the same at all steps (Merity et al. 2018, "Regularizing and Optimizing LSTM Language
            Models", section 3). Unlike Keras's `recurrent_dropout`, it leaves the fused loop in use.
        **kwargs: of the Keras layer, without `return_sequences`, `return_state` and `stateful`.

    Call arguments:
        inputs: `(batch, time, features)`.
        initial_state: list of `(batch, units)`, the output first; None for zeros.
        mask: `(batch, time)` bool, False at steps to skip: they leave the state as it is. None for none.
            Inside a graph on a GPU, a GRU or LSTM takes only right-padded rows of at least one step, unless
            `use_cudnn=False`.
        training: whether dropout is active.
        keep_for_gradient: whether to keep what a fast gradient needs; without, there is a gradient too, but a
            slow one. None: as `training`.
        beside: how many other recurrences can run at the same time and need a core of their own.

    Returns:
        Outputs `(batch, time, units)` and the list of final states. With `go_backwards`, outputs are in the
        order in which they were computed, the last step first.

    Raises:
        ValueError: `stateful`, a rate outside [0, 1), or the wrong number of states.
    """

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
                    f"Expected no {name} argument; the last valid output is `states[0]`."
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
        kwargs |= {
            "return_sequences": True,
            "return_state": True,
            "zero_output_for_mask": zero_output_for_mask,
        }
        super().__init__(units, **kwargs)

    def get_config(self):
        config = super().get_config()
        for name in ("return_sequences", "return_state", "stateful"):
            del config[name]
        if hasattr(self, "use_cudnn"):  # which Keras leaves out
            config["use_cudnn"] = self.use_cudnn
        # The seed, too, is left out by Keras's simple RNN.
        return {**config, "recurrent_weight_dropout": self.recurrent_weight_dropout, "seed": self.cell.seed}

    def build(self, inputs_shape, initial_state_shape=None):
        super().build(inputs_shape)

    def compute_output_shape(self, inputs_shape, initial_state_shape=None):
        batch, time = inputs_shape[:2]
        return (batch, time, self.units), [(batch, size) for size in self.state_size]

    def compute_mask(self, inputs, previous_mask):
        # Masks are passed by the caller, never implied.
        return None

    def call(self, inputs, initial_state=None, mask=None, training=None, keep_for_gradient=None, beside=0):
        states = self._checked(initial_state)
        if not self.is_fused(mask):
            outputs, *states = super().call(inputs, initial_state=states, mask=mask, training=training)
            return outputs, states
        if states is None:
            states = self.get_initial_state(ops.shape(inputs)[0])
        inputs = self._dropped(inputs, training)
        if self.go_backwards:
            inputs = ops.flip(inputs, axis=1)
            mask = None if mask is None else ops.flip(mask, axis=1)
        return fused.run_sequence(
            self._fused_cell(),
            self._weights(training),
            inputs,
            [ops.convert_to_tensor(state, dtype=self.compute_dtype) for state in states],
            mask=None if mask is None else ops.cast(mask, "bool"),
            keep_for_gradient=bool(training if keep_for_gradient is None else keep_for_gradient),
            beside=beside,
        )

    def inner_loop(self, sequences, initial_state, mask, training=False):
        """Keras's own loop, where the fused one is not used, with the recurrent kernel of this call."""
        kernel = self.cell.recurrent_kernel
        if training and self.recurrent_weight_dropout:
            self.cell.recurrent_kernel = self._recurrent_kernel(training)
        try:
            return super().inner_loop(sequences, initial_state, mask, training=training)
        finally:
            self.cell.recurrent_kernel = kernel

    def is_fused(self, mask=None) -> bool:
        """Whether a call with this mask runs the loop of `shared.layers.fused`, and not Keras's.

        Keras's own loop runs where `shared.layers.placement` says so, which is on a GPU, and for what the
        fused loop cannot do: `recurrent_dropout`, `unroll`, a GRU with `reset_after=False`, and masks with
        `zero_output_for_mask=False`.
        """
        resets_after = getattr(self.cell, "reset_after", True)
        is_known = resets_after and not (self.cell.recurrent_dropout or self.unroll)
        return is_known and (mask is None or self.zero_output_for_mask) and placement.uses_fused_loop()

    def _weights(self, training):
        bias = recurrent_bias = None
        if self.cell.use_bias:
            bias = ops.convert_to_tensor(self.cell.bias, dtype=self.compute_dtype)
            bias, recurrent_bias = (bias[0], bias[1]) if len(bias.shape) == 2 else (bias, None)  # GRU: both
        kernel = ops.convert_to_tensor(self.cell.kernel, dtype=self.compute_dtype)
        return Weights(kernel, self._recurrent_kernel(training), bias, recurrent_bias)

    def _dropped(self, inputs, training):
        """The inputs with Keras's `dropout`, one mask for all steps."""
        if not (training and self.cell.dropout):
            return inputs
        mask = self.cell.get_dropout_mask(inputs[:, 0, :])
        self.cell.reset_dropout_mask()
        return inputs * mask[:, None, :]

    def _recurrent_kernel(self, training):
        """The recurrent kernel of one call, in training with its dropout."""
        kernel = ops.convert_to_tensor(self.cell.recurrent_kernel, dtype=self.compute_dtype)
        if not (training and self.recurrent_weight_dropout):
            return kernel
        return keras.random.dropout(kernel, self.recurrent_weight_dropout, seed=self.cell.seed_generator)

    def step(self, inputs, states, training=None):
        """One step of the recurrence, with the weights of the layer; T steps equal one call over T steps.

        Keras's `dropout` and `recurrent_dropout` draw a new mask at each step, as only a call knows the whole
        sequence. `recurrent_weight_dropout` drops nothing here.

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
        # The cell caches its dropout masks for a sequence, but the next step may belong to another one.
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
        **kwargs: `zero_output_for_mask` and `recurrent_weight_dropout` as in `ExplicitState`; all others as
            in `keras.layers.SimpleRNN` (`activation`, `use_bias`, initializers, `dropout`, ...).

    Call arguments, returns and errors are those of `ExplicitState`. The state is `[h]`, `(batch, units)`.

    Example:

    >>> import keras
    >>> layer = SimpleRNN(4)
    >>> outputs, states = layer(keras.ops.ones((2, 3, 5)))
    >>> tuple(outputs.shape), len(states)
    ((2, 3, 4), 1)
    """

    def _fused_cell(self):
        return simple_cell(self.cell.activation)


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
        **kwargs: `zero_output_for_mask` and `recurrent_weight_dropout` as in `ExplicitState`; all others as
            in `keras.layers.GRU` (`reset_after`, `use_bias`, initializers, `dropout`, `use_cudnn`, ...).

    Call arguments, returns and errors are those of `ExplicitState`. The state is `[h]`, `(batch, units)`.

    Example:

    >>> import keras
    >>> layer = GRU(4)
    >>> output, states = layer.step(keras.ops.ones((2, 5)), layer.get_initial_state(2))
    >>> tuple(output.shape), len(states)
    ((2, 4), 1)
    """

    def _fused_cell(self):
        return gru_cell(self.cell.activation, self.cell.recurrent_activation)


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
        **kwargs: `zero_output_for_mask` and `recurrent_weight_dropout` as in `ExplicitState`; all others as
            in `keras.layers.LSTM` (`unit_forget_bias`, `use_bias`, initializers, `dropout`, ...).

    Call arguments, returns and errors are those of `ExplicitState`. States are `[h, c]`, each
    `(batch, units)`.

    Example:

    >>> import keras
    >>> layer = LSTM(4)
    >>> first, states = layer(keras.ops.ones((2, 3, 5)))
    >>> more, states = layer(keras.ops.ones((2, 6, 5)), initial_state=states)
    >>> tuple(more.shape), [tuple(state.shape) for state in states]
    ((2, 6, 4), [(2, 4), (2, 4)])
    """

    def _fused_cell(self):
        return lstm_cell(self.cell.activation, self.cell.recurrent_activation)
