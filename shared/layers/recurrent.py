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

import keras


class ExplicitState:
    """What the three layers share, mixed in before a Keras layer: state goes in and out of every call."""

    def __init__(self, units: int, *, zero_output_for_mask: bool = True, stateful: bool = False, **kwargs):
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
        return config

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
        """Computes the whole sequence: the one place to put a faster kernel.

        Everything around it (state, masks, casts, dropout masks of the cell) is done by `call`.

        Args:
            sequences: `(batch, time, features)`.
            initial_state: list of `(batch, units)`.
            mask: `(batch, time)` bool or None; masked steps keep the state and, with `zero_output_for_mask`,
                give 0.
            training: whether the cell's dropout is active.

        Returns:
            The last output `(batch, units)`, all outputs `(batch, time, units)` and the list of final states;
            with `go_backwards` the outputs are in the order in which the steps were computed.
        """
        return super().inner_loop(sequences, initial_state, mask, training=training)

    def step(self, inputs, states, training=None):
        """One step of the recurrence, with the weights of the layer; T steps equal one call over T steps.

        Dropout of the layer, where it has any, draws anew at each step: the mask of a sequence is known to
        `call` only.

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
