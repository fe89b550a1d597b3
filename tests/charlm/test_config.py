"""The settings of a character model's run: which values hold, the recipes, and the way from a run folder."""

import dataclasses
import json
from pathlib import Path

import pytest

from charlm.config import CharLMConfig, recipe
from charlm.train import parse_arguments
from shared.runs.folder import RunError, RunFolder
from shared.system.cli import UserError


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"min_count": 0}, "--min-count must be at least 1, not 0"),
        ({"units": 0}, "--units must be at least 1"),
        ({"depth": 0}, "--depth must be at least 1"),
        ({"embedding_size": 0}, "--embedding-size must be at least 1"),
        ({"window": 1}, "--window must be at least 2"),
        ({"batch_size": 0}, "--batch-size must be at least 1"),
        ({"epochs": 0}, "--epochs must be at least 1"),
        ({"steps_between": -1}, "--steps-between must be at least 0"),
        ({"patience": 0}, "--patience must be at least 1"),
        ({"sample_length": -1}, "--sample-length must be at least 0"),
        ({"seed": -1}, "--seed must lie in"),
        ({"learning_rate": 0.0}, "--learning-rate must be a number above 0, not 0.0"),
        ({"learning_rate": float("nan")}, "--learning-rate must be a number above 0"),
        ({"clip_norm": float("inf")}, "--clip-norm must be a number above 0"),
        ({"weight_decay": -0.1}, "--weight-decay must be a number of at least 0"),
        ({"minutes": 0.0}, "--minutes must be a number above 0"),
        ({"minutes": float("nan")}, "--minutes must be a number above 0"),
        ({"dropout": 1.0}, r"--dropout must lie in \[0, 1\)"),
        ({"input_dropout": -0.1}, r"--input-dropout must lie in"),
        ({"output_dropout": float("nan")}, r"--output-dropout must lie in"),
        ({"recurrent_weight_dropout": 1.0}, r"--recurrent-weight-dropout must lie in"),
        ({"average_decay": 1.0}, r"--average-decay must lie in"),
        ({"warmup": 1.0}, r"--warmup must lie in"),
        ({"forget_rate": 1.5}, r"--forget-rate must lie in"),
        ({"cell": "rnn"}, "--cell must be one of lstm, gru, simple, not rnn"),
        ({"precision": "float16"}, "--precision must be one of auto, float32, mixed_bfloat16"),
    ],
)
def test_values_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        CharLMConfig(**changes)


def test_the_smallest_values_hold():
    smallest = {"min_count": 1, "units": 1, "depth": 1, "embedding_size": 1, "window": 2, "batch_size": 1}
    smallest |= {"epochs": 1, "steps_between": 0, "patience": 1, "sample_length": 0, "seed": 0, "warmup": 0.0}
    smallest |= {"weight_decay": 0.0, "minutes": 0.01, "dropout": 0.0, "average_decay": 0.0}
    config = CharLMConfig(**smallest)
    assert {name: getattr(config, name) for name in smallest} == smallest


def test_lists_become_tuples_as_json_gives_lists_back():
    config = CharLMConfig(data=["a.txt", "b.txt"], prompts=["x"])
    assert (config.data, config.prompts) == (("a.txt", "b.txt"), ("x",))
    assert CharLMConfig(**json.loads(json.dumps(dataclasses.asdict(config)))) == config


def test_every_setting_says_what_it_is():
    for field in dataclasses.fields(CharLMConfig):
        assert field.metadata["help"], field.name


def test_only_hello_has_a_recipe_of_its_own():
    assert recipe(("plays.txt",)) == CharLMConfig(data=("plays.txt",))
    hello = recipe(("hello",))
    assert hello.data == ("hello",)
    assert hello.window < len("hello")
    assert hello.units < 100
    assert hello.precision == "float32"


def a_run(path, config):
    return RunFolder.create(path, dataclasses.asdict(config), "charlm")


def test_a_run_folder_gives_its_settings_back(tmp_path):
    config = CharLMConfig(data=("a.txt", "b.txt"), units=7, minutes=1.5, patience=None, prompts=("x", ""))
    a_run(tmp_path / "run", config)
    assert CharLMConfig.from_run(RunFolder.open(tmp_path / "run", "charlm")) == config


def test_settings_that_a_run_does_not_name_have_their_defaults(tmp_path):
    run = RunFolder.create(tmp_path / "run", {"units": 7}, "charlm")
    assert CharLMConfig.from_run(run) == CharLMConfig(units=7, init_from="")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"unitz": 7}, "unitz"),
        ({"units": 0}, "--units must be at least 1"),
        ({"units": "7"}, "number, not '7'"),
    ],
)
def test_settings_of_another_version_are_an_error_of_the_user(tmp_path, settings, reason):
    run = RunFolder.create(tmp_path / "run", settings, "charlm")
    with pytest.raises(UserError, match=rf"config\.json are not those of this version: .*{reason}"):
        CharLMConfig.from_run(run)


# The command line of training


def test_the_command_line_without_options():
    arguments, config = parse_arguments([])
    assert config == recipe(("shakespeare",))
    assert config == dataclasses.replace(
        CharLMConfig(), init_from="", output_dropout=0.1, batch_size=128, epochs=5
    )
    assert (arguments.out, arguments.resume) == (Path("runs/shakespeare"), False)


def test_options_stand_above_the_recipe():
    arguments, config = parse_arguments(["--data", "hello", "--units", "7", "--prompts", "h", "he"])
    assert config == dataclasses.replace(recipe(("hello",)), units=7, prompts=("h", "he"))
    assert arguments.out == Path("runs/hello")


@pytest.mark.parametrize(
    ("source", "name"), [("-", "standard-input"), ("tfds:tiny_shakespeare", "tfds-tiny_shakespeare")]
)
def test_a_run_is_called_after_its_data(source, name):
    assert parse_arguments(["--data", source])[0].out == Path("runs") / name


def test_a_run_on_a_file_is_called_after_it(tmp_path):
    (tmp_path / "war.and.peace.txt").touch()
    arguments, config = parse_arguments(["--data", str(tmp_path / "war.and.peace.txt"), "other.txt"])
    assert arguments.out == Path("runs/war.and.peace")
    assert config.data == (str(tmp_path / "war.and.peace.txt"), "other.txt")


def test_resume_takes_the_settings_that_the_run_began_with(tmp_path):
    started = CharLMConfig(data=("hello",), units=7, epochs=3)
    a_run(tmp_path / "run", started)
    _, config = parse_arguments(["--out", str(tmp_path / "run"), "--resume"])
    assert config == started


def test_resume_of_what_is_no_run_of_this_application(tmp_path):
    with pytest.raises(RunError, match="there is no run folder"):
        parse_arguments(["--out", str(tmp_path / "absent"), "--resume"])
    RunFolder.create(tmp_path / "run", {}, "captioning")
    with pytest.raises(RunError, match="captioning"):
        parse_arguments(["--out", str(tmp_path / "run"), "--resume"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--units", "0"], "--units must be at least 1"),
        (["--minutes", "0"], "--minutes must be a number above 0"),
    ],
)
def test_a_value_that_makes_no_sense_is_an_error_of_the_user(options, message):
    with pytest.raises(UserError, match=message):
        parse_arguments(options)
