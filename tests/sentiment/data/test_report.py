import argparse
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import sentiment.data.report
from sentiment.data.__main__ import main as report
from sentiment.data.advice import advice
from sentiment.data.report import describe, examine
from sentiment.data.reviews import Review, ReviewData
from sentiment.text.words import split_words
from shared.data.source import Problem
from shared.system.cli import run_script

TEXTS = {
    "train": [
        ("a good film", "up"),
        ("a bad film", "down"),
        ("a bad film", "down"),
        ("a bad film", "up"),
        ("good good words", "flat"),
    ],
    "validation": [("a good film", "up"), ("unheard of", "down"), ("unheard of", "down")],
    "test": [("a good film", "flat"), ("a good film", "up"), ("unheard of", "down"), ("!", "up")],
}


@pytest.fixture
def data():
    splits = {
        split: tuple(Review(text, label, f"x.csv:{split[:2]}{i}") for i, (text, label) in enumerate(rows))
        for split, rows in TEXTS.items()
    }
    return ReviewData("x.csv", "as it is", splits, (Problem("x.csv", 3, "column text is empty"),))


def test_numbers_of_reviews_and_of_words(data):
    findings = examine(data)
    assert findings["labels"] == ["down", "flat", "up"]
    for split, rows in TEXTS.items():
        part = findings["splits"][split]
        assert part["reviews"] == len(rows)
        assert {k: n for k, n in part["labels"].items() if n} == Counter(label for _, label in rows)
        lengths = [len(split_words(text)) for text, _ in rows]
        assert part["words"] == {
            "min": min(lengths),
            "median": np.median(lengths),
            "mean": np.mean(lengths),
            "percentile_95": np.percentile(lengths, 95),
            "max": max(lengths),
        }
    assert findings["splits"]["validation"]["labels"] == {"down": 2, "flat": 0, "up": 1}


@pytest.mark.parametrize(
    ("min_count", "max_vocabulary", "known"),
    [
        (1, None, {"a", "bad", "film", "good", "words"}),
        (2, 30_000, {"a", "bad", "film", "good"}),
        (4, 30_000, {"a", "film"}),
        (1, 5, {"a"}),
    ],
)
def test_unknown_words(data, min_count, max_vocabulary, known):
    findings = examine(data, min_count=min_count, max_vocabulary=max_vocabulary)
    assert findings["vocabulary"] == {
        "min_count": min_count,
        "max_vocabulary": max_vocabulary,
        "size": 4 + len(known),
        "distinct_words": 5,
    }
    for split, rows in TEXTS.items():
        words = [word for text, _ in rows for word in split_words(text)]
        expected = sum(word not in known for word in words) / len(words)
        assert findings["splits"][split]["out_of_vocabulary"] == pytest.approx(expected)


def test_equal_texts(data):
    duplicates = examine(data)["duplicates"]
    assert duplicates["within"] == {"train": 2, "validation": 1, "test": 1}
    assert duplicates["across"] == {
        "validation in train": 1,
        "test in train": 2,
        "test in validation": 3,
    }
    assert duplicates["across_groups"] == [
        "train x.csv:tr0 up = validation x.csv:va0 up = test x.csv:te0 flat = test x.csv:te1 up",
        "validation x.csv:va1 down = validation x.csv:va2 down = test x.csv:te2 down",
    ]
    assert duplicates["contradicting"] == [
        "train x.csv:tr0 up = validation x.csv:va0 up = test x.csv:te0 flat = test x.csv:te1 up",
        "train x.csv:tr1 down = train x.csv:tr2 down = train x.csv:tr3 up",
    ]


def test_text_for_people(data):
    lines = describe(examine(data)).splitlines()
    for line in (
        "split: as it is",
        "train               5   3, 3, 3.0, 3, 3",
        "test                4   1, 2.5, 2.2, 3, 3",
        "label                 train          validation                test",
        "down              2 (40.0%)           2 (66.7%)           1 (25.0%)",
        "flat              1 (20.0%)            0 (0.0%)           1 (25.0%)",
        "vocabulary: 8 tokens: 4 special and 4 of the 5 words in train (the most frequent, seen 2+ times)",
        "unknown words: train 6.67%, validation 57.14%, test 33.33%",
        "equal texts within a split: train 2, validation 1, test 1",
        "equal texts across splits: validation in train 1, test in train 2, test in validation 3",
        "equal texts with different labels: 2",
        "rows left out: 1",
        "  x.csv:3: column text is empty",
    ):
        assert line in lines


def test_many_of_a_kind_are_counted_and_not_printed():
    reviews = tuple(Review(f"text {i % 13}", f"class {i % 13:02}", f"x:{i}") for i in range(26))
    data = ReviewData(
        "x", "", {"train": reviews, "test": reviews}, tuple(Problem("x", i + 1, "bad") for i in range(17))
    )
    findings = examine(data)
    lines = describe(findings).splitlines()
    assert "and 3 more labels" in lines
    assert "class 09" in "\n".join(lines)
    assert "class 12" not in "\n".join(lines)
    assert lines.count("  and 3 more") == 1
    assert lines[-1] == "  and 7 more"
    assert len(findings["problems"]) == 17
    assert len(findings["duplicates"]["across_groups"]) == 13


def test_a_source_without_train_and_without_words():
    data = ReviewData("x", "", {"test": (Review("\0", "a", "x:1"),)})
    findings = examine(data)
    assert findings["splits"]["test"]["words"]["max"] == 0
    assert findings["splits"]["test"]["out_of_vocabulary"] == 0.0
    assert "equal texts across splits: none" in describe(findings).splitlines()


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "x.csv"
    rows = (f"text {i},{'good' if i % 2 else 'bad'},{i}\n" for i in range(20))
    path.write_text("body,stars,id\n" + "".join(rows))
    return path


def test_script(table, tmp_path, capsys):
    file = tmp_path / "report.json"
    options = ["--text-column", "body", "--label-column", "stars", "--validation-fraction", "0.3"]
    options += ["--seed", "7", "--min-count", "3", "--max-vocabulary", "50", "--json", str(file)]
    assert run_script(report, [str(table), *options]) == 0
    output = capsys.readouterr().out
    assert "validation is 30 % of train, class by class, chosen by a hash of text and seed 7" in output
    findings = json.loads(file.read_text())
    assert findings["splits"]["validation"]["labels"] == {"bad": 3, "good": 3}
    assert findings["vocabulary"] == {
        "min_count": 3,
        "max_vocabulary": 50,
        "size": 5,
        "distinct_words": 15,
    }
    told, _, advice = output.partition("\n\nWith 20 film reviews")
    assert describe(findings) == told
    assert "\n6 validation texts tell the accuracy to within 40 points at worst.\n" in advice
    columns = "--text-column body --label-column stars"
    told = f"--data {table} {columns} --validation-fraction 0.3 --seed 7 --min-count 3 --max-vocabulary 50"
    assert advice.endswith(f"\nTo train: python -m sentiment.train {told} --out runs/x\n")


@pytest.mark.parametrize(
    ("reviews", "start"), [(199, "With 20 film"), (200, "With 200 to"), (5000, "With 22,500")]
)
def test_advice_by_the_number_of_reviews(reviews, start):
    arguments = argparse.Namespace(source=["a b.csv", "c.csv"], json=None)
    first, command = advice({"train": {"reviews": reviews}}, arguments).strip().splitlines()
    assert first.startswith(start)
    assert command == "To train: python -m sentiment.train --data 'a b.csv' c.csv --out runs/a-b.csv"


def test_script_counts_what_was_left_out(table, capsys):
    table.write_text(table.read_text() + ",good,20\n")
    options = ["--text-column", "body", "--label-column", "stars"]
    assert run_script(report, [str(table), *options]) == 1
    assert f"rows left out: 1\n  {table}:22: column body is empty\n" in capsys.readouterr().out


def test_script_refuses(table, capsys):
    assert run_script(report, [str(table)]) == 2
    assert capsys.readouterr().err.startswith(
        f"error: {table}: the first line must name the columns text and"
    )
    columns = ["--text-column", "body", "--label-column", "stars"]
    assert run_script(report, [str(table), *columns, "--json", str(table)]) == 2
    assert "x.csv is one of the inputs" in capsys.readouterr().err
    for options in (["--max-vocabulary", "4"], ["--min-count", "0"]):
        with pytest.raises(SystemExit, match="2"):
            report([str(table), *options])


def test_script_stops_at_once(table, monkeypatch, capsys):
    def interrupt(text):
        raise KeyboardInterrupt

    monkeypatch.setattr(sentiment.data.report, "split_words", interrupt)
    options = ["--text-column", "body", "--label-column", "stars"]
    assert run_script(report, [str(table), *options]) == 130
    assert capsys.readouterr().err == "stopped by Ctrl-C\n"


def test_script_is_light_and_clean(table):
    command = [sys.executable, "-X", "importtime", "-m", "sentiment.data", str(table)]
    command += ["--text-column", "body", "--label-column", "stars"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[3], check=False)
    assert done.returncode == 0
    assert "vocabulary: " in done.stdout
    assert "RuntimeWarning" not in done.stderr
    assert " tensorflow" not in done.stderr
    assert " keras" not in done.stderr
