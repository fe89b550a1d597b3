"""The console command: it finds the scripts, and says what there is where a name is mistyped."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import shared
import unrolled
from shared.runs.folder import RunFolder
from shared.system.cli import UserError

ROOT = Path(unrolled.__file__).parent


def test_help_and_version(capsys):
    assert unrolled.main([]) == unrolled.main(["--help"]) == 0
    assert capsys.readouterr().out.count("python -m captioning.predict") == 2
    assert unrolled.main(["--version"]) == 0
    assert capsys.readouterr().out == f"unrolled {shared.__version__}\n"


def test_models_are_the_presets_with_their_sizes_and_cards(capsys):
    assert unrolled.main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["captioning", "photos"],
        ["charlm", "shakespeare"],
        ["sentiment", "imdb"],
    ]
    for line in lines:
        name, size, card = re.search(r"(\S+) +([\d.]+) MB +(\S+)$", line).groups()
        assert Path(card).is_file()
        weights = RunFolder(Path(card).parent, {}).best_weights.stat().st_size
        assert weights / 1e6 - 0.05 < float(size) < 25, name  # which is rounded


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["captoin"], "There is no command 'captoin'.* Did you mean caption"),
        (["train"], "unrolled train wants an application, one of captioning, charlm, sentiment, and none"),
        (["demo", "charm"], r"unrolled demo wants an application, .* not 'charm'\. Did you mean charlm"),
        (["train", "charm"], r"not 'charm'\. Did you mean charlm"),
    ],
)
def test_mistyped_names(arguments, message):
    with pytest.raises(UserError, match=message):
        unrolled.main(arguments)


def test_the_demo_of_all_applications_has_options_of_its_own(capsys):
    with pytest.raises(SystemExit, match="0"):
        unrolled.main(["demo", "--help"])
    assert "all three applications" in capsys.readouterr().out
    assert "gradio" not in sys.modules


@pytest.mark.parametrize("application", unrolled.APPS)
def test_the_commands_of_an_application_are_listed(application):
    command = [sys.executable, "-m", application]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    for script in ("train", "evaluate", "demo", "export", "preset", "data"):
        assert f"  python -m {application}.{script}" in done.stdout
    assert done.stderr == ""


def test_without_the_required_packages_a_script_says_in_one_line_what_to_do():
    command = [sys.executable, "-S", "-m", "charlm.generate"]
    environment = {"PATH": "/usr/bin"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert re.search(r"lacks keras, tensorflow.*\. \.venv/bin/activate.*pip install \.", done.stderr)
