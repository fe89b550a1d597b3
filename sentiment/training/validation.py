"""Validation of a classifier: fits what is not trained, and measures calibrated probabilities."""

from collections.abc import Sequence

import numpy as np

from sentiment.evaluation.metrics import measure
from sentiment.model.batching import softmax
from sentiment.model.classifier import SentimentClassifier
from sentiment.training.calibration import fit_temperature
from shared.system.progress import progress_bar

NORMALIZED_BY = 1024  # training reviews


class Validation:
    """Measures a classifier on the validation reviews, called after each epoch.

    First it sets the moments of the normalization to those of some training reviews, read with the weights
    that are evaluated, and fits the temperature to the validation reviews.

    Args:
        model: the classifier.
        train_sequences: ids `(tokens,)` of each training review.
        sequences: ids of each validation review.
        labels: `(reviews,)` the index of each validation review's label.
    """

    def __init__(
        self,
        model: SentimentClassifier,
        train_sequences: Sequence[np.ndarray],
        sequences: Sequence[np.ndarray],
        labels: np.ndarray,
    ):
        self._model, self._sequences, self._labels = model, sequences, labels
        self._sample = train_sequences[:: -(-len(train_sequences) // NORMALIZED_BY)]

    def __call__(self, epoch: int) -> dict[str, float]:
        model = self._model
        model.normalize_by(self._sample)
        with progress_bar(title="validation", unit="review", total=len(self._sequences)) as bar:
            logits = model.logits(self._sequences, bar.update)
        model.temperature = fit_temperature(logits, self._labels)
        measures = measure(softmax(logits / model.temperature), self._labels)
        return {
            "val_accuracy": measures.accuracy,
            "val_log_loss": measures.log_loss,
            "val_calibration_error": measures.calibration_error,
            "temperature": model.temperature,
        }
