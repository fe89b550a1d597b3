"""From a sequence with a mask to one vector: mean, maximum or a weighted mean of the valid steps.

A row without any valid step gives zeros. Values at masked steps have no influence, even if they are NaN.
"""

import keras
from keras import ops


def masked_mean(inputs, mask=None):
    """Mean of the valid steps, summed in float32 at least.

    Args:
        inputs: `(batch, time, features)`.
        mask: `(batch, time)` bool, False at steps to ignore; None for none.

    Returns:
        `(batch, features)` in the dtype of `inputs`; zeros where no step is valid.

    Example:

    >>> import numpy as np
    >>> inputs, mask = np.array([[[1.0], [3.0], [9.0]]]), np.array([[True, True, False]])
    >>> np.asarray(masked_mean(inputs, mask)).tolist()
    [[2.0]]
    """
    inputs = ops.convert_to_tensor(inputs)
    wide = ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
    if mask is None:
        return ops.cast(ops.mean(wide, axis=1), inputs.dtype)
    valid = ops.cast(mask, "bool")
    total = ops.sum(_where(valid, wide, 0), axis=1)  # (batch, features)
    count = ops.sum(ops.cast(valid, wide.dtype), axis=1, keepdims=True)  # (batch, 1)
    return ops.cast(total / ops.maximum(count, 1), inputs.dtype)


def masked_max(inputs, mask=None):
    """Maximum of the valid steps, feature by feature.

    Args:
        inputs: `(batch, time, features)`.
        mask: `(batch, time)` bool, False at steps to ignore; None for none.

    Returns:
        `(batch, features)` in the dtype of `inputs`; zeros where no step is valid.

    Example:

    >>> import numpy as np
    >>> inputs, mask = np.array([[[-1.0], [-3.0], [9.0]]]), np.array([[True, True, False]])
    >>> np.asarray(masked_max(inputs, mask)).tolist()
    [[-1.0]]
    """
    inputs = ops.convert_to_tensor(inputs)
    if mask is None:
        return ops.max(inputs, axis=1)
    valid = ops.cast(mask, "bool")
    largest = ops.max(_where(valid, inputs, -float("inf")), axis=1)  # (batch, features)
    return ops.where(ops.any(valid, axis=1, keepdims=True), largest, ops.zeros_like(largest))


@keras.saving.register_keras_serializable("unrolled")
class AttentionPooling(keras.layers.Layer):
    """Pools a sequence to the mean of its valid steps, weighted by a learned score of each step.

        s_t = v . tanh(W h_t + b),  a = softmax(s),  output = sum_t a_t h_t

    Source: Yang et al. 2016, "Hierarchical Attention Networks for Document Classification", equations 5 to 7.

    Args:
        units: width of W.

    Call arguments:
        inputs: `(batch, time, features)`.
        mask: `(batch, time)` bool, False at steps to ignore; None for none.

    Returns:
        `(batch, features)`; zeros where no step is valid.

    Example:

    >>> import numpy as np
    >>> layer = AttentionPooling(3)
    >>> tuple(layer(np.ones((2, 7, 5))).shape)
    (2, 5)
    """

    def __init__(self, units: int, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.supports_masking = True
        self.key = keras.layers.Dense(units, activation="tanh", dtype=self.dtype_policy, name="key")
        self.score = keras.layers.Dense(1, use_bias=False, dtype=self.dtype_policy, name="score")

    def get_config(self):
        return {**super().get_config(), "units": self.units}

    def build(self, inputs_shape):
        self.key.build(inputs_shape)
        self.score.build((*inputs_shape[:-1], self.units))

    def compute_output_shape(self, inputs_shape):
        return (inputs_shape[0], inputs_shape[2])

    def compute_mask(self, inputs, previous_mask):
        # There is no time axis any more, so no mask either.
        return None

    def call(self, inputs, mask=None):
        valid = ops.ones(ops.shape(inputs)[:2], "bool") if mask is None else ops.cast(mask, "bool")
        inputs = _where(valid, inputs, 0)
        scores = ops.cast(self.score(self.key(inputs)), "float32")  # (batch, time, 1)
        weights = ops.softmax(_where(valid, scores, -1e9), axis=1)
        return ops.cast(ops.sum(weights * ops.cast(inputs, "float32"), axis=1), self.compute_dtype)


def _where(steps, inputs, other):
    """`inputs` `(batch, time, features)` at `steps` `(batch, time)`, `other` elsewhere."""
    return ops.where(steps[:, :, None], inputs, ops.cast(other, inputs.dtype))
