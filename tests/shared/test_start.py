"""Settings that suit the data of a run."""

import dataclasses

import pytest

from charlm.app import APP
from charlm.config import CharLMConfig, recipe
from shared.commands import open_run, parse_training, training_parser
from shared.runs.folder import RunFolder
from shared.start import settle
from shared.system.cli import UserError
from shared.training.checkpoint import save_checkpoint


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def parse(*arguments):
    return parse_training(APP, training_parser(APP, "Trains."), arguments, recipe)


def test_settings_that_suit_the_data_are_chosen_once_printed_and_saved(capsys):
    arguments, config = parse("--data", "hello", "--out", "mine", "--learning-rate", "0.5")
    values = {"learning_rate": 0.25, "patience": 3, "minutes": 7.5, "epochs": 9}
    with open_run(APP, arguments, config) as run:
        settled = settle(run, config, values, "11 characters")
    assert settled == dataclasses.replace(config, patience=3, minutes=7.5)
    assert capsys.readouterr().out == "Settings that suit 11 characters: --patience 3 --minutes 7.5\n"
    arguments, config = parse("--data", "hello", "--out", "mine", "--resume")
    with open_run(APP, arguments, config) as run:
        assert settle(run, config, {"patience": 5}, "11 characters") == settled
    assert capsys.readouterr().out == ""


def test_settings_of_a_run_that_resumes_stay_as_they_are():
    run = RunFolder.create("mine", dataclasses.asdict(CharLMConfig()), "charlm")
    save_checkpoint(run.last_checkpoint, {}, {})
    assert settle(run, CharLMConfig(), {"patience": 5}, "11 characters") == CharLMConfig()


def test_settings_that_do_not_suit_what_was_given_are_an_error():
    run = RunFolder.create("mine", dataclasses.asdict(CharLMConfig()), "charlm")
    with pytest.raises(UserError, match="--patience must be"):
        settle(run, CharLMConfig(), {"patience": -1}, "11 characters")
