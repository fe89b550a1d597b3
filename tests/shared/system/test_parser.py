"""The parser of every script: no abbreviations, one line for a mistake, and a hint."""

import pytest

from shared.system.cli import Parser, did_you_mean
from shared.system.options import share


def parse(capsys, *arguments):
    parser = Parser("app.train", description="Trains.")
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--split", choices=("train", "test"))
    with pytest.raises(SystemExit) as stopped:
        parser.parse_args(arguments)
    assert stopped.value.code == 2
    return capsys.readouterr().err


def test_a_mistyped_option_gets_a_hint(capsys):
    told = parse(capsys, "--lerning-rate", "3")
    assert told == (
        "error: unrecognized arguments: --lerning-rate 3. Did you mean --learning-rate? "
        "See python -m app.train --help.\n"
    )


@pytest.mark.parametrize("mistyped", ["--learn=3", "--colour", "text"])
def test_abbreviations_are_refused_and_a_mistake_is_one_line(capsys, mistyped):
    told = parse(capsys, mistyped)
    assert told.startswith(f"error: unrecognized arguments: {mistyped}. ")
    assert told.count("\n") == 1


def test_a_choice_that_is_none_is_one_line(capsys):
    told = parse(capsys, "--split", "tset")
    assert "invalid choice: 'tset'" in told
    assert told.count("\n") == 1


def test_did_you_mean():
    assert did_you_mean("flickr8", ["imdb", "flickr8k"]) == " Did you mean flickr8k?"
    assert did_you_mean("plays", ["imdb", "flickr8k"]) == ""
    assert did_you_mean("plays", []) == ""


@pytest.mark.parametrize("text", ["1.01", "-0.1", "nan", "half"])
def test_a_share_lies_between_0_and_1(text):
    with pytest.raises(Exception, match="expected"):
        share(text)
