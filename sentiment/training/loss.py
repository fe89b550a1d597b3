"""The loss of a classifier, with adversarial training if wanted."""

from collections.abc import Mapping, Sequence

import tensorflow as tf
from keras import ops

from sentiment.config import SentimentConfig
from sentiment.model.classifier import SentimentClassifier


class Loss:
    """Cross entropy; with `adversarial`, the mean of that of a batch and that of the batch perturbed.

    The perturbation changes all embedded words of a review, by a step of given length in the direction in
    which the loss grows fastest.

    Source: Miyato, Dai and Goodfellow 2017, "Adversarial Training Methods for Semi-Supervised Text
    Classification", equations 3 and 4.

    Args:
        config: settings of the run: `label_smoothing` and `adversarial`, the length of the perturbation.
    """

    def __init__(self, config: SentimentConfig):
        self._smoothing, self._length = config.label_smoothing, config.adversarial

    def __call__(self, model: SentimentClassifier, batch: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """The loss of a batch of `sentiment.training.batches.ReviewBatches`, a scalar."""
        embedded = model.embed(batch["tokens"])
        if not self._length:
            return self._cross_entropy(model, embedded, batch)
        inputs = [embedded, *(variable.value for variable in model.trainable_variables)]
        with tf.GradientTape() as tape:
            tape.watch(embedded)
            loss = self._cross_entropy(model, embedded, batch)
        gradients = tape.gradient(loss, inputs)
        perturbed = embedded + self._perturbation(gradients[0])
        return (with_gradients(loss, inputs, gradients) + self._cross_entropy(model, perturbed, batch)) / 2

    def _perturbation(self, gradient):
        """The gradient `(batch, time, embedding)` for embedded words, scaled to the length in each review."""
        wide = tf.stop_gradient(tf.cast(gradient, tf.float32))
        norm = tf.sqrt(tf.reduce_sum(tf.square(wide), axis=(1, 2), keepdims=True))
        return tf.cast(self._length * wide / (norm + 1e-12), gradient.dtype)

    def _cross_entropy(self, model, embedded, batch):
        logits = model.classify(embedded, mask=batch["mask"], training=True)
        targets = batch["targets"] * (1 - self._smoothing) + self._smoothing / logits.shape[-1]
        return ops.mean(ops.categorical_crossentropy(targets, logits, from_logits=True))


def with_gradients(
    loss: tf.Tensor, inputs: Sequence[tf.Tensor], gradients: Sequence[tf.Tensor | None]
) -> tf.Tensor:
    """A tensor with the value of a loss and known gradients, so that they are not computed again.

    It is the linearization of the loss: sum(gradient * input), plus a constant.

    Args:
        loss: a scalar.
        inputs: tensors.
        gradients: of the loss by each input; None: the loss does not depend on it.

    Example:

    >>> x = tf.constant(3.0)
    >>> with tf.GradientTape() as tape:
    ...     tape.watch(x)
    ...     y = with_gradients(tf.constant(9.0), [x], [tf.constant(6.0)])
    >>> float(y), float(tape.gradient(y, x))
    (9.0, 6.0)
    """
    products = [
        tf.reduce_sum(tf.cast(tf.stop_gradient(gradient) * value, tf.float32))
        for value, gradient in zip(inputs, gradients, strict=True)
        if gradient is not None
    ]
    linear = tf.add_n(products)
    return tf.stop_gradient(loss - linear) + linear
