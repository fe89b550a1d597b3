"""Names and texts from strangers on a terminal, in logs and in spreadsheets."""

import csv
import io
import json
import os
import pty
import select
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captioning.data.load import load_examples
from captioning.model.captions import Caption
from captioning.prediction import results as captions
from sentiment.data.reviews import ColumnNames, print_problems
from sentiment.data.tables import read_reviews
from sentiment.prediction import results as labels
from sentiment.prediction.inputs import Item
from shared.data.report import listed
from shared.data.source import Problem
from shared.data.tables import quoted_cells, unquoted_cells
from shared.system.cli import Parser, UserError, run_script
from shared.system.escapes import VisibleStream, json_line, visible
from shared.system.output import open_output, print_error

# Clears the screen, sets the title of the window, C1's form of the same, overwrites the line, turns the text.
HOSTILE = "a\x1b[2J\x1b]0;title\x07\x9b2J\rsafe\n\u202egpj.exe\u2066"


def controls(text, allowed="\n"):
    return [
        character
        for character in text
        if character not in allowed
        and (unicodedata.category(character) in ("Cc", "Zl", "Zp") or character in "\u202e\u2066")
    ]


def test_hostile_text_would_control_a_terminal():
    assert len(controls(HOSTILE)) == 7


def caption(text):
    return Caption(text, tuple(text.split()), -1.5, 0.25)


@pytest.mark.parametrize(
    "result",
    [
        captions.Result(HOSTILE, [caption(HOSTILE), caption("a dog")], None),
        captions.Result(HOSTILE, [caption(HOSTILE)], None, abstained=True),
        captions.Result(HOSTILE, (), f"{HOSTILE}: damaged ({HOSTILE})"),
    ],
)
def test_captions_and_names_of_images(result, capsys):
    captions.write_results([result], "text")
    captions.write_results([result], "jsonl")
    shown, line = capsys.readouterr().out.rsplit("\n", 2)[:2]
    assert not controls(shown)
    assert "\\x1b[2J\\x1b]0;title\\x07\\x9b2J\\rsafe\\n\\u202egpj" in shown
    assert not controls(line)
    assert json.loads(line)["image"] == HOSTILE


def labelled(text, label=HOSTILE, error=None):
    item = Item(f"{HOSTILE}.csv:2", 2, None if error else text, {}, error)
    likeliest = None if error else label
    return labels.Result(item, {label: 0.75, "other": 0.25}, likeliest, reason=None, note=HOSTILE)


@pytest.mark.parametrize("error", [None, HOSTILE])
def test_texts_and_labels(error, capsys):
    for form in ("text", "jsonl"):
        labels.write_results([labelled(HOSTILE, error=error)], form, [HOSTILE, "other"])
    shown = capsys.readouterr()
    assert not controls(shown.out + shown.err)
    assert json.loads(shown.out.splitlines()[-1])["line"] == 2


def test_errors_and_reports(capsys):
    def fail(argv):
        raise UserError(f"There is no file {HOSTILE}.")

    problem = Problem(HOSTILE, 3, f"expected {HOSTILE}")
    assert run_script(fail, []) == 2
    print_error(HOSTILE)
    print_problems([problem])
    print("\n".join(listed("rows left out", [str(problem), HOSTILE])))
    with pytest.raises(SystemExit):
        Parser("x").parse_args([HOSTILE])
    shown = capsys.readouterr()
    assert not controls(shown.out + shown.err)
    assert shown.err.count("\n") == 5


def read_until(terminal, ending):
    """Return what is printed on `terminal` up to `ending`; a terminal hands it out in pieces."""
    shown = b""
    while not shown.endswith(ending) and select.select([terminal], [], [], 10)[0]:
        shown += os.read(terminal, 10_000)
    return shown.decode()


def test_what_a_script_prints_on_a_terminal():
    def main(argv):
        print(HOSTILE)
        with open_output(None) as write:
            write(HOSTILE + "\x1b[1;31mred\x1b[0m\n")

    terminal, end = pty.openpty()
    before = sys.stdout
    with open(end, "w", encoding="utf-8", newline="") as sys.stdout:
        try:
            assert run_script(main, []) == 0
            assert isinstance(before, VisibleStream) is False
        finally:
            sys.stdout = before
        shown = read_until(terminal, b"\x1b[0m\r\n")
    os.close(terminal)
    assert not controls(shown.replace("\x1b[1;31m", "").replace("\x1b[0m", ""), "\r\n")
    assert "\x1b[1;31mred\x1b[0m" in shown
    assert "a\\x1b[2J\\x1b]0;title\\x07\\x9b2J\\rsafe\r\n\\u202egpj.exe\\u2066" in shown


@given(st.text())
def test_visible_text(text):
    shown = visible(text)
    assert not controls(shown, "")
    assert shown == text or controls(text, "") or any("\u202a" <= c <= "\u2069" for c in text)
    assert json.loads(json_line({"text": text})) == {"text": text}


@given(
    st.lists(
        st.text() | st.sampled_from(["=1+1", "'=1", "''", "'", "@x", "-", "+\t"]) | st.floats(), min_size=1
    )
)
def test_cells_for_spreadsheets_come_back(cells):
    row = dict(enumerate(cells))
    quoted = quoted_cells(row)
    assert not any(isinstance(cell, str) and cell.startswith(tuple("=+-@\t\r")) for cell in quoted.values())
    assert list(map(str, unquoted_cells(quoted).values())) == list(map(str, cells))


def test_captions_in_csv(tmp_path):
    names = ["=cmd|calc!A1.jpg", "-1.jpg", "'+.jpg", "plain.jpg"]
    for name in names:
        (tmp_path / name).touch()
    file = tmp_path / "captions.csv"
    results = [captions.Result(tmp_path / name, [caption("@a dog")], None) for name in names]
    results = [result._replace(key=Path(name)) for result, name in zip(results, names, strict=True)]
    captions.write_results(results, "csv", file)
    rows = list(csv.reader(io.StringIO(file.read_text())))
    assert rows[1][:4] == ["'=cmd|calc!A1.jpg", "1", "'@a dog", "-1.5"]
    examples = load_examples(file).examples
    assert [example.image_id for example in examples] == names
    assert {example.captions for example in examples} == {("@a dog",)}


def test_labels_in_csv(tmp_path):
    file = tmp_path / "reviews.csv"
    texts = ["=1+1 good", "-bad", "'=quoted", "plain"]
    results = [labelled(text, "-1") for text in texts]
    labels.write_results(results, "csv", ["-1", "other"], file)
    assert "'=1+1 good,'-1,0.75" in file.read_text()
    reviews = [review for _, review in read_reviews(file, ColumnNames())]
    assert {review.label for review in reviews} == {"-1"}
    assert {review.text for review in reviews} == set(texts)


def test_a_foreign_csv_is_read_as_it_is(tmp_path):
    (tmp_path / "'=x.jpg").touch()
    (tmp_path / "captions.csv").write_text("image,caption\n'=x.jpg,'- a dog\n")
    (example,) = load_examples(tmp_path / "captions.csv").examples
    assert (example.image_id, example.captions) == ("'=x.jpg", ("'- a dog",))
