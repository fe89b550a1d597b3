"""Keras layers that the applications share: recurrence, attention and pooling over masked sequences.

Legend of shapes: batch, time (steps of a sequence), features (of an input), units (width of a layer),
cells (places of an attended memory: steps of a sequence or squares of an image grid).
"""

from shared.layers.attention import AdditiveAttention, DotProductAttention
from shared.layers.pooling import AttentionPooling, MaskedPooling, last_step, masked_max, masked_mean
from shared.layers.recurrent import GRU, LSTM, SimpleRNN
from shared.layers.sequence import read_sequence
from shared.layers.stack import RecurrentStack

__all__ = [
    "GRU",
    "LSTM",
    "AdditiveAttention",
    "AttentionPooling",
    "DotProductAttention",
    "MaskedPooling",
    "RecurrentStack",
    "SimpleRNN",
    "last_step",
    "masked_max",
    "masked_mean",
    "read_sequence",
]
