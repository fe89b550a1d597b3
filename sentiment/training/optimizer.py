"""The optimizer of a classifier: a learning rate for each part of a pretrained network."""

from sentiment.config import SentimentConfig
from sentiment.model.classifier import SentimentClassifier
from shared.training.optimizers import LayerwiseAdamW, decay_matrices_only


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
