"""Run folders: what is written, what is refused, and that nothing is ever half written."""

import json

import numpy as np
import pytest

import shared
from shared.runs.folder import RunError, RunFolder

CONFIG = {"units": 7, "sizes": (3, 5), "rate": 0.1}


def test_config_names_app_format_and_version(tmp_path):
    RunFolder.create(tmp_path / "runs" / "one", CONFIG, "captioning")
    assert json.loads((tmp_path / "runs" / "one" / "config.json").read_text()) == {
        "app": "captioning",
        "format_version": 1,
        "unrolled_version": shared.__version__,
        "config": {"units": 7, "sizes": [3, 5], "rate": 0.1},
    }


def test_created_folder_opens_with_the_same_settings(tmp_path):
    created = RunFolder.create(tmp_path / "run", CONFIG, "captioning")
    opened = RunFolder.open(str(tmp_path / "run"), "captioning")
    assert opened.config == created.config == {"units": 7, "sizes": [3, 5], "rate": 0.1}
    assert opened.path == created.path


def test_names_of_the_files(tmp_path):
    run = RunFolder.create(tmp_path, {}, "captioning")
    files = [run.best_weights, run.last_checkpoint, run.vocabulary_file, run.history_file, run.samples_file]
    assert [file.name for file in [*files, run.tensorboard_dir]] == [
        "best.safetensors",
        "last.npz",
        "vocabulary.json",
        "history.csv",
        "samples.txt",
        "tensorboard",
    ]
    assert {file.parent for file in files} == {tmp_path}


def test_history_keeps_every_bit_and_takes_new_columns(tmp_path):
    run = RunFolder.create(tmp_path, {}, "captioning")
    assert run.read_history() == []
    rows = [
        {"epoch": 1, "loss": 0.1 + 0.2, "note": "a, b"},
        {"epoch": 2, "loss": np.float32(1 / 3), "cider": np.float64(5e-324)},
    ]
    run.write_history(rows)
    assert run.history_file.read_text().splitlines()[0] == "epoch,loss,note,cider"
    assert run.read_history() == [
        {"epoch": 1, "loss": 0.1 + 0.2, "note": "a, b"},
        {"epoch": 2, "loss": float(np.float32(1 / 3)), "cider": 5e-324},
    ]
    run.write_history([*run.read_history(), {"epoch": 3, "loss": float("nan")}])
    assert run.read_history()[:2] == rows
    assert np.isnan(run.read_history()[2]["loss"])


def test_samples_are_added(tmp_path):
    run = RunFolder.create(tmp_path, {}, "captioning")
    run.append_samples("epoch 1\nein Hund läuft")
    run.append_samples("epoch 2\n")
    assert run.samples_file.read_text(encoding="utf-8") == "epoch 1\nein Hund läuft\nepoch 2\n"


def test_a_run_is_not_overwritten_but_an_empty_one_may_begin_again(tmp_path):
    RunFolder.create(tmp_path / "run", {"units": 3}, "captioning")
    run = RunFolder.create(tmp_path / "run", {"units": 5}, "captioning")
    assert RunFolder.open(tmp_path / "run", "captioning").config == {"units": 5}
    run.last_checkpoint.write_bytes(b"")
    with pytest.raises(RunError, match=r"already holds a run; continue it with --resume"):
        RunFolder.create(tmp_path / "run", {"units": 5}, "captioning")


def test_resume_needs_the_same_settings(tmp_path):
    with pytest.raises(RunError, match="there is no run folder"):
        RunFolder.create(tmp_path / "run", CONFIG, "captioning", resume=True)
    RunFolder.create(tmp_path / "run", CONFIG, "captioning")
    assert RunFolder.create(tmp_path / "run", CONFIG, "captioning", resume=True).config["units"] == 7
    with pytest.raises(RunError, match=r"other settings \(units: 7 -> 5\)"):
        RunFolder.create(tmp_path / "run", {**CONFIG, "units": 5}, "captioning", resume=True)
    with pytest.raises(RunError, match=r"other settings \(seed: None -> 1\)"):
        RunFolder.create(tmp_path / "run", {**CONFIG, "seed": 1}, "captioning", resume=True)


def test_folders_of_something_else_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="is a file; a run needs a folder"):
        RunFolder.create(tmp_path / "file", {}, "captioning")
    with pytest.raises(RunError, match="could not make the run folder"):
        RunFolder.create(tmp_path / "file" / "run", {}, "captioning")
    with pytest.raises(RunError, match="holds files that are not of a run"):
        RunFolder.create(tmp_path, {}, "captioning")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is not a run folder: it has no config.json"),
        ("{", "cannot be read"),
        ("\udcff", "cannot be read"),
        ("[]", "does not describe a run"),
        ('{"app": "captioning"}', "does not describe a run"),
        (
            '{"app": "charlm", "format_version": 1, "config": {}}',
            "holds a run of 'charlm'; expected one of 'capt",
        ),
        (
            '{"app": "captioning", "format_version": 2, "config": {}}',
            "format 2, .* this version reads format 1",
        ),
    ],
)
def test_bad_config_files_are_user_errors(tmp_path, content, message):
    if content is not None:
        (tmp_path / "config.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(RunError, match=message):
        RunFolder.open(tmp_path, "captioning")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            '{"app": "charlm", "format_version": 1, "config": {}}',
            r"a run of 'charlm'; .* Name another folder",
        ),
        ('{"model_type": "gpt2"}', "does not describe a run: .* Name another folder"),
    ],
)
def test_the_settings_of_something_else_are_not_overwritten(tmp_path, content, message):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(RunError, match=message):
        RunFolder.create(tmp_path, {}, "captioning")
    assert [file.read_text() for file in tmp_path.iterdir()] == [content]


def test_run_without_checkpoint_is_a_user_error(tmp_path):
    run = RunFolder.create(tmp_path, {}, "captioning")
    with pytest.raises(RunError, match="has no checkpoint yet"):
        run.require_best_weights()
    run.best_weights.write_bytes(b"x")
    assert run.require_best_weights() == run.best_weights
