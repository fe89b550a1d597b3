"""Validation of a classifier: fits what is not trained, and measures calibrated probabilities."""

from collections.abc import Sequence

import numpy as np

from sentiment.evaluation.metrics import Measures, measure
from sentiment.model.batching import softmax
from sentiment.model.classifier import SentimentClassifier
from sentiment.training.calibration import fit_temperature
from sentiment.training.pieces import Pieces
from shared.system.progress import progress_bar

NORMALIZED_BY = 1024  # training reviews
MIXED = "val_mixed_log_loss"  # the mean of that of reviews and that of pieces, which chooses the best epoch
PIECES = 4  # of each validation review


class Validation:
    """Measures a classifier on the validation reviews, called after each epoch.

    First it sets the moments of the normalization to those of some training reviews, read with the weights
    that are evaluated, and fits the temperature to the validation reviews. A model that learns from pieces
    keeps its moments, and the temperature is fitted to pieces of the validation reviews, too; the metrics are
    those of the reviews, except those that are named after the pieces.

    Args:
        model: the classifier.
        train_sequences: ids `(tokens,)` of each training review.
        sequences: ids of each validation review.
        labels: `(reviews,)` the index of each validation review's label.
        pieces: draws pieces of the validation reviews; None: there are none.
    """

    def __init__(
        self,
        model: SentimentClassifier,
        train_sequences: Sequence[np.ndarray],
        sequences: Sequence[np.ndarray],
        labels: np.ndarray,
        pieces: Pieces | None = None,
    ):
        self._model, self._sequences, self._labels = model, sequences, labels
        self._sample = train_sequences[:: -(-len(train_sequences) // NORMALIZED_BY)]
        sources = np.repeat(np.arange(len(sequences)), PIECES if pieces else 0)
        rng = np.random.default_rng(0)
        self._pieces = pieces.draw(sources, rng) if pieces else []
        self._piece_labels = labels[sources]

    def __call__(self, epoch: int) -> dict[str, float]:
        model = self._model
        if not self._pieces:
            model.normalize_by(self._sample)
        total = len(self._sequences) + len(self._pieces)
        with progress_bar(title="validation", unit="review", total=total) as bar:
            logits = model.logits(self._sequences, bar.update)
            of_pieces = model.logits(self._pieces, bar.update)
        labels = np.concatenate([self._labels, self._piece_labels])
        model.temperature = fit_temperature(np.concatenate([logits, of_pieces]), labels)
        measures = measure(softmax(logits / model.temperature), self._labels)
        return {
            "val_accuracy": measures.accuracy,
            "val_log_loss": measures.log_loss,
            "val_calibration_error": measures.calibration_error,
            **self._measure_pieces(of_pieces, measures),
            "temperature": model.temperature,
        }

    def _measure_pieces(self, logits: np.ndarray, of_reviews: Measures) -> dict[str, float]:
        if not len(logits):
            return {}
        measures = measure(softmax(logits / self._model.temperature), self._piece_labels)
        return {
            "val_piece_accuracy": measures.accuracy,
            "val_piece_log_loss": measures.log_loss,
            "val_piece_calibration_error": measures.calibration_error,
            MIXED: (measures.log_loss + of_reviews.log_loss) / 2,
        }
