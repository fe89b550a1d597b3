"""What holds for every command: help and mistakes answer at once, without NumPy's big relatives."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VERBS = ("train", "evaluate", "visualize", "demo", "export", "preset", "data.__main__")
COMMANDS = [
    *(f"{app}.{verb}" for app in ("captioning", "charlm", "sentiment") for verb in VERBS),
    "captioning.predict",
    "captioning.pipeline",
    "charlm.generate",
    "sentiment.predict",
    "sentiment.pipeline",
]
HEAVY = ("apache_beam", "gradio", "keras", "tensorflow", "tensorflow_datasets", "sklearn")

# Run once in a new process for all commands: each is asked for help and given an option that is none.
ASK_ALL = f"""
import contextlib, importlib, io, sys
for name in {COMMANDS}:
    main = importlib.import_module(name).main
    for arguments in (["--help"], ["--no-such-option"]):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status = main(arguments)
            except SystemExit as stopped:
                status = stopped.code
        heavy = sorted(set({HEAVY}) & set(sys.modules))
        print(name, arguments[0], status, len(out.getvalue()), err.getvalue().count(chr(10)), heavy, sep="|")
"""


@pytest.fixture(scope="module")
def answers():
    done = subprocess.run(
        [sys.executable, "-c", ASK_ALL], cwd=ROOT, capture_output=True, text=True, check=True
    )
    rows = [line.split("|") for line in done.stdout.splitlines()]
    return {(name, argument): rest for name, argument, *rest in rows}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_answers_without_keras(answers, command):
    status, printed, told, heavy = answers[command, "--help"]
    assert (status, told, heavy) == ("0", "0", "[]")
    assert int(printed) > 100


@pytest.mark.parametrize("command", COMMANDS)
def test_a_mistake_is_one_line_without_keras(answers, command):
    status, printed, told, heavy = answers[command, "--no-such-option"]
    assert (status, printed, told, heavy) == ("2", "0", "1", "[]")


@pytest.mark.parametrize("command", COMMANDS)
def test_scripts_are_short_and_nothing_imports_them(command):
    file = ROOT / (command.replace(".", "/") + ".py")
    assert len(file.read_text(encoding="utf-8").splitlines()) < 100


def test_every_script_is_here():
    scripts = {
        ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for app in ("captioning", "charlm", "sentiment")
        for file in [*(ROOT / app).glob("*.py"), ROOT / app / "data" / "__main__.py"]
        if "def main(" in file.read_text(encoding="utf-8")
    }
    assert scripts == set(COMMANDS)
