"""A character model in int8, for the page's own LSTM step."""

from typing import Any

import numpy as np

from charlm.model.char_lm import CharLM
from charlm.text.characters import BYTES
from shared.visual.pages import packed


def quantized(matrix: np.ndarray) -> dict[str, Any]:
    """A matrix `(rows, columns)` in int8 with a scale for each column, packed for a page.

    Example:

    >>> quantized(np.array([[1.0, -0.5], [-0.5, 0.25]]))["values"]["shape"]
    [2, 2]
    """
    scales, values = to_int8(matrix)
    return {"values": packed(values), "scales": packed(scales)}


def to_int8(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The scales `(columns,)` float32 and values `(rows, columns)` int8 of a matrix."""
    scales = np.abs(matrix).max(axis=0) / 127
    scales = np.where(scales > 0, scales, 1.0).astype(np.float32)
    return scales, np.round(matrix / scales).astype(np.int8)


def size_in_int8(model: CharLM) -> int:
    """The bytes of `weights_of`, before they are packed as text."""
    skipped = BYTES * (model.embedding.output_dim + model.stack.units)
    return model.count_params() - skipped


def weights_of(model: CharLM) -> dict[str, Any]:
    """The weights of an LSTM model for `lstm.js`, without the tokens that are bytes.

    Raises:
        ValueError: the model has other cells than those of an LSTM.
    """
    if model.stack.cell != "lstm":
        raise ValueError(f"the page writes with an LSTM; the model has the cell {model.stack.cell}")
    embedding = np.asarray(model.embedding.embeddings)[BYTES:] * model.embedding_scale
    if model.output_layer is None:
        output, bias = np.asarray(model.embedding.embeddings)[BYTES:].T, np.zeros(len(embedding))
    else:
        output, bias = (np.asarray(weight)[..., BYTES:] for weight in model.output_layer.get_weights())
    return {
        "characters": list(model.vocabulary.characters),
        "start": max(0, model.vocabulary.start - BYTES),
        "units": model.stack.units,
        "embedding": quantized(embedding),
        "layers": [
            {
                "kernel": quantized(kernel),
                "recurrent": quantized(recurrent),
                "bias": packed(bias.astype(np.float32)),
            }
            for kernel, recurrent, bias in (layer.get_weights() for layer in model.stack.forward_layers)
        ],
        "output": {**quantized(output), "bias": packed(bias.astype(np.float32))},
    }
