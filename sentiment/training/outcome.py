"""Whether a finished run learned anything."""

from collections.abc import Mapping, Sequence

import numpy as np

from sentiment.model.classifier import SentimentClassifier
from shared.runs.folder import RunFolder
from shared.system.cli import NothingLearned
from shared.training.loop import TrainResult

LOOKED_AT = 256  # training reviews


def check_learned(
    run: RunFolder,
    model: SentimentClassifier,
    result: TrainResult,
    ids: Mapping[str, Sequence[np.ndarray]],
    validation_labels: np.ndarray,
) -> None:
    """Checks that the best model of a run does not give all texts the same label.

    Args:
        run: the folder of the run.
        model: a model of its sizes; gets the best weights if there is reason to look.
        result: of the run.
        ids: ids `(tokens,)` of each review of train and validation.
        validation_labels: `(reviews,)` the index of each validation review's label.

    Raises:
        NothingLearned: it does.
    """
    most_frequent = np.bincount(validation_labels).max() / len(validation_labels)
    if result.best_metrics["val_accuracy"] > most_frequent:
        return
    run.load_best_weights(model, len(model.vocabulary))
    texts = [*ids["train"][:: -(-len(ids["train"]) // LOOKED_AT)], *ids["validation"]]
    predicted = np.unique(model.logits(texts).argmax(axis=1))
    if len(predicted) == 1:
        raise NothingLearned(
            f"the model saved to {run.path} gives all {len(texts):,} texts tried the label "
            f"{model.labels[predicted[0]]!r}, as guessing would. Give more texts of each label, or start "
            "from a preset: --init-from imdb."
        )
