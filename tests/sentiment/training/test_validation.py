"""Validation: what it fits, and what it measures."""

import numpy as np
import pytest

from sentiment.model.classifier import SentimentClassifier
from sentiment.training import validation
from sentiment.training.calibration import fit_temperature
from sentiment.training.pieces import Pieces
from sentiment.training.validation import MIXED, PIECES, Validation
from shared.text.vocabulary import Vocabulary


def a_model(**settings):
    words = (*Vocabulary.SPECIALS, *"abcdefg")
    settings = {"units": 4, "embedding_size": 5, "cell": "gru", "seed": 3, **settings}
    model = SentimentClassifier(words, ["x", "y", "z"], **settings)
    random = np.random.default_rng(1)
    for weight in model.trainable_variables:
        weight.assign(random.normal(0, 0.7, weight.shape))
    return model


def cross_entropies(logits, labels):
    """Of each review, in NumPy."""
    return np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]


def test_validation_fits_what_is_not_trained_and_measures_what_that_gives(monkeypatch):
    monkeypatch.setattr(validation, "NORMALIZED_BY", 2)
    model, random = a_model(), np.random.default_rng(4)
    sequences = [random.integers(4, 11, length).astype("int32") for length in (7, 4, 2)]
    train = [np.array([token, 5, token]) for token in range(4, 9)]
    targets = np.array([0, 0, 1])
    metrics = Validation(model, train, sequences, targets)(epoch=1)
    vectors = np.concatenate([model.pool(model.embed(train[place][None])) for place in (0, 3)])  # two of five
    np.testing.assert_allclose(model.normalization.moving_mean, vectors.mean(axis=0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(model.normalization.moving_variance, vectors.var(axis=0), rtol=1e-4, atol=1e-6)
    logits = np.concatenate([model(ids[None]) for ids in sequences]).astype("float64")
    temperature = fit_temperature(logits, targets)
    assert metrics["temperature"] == model.temperature == pytest.approx(temperature, rel=1e-3)
    expected = cross_entropies(logits / temperature, targets).mean()
    assert metrics["val_log_loss"] == pytest.approx(expected, rel=1e-3)
    assert metrics["val_accuracy"] == np.mean(logits.argmax(axis=1) == targets)
    assert metrics["val_log_loss"] <= cross_entropies(logits, targets).mean() + 1e-6
    again = Validation(model, train, sequences, targets)(epoch=2)
    assert again == metrics  # what was fitted before does not count


def test_pieces_share_in_the_temperature_and_the_moments_stay():
    model, random = a_model(), np.random.default_rng(4)
    sequences = [random.integers(4, 11, length).astype("int32") for length in (7, 9, 5)]
    targets = np.array([0, 0, 1])
    pieces = Pieces(sequences, Vocabulary((*Vocabulary.SPECIALS, *".bcdefg")))
    before = [weight.numpy() for weight in model.normalization.weights]
    metrics = Validation(model, sequences, sequences, targets, pieces)(epoch=1)
    for weight, value in zip(model.normalization.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)
    drawn = pieces.draw(np.repeat([0, 1, 2], PIECES), np.random.default_rng(0))
    logits, of_pieces = (model.logits(texts).astype("float64") for texts in (sequences, drawn))
    labels = np.repeat(targets, PIECES)
    temperature = fit_temperature(np.concatenate([logits, of_pieces]), [*targets, *labels])
    assert metrics["temperature"] == pytest.approx(temperature, rel=1e-3)
    expected = [
        cross_entropies(some / temperature, right).mean()
        for some, right in ((logits, targets), (of_pieces, labels))
    ]
    found = [metrics[name] for name in ("val_log_loss", "val_piece_log_loss", MIXED)]
    np.testing.assert_allclose(found, [*expected, np.mean(expected)], rtol=1e-3)
