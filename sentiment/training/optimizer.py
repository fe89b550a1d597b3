"""AdamW with a learning rate for each part of a pretrained network."""

import keras
from keras import ops

from sentiment.config import SentimentConfig
from sentiment.model.classifier import SentimentClassifier
from shared.training.optimizers import decay_matrices_only


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

    >>> optimizer = LayerwiseAdamW(0.1, parts=[(["sentiment/embedding/embeddings"], 0.5, 100)])
    >>> optimizer.part_of("sentiment/embedding/embeddings"), optimizer.part_of("sentiment/output/kernel")
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


def make_optimizer(
    config: SentimentConfig, model: SentimentClassifier, steps: int, pretrained: bool
) -> LayerwiseAdamW:
    """The optimizer of a classifier; its learning rate is set by a schedule. Only matrices decay.

    Args:
        config: settings of the run.
        model: the classifier.
        steps: of the whole run.
        pretrained: whether its embedding and stack have been trained already, as a language model.
    """
    parts = _parts(config, model, steps) if pretrained else ()
    optimizer = LayerwiseAdamW(config.learning_rate, parts, weight_decay=config.weight_decay)
    return decay_matrices_only(optimizer)


def _parts(config, model, steps):
    """From the top layer down to the embedding: each has a smaller share of the rate and starts later."""
    layers = [model.stack.layer_variables(index) for index in reversed(range(model.stack.depth))]
    layers.append(model.embedding.trainable_variables)
    last_start = config.gradual_unfreezing * steps
    return [
        (
            [variable.path for variable in variables],
            config.layer_rate_decay**number,
            round(last_start * number / len(layers)),
        )
        for number, variables in enumerate(layers, start=1)
    ]
