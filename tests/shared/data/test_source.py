"""What sources of data share: builders of datasets that are there or not, can be prepared or not."""

import sys
from types import SimpleNamespace

import pytest

from shared.data.source import DataError, data_dir, find_dataset, prepare_dataset
from shared.system.cli import UserError


def builder(prepare=lambda: None, splits=()):
    info = SimpleNamespace(splits=splits)
    return SimpleNamespace(download_and_prepare=prepare, info=info, data_dir="/place")


def failing(error):
    def fail(*arguments):
        raise error

    return fail


def test_the_folder_is_that_of_the_environment(monkeypatch):
    for value, expected in (("/somewhere", "/somewhere"), ("", None)):
        monkeypatch.setenv("TFDS_DATA_DIR", value)
        assert data_dir() == expected
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert data_dir() is None


def test_a_dataset_that_is_not_there():
    assert find_dataset("tfds:a", lambda: 3) == 3
    assert issubclass(DataError, UserError)
    for error, reason in (
        (ValueError("\n No such thing.\nAnd more"), "No such thing"),
        (KeyError(), "KeyError"),
    ):
        with pytest.raises(DataError, match=rf"^tfds:a: .*has no such dataset \({reason}\)\. Expected"):
            find_dataset("tfds:a", failing(error))


def test_preparing_leaves_standard_output_alone(capsys):
    first = builder(lambda: print("50 % done", file=sys.stdout))
    assert prepare_dataset("a", first, failing(AssertionError("made again"))) is first
    output = capsys.readouterr()
    assert (output.out, output.err) == ("", "50 % done\n")


def test_preparation_that_fails():
    broken = builder(failing(OSError("No space left\nhere")))
    with pytest.raises(DataError, match=r"a cannot be prepared in /place: No space left\. .*TFDS_DATA_DIR"):
        prepare_dataset("a", broken, builder)


def test_another_process_was_quicker():
    other = builder(splits=("train",))
    assert prepare_dataset("a", builder(failing(FileExistsError())), lambda: other) is other
