import csv
import io
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

from sentiment.prediction.inputs import Item
from sentiment.prediction.results import Counts, Result, print_counts, write_results
from sentiment.prediction.shading import one_line
from sentiment.text.words import split_words

LABELS = ("bad", "mixed", "good")
CODES = re.compile("\033\\[[0-9;]*m")


def result(text="A good film", line=3, best="good", fields=None, **more):
    probabilities = {label: 0.71236 if label == best else 0.14382 for label in LABELS}
    return Result(Item(f"reviews.csv:{line}", line, text, fields or {}, None), probabilities, best, **more)


def failed(line=4):
    return Result(Item(f"reviews.csv:{line}", line, None, {}, "not UTF-8"), {}, None)


def explained(text, weights, error=0.00123):
    words = tuple(split_words(text))
    order = np.argsort(-np.abs(weights)).tolist()
    explanation = SimpleNamespace(
        text=text,
        words=words,
        weights=np.array(weights),
        label="good",
        strongest=order,
        score=1.23456,
        baseline_score=-0.5,
        error=error,
    )
    deletion = SimpleNamespace(counts=(0, 1, 2), probabilities=(0.9, 0.5, 0.25), at_random=(0.9, 0.88, 0.8))
    return result(text, explanation=explanation, deletion=deletion)


def written(capsys, results, form, color=False):
    counts = write_results(results, form, LABELS, color=color)
    return counts, capsys.readouterr()


# -- text ------------------------------------------------------------------------------------------------


def test_text_has_a_line_for_each_text_and_errors_stand_apart(capsys):
    results = [
        result(),
        failed(),
        result("", note="no words"),
        result("so so", best="mixed", reason="mixed is likeliest, but below 0.8", note="odd"),
        result("gar nicht", reason="no word is known", is_withheld=True),
    ]
    counts, output = written(capsys, results, "text")
    assert output.out.splitlines() == [
        "good       0.712  A good film",
        "good       0.712  (no words)",
        "abstained  0.712  so so  (mixed is likeliest, but below 0.8; odd)",
        "withheld   0.712  gar nicht  (no word is known)",
    ]
    assert output.err == "reviews.csv:4: not UTF-8\n"
    assert counts == Counts(results=5, errors=1, abstained=1, withheld=1)


def test_a_text_is_one_line_that_commands_no_terminal(capsys):
    _, output = written(capsys, [result("One\n\x1b[2Jtwo\x07\u202ethree\u2028four\x9b1m")], "text")
    assert output.out == "good       0.712  One [2Jtwo three four 1m\n"
    _, output = written(capsys, [result("word " * 200_000)], "text")
    assert len(output.out) < 150
    assert output.out.endswith("...\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("four", "four"),
        ("four five", "four fi..."),
        ("  a\n\nb  ", "a b"),
        ("seven, and", "seven..."),
        ("", ""),
    ],
)
def test_one_line(text, expected):
    assert one_line(text, 7) == expected


def test_weights_are_listed_the_strongest_first(capsys):
    shown = explained("So GOOD, isn't it?", [0.1, 2.0, -0.05, 0.3, -1.25, 0.0, 0.0])
    _, output = written(capsys, [shown], "text")
    lines = output.out.splitlines()
    assert lines[1] == "    words for (+) and against (-) good, in log-odds:"
    assert lines[2].strip().split("   ")[:4] == ["+2.00 GOOD", "-1.25 n't", "+0.30 is", "+0.10 So"]
    assert [line.split() for line in lines[3:]] == [
        ["words", "removed", "0", "1", "2"],
        ["largest", "weights", "0.900", "0.500", "0.250"],
        ["random", "words", "0.900", "0.880", "0.800"],
    ]


def test_of_many_words_the_strongest_are_listed(capsys):
    shown = explained("word " * 33, np.arange(33.0))
    _, output = written(capsys, [shown], "text")
    assert output.out.count(" word") - 33 <= 21
    assert "+32.00 word" in output.out
    assert "+12.00" not in output.out
    assert "and 13 weaker" in output.out
    assert max(map(len, output.out.splitlines())) <= 130


def test_rough_weights_are_told(capsys):
    _, output = written(capsys, [explained("good film", [1.0, 0.5], error=0.07)], "text")
    assert "(rough: 7% is missing)" in output.out


def test_nothing_is_listed_of_a_text_without_words(capsys):
    shown = explained("", [])
    for color in (False, True):
        nothing = shown._replace(
            deletion=SimpleNamespace(counts=(0,), probabilities=(0.5,), at_random=(0.5,))
        )
        _, output = written(capsys, [nothing], "text", color)
        assert output.out == "good       0.712\n"


def test_words_stand_on_colours_by_side_and_strength(capsys):
    text = "So GOOD, isn't it\x1b[31m?"
    shown = explained(text, [0.05, 2.0, -0.3, 0.8, -2.0, 0.0, 0.0, 0.0, 0.0])
    assert len(split_words(text)) == 9
    _, output = written(capsys, [shown], "text", color=True)
    line = output.out.splitlines()[2]
    found = re.findall("\033\\[(4;)?38;5;16;48;5;([0-9]+)m(.*?)\033\\[0m", line)
    assert [(under, word) for under, _, word in found] == [
        ("", "GOOD"),
        ("4;", ","),
        ("", "is"),
        ("4;", "n't"),
    ]
    backgrounds = [background for _, background, _ in found]
    assert len(set(backgrounds)) == 4
    assert CODES.sub("", line).strip() == "So GOOD, isn't it [31m?"
    assert "\033" not in written(capsys, [shown], "text")[1].out


# -- JSON Lines ------------------------------------------------------------------------------------------


def test_jsonl_keeps_line_and_fields(capsys):
    fields = {"id": 7, "tags": ["a"], "label": "gold", "line": 99}
    _, output = written(capsys, [result(fields=fields), failed()], "jsonl")
    good, bad = map(json.loads, output.out.splitlines())
    assert good == {
        "line": 3,
        "text": "A good film",
        "id": 7,
        "tags": ["a"],
        "input_label": "gold",
        "input_line": 99,
        "label": "good",
        "probability": 0.7124,
        "probabilities": {"bad": 0.1438, "mixed": 0.1438, "good": 0.7124},
    }
    assert bad == {"line": 4, "label": None, "error": "not UTF-8"}
    assert output.err == "reviews.csv:4: not UTF-8\n"


def test_jsonl_of_a_text_without_an_answer(capsys):
    _, output = written(capsys, [result(reason="below 0.8", note="no words")], "jsonl")
    record = json.loads(output.out)
    assert record["label"] is None
    assert (record["reason"], record["note"], record["probability"]) == ("below 0.8", "no words", 0.7124)
    assert "withheld" not in record
    _, output = written(capsys, [result(reason="no words", is_withheld=True)], "jsonl")
    record = json.loads(output.out)
    assert (record["label"], record["withheld"], record["reason"]) == (None, True, "no words")


def test_jsonl_has_all_weights_and_where_the_words_stand(capsys):
    text = "So GOOD!!!"
    _, output = written(capsys, [explained(text, [0.1, 2.00004, -0.5])], "jsonl")
    record = json.loads(output.out)
    words = record["explanation"].pop("words")
    assert [(word["word"], word["weight"]) for word in words] == [
        ("so", 0.1),
        ("good", 2.0),
        ("\u203c", -0.5),
    ]
    assert [text[word["start"] : word["end"]] for word in words] == ["So", "GOOD", "!!!"]
    assert record["explanation"] == {
        "label": "good",
        "log_odds": 1.2346,
        "baseline_log_odds": -0.5,
        "error": 0.0012,
    }
    assert record["deletion"][2] == {"words": 2, "probability": 0.25, "at_random": 0.8}


def test_half_characters_can_be_written(tmp_path):
    file = tmp_path / "out.jsonl"
    write_results([result("half \ud83d")], "jsonl", LABELS, file)
    assert json.loads(file.read_text(encoding="utf-8"))["text"] == "half \ud83d"


# -- CSV -------------------------------------------------------------------------------------------------


def test_csv(capsys):
    results = [
        result('a "good"\nfilm, yes'),
        failed(),
        result(reason="below 0.8", note="odd"),
        result(reason="no words", is_withheld=True),
    ]
    _, output = written(capsys, results, "csv")
    rows = list(csv.DictReader(io.StringIO(output.out)))
    assert rows[0] == {
        "line": "3",
        "text": 'a "good"\nfilm, yes',
        "label": "good",
        "probability": "0.7124",
        "probability_bad": "0.1438",
        "probability_mixed": "0.1438",
        "probability_good": "0.7124",
        "note": "",
        "error": "",
    }
    assert [value for value in rows[1].values() if value] == ["4", "not UTF-8"]
    assert (rows[2]["label"], rows[2]["note"]) == ("abstained", "below 0.8; odd")
    assert (rows[3]["label"], rows[3]["note"]) == ("withheld", "no words")


@pytest.mark.parametrize(
    ("counts", "lines"),
    [
        (Counts(9, 0, 0, 0), []),
        (Counts(9, 2, 0, 1), ["2 of 9 texts could not be used.", "1 of 9 labels withheld: ", "below 0.5"]),
    ],
)
def test_what_has_no_label_is_counted_on_standard_error(counts, lines, capsys):
    print_counts(counts, abstain_below=0.5 if lines else 0.0)
    shown = capsys.readouterr().err.splitlines()
    assert len(shown) == len(lines)
    assert all(line in text for line, text in zip(lines, shown, strict=True))


def test_what_was_written_stays_when_the_run_is_stopped(tmp_path):
    def stopped():
        yield result()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_results(stopped(), "csv", LABELS, tmp_path / "out.csv")
    assert "A good film" in (tmp_path / "out.csv").read_text()
