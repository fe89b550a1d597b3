"""Calibration by length: what is fitted, and that nothing else changes."""

import dataclasses

import numpy as np
import pytest

from sentiment.app import APP
from sentiment.config import SentimentConfig
from sentiment.data.labels import save_labels
from sentiment.model.classifier import USUAL_TOKENS, SentimentClassifier
from sentiment.training.recalibration import fit_by_length, recalibrate
from shared.runs.folder import RunFolder
from shared.text.vocabulary import Vocabulary


def test_the_power_and_the_temperature_of_made_up_logits_are_recovered():
    rng = np.random.default_rng(1)
    tokens = rng.choice([5, 50, 500], 60_000)
    true = rng.normal(0, 2, len(tokens))
    labels = (rng.random(len(tokens)) < 1 / (1 + np.exp(-true))).astype(int)
    shown = true * 1.5 / (tokens / USUAL_TOKENS) ** 0.2  # sure of short texts
    temperature, power = fit_by_length(np.stack([-shown / 2, shown / 2], axis=1), labels, tokens)
    assert power == pytest.approx(0.2, abs=0.02)
    assert temperature == pytest.approx(1.5, rel=0.05)


@pytest.mark.parametrize("began", [0.0, 0.3])
def test_a_calibrated_run_loads_with_the_measures_it_was_saved_with(tmp_path, began):
    words = Vocabulary((*Vocabulary.SPECIALS, *"abcdefg", "."))
    config = SentimentConfig(units=3, embedding_size=4, cell="gru", length_power=began)
    model = SentimentClassifier.from_settings(config, words, ("x", "y"))
    rng = np.random.default_rng(2)
    model.output_layer.kernel.assign(rng.normal(0, 3, model.output_layer.kernel.shape))
    run = RunFolder.create(tmp_path / "run", dataclasses.asdict(config), "sentiment")
    words.save(run.vocabulary_file)
    save_labels(run, model.labels)
    sequences = [np.array([1, *rng.integers(4, 12, size), 2], np.int32) for size in (3, 90, 7, 300)]
    labels = np.array([0, 1, 1, 0])
    before = model.logits(sequences)
    result = recalibrate(config, run, model, sequences, labels)
    loaded = APP.load(run.path)
    assert loaded.length_power == result.best_metrics["length_power"]
    likely = loaded.probabilities_of_ids(sequences)
    np.testing.assert_array_equal(likely.argmax(axis=1), before.argmax(axis=1))
    right = likely[np.arange(4), labels]
    assert result.best_metrics["val_log_loss"] == pytest.approx(-np.log(right).mean(), rel=1e-4)
