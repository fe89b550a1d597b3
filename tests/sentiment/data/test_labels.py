"""The names of labels on their way to a run folder and back."""

import json

import pytest

from sentiment.data.labels import LABELS_FILE, load_labels, save_labels
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
