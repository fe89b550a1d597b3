"""What scripts have in common: options of a run, its folder, and what is checked before an export."""

import dataclasses
import os
from pathlib import Path

import pytest

from charlm.app import APP
from charlm.config import CharLMConfig, recipe
from shared.commands import (
    export_parser,
    list_commands,
    load_to_export,
    open_run,
    parse_training,
    preset_script,
    training_parser,
)
from shared.runs.folder import WEIGHTS_FILE, RunError, RunFolder
from shared.system.cli import UserError
from shared.training.checkpoint import save_checkpoint


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def parse(*arguments):
    return parse_training(APP, training_parser(APP, "Trains."), arguments, recipe)


@pytest.mark.parametrize(
    ("arguments", "out", "data"),
    [
        ([], "runs/shakespeare", ("shakespeare",)),
        (["--data", "hello"], "runs/hello", ("hello",)),
        (["--data", "a/novel.txt", "b.txt"], "runs/a-novel.txt", ("a/novel.txt", "b.txt")),
        (["--data", "-"], "runs/standard-input", ("-",)),
        (["--data", "hello", "--out", "mine"], "mine", ("hello",)),
    ],
)
def test_a_run_is_called_by_its_data_unless_it_is_told(arguments, out, data):
    parsed, config = parse(*arguments)
    assert parsed.out == Path(out)
    assert config.data == data


def test_a_recipe_gives_way_to_options():
    assert parse("--data", "hello")[1] == recipe(("hello",))
    assert parse("--data", "hello", "--units", "3")[1].units == 3


def test_resume_takes_the_settings_of_the_run():
    RunFolder.create("mine", {"units": 7, "data": ["hello"]}, "charlm")
    assert parse("--out", "mine", "--resume")[1] == CharLMConfig(units=7, data=("hello",), init_from="")
    with pytest.raises(RunError, match="there is no run folder other"):
        parse("--out", "other", "--resume")


def test_resume_takes_a_folder_that_names_fewer_settings_and_refuses_other_ones():
    RunFolder.create("mine", {"units": 7, "data": ["hello"]}, "charlm")
    arguments, config = parse("--out", "mine", "--resume")
    with open_run(APP, arguments, config) as run:
        assert run.path == Path("mine")
    arguments, config = parse("--out", "mine", "--resume", "--depth", "5", "--units", "8")
    with pytest.raises(RunError, match=r"depth: 1 -> 5, units: 7 -> 8\)"), open_run(APP, arguments, config):
        pass


@pytest.mark.parametrize("error", [UserError("no such text"), KeyboardInterrupt(), ZeroDivisionError()])
def test_a_start_that_fails_leaves_no_folder(error):
    arguments, config = parse("--out", "new/run")

    def start():
        with open_run(APP, arguments, config) as run:
            run.append_samples("untrained")
            raise error

    with pytest.raises(type(error)):
        start()
    assert not Path("new/run").exists()


def test_a_run_that_saved_something_is_kept_when_it_fails():
    arguments, config = parse("--out", "run")

    def start():
        with open_run(APP, arguments, config) as run:
            save_checkpoint(run.last_checkpoint, {}, {})
            raise UserError("the disk is full")

    with pytest.raises(UserError, match="disk is full"):
        start()
    assert Path("run/last.npz").exists()


def test_resume_begins_a_run_that_stopped_before_its_first_checkpoint():
    run = RunFolder.create("run", dataclasses.asdict(recipe(("shakespeare",))), "charlm")
    run.append_samples("untrained")
    for name in (WEIGHTS_FILE, ".partial-99999.last.npz"):
        (run.path / name).touch()
    arguments, config = parse("--out", "run")
    with pytest.raises(RunError, match="continue it with --resume"), open_run(APP, arguments, config):
        pass
    arguments, config = parse("--out", "run", "--resume")
    with open_run(APP, arguments, config) as run:
        assert not run.has_checkpoint
        assert {file.name for file in run.path.iterdir()} == {"config.json", ".lock"}


def test_resume_takes_no_finished_model_for_a_run_that_stopped():
    run = RunFolder.create("run", {}, "charlm")
    run.write_history([{"epoch": 1}])
    (run.path / WEIGHTS_FILE).touch()
    arguments, config = parse("--out", "run", "--resume")
    with pytest.raises(RunError, match="as a preset does"), open_run(APP, arguments, config):
        pass
    assert {file.name for file in run.path.iterdir()} == {"config.json", "history.csv", WEIGHTS_FILE}


def test_what_a_killed_start_left_is_no_obstacle():
    Path("run").mkdir()
    for name in (".partial-99999.config.json", ".lock"):
        Path("run", name).touch()
    with pytest.raises(RunError, match="start a run there without --resume"):
        parse("--out", "run", "--resume")
    arguments, config = parse("--out", "run")
    with open_run(APP, arguments, config) as run:
        assert {file.name for file in run.path.iterdir()} == {"config.json", ".lock"}


@pytest.mark.parametrize("options", [[], ["--resume"]])
def test_a_second_process_is_kept_out_and_told_who_is_there(options):
    arguments, config = parse("--out", "run")
    with open_run(APP, arguments, config) as run:
        before = {file.name: file.read_bytes() for file in run.path.iterdir()}
        arguments, config = parse("--out", "run", *options)
        message = rf"run is in use: process {os.getpid()} on \S+, since 20\d\d-.* writes it"
        with pytest.raises(RunError, match=message), open_run(APP, arguments, config):
            pass
        assert {file.name: file.read_bytes() for file in run.path.iterdir()} == before
    arguments, config = parse("--out", "run")
    with open_run(APP, arguments, config):
        pass


def test_nothing_is_written_into_the_folder_of_something_else():
    Path("photos").mkdir()
    Path("photos", "dog.jpg").touch()
    arguments, config = parse("--out", "photos")
    with pytest.raises(RunError, match="files that are not of a run"), open_run(APP, arguments, config):
        pass
    assert [file.name for file in Path("photos").iterdir()] == ["dog.jpg"]


def test_a_folder_that_was_there_is_kept_when_a_start_fails():
    Path("run").mkdir()
    arguments, config = parse("--out", "run")
    with pytest.raises(UserError), open_run(APP, arguments, config):
        raise UserError("no such text")
    assert Path("run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "nothing", "--out", "new"], "There is no model 'nothing'"),
        (["--out", "full"], "full exists already"),
        (["--out", "file"], "file exists already"),
    ],
)
def test_an_export_that_cannot_be_is_refused_before_the_model_is_loaded(arguments, message, monkeypatch):
    Path("full").mkdir()
    Path("full", "file").touch()
    Path("file").touch()
    monkeypatch.setattr("shared.application.import_tensorflow_quietly", lambda: pytest.fail("was loaded"))
    with pytest.raises(UserError, match=message):
        load_to_export(APP, export_parser(APP, "Exports.").parse_args(arguments))


def test_the_preset_script_takes_the_files_of_its_application(capsys):
    run = RunFolder.create("run", {}, "charlm")
    with pytest.raises(RunError, match="has no checkpoint yet"):
        preset_script(APP, ["run", "preset"])
    assert run.path.exists()


def test_commands_are_those_with_a_usage_in_their_first_line(tmp_path):
    (tmp_path / "run.py").write_text('"""Runs: python -m app.run FILE.\n\nMore."""\n')
    (tmp_path / "library.py").write_text('"""Helps."""\n')
    (tmp_path / "__main__.py").write_text('"""Lists: python -m app."""\n')
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "__main__.py").write_text('"""Reports: python -m app.data SOURCE."""\n')
    assert list_commands(tmp_path) == (
        "  python -m app.run FILE\n      Runs\n  python -m app.data SOURCE\n      Reports"
    )
