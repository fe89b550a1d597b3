"""What the report says of a text."""

import subprocess
import sys
from pathlib import Path

from charlm.data.__main__ import main
from charlm.data.load import load_text
from charlm.data.report import count_characters, describe, longest_line
from shared.system.cli import run_script


def test_count_characters_and_longest_line():
    pieces = ["ab\nabc", "d\u00e9", "", "\n\nxyz", "zz\n"]
    text = "".join(pieces)
    assert dict(count_characters(pieces)) == {character: text.count(character) for character in text}
    assert longest_line(pieces) == (6 - 1, 2)  # abcd\u00e9 comes before xyzzz
    assert longest_line(["\n\n"]) == (0, 1)


def test_report(tmp_path):
    (tmp_path / "x.txt").write_text("aaaa\nbbb" * 9 + "\u0301\u72ac")
    text = describe(load_text(tmp_path / "x.txt", validation_fraction=0.05, test_fraction=0.1))
    for line in (
        f"            74             77  {tmp_path / 'x.txt'}",
        "split: first 85 % train, next 5 % validation, last 10 % test of 74 characters",
        "            62  train",
        "             4  validation",
        "distinct characters: 5",
        "  most frequent: 'a' 36, 'b' 27, '\\n' 9, U+0301 COMBINING ACUTE ACCENT 1, '\u72ac' 1",
        "  in validation, not in train: none",
        "  in test, not in train: U+0301 COMBINING ACUTE ACCENT 1, '\u72ac' 1",
        "longest line: 7 characters, line 2",
    ):
        assert line in text.splitlines()


def test_report_of_many_files(tmp_path):
    for number in range(13):
        (tmp_path / f"{number:02}.txt").write_text(chr(ord("a") + number) * 7)
    lines = describe(load_text(tmp_path)).splitlines()
    assert "                               and 3 more" in lines
    assert "            91             91  together" in lines
    assert "  in validation, not in train: 'm' 7" in lines


def test_report_script(mixed, capsys):
    assert (
        run_script(main, [str(mixed), str(mixed), "--validation-fraction", "0", "--test-fraction", "0.5"])
        == 0
    )
    assert "first 50 % train, last 50 % test of 30 characters" in capsys.readouterr().out
    assert run_script(main, [str(mixed), "--test-fraction", "1"]) == 2
    assert capsys.readouterr().err.startswith("error: The fractions 0.1 for validation and 1 for test")


def test_report_script_is_light_and_clean(mixed):
    command = [sys.executable, "-X", "importtime", "-m", "charlm.data", str(mixed)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[3], check=False)
    assert done.returncode == 0
    assert "13  train" in done.stdout
    assert "RuntimeWarning" not in done.stderr
    assert " tensorflow" not in done.stderr
    assert " keras" not in done.stderr
