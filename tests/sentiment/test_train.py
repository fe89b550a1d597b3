"""The command line of training: settings, the name of a run, and how a stopped one is found again."""

import dataclasses
from pathlib import Path

import pytest

from sentiment import train
from sentiment.config import LANGUAGE_FOLDER, SentimentConfig
from sentiment.train import parse_arguments
from shared.runs.folder import RunError, RunFolder
from shared.system.cli import UserError, run_script
from tests.sentiment.conftest import SIZES


def test_the_command_line_without_options():
    arguments, config = parse_arguments([])
    assert config == SentimentConfig()
    assert config.data == ("imdb",)
    assert (arguments.out, arguments.resume) == (Path("runs/imdb"), False)


def test_options_become_settings():
    options = "--data a.csv b.csv --cell gru --units 7 --no-bidirectional --pooling attention --patience none"
    options += " --pretrain more.jsonl.gz --pretrain-minutes 1.5 --adversarial 5 --split-column part"
    expected = SentimentConfig(
        data=("a.csv", "b.csv"), cell="gru", units=7, bidirectional=False, pooling="attention",
        pretrain=("more.jsonl.gz",), pretrain_minutes=1.5, adversarial=5.0, split_column="part",
    )  # fmt: skip
    assert parse_arguments(options.split())[1] == expected
    assert parse_arguments(["--language-model", "runs/a"])[1] == SentimentConfig(language_model="runs/a")


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("imdb", "imdb"),
        ("tfds:imdb_reviews", "tfds-imdb_reviews"),
        ("there/is no.csv", "there-is-no.csv"),
    ],
)
def test_a_run_is_called_after_its_source(source, name):
    assert parse_arguments(["--data", source])[0].out == Path("runs") / name


def test_a_run_on_a_file_or_folder_is_called_after_it(tmp_path, monkeypatch):
    (tmp_path / "my.reviews.csv").touch()
    arguments, config = parse_arguments(["--data", str(tmp_path / "my.reviews.csv"), "other.csv"])
    assert arguments.out == Path("runs/my.reviews")
    assert config.data == (str(tmp_path / "my.reviews.csv"), "other.csv")
    monkeypatch.chdir(tmp_path)
    assert parse_arguments(["--data", "."])[0].out == Path("runs") / tmp_path.name


def test_the_network_of_a_run_is_that_of_the_model_it_starts_from(small_run):
    start = ["--init-from", str(small_run.path)]
    config = parse_arguments([*start, "--units", "5", "--dropout", "0.25", "--seed", "9"])[1]
    expected = dict(SIZES, dropout=0.25, seed=9, init_from=str(small_run.path))
    assert config == SentimentConfig(**expected)
    with pytest.raises(UserError, match=r"--cell gru, --units 7 does not .* lstm, 5\. Omit"):
        parse_arguments([*start, "--units", "7", "--cell", "gru"])


def test_what_a_run_cannot_start_from(small_export, tmp_path):
    other = RunFolder.create(tmp_path / "plays", {}, "charlm").path
    for name, message in (
        (small_export, "exported SavedModel, which can be neither trained"),
        (other, "holds a run of 'charlm'; expected one of 'sentiment'"),
        ("shakespeare", "There is no model 'shakespeare'"),
    ):
        with pytest.raises(UserError, match=message):
            parse_arguments(["--init-from", str(name)])


def test_an_option_says_where_to():
    assert parse_arguments(["--data", "a.csv", "--out", "b/c"])[0].out == Path("b/c")


def a_run(path, config):
    return RunFolder.create(path, dataclasses.asdict(config), "sentiment")


def test_resume_takes_the_settings_that_the_run_began_with(tmp_path):
    started = SentimentConfig(data=("a.csv",), units=7, epochs=3, pretrain=("b.txt",))
    a_run(tmp_path / "run", started)
    arguments, config = parse_arguments(["--out", str(tmp_path / "run"), "--resume"])
    assert config == started
    assert arguments.resume
    _, config = parse_arguments(["--out", str(tmp_path / "run"), "--resume", "--units", "9"])
    assert config == dataclasses.replace(started, units=9)  # which the run folder then refuses


def test_resume_of_what_is_no_run_of_this_application(tmp_path):
    with pytest.raises(RunError, match="there is no run folder"):
        parse_arguments(["--out", str(tmp_path / "absent"), "--resume"])
    RunFolder.create(tmp_path / "run", {}, "charlm")
    with pytest.raises(RunError, match="charlm"):
        parse_arguments(["--out", str(tmp_path / "run"), "--resume"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--units", "0"], "--units must be at least 1"),
        (["--pretrain-minutes", "0"], "--pretrain-minutes must be a number above 0"),
        (["--pretrain", "a.txt", "--depth", "2"], "--pretrain needs --depth 1, not 2, or --no-bidirectional"),
        (["--pretrain", "a.txt", "--language-model", "runs/a"], "give one of them"),
    ],
)
def test_a_value_that_makes_no_sense_is_an_error_of_the_user(options, message):
    with pytest.raises(UserError, match=message):
        parse_arguments(options)


@pytest.mark.parametrize("options", [["--cell", "rnn"], ["--units", "many"], ["--unitz", "7"]])
def test_what_is_no_option_at_all_exits_with_2(options, capsys):
    with pytest.raises(SystemExit) as exit_:
        parse_arguments(options)
    assert exit_.value.code == 2
    assert options[-1] in capsys.readouterr().err


def test_a_run_that_stopped_in_its_language_model_is_not_begun_again(tmp_path):
    folder = tmp_path / "run" / LANGUAGE_FOLDER
    folder.mkdir(parents=True)
    (folder / "last.npz").touch()
    with pytest.raises(RunError, match="stopped in its language model; continue it with --resume"):
        parse_arguments(["--out", str(tmp_path / "run")])


def test_a_start_that_fails_leaves_no_run_folder(tmp_path, capsys):
    options = ["--data", str(tmp_path / "absent.csv"), "--out", str(tmp_path / "runs" / "run")]
    assert run_script(train.main, options) == 2
    assert "no such file" in capsys.readouterr().err
    assert not (tmp_path / "runs" / "run").exists()
