"""The output layer alone: a convex fit, cross-validation, and runs that start from a model."""

import json
import re

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from sentiment import train
from sentiment.app import APP
from sentiment.config import SentimentConfig
from sentiment.training import head
from sentiment.training.head import FOLDS, PRIOR, fit_output, fitted_model
from shared.runs.folder import RunFolder
from shared.system.cli import run_script

TEXTS = {"fine": "a good film", "poor": "7/10 is caf\u00e9 !", "odd": "cafe !! cafe"}


def test_the_fit_is_that_of_logistic_regression():
    random = np.random.default_rng(3)
    features, labels = random.normal(0, 9, (50, 7)), random.integers(0, 3, 50)
    kernel, bias = fit_output(features, np.eye(3)[labels], np.zeros((7, 3)), np.zeros(3))
    expected = LogisticRegression(C=1 / PRIOR, tol=1e-8, max_iter=1000).fit(features, labels)
    np.testing.assert_allclose(kernel, expected.coef_.T, atol=1e-3)
    np.testing.assert_allclose(bias - bias.mean(), expected.intercept_, atol=1e-2)


def test_weights_stay_where_they_began_without_a_reason_to_move():
    began = np.random.default_rng(3).normal(size=(5, 2))
    kernel, _ = fit_output(np.zeros((2, 5)), np.eye(2), began, np.zeros(2))
    np.testing.assert_array_equal(kernel, began)


def test_each_review_is_tested_by_a_fit_to_the_others(make_small_model, monkeypatch):
    monkeypatch.setattr(head, "PRIOR", 0.1)
    model = make_small_model()
    model.output_layer.kernel.assign(np.zeros((30, 3)))
    sequences = [model.encode(text) for text in ("good", "film", "!") for _ in range(FOLDS)]
    targets = np.repeat(np.eye(3), FOLDS, axis=0)
    targets[0] = targets[-1]  # the others of its text say otherwise, and it cannot know
    loss, held_out = fitted_model(model, sequences, targets)
    assert loss < np.log(3)
    assert held_out.argmax(axis=1).tolist() == [0] * FOLDS + [1] * FOLDS + [2] * FOLDS


@pytest.fixture
def table(tmp_path):
    rows = [f"{text} x{number},{label}\n" for label, text in TEXTS.items() for number in range(12)]
    path = tmp_path / "reviews.csv"
    path.write_text("text,label\n" + "".join(rows))
    return path


def run_train(table, *options):
    return run_script(train.main, ["--data", str(table), "--out", str(table.parent / "run"), *options])


def test_a_run_from_a_model_fits_the_output_layer(table, small_run, capsys):
    assert run_train(table, "--init-from", str(small_run.path), "--min-count", "9") == 0
    told = capsys.readouterr().out
    assert "Settings that suit 33 training reviews: --layers output\n" in told
    assert "Frequent words: 8 known to the model, 0 new." in told
    assert "Output layer: 100.00% of 3 validation texts right" in told
    run = RunFolder.open(table.parent / "run", "sentiment")
    config = SentimentConfig.from_run(run)
    assert (config.units, config.layers, config.init_from) == (5, "output", str(small_run.path))
    model = APP.load(run.path)
    assert model.labels == ("fine", "odd", "poor")
    predicted = model.probabilities(list(TEXTS.values())).argmax(axis=1)
    assert [model.labels[index] for index in predicted] == list(TEXTS)
    (row,) = run.read_history()
    assert row["temperature"] == pytest.approx(model.temperature)
    assert run_train(table) == 2  # it is not trained over
    assert "already holds a run" in capsys.readouterr().err


def test_a_run_from_a_model_trains_all_layers_after_that(table, small_run, capsys):
    options = ["--init-from", str(small_run.path), "--epochs", "2", "--batch-size", "11"]
    assert run_train(table, *options) == 0
    told = capsys.readouterr().out
    assert "--layers all --saved-epoch last --learning-rate 0.001\n" in told
    assert "Last epoch 2: 100.00% of 3 validation texts right" in told
    run = RunFolder.open(table.parent / "run", "sentiment")
    saved = json.loads((run.path / "config.json").read_text())["config"]
    assert (saved["learning_rate"], saved["saved_epoch"], saved["epochs"]) == (0.001, "last", 2)
    assert run_train(table, *options, "--resume") == 0
    assert "is finished already" in capsys.readouterr().out


def test_a_run_that_learns_nothing_is_saved_and_ends_with_status_3(table, small_run, capsys):
    network = ["--units", "3", "--embedding-size", "3", "--init-from", "none"]
    assert run_train(table, *network, "--learning-rate", "1e-12", "--epochs", "1") == 3
    told = capsys.readouterr().err
    assert re.search(
        "nothing learned: the model saved to .* (gives all 36 texts|does no better on 36 texts)", told
    )
    assert APP.load(table.parent / "run").labels == ("fine", "odd", "poor")
