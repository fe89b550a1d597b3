"""The optimizers of the suite: Muon and AdamW, with weight decay of the matrices only."""

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
    learning_rate: float, weight_decay: float = 0.0, beta_2: float = 0.999
) -> keras.optimizers.Optimizer:
    """AdamW with weight decay of the matrices only.

    Source: Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization".

    Args:
        learning_rate: highest rate; a schedule may change it.
        weight_decay: decoupled, of the matrices.
        beta_2: decay of the mean of squared gradients.
    """
    return decay_matrices_only(
        keras.optimizers.AdamW(learning_rate, weight_decay=weight_decay, beta_2=beta_2)
    )


def decay_matrices_only(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Excludes biases, normalizations and embeddings from weight decay, which should not shrink them."""
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta", "embeddings"])
    return optimizer
