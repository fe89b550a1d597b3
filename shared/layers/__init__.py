"""Keras layers that the applications share: recurrence, pooling over masked sequences, attention.

In the order in which to read:

- `recurrent`: `SimpleRNN`, `GRU` and `LSTM`, Keras's layers with their state as input and output;
- `sequence`: one of them over a sequence of any length; `stack`: several of them on top of each other;
- `cells`, `fused`, `placement`: the fast loop over time: its equations, the loop and its gradient, and where
  and in how many pieces it runs;
- `pooling`, `attention`: from a sequence to a vector, once or for each query.

Legend of shapes: batch, time (steps of a sequence), features (of an input), units (width of a layer), cells
(of an attended memory: steps of a sequence or squares of an image grid).
"""

from shared.layers.attention import AdditiveAttention, DotProductAttention
from shared.layers.pooling import AttentionPooling, masked_max, masked_mean
from shared.layers.recurrent import GRU, LSTM, SimpleRNN
from shared.layers.sequence import read_sequence
from shared.layers.stack import RecurrentStack

__all__ = [
    "GRU",
    "LSTM",
    "AdditiveAttention",
    "AttentionPooling",
    "DotProductAttention",
    "RecurrentStack",
    "SimpleRNN",
    "masked_max",
    "masked_mean",
    "read_sequence",
]
