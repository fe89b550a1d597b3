"""The confidence of a trained model, fitted to whole reviews and pieces of them; what it predicts stays."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from sentiment.config import SentimentConfig
from sentiment.evaluation.metrics import measure
from sentiment.model.batching import softmax
from sentiment.model.classifier import USUAL_TOKENS, SentimentClassifier
from sentiment.training.calibration import fit_temperature
from sentiment.training.pieces import Pieces
from sentiment.training.validation import PIECES
from shared.runs.folder import RunFolder
from shared.training.loop import TrainResult

POWERS = np.arange(0.0, 0.51, 0.01)


def fit_by_length(logits: np.ndarray, labels: np.ndarray, tokens: np.ndarray) -> tuple[float, float]:
    """The temperature and the power of the length with the smallest log loss: a log-linear temperature.

    Args:
        logits: `(texts, labels)`.
        labels: `(texts,)` the index of each right label.
        tokens: `(texts,)` number of tokens of each.

    Returns:
        The temperature of a text of `USUAL_TOKENS` tokens, and the power q: logits are multiplied by
        `(tokens / USUAL_TOKENS)^q` before they are divided by that temperature.

    Example:

    >>> logits, labels = np.array([[2.0, 0.0]] * 6), np.array([0, 0, 1, 0, 0, 0])
    >>> fit_by_length(logits, labels, np.array([10] * 3 + [1000] * 3))[1] > 0
    True
    """
    fits = []
    for power in POWERS:
        scaled = logits * _factors(tokens, power)
        temperature = fit_temperature(scaled, labels)
        loss = measure(softmax(scaled / temperature), labels).log_loss
        fits.append((loss, temperature, float(power)))
    _, temperature, power = min(fits)
    return temperature, round(power, 2)


def _factors(tokens: np.ndarray, power: float) -> np.ndarray:
    return (np.asarray(tokens)[:, None] / USUAL_TOKENS) ** power


def recalibrate(
    config: SentimentConfig,
    run: RunFolder,
    model: SentimentClassifier,
    sequences: Sequence[np.ndarray],
    labels: np.ndarray,
) -> TrainResult:
    """Fits temperature and length power to reviews and four pieces of each, and saves the run.

    Args:
        config: settings of the run; the power is saved among them.
        run: its folder.
        model: a trained model.
        sequences: ids `(tokens,)` of each validation review.
        labels: `(reviews,)` their labels' indices.

    Returns:
        History of one epoch without steps, and its metrics.
    """
    sources = np.repeat(np.arange(len(sequences)), PIECES)
    pieces = Pieces(sequences, model.vocabulary).draw(sources, np.random.default_rng(0))
    texts, right = [*sequences, *pieces], np.concatenate([labels, labels[sources]])
    tokens = np.array([len(ids) for ids in texts])
    logits = model.logits(texts) * _factors(tokens, -model.length_power)
    temperature, power = fit_by_length(logits, right, tokens)
    probabilities = softmax(logits * _factors(tokens, power) / temperature)
    measures = measure(probabilities[: len(labels)], labels)
    of_pieces = measure(probabilities[len(labels) :], right[len(labels) :])
    model.temperature = temperature
    run.save_config({**dataclasses.asdict(config), "length_power": power})
    metrics = {
        "val_accuracy": measures.accuracy,
        "val_log_loss": measures.log_loss,
        "val_calibration_error": measures.calibration_error,
        "val_piece_accuracy": of_pieces.accuracy,
        "val_piece_log_loss": of_pieces.log_loss,
        "val_piece_calibration_error": of_pieces.calibration_error,
        "length_power": power,
        "temperature": temperature,
    }
    run.save_best_weights(model)
    history = [{"epoch": 1, **metrics}]
    run.write_history(history)
    return TrainResult(history, 1, metrics)
