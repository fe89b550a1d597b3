"""Text from a step function: greedy search, sampling, beam search.

In the order in which to read: `steps` (the step function and the result, `Decoded`), `rules` (what a text may
look like), `rows` (greedy search and sampling, one text per row), `stream` (text without an end), `beam`
and its `candidates`, `trace` (what a search tried).

A search sees no model, only `step(tokens, state) -> (logits, state)`, which takes the last token of each row
and the state before it. The state is any nested structure (lists, tuples, dicts) of tensors whose first axis
is the row; `()` stands for none. A step returns it with the structure, shapes and dtypes that it came in.

Everything runs in the graph: the same search works eagerly, in a `tf.function` and in a SavedModel. Nothing
here needs AutoGraph, and `tf.function(..., autograph=False)` is built much sooner.

A batch has examples, beam search keeps several beams per example, and the step sees batch * num_beams rows
(`beam_rows` says how many where texts are constrained or diverse): row `r` belongs to example
`r // num_beams`. A beam is only ever replaced by one of the same example, so what all beams of an example
share (an image, say) need not be state: the step closes over it, and it is not copied at each step. Such a
memory meets the rows in one of two ways: reshape the query to `(-1, num_beams, units)`, so that beams take
the place of a time axis; or repeat the memory once before the search, by `tile_beams`.
"""

from shared.decoding.beam import beam_rows, beam_search
from shared.decoding.rows import check_sampling, greedy_search, sample
from shared.decoding.steps import Decoded, Step, tile_beams
from shared.decoding.stream import sample_stream
from shared.decoding.trace import Node, Trace

__all__ = [
    "Decoded",
    "Node",
    "Step",
    "Trace",
    "beam_rows",
    "beam_search",
    "check_sampling",
    "greedy_search",
    "sample",
    "sample_stream",
    "tile_beams",
]
