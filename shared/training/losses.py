"""Losses over sequences of tokens, with explicit masks."""

from keras import KerasTensor, ops


def sequence_cross_entropy(
    targets: KerasTensor,
    logits: KerasTensor,
    mask: KerasTensor | None = None,
    label_smoothing: float = 0.0,
    weights: KerasTensor | None = None,
) -> KerasTensor:
    """Mean cross entropy of the tokens that count.

    With smoothing s over a vocabulary of V tokens, the target distribution is (1 - s) on the right token plus
    s / V on every token (Szegedy et al. 2016, "Rethinking the Inception Architecture", section 7). The loss
    of one token is then

        (1 - s) * (logsumexp(z) - z[target]) + s * (logsumexp(z) - mean(z))

    which needs no one-hot targets. It is computed in float32, whatever the type of the logits.

    Args:
        targets: right tokens, `(..., time)` int. Where the mask is false, any number may stand.
        logits: unnormalised log-probabilities, `(..., time, vocabulary)`.
        mask: which tokens count, `(..., time)` bool; all of them if `None`.
        label_smoothing: s, in [0, 1).
        weights: how much each token counts, `(..., time)` float; 1 each if `None`.

    Returns:
        The weighted mean over the tokens that count, in nats, a float32 scalar; 0 if none counts.

    Raises:
        ValueError: `label_smoothing` is outside [0, 1).

    Example:

    >>> import numpy as np
    >>> logits = np.log([[[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]])
    >>> float(round(np.exp(-sequence_cross_entropy([[0, 2]], logits, [[True, False]])), 4))
    0.5
    """
    if not 0.0 <= label_smoothing < 1.0:
        raise ValueError(f"label_smoothing must be at least 0 and less than 1; it is {label_smoothing}")
    logits = ops.cast(logits, "float32")
    targets = ops.cast(targets, "int32")
    mask = ops.ones_like(targets, dtype="bool") if mask is None else ops.cast(mask, "bool")
    targets = ops.where(mask, targets, 0)
    losses = ops.sparse_categorical_crossentropy(targets, logits, from_logits=True)  # (..., time)
    if label_smoothing:
        uniform = ops.logsumexp(logits, axis=-1) - ops.mean(logits, axis=-1)
        losses = (1.0 - label_smoothing) * losses + label_smoothing * uniform
    if weights is None:
        losses = ops.where(mask, losses, 0.0)
        count = ops.sum(ops.cast(mask, "float32"))
        return ops.sum(losses) / ops.maximum(count, 1.0)
    weights = ops.where(mask, ops.cast(weights, "float32"), 0.0)
    total = ops.sum(weights)
    return ops.sum(ops.where(mask, losses, 0.0) * weights) / ops.where(total > 0, total, 1.0)
