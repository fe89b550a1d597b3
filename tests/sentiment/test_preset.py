"""Making a preset of a run, and the model that ships: it is whole, small, has its card, and can read."""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from sentiment.app import APP
from sentiment.config import SentimentConfig
from sentiment.data.labels import LABELS_FILE, save_labels
from sentiment.model.classifier import SentimentClassifier
from sentiment.preset import main
from shared.runs.folder import RunError, RunFolder
from shared.runs.presets import LARGEST_PRESET, preset_names
from shared.system.cli import UserError
from shared.text.vocabulary import Vocabulary

DATA = Path(__file__).parents[1] / "data"
TEXTS = ["a good film", "", "bad " * 40]
ships = pytest.mark.skipif(not preset_names(APP.presets), reason="the preset imdb is not installed")


@pytest.fixture
def run(tmp_path):
    config = SentimentConfig(units=5, embedding_size=3, cell="gru", window=7)
    run = RunFolder.create(tmp_path / "run", dataclasses.asdict(config), "sentiment")
    words = Vocabulary((*Vocabulary.SPECIALS, "a", "good", "bad", "film"))
    words.save(run.vocabulary_file)
    save_labels(run, ("x", "y", "z"))
    run.write_history([{"epoch": 1, "loss": 0.5}])
    model = SentimentClassifier.from_settings(config, words, ("x", "y", "z"))
    model.temperature = 1.75
    run.save_best_weights(model)
    return run


def test_a_preset_says_what_its_run_says(run, tmp_path, monkeypatch, capsys):
    path = tmp_path / "presets" / "mine"
    assert main([str(run.path), str(path)]) == 0
    assert f"Wrote {path}" in capsys.readouterr().out
    files = {"best.safetensors", "config.json", "history.csv", "labels.json", "vocabulary.json"}
    assert {file.name for file in path.iterdir()} == files
    monkeypatch.setattr(type(APP), "presets", tmp_path / "presets")
    monkeypatch.chdir(tmp_path)
    preset, model = APP.load("mine"), APP.load(run.path)
    assert (preset.labels, preset.vocabulary, preset.temperature) == (model.labels, model.vocabulary, 1.75)
    np.testing.assert_allclose(preset.probabilities(TEXTS), model.probabilities(TEXTS), atol=2e-3)


def test_a_run_without_labels_makes_no_preset(run, tmp_path):
    (run.path / LABELS_FILE).unlink()
    with pytest.raises(UserError, match=r"labels\.json"):
        main([str(run.path), str(tmp_path / "preset")])


def test_a_run_of_another_application_makes_no_preset(tmp_path):
    RunFolder.create(tmp_path / "run", {}, "charlm")
    with pytest.raises(RunError, match="charlm"):
        main([str(tmp_path / "run"), str(tmp_path / "preset")])


# The model that ships


@pytest.fixture(scope="module")
def model():
    return APP.load("imdb")


@ships
def test_it_ships_with_its_card():
    assert preset_names(APP.presets) == ["imdb"]
    folder = APP.presets / "imdb"
    assert sum(file.stat().st_size for file in folder.iterdir()) < LARGEST_PRESET
    card = (folder / "README.md").read_text(encoding="utf-8")
    for part in ("data", "command", "alidation", "Limits", "Licence"):
        assert part in card
    assert "@@" not in card


@ships
def test_it_knows_praise_from_blame(model):
    assert model.labels == ("negative", "positive")
    texts = [
        "A wonderful film. The actors are superb, and I loved every minute of it.",
        "What a waste of time. The plot makes no sense and the acting is awful.",
        "It's not a bad film at all; in fact it is one of the best I have seen this year.",
        "I wanted to like it, but it is dull, predictable and far too long.",
        "Not bad at all!",
        "The staff was not helpful.",
    ]
    likely = model.probabilities(texts)
    np.testing.assert_allclose(likely.sum(axis=1), 1, rtol=1e-5)
    assert likely.argmax(axis=1).tolist() == [1, 0, 1, 0, 1, 0]
    assert likely[:2].max(axis=1).min() > 0.9


@ships
def test_it_reads_a_long_review_to_its_end(model):
    story = "He goes to the house, and she goes to the shop, and they meet in the town. " * 80
    ends = (
        "Awful, boring, the worst film of all. 1/10. ",
        "Wonderful, moving, the best film of all. 10/10. ",
    )
    blame, praise = model.probabilities([story + end * 5 for end in ends])
    assert blame[1] < praise[1] - 0.2


@ships
def test_it_reads_everyday_sentences_and_is_not_sure_of_those_it_gets_wrong(model):
    rows = []
    for name in ("development", "held_out"):
        with open(DATA / f"everyday_{name}.csv", newline="", encoding="utf-8") as file:
            rows += csv.DictReader(file)
    likely = model.probabilities([row["text"] for row in rows])
    right = likely.argmax(axis=1) == [model.labels.index(row["label"]) for row in rows]
    assert (len(rows), right.mean() > 0.85) == (168, True)
    assert likely[~right].max() < 0.9
