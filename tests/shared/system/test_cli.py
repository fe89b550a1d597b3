"""Options from a dataclass, user errors and exit statuses, and that the light modules stay light."""

import argparse
import dataclasses
import errno
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from shared.system.cli import NothingLearned, UserError, run_script
from shared.system.options import add_config_arguments, config_from_arguments
from shared.system.signals import Interrupted


def option(default, **metadata):
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Config:
    data: str
    learning_rate: float = option(1e-3, help="highest rate, 100% of it")
    units: int = option(7, help="width")
    cell: str = option("lstm", help="recurrent cell", choices=("lstm", "gru"))
    mirror: bool = option(True, help="mirror images")
    quiet: bool = option(False, help="say less")
    patience: int | None = option(None, help="epochs to wait")
    cache: Path | None = dataclasses.field(default=Path("features"), metadata={"help": "folder"})
    prompt: str = option("", help="text to begin with")
    files: tuple[str, ...] = option(("a.txt", "b.txt"), help="texts")
    sizes: tuple[int, ...] = option((), help="widths")

    def __post_init__(self):
        if self.units < 1:
            raise ValueError(f"units must be at least 1; they are {self.units}")


def parse(*arguments, base=None):
    parser = argparse.ArgumentParser(prog="python -m app.train")
    add_config_arguments(parser, Config)
    parser.add_argument("--out")
    return config_from_arguments(Config, parser.parse_args(arguments), base)


def test_defaults_hold_where_no_option_is_given():
    assert parse("--data", "x") == Config(data="x")


def test_every_kind_of_option():
    arguments = ["--data", "x", "--learning-rate", "0.5", "--units", "3", "--cell", "gru", "--no-mirror"]
    arguments += ["--quiet", "--patience", "4", "--cache", "None", "--prompt", "a b", "--out", "runs"]
    arguments += ["--files", "c", "d e", "--sizes", "7"]
    expected = Config("x", 0.5, 3, "gru", False, True, 4, None, "a b", ("c", "d e"), (7,))
    assert parse(*arguments) == expected


def test_a_base_gives_way_only_to_what_was_given():
    base = Config("y", learning_rate=0.5, mirror=False, patience=3)
    assert parse("--data", "x", "--patience", "none", base=base) == Config(
        "x", learning_rate=0.5, mirror=False
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--units", "many", "--data", "x"], "argument --units: invalid int value: 'many'"),
        (["--cell", "rnn", "--data", "x"], "invalid choice: 'rnn'"),
        (["--sizes", "3", "wide", "--data", "x"], "argument --sizes: invalid int value: 'wide'"),
        (["--files", "--data", "x"], "argument --files: expected at least one argument"),
        (["--unitz", "3", "--data", "x"], "unrecognized arguments: --unitz 3"),
        ([], "the following arguments are required: --data"),
    ],
)
def test_mistyped_options_exit_with_2(capsys, arguments, message):
    with pytest.raises(SystemExit) as stopped:
        parse(*arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_help_shows_defaults_once(capsys):
    with pytest.raises(SystemExit):
        parse("--help")
    text = " ".join(capsys.readouterr().out.split())
    for line in (
        "--data DATA (required)",
        "--learning-rate LEARNING_RATE highest rate, 100% of it (default: 0.001)",
        "--cell {lstm,gru} recurrent cell (default: lstm)",
        "--mirror, --no-mirror mirror images (default: on) --quiet",
        "say less (default: off) --patience PATIENCE epochs to wait (default: none)",
        "folder (default: features) --prompt PROMPT text to begin with (default: none)",
        "--files FILES [FILES ...] texts (default: a.txt b.txt)",
        "--sizes SIZES [SIZES ...] widths (default: none)",
    ):
        assert line in text


@pytest.mark.parametrize(
    ("kind", "words", "value"),
    [
        (int, [], None),
        (int, ["7"], 7),
        (int, ["none"], 0),
        (str, [], None),
        (str, ["None"], ""),
        (str, ["imdb"], "imdb"),
    ],
)
def test_none_is_a_value_of_a_setting_that_suits_the_data(kind, words, value, capsys):
    suited = dataclasses.make_dataclass("Suited", [("start", kind | None, option(None, suited=True))])
    parser = argparse.ArgumentParser()
    add_config_arguments(parser, suited)
    given = parser.parse_args(["--start", *words] if words else [])
    assert config_from_arguments(suited, given) == suited(value)
    assert "default: what suits the amount of data" in " ".join(parser.format_help().split())


def test_values_that_the_dataclass_refuses_are_user_errors():
    with pytest.raises(UserError, match="units must be at least 1; they are 0"):
        parse("--data", "x", "--units", "0")


def test_a_base_keeps_its_tuples_where_none_is_given():
    base = Config("y", files=("c",), sizes=(3, 5))
    assert parse("--data", "y", "--sizes", "7", base=base) == Config("y", files=("c",), sizes=(7,))


@pytest.mark.parametrize("kind", [list[int], tuple[bool, ...], tuple[list, ...], dict])
def test_a_type_without_an_option_is_refused(kind):
    wide = dataclasses.make_dataclass("Wide", [("sizes", kind)])
    with pytest.raises(TypeError, match="'sizes'"):
        add_config_arguments(argparse.ArgumentParser(), wide)


def raiser(error):
    def main(argv):
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (UserError("no such file; give another"), 2, "error: no such file; give another\n"),
        (Interrupted("saved in runs/x."), 130, "stopped: saved in runs/x.\n"),
        (Interrupted("saved in runs/x.", 15), 143, "stopped: saved in runs/x.\n"),
        (NothingLearned("saved in runs/x."), 3, "nothing learned: saved in runs/x.\n"),
        (KeyboardInterrupt(), 130, "stopped by Ctrl-C\n"),
    ],
)
def test_errors_become_a_line_and_a_status(capsys, error, status, message):
    assert run_script(raiser(error), []) == status
    assert capsys.readouterr() == ("", message)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG])
def test_a_full_disk_is_an_error_of_one_line(number):
    code = f"""
import sys
from shared.system.cli import run_script
def main(argv):
    raise OSError({number}, "The disk is full")
sys.exit(run_script(main))
"""
    finished = run_python(code)
    assert finished.returncode == 2
    assert re.fullmatch(r"error: .*The disk is full. Free some space, then .*\n", finished.stderr)


def test_faults_of_the_program_keep_their_traceback():
    with pytest.raises(ZeroDivisionError):
        run_script(raiser(ZeroDivisionError()), [])


@pytest.mark.parametrize(("returned", "status"), [(None, 0), (0, 0), (1, 1), (True, 1)])
def test_status_of_a_script_that_ran(returned, status):
    assert run_script(lambda argv: returned, []) == status


def test_what_a_terminal_cannot_show_is_written_with_escapes(monkeypatch):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    assert run_script(lambda argv: print("\u20ac", os.fsdecode(b"caf\xe9.txt"), end="")) == 0
    assert terminal.buffer.getvalue() == rb"\u20ac caf\udce9.txt"


def test_arguments_of_the_process_are_the_default(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["program", "a", "b"])
    assert run_script(len) == 2


def test_tensorflow_is_told_to_be_quiet_unless_the_user_chose(monkeypatch):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    run_script(lambda argv: 0, [])
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "2"
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    run_script(lambda argv: 0, [])
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"


def run_python(code, **options):
    root = Path(__file__).parents[3]
    return subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, **options)


def test_a_closed_pipe_ends_a_script_quietly():
    code = """
import os, sys
from shared.system.cli import run_script
reader, writer = os.pipe()
os.close(reader)
os.dup2(writer, 1)
sys.exit(run_script(lambda argv: print("x" * 100_000)))
"""
    finished = run_python(code)
    assert (finished.returncode, finished.stderr) == (141, "")


def test_light_modules_import_neither_keras_nor_tensorflow():
    code = """
import sys
import shared.system.cli, shared.system.signals, shared.system.output
import shared.data.source, shared.runs.presets, shared.runs.folder, shared.text.vocabulary
print(*sorted({"keras", "tensorflow", "tensorflow_datasets", "numpy"} & set(sys.modules)))
"""
    finished = run_python(code)
    assert (finished.stdout, finished.stderr) == ("\n", "")
