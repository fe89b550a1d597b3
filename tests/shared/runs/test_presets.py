"""Where a model's name leads, and what becomes of a run that is made into a preset."""

import json
import shutil

import keras
import numpy as np
import pytest

from shared.runs import presets
from shared.runs.folder import RunFolder
from shared.runs.presets import find_model, make_preset, preset_names
from shared.system import files
from shared.system.cli import UserError
from shared.system.files import FileError


@pytest.fixture
def installed(tmp_path):
    """A folder of presets with two of them, and what is none."""
    folder = tmp_path / "presets"
    for name in ("plays", "letters"):
        (folder / name).mkdir(parents=True)
        (folder / name / "config.json").write_text("{}")
    (folder / "notes").mkdir()
    (folder / "__init__.py").touch()
    return folder


def test_names_are_those_of_folders_with_settings(installed, tmp_path):
    assert preset_names(installed) == ["letters", "plays"]
    assert preset_names(tmp_path / "absent") == []


def test_a_name_leads_to_the_preset(installed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_model("plays", installed, app="charlm") == installed / "plays"


@pytest.mark.parametrize("file", ["config.json", "saved_model.pb"])
def test_a_model_in_this_folder_comes_before_the_preset_of_its_name(installed, tmp_path, monkeypatch, file):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plays").mkdir()
    (tmp_path / "plays" / "data.txt").touch()
    assert find_model("plays", installed, app="charlm") == installed / "plays"  # a folder of data is no model
    (tmp_path / "plays" / file).touch()
    found = find_model("plays", installed, app="charlm")
    assert found.samefile(tmp_path / "plays")


def test_a_path_leads_to_itself_whatever_is_there(installed, tmp_path):
    for path in (tmp_path, str(tmp_path), installed / "plays"):
        assert find_model(path, installed, app="charlm").samefile(path)


def test_a_name_of_nothing_says_what_there_is(installed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = r"no model 'poems'\. Expected a preset \(letters, plays\), a run folder of charlm\.train"
    with pytest.raises(UserError, match=message):
        find_model("poems", installed, app="charlm")
    with pytest.raises(UserError, match=r"Expected a preset \(none is installed\)"):
        find_model("plays", tmp_path / "absent", app="charlm")


def make_model():
    keras.utils.set_random_seed(5)
    inputs = keras.Input((None,), dtype="int32")
    outputs = keras.layers.GRU(5)(keras.layers.Embedding(31, 7)(inputs))
    return keras.Model(inputs, keras.layers.Dense(3)(outputs))


@pytest.fixture
def run(tmp_path):
    """A finished run with a checkpoint to go on from, which a preset does not need."""
    run = RunFolder.create(tmp_path / "run", {"units": 5}, "charlm")
    run.vocabulary_file.write_text('["a"]')
    run.save_best_weights(make_model())
    run.write_history([{"epoch": 1, "loss": 0.5}])
    run.append_samples("text")
    run.last_checkpoint.write_bytes(b"large")
    return run


def test_a_preset_is_a_run_folder_in_half_the_size(run, tmp_path):
    path = tmp_path / "new" / "preset"
    size = make_preset(run, make_model(), path)
    files = {"best.safetensors", "config.json", "history.csv", "vocabulary.json"}
    assert {file.name for file in path.iterdir()} == files
    assert size == sum(len(file.read_bytes()) for file in path.iterdir())
    for name in files - {"best.safetensors"}:
        assert (path / name).read_bytes() == (run.path / name).read_bytes()
    assert RunFolder.open(path, "charlm").config == {"units": 5}


def test_what_else_an_application_keeps_goes_along(run, tmp_path):
    for name in ("labels.json", "more.txt", "notes.txt"):
        (run.path / name).write_text(f"content of {name}")
    plain = make_preset(run, make_model(), tmp_path / "plain")
    size = make_preset(run, make_model(), tmp_path / "preset", files=("labels.json", "more.txt"))
    added = {file.name for file in (tmp_path / "preset").iterdir()}
    added -= {file.name for file in (tmp_path / "plain").iterdir()}
    assert added == {"labels.json", "more.txt"}
    assert (tmp_path / "preset" / "more.txt").read_text() == "content of more.txt"
    assert size == sum(len(file.read_bytes()) for file in (tmp_path / "preset").iterdir()) > plain


def test_files_that_a_run_may_have_go_along_where_it_has_them(run, tmp_path):
    (run.path / "more.txt").write_text("content")
    make_preset(run, make_model(), tmp_path / "preset", optional=("more.txt", "absent.txt"))
    assert (tmp_path / "preset" / "more.txt").read_text() == "content"
    assert not (tmp_path / "preset" / "absent.txt").exists()


def test_a_run_without_a_file_that_the_application_keeps(run, tmp_path):
    with pytest.raises(FileError, match=r"could not be written.*labels\.json"):
        make_preset(run, make_model(), tmp_path / "preset", files=("labels.json",))


def test_half_precision_weights_load(run, tmp_path):
    make_preset(run, make_model(), tmp_path / "preset")
    original, model = make_model(), make_model()
    for weight in model.weights:
        weight.assign(weight.value + 1)
    RunFolder.open(tmp_path / "preset", "charlm").load_best_weights(model, 31)
    for one, other in zip(model.get_weights(), original.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other.astype(np.float16).astype(np.float32))


def test_a_large_preset_is_written_and_refused(run, tmp_path, monkeypatch):
    assert presets.LARGEST_PRESET == 25_000_000
    monkeypatch.setattr(presets, "LARGEST_PRESET", 1000)
    with pytest.raises(UserError, match=r"may have at most 0 MB; train a smaller model"):
        make_preset(run, make_model(), tmp_path / "preset")
    assert (tmp_path / "preset" / "best.safetensors").exists()


@pytest.mark.parametrize("name", ["history.csv", "vocabulary.json", "more.txt"])
def test_what_a_link_leads_to_is_not_copied(run, tmp_path, name):
    (tmp_path / "secret").write_text("secret")
    (run.path / name).unlink(missing_ok=True)
    (run.path / name).symlink_to(tmp_path / "secret")
    with pytest.raises(FileError, match=f"{name} is a link to another file"):
        make_preset(run, make_model(), tmp_path / "preset", optional=("more.txt",))
    assert "secret" not in {file.read_text() for file in (tmp_path / "preset").iterdir()}


def test_a_preset_replaces_one_of_an_earlier_version(run, tmp_path):
    (tmp_path / "preset").mkdir()
    (tmp_path / "preset" / "best.weights.h5").touch()
    make_preset(run, make_model(), tmp_path / "preset")
    assert not (tmp_path / "preset" / "best.weights.h5").exists()


def refuse(*arguments, **kwargs):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(("module", "name"), [(shutil, "copy"), (files.os, "replace")])
def test_a_full_disk_is_an_error_of_the_run(run, tmp_path, monkeypatch, module, name):
    make_preset(run, make_model(), tmp_path / "preset")
    before = (tmp_path / "preset" / "best.safetensors").read_bytes()
    monkeypatch.setattr(module, name, refuse)
    with pytest.raises(FileError, match="No space left on device"):
        make_preset(run, make_model(), tmp_path / "preset")
    monkeypatch.undo()
    assert (tmp_path / "preset" / "best.safetensors").read_bytes() == before
    assert json.loads((tmp_path / "preset" / "config.json").read_text())["app"] == "charlm"


def test_a_file_in_the_place_of_the_folder(run, tmp_path):
    (tmp_path / "preset").touch()
    with pytest.raises(FileError, match="could not be written"):
        make_preset(run, make_model(), tmp_path / "preset")
