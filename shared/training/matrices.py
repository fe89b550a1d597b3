"""The recurrent matrices of a model, and how much they stretch a state at each step."""

import keras
import numpy as np
from scipy.sparse.linalg import ArpackNoConvergence, eigs, svds

DENSE = 64  # rows; of smaller matrices, all values are computed


def recurrent_matrices(model: keras.Model) -> dict[str, list[np.ndarray]]:
    """The square matrices `(units, units)` of each recurrent layer, one for each gate, by its path."""
    return {
        layer.path: _squares(np.asarray(layer.cell.recurrent_kernel, np.float32))
        for layer in model._flatten_layers(include_self=False)
        if isinstance(layer, keras.layers.RNN) and hasattr(layer.cell, "recurrent_kernel")
    }


def _squares(kernel: np.ndarray) -> list[np.ndarray]:
    return np.split(kernel, kernel.shape[1] // kernel.shape[0], axis=1)


def largest_singular_value(matrix: np.ndarray) -> float:
    """How much longer a matrix can make a vector.

    Example:

    >>> round(largest_singular_value(np.array([[0.0, 3.0], [0.5, 0.0]])), 3)
    3.0
    """
    if len(matrix) <= DENSE:
        return float(np.linalg.norm(matrix, 2))
    return float(svds(matrix, k=1, return_singular_vectors=False, v0=np.ones(len(matrix), matrix.dtype))[0])


def spectral_radius(matrix: np.ndarray) -> float:
    """How much longer many steps of a matrix make a vector, at each step; NaN where it was not computed.

    Example:

    >>> round(spectral_radius(np.array([[0.0, 3.0], [0.5, 0.0]])), 3)
    1.225
    """
    if len(matrix) <= DENSE:
        return float(np.abs(np.linalg.eigvals(matrix)).max())
    try:
        values = eigs(matrix, k=1, return_eigenvectors=False, v0=np.ones(len(matrix), matrix.dtype))
    except ArpackNoConvergence:
        return float("nan")
    return float(np.abs(values[0]))
