"""Bounds stand at their fields, and every setting outside of them is refused by the name of its option."""

import math
from dataclasses import dataclass

import pytest

from shared.runs.config import RunConfig, option
from shared.runs.folder import RunFolder
from shared.system.cli import UserError


@dataclass(frozen=True)
class Config(RunConfig):
    units: int = option(7, "width", least=1)
    depth: int = option(1, "layers", least=1, most=64)
    learning_rate: float = option(0.1, "rate", above=0)
    weight_decay: float = option(0.0, "decay", least=0)
    dropout: float = option(0.3, "rate", below=1)
    fraction: float = option(0.1, "share", above=0, below=1)
    minutes: float | None = option(None, "time", above=0)
    cell: str = option("lstm", "cell", choices=("lstm", "gru"))
    data: tuple[str, ...] = option(("a",), "files")
    name: str = option("", "anything")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"units": 0}, "--units must be at least 1, not 0"),
        ({"learning_rate": 0.0}, "--learning-rate must be a number above 0, not 0.0"),
        ({"learning_rate": math.inf}, "--learning-rate must be a number above 0, not inf"),
        ({"learning_rate": math.nan}, "--learning-rate must be a number above 0, not nan"),
        ({"weight_decay": -0.5}, "--weight-decay must be a number of at least 0, not -0.5"),
        ({"weight_decay": math.inf}, "--weight-decay must be a number of at least 0, not inf"),
        ({"dropout": 1.0}, r"--dropout must lie in \[0, 1\), not 1.0"),
        ({"dropout": -0.1}, r"--dropout must lie in \[0, 1\), not -0.1"),
        ({"fraction": 0.0}, r"--fraction must lie in \(0, 1\), not 0.0"),
        ({"minutes": 0.0}, "--minutes must be a number above 0, not 0.0"),
        ({"cell": "rnn"}, "--cell must be one of lstm, gru, not rnn"),
        ({"depth": 65}, "--depth must be at most 64, not 65"),
        ({"units": 10**9}, "--units 1000000000 and --depth 1 make a network of more than 2 billion weights"),
        ({"units": "many"}, "--units must be a whole number, not 'many'"),
        ({"units": True}, "--units must be a whole number, not True"),
        ({"units": 2.0}, "--units must be a whole number, not 2.0"),
        ({"dropout": "x" * 99}, r"--dropout must be a number, not 'x{56}\.\.\."),
        ({"minutes": {}}, "--minutes must be a number or none, not {}"),
        ({"data": "file"}, "--data must be a list, of which each is a string, not 'file'"),
        ({"data": ["file", 3]}, "--data must be a list, of which each is a string, not"),
        ({"name": None}, "--name must be a string, not None"),
    ],
)
def test_a_value_out_of_bounds_is_named_with_its_option(changes, message):
    with pytest.raises(ValueError, match=message):
        Config(**changes)


def test_values_at_the_bounds_are_taken():
    Config(units=1, weight_decay=0.0, dropout=0.0, minutes=None, name="x")
    Config(dropout=0.999, minutes=0.001, fraction=0.999)


def test_lists_from_json_become_tuples():
    assert Config(data=["b", "c"]).data == ("b", "c")


def test_some_settings_by_name():
    assert Config(units=3).pick(("units", "cell")) == {"units": 3, "cell": "lstm"}


@pytest.mark.parametrize("stored", [{"wings": 3}, {"units": 0}])
def test_settings_that_this_version_does_not_know_are_refused(tmp_path, stored):
    run = RunFolder.create(tmp_path, stored, "charlm")
    with pytest.raises(UserError, match=r"config\.json are not those of this version"):
        Config.from_run(run)


def test_settings_that_a_run_does_not_name_have_their_defaults(tmp_path):
    assert Config.from_run(RunFolder.create(tmp_path, {"units": 3}, "charlm")) == Config(units=3)
