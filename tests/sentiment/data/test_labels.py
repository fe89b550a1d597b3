"""The names of labels on their way to a run folder and back."""

import json

import pytest

from sentiment.data.labels import (
    LABELS_FILE,
    labels_option,
    load_labels,
    parse_labels,
    rename_labels,
    save_labels,
)
from shared.data.source import DataError
from shared.runs.folder import RunError, RunFolder
from shared.system.files import FileError


@pytest.fixture
def run(tmp_path):
    return RunFolder.create(tmp_path / "run", {}, "sentiment")


@pytest.mark.parametrize(
    "labels", [("negative", "positive"), ("5", "1", "3"), ("sehr gut", "n\u00e9", "\U0001f600 \"'\n")]
)
def test_labels_come_back_in_their_order(run, labels):
    save_labels(run, labels)
    assert load_labels(run) == labels
    assert LABELS_FILE == "labels.json"
    assert json.loads((run.path / "labels.json").read_text(encoding="utf-8")) == list(labels)


def test_labels_are_replaced_whole(run):
    save_labels(run, ("a", "b", "c"))
    save_labels(run, ("d", "e"))
    assert load_labels(run) == ("d", "e")
    assert {file.name for file in run.path.iterdir()} == {"config.json", "labels.json"}


@pytest.mark.parametrize("content", [b"", b"[", b"\xff\xfe", b'["a", "b"'])
def test_a_file_that_cannot_be_read(run, content):
    (run.path / LABELS_FILE).write_bytes(content)
    with pytest.raises(RunError, match=r"labels\.json cannot be read .*Copy"):
        load_labels(run)


def test_a_run_without_labels(run):
    with pytest.raises(RunError, match=r"labels\.json cannot be read .*No such file"):
        load_labels(run)


@pytest.mark.parametrize(
    "content", ['{"a": 1}', '"ab"', "[1, 2]", '["a", null]', "[]", '["a"]', '["a", "b", "a"]']
)
def test_a_file_of_something_else(run, content):
    (run.path / LABELS_FILE).write_text(content)
    with pytest.raises(RunError, match=r"labels\.json does not hold a list of different labels\. Copy"):
        load_labels(run)


def test_a_folder_that_cannot_be_written(run):
    (run.path / LABELS_FILE).mkdir()
    with pytest.raises(FileError, match="could not write"):
        save_labels(run, ("a", "b"))


POLAR = ("negative", "positive")


@pytest.mark.parametrize(
    ("unknown", "known", "option"),
    [
        (["1", "0"], POLAR, "0=negative,1=positive"),
        (["2", "1"], POLAR, "1=negative,2=positive"),
        (["1", "-1"], POLAR, "-1=negative,1=positive"),
        (["1.0", "0.0"], POLAR, "0.0=negative,1.0=positive"),
        (["1"], POLAR, "1=positive"),
        (["-1"], POLAR, "-1=negative"),
        (["True", "False"], POLAR, "False=negative,True=positive"),
        (["Positive", "NEG"], POLAR, "NEG=negative,Positive=positive"),
        (["10", "2", "1"], ("a", "c", "b"), "1=a,2=b,10=c"),
        (["0", "2"], ("a", "b", "c"), "0=a,2=c"),
        (["good"], ("a", "b"), "good=LABEL"),
        (["so so", "A"], ("a", "b"), "'A=a,so so=LABEL'"),
    ],
)
def test_the_option_for_unknown_labels(unknown, known, option):
    assert labels_option(unknown, known) == f"--labels {option}"


def test_new_names_for_labels():
    assert parse_labels("") == {}
    assert parse_labels("a=b=c, 1 = so so") == {"a=b": "c", "1": "so so"}
    for wrong in ("0", "=a", "0=", "0=a,,1=b", "0=a,0=b"):
        with pytest.raises(DataError, match="does not name each label once"):
            parse_labels(wrong)
    assert rename_labels(["0", "1.0", "True", "x"], parse_labels("0=a,1=b,true=c")) == {
        "0": "a",
        "1.0": "b",
        "True": "c",
        "x": "x",
    }
    with pytest.raises(DataError, match=r"renames '2', but no row has that label\. The labels are 0, 1\."):
        rename_labels(["1", "0"], {"2": "a"})
