"""A few lines of Python: fit, predict, save, and load again."""

import numpy as np
import pytest

from sentiment import evaluate, fit, load_model
from shared.system.cli import run_script

TEXTS = [f"{word} film number {number}" for number in range(12) for word in ("good", "bad")]
LABELS = [1, 0] * 12
NAMES = {0: "negative", 1: "positive"}
SMALL = {"units": 4, "embedding_size": 3, "depth": 1, "epochs": 8, "batch_size": 8, "learning_rate": 0.1}


@pytest.fixture(scope="module")
def model():
    return fit(TEXTS, LABELS, names=NAMES, start="none", verbose=0, min_count=1, **SMALL)


def test_predict_takes_texts_and_ids(model):
    assert model.labels == ("negative", "positive")
    assert model.predict(["good film", "bad film"]) == ["positive", "negative"]
    assert model.predict("a good film number 3") == "positive"
    assert model.predict(np.array(TEXTS[:4])) == ["positive", "negative"] * 2
    assert model.predict([]) == []
    assert model.predict(model.encode("good film")[None], verbose=0).shape == (1, 2)


def test_the_scripts_read_what_is_saved(model, tmp_path, capsys):
    model.save(tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    np.testing.assert_allclose(loaded.probabilities(TEXTS), model.probabilities(TEXTS), atol=1e-6)
    table = tmp_path / "x.csv"
    table.write_text("text;label\n" + "".join(f"{t};{x}\n" for t, x in zip(TEXTS, LABELS, strict=True)))
    options = ["--model", str(tmp_path / "model"), "--data", str(table), "--split", "all", "--no-baseline"]
    assert run_script(evaluate.main, options) == 2
    offered = "--labels 0=negative,1=positive"
    assert capsys.readouterr().err.endswith(f"what they are called in the model: {offered}\n")
    assert run_script(evaluate.main, [*options, *offered.split()]) == 0
    assert "negative 12, positive 12" in capsys.readouterr().out


def test_a_few_texts_start_from_the_preset(capsys):
    model = fit(TEXTS, LABELS, names=NAMES)
    assert "imdb" in model.run_folder.config["init_from"]
    assert "Settings that suit 22 training reviews" in capsys.readouterr().out
    assert model.predict("One of the best films I have seen.") == "positive"
