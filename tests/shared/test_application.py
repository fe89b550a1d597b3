"""The one door to a model: presets, runs and exports by name, for all applications alike."""

import dataclasses
import json
from pathlib import Path

import pytest

import captioning.app
import charlm.app
import sentiment.app
from shared.runs.folder import RunError, RunFolder
from shared.system.cli import UserError

APPS = {app.name: app for app in (captioning.app.APP, charlm.app.APP, sentiment.app.APP)}


@pytest.fixture(params=APPS, ids=str)
def app(request):
    return APPS[request.param]


@pytest.fixture
def export(app, tmp_path):
    folder = tmp_path / "exported"
    folder.mkdir()
    (folder / "saved_model.pb").touch()
    (folder / app.export_file).write_text("{}")
    return folder


def test_the_default_model_ships_with_the_package(app):
    path = app.find(app.default_model)
    assert path == app.presets / app.default_model
    assert app.trained_with(app.default_model) == app.config.from_run(RunFolder.open(path, app.name))


def test_an_exported_model_is_found_but_has_no_settings_and_cannot_be_trained(app, export):
    assert app.find(export) == export
    assert app.trained_with(export) is None
    with pytest.raises(UserError, match="exported SavedModel, which can be neither trained nor exported"):
        app.load(export, trainable=True)


def test_the_export_of_another_application_is_told_as_such(app, export):
    other = next(one for one in APPS.values() if one is not app)
    with pytest.raises(
        UserError, match=rf"not a SavedModel of {other.name}\.export: it has {app.export_file}"
    ):
        other.load(export)


def test_the_run_of_another_application_is_told_as_such(app, tmp_path):
    RunFolder.create(tmp_path / "run", {}, app.name)
    other = next(one for one in APPS.values() if one is not app)
    with pytest.raises(RunError, match=f"a run of '{app.name}'; expected one of '{other.name}'"):
        other.load(tmp_path / "run")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("{preset}x", r"There is no model '{preset}x'.* Did you mean {preset}\?"),
        ("nothing_like_it", r"Expected a preset \({preset}\), a run folder of {app}\.train"),
        ("https://example.org/model", "is a URL. Download the model first"),
    ],
)
def test_a_name_that_leads_nowhere(app, name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = {"preset": app.default_model, "app": app.name}
    with pytest.raises(UserError, match=message.format(**words)):
        app.load(name.format(**words))


def test_a_mistyped_run_folder_gets_a_hint(app, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    RunFolder.create(Path("runs") / "first", {}, app.name)
    with pytest.raises(UserError, match=r"Did you mean runs/first\?"):
        app.find("runs/frist")


def test_a_model_is_loaded_by_the_functions_of_the_application(app, export, tmp_path):
    calls = []
    spy = dataclasses.replace(
        app, load_run=lambda run: calls.append(run.path), load_export=lambda path: calls.append(path)
    )
    spy.load(app.default_model)
    spy.load(export)
    assert calls == [app.presets / app.default_model, export]


def test_presets_keep_the_settings_that_they_were_made_with(app):
    stored = json.loads((app.presets / app.default_model / "config.json").read_text(encoding="utf-8"))
    config = app.trained_with(app.default_model)
    assert config.pick(tuple(stored["config"])) == {
        name: tuple(value) if isinstance(value, list) else value for name, value in stored["config"].items()
    }
