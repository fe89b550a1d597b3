"""AdamW with a rate of its own for each part of a pretrained network."""

import keras
from keras import ops

from sentiment.config import SentimentConfig
from shared.training.optimizers import decay_matrices_only


@keras.saving.register_keras_serializable("unrolled")
class LayerwiseAdamW(keras.optimizers.AdamW):
    """AdamW in which a variable has a share of the rate, and learns only from some step on.

    Source: Howard and Ruder 2018, "Universal Language Model Fine-tuning", sections 3.2 (discriminative
    fine-tuning) and 3.3 (gradual unfreezing).

    Args:
        parts: `(keyword, share, first_step)`: variables whose path holds the keyword have so much of the
            learning rate, from that step of the optimizer on. The first that fits counts; others have all of
            the rate from the beginning.
        others: as in `keras.optimizers.AdamW`.

    Example:

    >>> optimizer = LayerwiseAdamW(0.1, parts=[("embedding", 0.5, 100)])
    >>> optimizer.part_of("sentiment/embedding/embeddings"), optimizer.part_of("sentiment/output/kernel")
    ((0.5, 100), (1.0, 0))
    """

    def __init__(self, learning_rate=0.001, parts=(), **others):
        super().__init__(learning_rate, **others)
        self.parts = [tuple(part) for part in parts]

    def get_config(self):
        return {**super().get_config(), "parts": self.parts}

    def part_of(self, path: str) -> tuple[float, int]:
        """Share of the rate and first step of the variable with this path."""
        for keyword, share, first_step in self.parts:
            if keyword in path:
                return share, first_step
        return 1.0, 0

    def build(self, variables):
        super().build(variables)
        self._parts_of = [self.part_of(variable.path) for variable in variables]

    def update_step(self, gradient, variable, learning_rate):
        # TensorFlow's own variable, which comes here, does not know its path.
        share, first_step = self._parts_of[self._get_variable_index(variable)]
        if first_step:
            learning_rate = ops.where(self.iterations >= first_step, learning_rate, 0.0)
        learning_rate = learning_rate * share
        if self.weight_decay is not None and self._use_weight_decay(variable):
            self.assign_sub(variable, variable * self.weight_decay * learning_rate)
        super().update_step(gradient, variable, learning_rate)

    def _apply_weight_decay(self, variables):
        """Nothing: decay has the rate of the variable, and is part of `update_step`."""


def make_optimizer(config: SentimentConfig, steps: int, pretrained: bool) -> LayerwiseAdamW:
    """The optimizer of a classifier; its rate comes from a schedule. Only matrices decay.

    Args:
        config: settings of the run.
        steps: steps of the whole run.
        pretrained: whether embedding and stack have been trained already, as a language model.
    """
    parts = _parts(config, steps) if pretrained else ()
    optimizer = LayerwiseAdamW(config.learning_rate, parts, weight_decay=config.weight_decay)
    return decay_matrices_only(optimizer)


def _parts(config, steps):
    """From the top layer down: a smaller share of the rate, and a later beginning."""
    names = [f"ward_{index}" for index in reversed(range(config.depth))] + ["embedding"]
    last = config.gradual_unfreezing * steps
    return [
        (name, config.layer_rate_decay**place, round(last * place / len(names)))
        for place, name in enumerate(names, start=1)
    ]
