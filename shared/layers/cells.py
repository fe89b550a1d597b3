"""The equations of the fused cells: one step of each recurrence after its matrix products.

Legend: x is the product of the input and the kernel, m that of the state and the recurrent kernel, both with
their biases, `(batch, gates)`. Gates are what a cell reads of one product: 4 units for an LSTM, 3 for a GRU,
1 for a simple RNN. `shared.layers.recurrent` has the equations with their products.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from keras import ops


class Cell(NamedTuple):
    """One step of a recurrence after its matrix products.

    Attributes:
        update: `update(x, m, states) -> states`, all in float32 or wider; states `(batch, units)`, the output
            first.
        is_additive: whether only the sum x + m matters, so that both have the same gradient.
    """

    update: Callable[[Any, Any, list], list]
    is_additive: bool


class Weights(NamedTuple):
    """The weights of a cell.

    Attributes:
        kernel: `(features, gates)`.
        recurrent_kernel: `(units, gates)`.
        bias: `(gates,)`, added to the product of the input; None for none.
        recurrent_bias: `(gates,)`, added to the product of the state; None for none.
    """

    kernel: Any
    recurrent_kernel: Any
    bias: Any | None = None
    recurrent_bias: Any | None = None


@functools.cache
def simple_cell(activation: Callable) -> Cell:
    """A simple RNN."""

    def update(x, m, states):
        return [activation(x + m)]

    return Cell(update, is_additive=True)


@functools.cache
def gru_cell(activation: Callable, recurrent_activation: Callable) -> Cell:
    """A GRU with `reset_after=True`; gates z, r, g."""

    def update(x, m, states):
        (x_z, x_r, x_g), (m_z, m_r, m_g) = _gates(x, 3), _gates(m, 3)
        z = recurrent_activation(x_z + m_z)
        r = recurrent_activation(x_r + m_r)
        g = activation(x_g + r * m_g)
        return [z * states[0] + (1 - z) * g]

    return Cell(update, is_additive=False)


@functools.cache
def lstm_cell(activation: Callable, recurrent_activation: Callable) -> Cell:
    """An LSTM; gates i, f, g, o."""

    def update(x, m, states):
        i, f, g, o = _gates(x + m, 4)
        c = recurrent_activation(f) * states[1] + recurrent_activation(i) * activation(g)
        return [recurrent_activation(o) * activation(c), c]

    return Cell(update, is_additive=True)


def _gates(product, count):
    """The gates of a product, each `(batch, units)`.

    Not split along the last axis: the gradient would join them there, which XLA does in a pass of its own.
    """
    return ops.unstack(ops.reshape(product, (-1, count, product.shape[-1] // count)), axis=1)
