"""What holds for all programs: they are short, answer `--help` without Keras, and run as a user runs them."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from lecture.__main__ import PAGES
from tests.output import own_lines

ROOT = Path(__file__).parents[2]
PROGRAMS = {"tracking": "tracking.__main__"}  # that of a package
HEAVY = ("keras", "tensorflow", "sklearn")
ASK_ALL = f"""
import contextlib, importlib, io, sys
for name, program in {[(name, "lecture." + PROGRAMS.get(name, name)) for name in PAGES]}:
    module = importlib.import_module(program)
    for arguments in (["--help"], ["--no-such-option"], ["--picture", "picture.txt"]):
        out, err = io.StringIO(), io.StringIO()
        from shared.system.cli import run_script
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status = run_script(module.main, arguments)
            except SystemExit as stopped:
                status = stopped.code
        heavy = sorted(set({HEAVY}) & set(sys.modules))
        print(name, arguments[0], status, len(out.getvalue()) > 100, err.getvalue().count(chr(10)), heavy)
"""


def test_help_and_mistakes_answer_without_keras():
    done = subprocess.run(
        [sys.executable, "-c", ASK_ALL], cwd=ROOT, capture_output=True, text=True, check=True
    )
    expected = []
    for name in PAGES:
        expected += [
            f"{name} --help 0 True 0 []",
            f"{name} --no-such-option 2 False 1 []",
            f"{name} --picture 2 False 1 []",
        ]
    assert done.stdout.splitlines() == expected


@pytest.mark.parametrize("file", sorted((ROOT / "lecture").rglob("*.py")), ids=lambda file: file.stem)
def test_programs_are_short(file):
    assert len(file.read_text(encoding="utf-8").splitlines()) < 120


@pytest.mark.parametrize("name", PAGES)
def test_every_page_has_a_program(name):
    assert importlib.util.find_spec(f"lecture.{name}") is not None


@pytest.mark.slow
def test_a_program_runs_as_a_user_runs_it(tmp_path):
    picture = tmp_path / "picture.svg"
    command = [sys.executable, "-m", "lecture.hello", "--quick", "--picture", str(picture)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "written from 'h': hello" in done.stdout
    assert own_lines(done.stderr) == ""
    assert picture.read_text(encoding="utf-8").startswith("<svg")
