"""The optimizers of the suite: Muon and AdamW, with weight decay of the matrices only, and rates by layer."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("unrolled")
class BFloat16Muon(keras.optimizers.Muon):
    """Muon that orthogonalizes updates in bfloat16: twice as fast on processors with bfloat16 instructions.

    The iteration only has to bring all singular values near 1, for which three digits are enough.

    Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks", which computes in
    bfloat16 as well.

    Args:
        as in `keras.optimizers.Muon`.

    Example:

    >>> import numpy as np
    >>> update = np.random.default_rng(0).normal(size=(3, 5)).astype("float32")
    >>> orthogonal = BFloat16Muon(0.01).zeropower_via_newtonschulz5(ops.convert_to_tensor(update), 5)
    >>> orthogonal.dtype.name, bool(np.linalg.svd(orthogonal, compute_uv=False).min() > 0.5)
    ('float32', True)
    """

    def zeropower_via_newtonschulz5(self, x, steps):
        """The matrix nearest to orthogonal, roughly; Keras's method, in other numbers."""
        return ops.cast(super().zeropower_via_newtonschulz5(ops.cast(x, "bfloat16"), steps), x.dtype)


@keras.saving.register_keras_serializable("unrolled")
class LayerwiseAdamW(keras.optimizers.AdamW):
    """AdamW in which a variable has a share of the learning rate and starts to learn at some step.

    Source: Howard and Ruder 2018, "Universal Language Model Fine-tuning", sections 3.2 (discriminative
    fine-tuning) and 3.3 (gradual unfreezing).

    Args:
        parts: `(paths, share, first_step)`: the variables with these paths have this share of the learning
            rate, from this step of the optimizer on. All others have the whole rate from the start.
        **kwargs: as in `keras.optimizers.AdamW`.

    Example:

    >>> optimizer = LayerwiseAdamW(0.1, parts=[(["model/embedding/embeddings"], 0.5, 100)])
    >>> optimizer.part_of("model/embedding/embeddings"), optimizer.part_of("model/output/kernel")
    ((0.5, 100), (1.0, 0))
    """

    def __init__(self, learning_rate=0.001, parts=(), **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.parts = [(list(paths), share, first_step) for paths, share, first_step in parts]

    def get_config(self):
        return {**super().get_config(), "parts": self.parts}

    def part_of(self, path: str) -> tuple[float, int]:
        """Share of the rate and first step of the variable with this path."""
        for paths, share, first_step in self.parts:
            if path in paths:
                return share, first_step
        return 1.0, 0

    def build(self, variables):
        super().build(variables)
        self._parts_of = [self.part_of(variable.path) for variable in variables]

    def update_step(self, gradient, variable, learning_rate):
        # This is TensorFlow's variable, which does not know its path.
        share, first_step = self._parts_of[self._get_variable_index(variable)]
        if first_step:
            learning_rate = ops.where(self.iterations >= first_step, learning_rate, 0.0)
        learning_rate = learning_rate * share
        if self.weight_decay is not None and self._use_weight_decay(variable):
            self.assign_sub(variable, variable * self.weight_decay * learning_rate)
        super().update_step(gradient, variable, learning_rate)

    def _apply_weight_decay(self, variables):
        """Does nothing: `update_step` does it, at the rate of the variable."""


ADAM_SHARE = 0.2  # of Muon's rate, for what Muon is not made for


def make_muon(
    learning_rate: float, policy: str = "float32", weight_decay: float = 0.0
) -> keras.optimizers.Optimizer:
    """Muon for the matrices of recurrent layers; embedding, output layer and biases are updated as by AdamW,
    at a fraction of the rate. Only matrices decay.

    Sources: Jordan et al. 2024; Liu et al. 2025, "Muon is Scalable for LLM Training" (the scale).

    Args:
        learning_rate: highest rate; a schedule may change it.
        policy: name of the dtype policy of the model.
        weight_decay: decoupled, of the matrices.
    """
    muon = BFloat16Muon if policy == "mixed_bfloat16" else keras.optimizers.Muon
    optimizer = muon(
        learning_rate,
        weight_decay=weight_decay,
        adam_weight_decay=weight_decay,
        adam_beta_2=0.99,
        adam_lr_ratio=ADAM_SHARE,
        exclude_layers=["output", "bias"],  # a GRU's bias has two rows, but is no matrix
    )
    return decay_matrices_only(optimizer)


def make_adamw(
    learning_rate: float, weight_decay: float = 0.0, beta_2: float = 0.999, parts=()
) -> keras.optimizers.Optimizer:
    """AdamW with weight decay of the matrices only.

    Source: Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization".

    Args:
        learning_rate: highest rate; a schedule may change it.
        weight_decay: decoupled, of the matrices.
        beta_2: decay of the mean of squared gradients.
        parts: variables with a share of the rate, see `LayerwiseAdamW`; none: all have the whole rate.
    """
    if parts:
        optimizer = LayerwiseAdamW(learning_rate, parts, weight_decay=weight_decay, beta_2=beta_2)
    else:
        optimizer = keras.optimizers.AdamW(learning_rate, weight_decay=weight_decay, beta_2=beta_2)
    return decay_matrices_only(optimizer)


def decay_matrices_only(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Excludes biases, normalizations and embeddings from weight decay, which should not shrink them."""
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta", "embeddings"])
    return optimizer
