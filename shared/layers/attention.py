"""Attention of queries over a memory: the steps of a sequence or the cells of an image grid.

A memory is projected once (`memory = layer.project(values)`) and then read by any number of queries, so that
the cost of a decoding step is that of its own query. Masked cells have a weight of exactly zero; if all cells
of a row are masked, its context is zero. Weights are computed in float32 or wider, whatever the dtype policy.
"""

import keras
from keras import ops


class _Attention(keras.layers.Layer):
    """What both kinds share: building, masking and normalising."""

    def __init__(self, units: int, **kwargs):
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"units is {units}. Expected a positive number.")
        self.units = units
        self.supports_masking = True
        self.query_projection = self._dense("query_projection")
        self.key_projection = None

    def _dense(self, name, units=None, use_bias=False):
        return keras.layers.Dense(units or self.units, use_bias=use_bias, dtype=self.dtype_policy, name=name)

    def get_config(self):
        return {**super().get_config(), "units": self.units}

    def build(self, query_shape, memory_shape):
        self.query_projection.build((None, None, query_shape[-1]))
        if not isinstance(memory_shape, dict):  # a dict comes from `project`, which has built its own part
            self._build_memory(memory_shape[-1])

    def _build_memory(self, features):
        raise NotImplementedError

    def get_build_config(self):
        # The shapes that Keras records are not enough: a projected memory hides the width of its values.
        if not self.built:
            return None
        widths = [layer.kernel.shape[0] for layer in (self.query_projection, self.key_projection)]
        return {"query_shape": (None, None, widths[0]), "memory_shape": (None, None, widths[1])}

    def build_from_config(self, config):
        if config:
            self.build(**config)

    def compute_mask(self, *args, **kwargs):
        # Masks are passed by the caller, never implied.
        return None

    def _normalised(self, scores, mask):
        """Softmax over the last axis, exactly zero where `mask`, which is broadcast, is False."""
        scores = ops.cast(scores, keras.backend.result_type(self.compute_dtype, "float32"))
        if mask is None:
            return ops.softmax(scores, axis=-1)
        # Finite, so that a row without any valid cell has no NaN, not even on the way.
        scores = ops.where(mask, scores, ops.cast(-1e30, scores.dtype))
        return ops.where(mask, ops.softmax(scores, axis=-1), ops.zeros_like(scores))


@keras.saving.register_keras_serializable("unrolled")
class AdditiveAttention(_Attention):
    """Attention scored by a small network that reads query and cell; their widths may differ.

        e_ij = v . tanh(W q_i + U m_j + b)
        a_ij = exp(e_ij) / sum_k exp(e_ik)
        context_i = sum_j a_ij m_j

    The context is a mean of the values m, so it has their width. Scoring all queries at once takes memory for
    batch * time * cells * units numbers; `DotProductAttention` is cheaper for many queries.

    Source: Bahdanau et al. 2015, "Neural Machine Translation by Jointly Learning to Align and Translate",
    section 3.1 and appendix A.1.2.

    Args:
        units: width of the scoring network.

    Call arguments:
        query: `(batch, time, query features)`.
        memory: from `project`, or the values `(batch, cells, features)` themselves, which are then projected
            in this call.
        mask: `(batch, cells)` bool, False at cells to ignore; None for none.

    Returns:
        The context `(batch, time, features)` and the weights `(batch, time, cells)` in float32 or wider.

    Example:

    >>> import keras
    >>> layer = AdditiveAttention(4)
    >>> memory = layer.project(keras.ops.ones((2, 7, 3)))
    >>> context, weights = layer(keras.ops.ones((2, 1, 5)), memory)
    >>> tuple(context.shape), tuple(weights.shape)
    ((2, 1, 3), (2, 1, 7))
    """

    def __init__(self, units: int, **kwargs):
        super().__init__(units, **kwargs)
        self.key_projection = self._dense("key_projection", use_bias=True)
        self.score = self._dense("score", units=1)

    def build(self, query_shape, memory_shape):
        super().build(query_shape, memory_shape)
        self.score.build((None, None, None, self.units))

    def _build_memory(self, features):
        self.key_projection.build((None, None, features))

    def project(self, values):
        """Prepares a memory for any number of calls.

        Args:
            values: `(batch, cells, features)`.

        Returns:
            A dict of tensors, batch first: `values` `(batch, cells, features)` and `keys` `(batch, cells,
            units)`.
        """
        values = ops.cast(values, self.compute_dtype)
        return {"values": values, "keys": self.key_projection(values)}

    def call(self, query, memory, mask=None):
        memory = memory if isinstance(memory, dict) else self.project(memory)
        queries = self.query_projection(query)[:, :, None, :]  # (batch, time, 1, units)
        hidden = ops.tanh(queries + memory["keys"][:, None, :, :])  # (batch, time, cells, units)
        scores = ops.squeeze(self.score(hidden), axis=-1)  # (batch, time, cells)
        weights = self._normalised(scores, None if mask is None else ops.cast(mask, "bool")[:, None, :])
        return ops.matmul(ops.cast(weights, self.compute_dtype), memory["values"]), weights


@keras.saving.register_keras_serializable("unrolled")
class DotProductAttention(_Attention):
    """Attention scored by a scaled product of query and key, in one or more heads.

        a_ij = softmax_j((W_q q_i) . (W_k m_j) / sqrt(units / num_heads))
        context_i = sum_j a_ij W_v m_j

    in each head, over its share of the units; the contexts of the heads are concatenated. They are not
    projected afterwards.

    Source: Vaswani et al. 2017, "Attention Is All You Need", section 3.2.

    Args:
        units: width of the context, all heads together.
        num_heads: number of heads, a divisor of `units`.

    Call arguments:
        query: `(batch, time, query features)`.
        memory: from `project`, or the values `(batch, cells, features)` themselves, which are then projected
            in this call.
        mask: `(batch, cells)` bool, False at cells to ignore; None for none.

    Returns:
        The context `(batch, time, units)` and the weights `(batch, time, cells)`, the mean of all heads, in
        float32 or wider.

    Raises:
        ValueError: `num_heads` does not divide `units`.

    Example:

    >>> import keras
    >>> layer = DotProductAttention(6, num_heads=2)
    >>> memory = layer.project(keras.ops.ones((2, 7, 3)))
    >>> context, weights = layer(keras.ops.ones((2, 1, 5)), memory)
    >>> tuple(context.shape), tuple(weights.shape)
    ((2, 1, 6), (2, 1, 7))
    """

    def __init__(self, units: int, num_heads: int = 1, **kwargs):
        super().__init__(units, **kwargs)
        if num_heads < 1 or units % num_heads:
            raise ValueError(
                f"{units} units do not divide into {num_heads} heads. Expected a divisor as num_heads."
            )
        self.num_heads = num_heads
        self.head_units = units // num_heads
        self.key_projection = self._dense("key_projection")
        self.value_projection = self._dense("value_projection")

    def get_config(self):
        return {**super().get_config(), "num_heads": self.num_heads}

    def _build_memory(self, features):
        self.key_projection.build((None, None, features))
        self.value_projection.build((None, None, features))

    def project(self, values):
        """Prepares a memory for any number of calls.

        Args:
            values: `(batch, cells, features)`.

        Returns:
            A dict of tensors, batch first: `values` `(batch, heads, cells, head units)` and `keys`
            `(batch, heads, head units, cells)`, laid out for the products of a decoding step.
        """
        return {
            "values": ops.transpose(self._split(self.value_projection(values)), (0, 2, 1, 3)),
            "keys": ops.transpose(self._split(self.key_projection(values)), (0, 2, 3, 1)),
        }

    def _split(self, projected):
        """`(batch, length, units)` to `(batch, length, heads, head units)`."""
        return ops.reshape(projected, (-1, ops.shape(projected)[1], self.num_heads, self.head_units))

    def call(self, query, memory, mask=None):
        memory = memory if isinstance(memory, dict) else self.project(memory)
        queries = self.query_projection(query) * self.head_units**-0.5
        queries = ops.transpose(self._split(queries), (0, 2, 1, 3))  # (batch, heads, time, head units)
        scores = ops.matmul(queries, memory["keys"])  # (batch, heads, time, cells)
        weights = self._normalised(scores, None if mask is None else ops.cast(mask, "bool")[:, None, None, :])
        context = ops.matmul(ops.cast(weights, self.compute_dtype), memory["values"])
        context = ops.transpose(context, (0, 2, 1, 3))  # (batch, time, heads, head units)
        context = ops.reshape(context, (-1, ops.shape(query)[1], self.units))
        return context, ops.mean(weights, axis=1)
