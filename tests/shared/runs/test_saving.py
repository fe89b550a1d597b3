"""`model.save(FOLDER)` writes a run folder, whole, and never over the work of a training run."""

import dataclasses
import json

import keras
import pytest

from charlm import load_model
from charlm.app import APP
from charlm.config import CharLMConfig
from charlm.model.char_lm import CharLM
from shared.runs.folder import RunError, RunFolder


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    return CharLM("helo", units=5, depth=1, embedding_size=3)


def test_a_saved_folder_is_loaded_and_saved_again(model, tmp_path):
    model.save(tmp_path / "one")
    loaded = load_model(tmp_path / "one")
    assert loaded.generate("he", 7, seed=3) == model.generate("he", 7, seed=3)
    assert loaded.run_folder.path == tmp_path / "one"
    (tmp_path / "one" / "history.csv").write_text("epoch\n1\n")
    loaded.save(tmp_path / "deep" / "two")
    assert sorted(file.name for file in (tmp_path / "deep" / "two").iterdir()) == [
        *("best.safetensors", "config.json", "history.csv", "vocabulary.json")
    ]
    loaded.save(tmp_path / "one")  # over itself
    assert (tmp_path / "one" / "history.csv").exists()
    assert load_model(tmp_path / "one").score("hello") == model.score("hello")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["deep", "one"]


def test_settings_that_the_model_does_not_have_are_those_of_its_run(model, tmp_path):
    config = CharLMConfig(units=5, embedding_size=3, data=("diary.txt",), epochs=7)
    run = RunFolder.create(tmp_path / "run", dataclasses.asdict(config), "charlm")
    model.save_parts(run)
    run.save_best_weights(model)
    load_model(tmp_path / "run").save(tmp_path / "copy")
    assert APP.trained_with(tmp_path / "copy") == config


def test_files_of_keras(model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    loaded.save(tmp_path / "folder")
    assert load_model(tmp_path / "folder").score("hello") == model.score("hello")


def test_what_is_there_is_not_lost(model, tmp_path):
    path = tmp_path / "run"
    model.save(path)
    with pytest.raises(RunError, match="already holds a run"):
        model.save(path, overwrite=False)
    before = (path / "config.json").read_text()
    (path / "last.npz").write_bytes(b"a checkpoint")
    with pytest.raises(RunError, match="already holds a run"):
        model.save(path)
    assert (path / "config.json").read_text() == before
    (path / "last.npz").unlink()
    (path / "config.json").write_text(json.dumps({**json.loads(before), "app": "sentiment"}))
    with pytest.raises(RunError, match="holds a run of 'sentiment'"):
        model.save(path)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "diary.txt").write_text("mine")
    with pytest.raises(RunError, match="holds files that are not of a run"):
        model.save(tmp_path / "notes")
