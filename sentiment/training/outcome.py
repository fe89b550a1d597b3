"""Whether a finished run learned anything."""

from collections.abc import Mapping, Sequence

import numpy as np

from sentiment.evaluation.metrics import measure
from sentiment.model.batching import softmax
from sentiment.model.classifier import SentimentClassifier
from sentiment.training.recipe import FEW_TO_VALIDATE
from shared.runs.folder import RunFolder
from shared.system.cli import NothingLearned
from shared.training.loop import TrainResult

LOOKED_AT = 256  # training reviews
LEAST_GAIN = 0.01  # of the log loss over that of the labels' frequencies, as a share


def check_learned(
    run: RunFolder,
    model: SentimentClassifier,
    result: TrainResult,
    ids: Mapping[str, Sequence[np.ndarray]],
    labels: Mapping[str, np.ndarray],
) -> None:
    """Checks that the best model of a run tells texts apart.

    Args:
        run: the folder of the run.
        model: a model of its sizes; gets the best weights if there is reason to look.
        result: of the run.
        ids: ids `(tokens,)` of each review of train and validation.
        labels: `(reviews,)` the index of each of their labels.

    Raises:
        NothingLearned: it gives all texts the same label, or probabilities that say no more than how frequent
            each label is.
    """
    validation = labels["validation"]
    most_frequent = np.bincount(validation).max() / len(validation)
    if len(validation) >= FEW_TO_VALIDATE and result.best_metrics["val_accuracy"] > most_frequent:
        return
    run.load_best_weights(model, len(model.vocabulary))
    some = slice(None, None, -(-len(ids["train"]) // LOOKED_AT))
    logits = model.logits([*ids["train"][some], *ids["validation"]])
    right = np.concatenate([labels["train"][some], validation])
    if what := _what_is_missing(softmax(logits / model.temperature), right, model.labels):
        raise NothingLearned(
            f"the model saved to {run.path} {what}. Give more texts of each label, or start from a preset: "
            "--init-from imdb."
        )


def _what_is_missing(probabilities: np.ndarray, right: np.ndarray, labels: Sequence[str]) -> str:
    """What a model does that learned nothing; empty where it learned something."""
    predicted = np.unique(probabilities.argmax(axis=1))
    if len(predicted) == 1:
        return f"gives all {len(right):,} texts that were tried the label {labels[predicted[0]]!r}"
    shares = np.bincount(right) / len(right)
    entropy = -sum(share * np.log(share) for share in shares if share)
    measures, guess = measure(probabilities, right), shares.max()
    chance = guess + 2 * np.sqrt(guess * (1 - guess) / len(right))  # two standard errors
    if measures.accuracy <= chance and measures.log_loss > (1 - LEAST_GAIN) * entropy:
        return f"does no better on {len(right):,} texts than the frequencies of the labels"
    return ""
