"""Models that an earlier version made, with other names of its modules, load and answer as they did then."""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

import captioning.model
import charlm.app
import charlm.model
import charlm.train
import sentiment.app
import sentiment.model

HERE = Path(__file__).parents[1] / "fixtures" / "before_rooms"
EXPECTED = json.loads((HERE / "expected.json").read_text(encoding="utf-8"))


def last_logits(model):
    return np.asarray(model(model.vocabulary.encode("hello")[None]))[0, -1, :4]


@pytest.mark.parametrize("name", ["charlm", "charlm.keras"])
def test_a_character_model(name):
    path = HERE / name
    is_file = path.suffix == ".keras"
    model = keras.models.load_model(path) if is_file else charlm.app.load_model(path)
    assert isinstance(model, charlm.model.CharLM)
    np.testing.assert_allclose(last_logits(model), EXPECTED["charlm"], rtol=1e-5)


def test_an_exported_character_model():
    model = charlm.app.load_model(HERE / "export-charlm")
    logits, _ = model.read(model.vocabulary.encode("hello")[None], model.get_initial_state(1))
    np.testing.assert_allclose(logits[0, :4], EXPECTED["charlm"], rtol=1e-4)


def test_a_finished_run_is_resumed_and_has_nothing_left_to_do(tmp_path, capsys):
    shutil.copytree(HERE / "charlm", tmp_path / "charlm")
    history = (tmp_path / "charlm" / "history.csv").read_bytes()
    assert charlm.train.main(["--out", str(tmp_path / "charlm"), "--resume"]) == 0
    assert "is finished already" in capsys.readouterr().out
    assert (tmp_path / "charlm" / "history.csv").read_bytes() == history


@pytest.mark.parametrize("name", ["sentiment", "sentiment.keras"])
def test_a_sentiment_classifier(name):
    path = HERE / name
    is_file = path.suffix == ".keras"
    model = keras.models.load_model(path) if is_file else sentiment.app.load_model(path)
    assert isinstance(model, sentiment.model.SentimentClassifier)
    np.testing.assert_allclose(model.probabilities(["a good film"])[0], EXPECTED["sentiment"], rtol=1e-5)


def test_a_captioner():
    model = keras.models.load_model(HERE / "captioning.keras")
    assert isinstance(model, captioning.model.Captioner)
    image = np.arange(24 * 24 * 3, dtype=np.uint8).reshape(24, 24, 3)
    caption = model.caption(image)[0]
    text, log_prob = EXPECTED["captioning"]
    assert caption.text == text
    assert caption.log_prob == pytest.approx(log_prob, rel=1e-4)
