import csv
import io
import json
import os
import subprocess
import sys
from itertools import count, islice
from pathlib import Path

import keras
import numpy as np
import pytest

from sentiment import predict
from sentiment.model.classifier import SentimentClassifier
from sentiment.predict import classify_texts, wants_color
from sentiment.prediction import explain
from sentiment.prediction.inputs import Item, from_arguments
from shared.system.cli import UserError, run_script
from shared.text.vocabulary import Vocabulary

VOCABULARY = Vocabulary((*Vocabulary.SPECIALS, "a", "good", "bad", "film"))


class FakeModel:
    """Thinks the better of a text the more often it says good; a stand-in for the model."""

    labels, vocabulary = ("negative", "positive"), VOCABULARY

    def __init__(self):
        self.batches = []

    def probabilities(self, texts, progress=None):
        self.batches.append(len(texts))
        good = np.array([1 - 0.5 ** (1 + text.count("good")) for text in texts], np.float32)
        return np.stack([1 - good, good], axis=1)


@pytest.fixture
def model(monkeypatch):
    fake = FakeModel()
    monkeypatch.setattr(predict, "load_model", lambda name: fake)
    return fake


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(predict, "load_model", lambda name: pytest.fail("the model was loaded"))
    return tmp_path


def run(*argv):
    return run_script(predict.main, [str(argument) for argument in argv])


def texts(*lines):
    Path("reviews.txt").write_text("".join(f"{line}\n" for line in lines))
    return "reviews.txt"


# -- the stream ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 3, 4, 7, 50])
def test_stream_keeps_order_and_batches(batch_size):
    fake = FakeModel()
    items = list(from_arguments(["good " * number for number in range(7)]))
    results = list(classify_texts(fake, iter(items), batch_size=batch_size))
    assert [result.item for result in results] == items
    found = [result.probabilities["positive"] for result in results]
    np.testing.assert_allclose(found, [1 - 0.5 ** (1 + number) for number in range(7)])
    assert [result.label for result in results[1:]] == ["positive"] * 6
    assert len(fake.batches) == -(-7 // batch_size)


def test_stream_takes_no_more_than_a_batch():
    taken = []

    def endless():
        for number in count(1):
            taken.append(number)
            yield Item("", number, "good", {}, None)

    stream = classify_texts(FakeModel(), endless(), batch_size=3)
    assert [result.item.line for result in islice(stream, 4)] == [1, 2, 3, 4]
    assert len(taken) == 6


def test_stream_goes_on_after_errors():
    bad = Item("x:2", 2, None, {}, "not JSON")
    items = [*from_arguments(["good"]), bad, bad, *from_arguments([""])]
    fake = FakeModel()
    results = list(classify_texts(fake, items, batch_size=2))
    assert [(result.label, result.item.error) for result in results] == [
        ("positive", None),
        (None, "not JSON"),
        (None, "not JSON"),
        ("negative", None),
    ]
    assert fake.batches == [1, 1]
    list(classify_texts(fake, [bad], batch_size=2))
    assert fake.batches == [1, 1]  # nothing to ask the model


def test_no_label_below_the_wanted_probability():
    items = list(from_arguments(["", "good", "good good"]))
    results = list(classify_texts(FakeModel(), items, abstain_below=0.75))
    assert [result.label for result in results] == [None, "positive", "positive"]
    assert results[0].reason == "negative is likeliest, but below 0.75"
    assert results[0].likeliest == "negative"


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("a good film", None),
        ("xyzzy good", None),
        ("", "no words"),
        (" \n\x00", "no words"),
        ("<br />&nbsp;", "no words"),
        ("?! ...", "no words, only signs"),
        ("\U0001f600", "no words, only signs"),
        ("\u0645\u0631\u062d\u0628\u0627", "the model knows none of the words"),
        ("xyzzy, plugh!", "the model knows none of the words"),
    ],
)
def test_what_the_model_cannot_read_has_a_note(text, note):
    (result,) = classify_texts(FakeModel(), from_arguments([text]))
    assert result.note == note
    assert result.label in FakeModel.labels


# -- the command line ------------------------------------------------------------------------------------


def test_texts_of_the_command_line(model, capsys):
    assert run("a good film", "", "!!!", "--model", "any") == 0
    output = capsys.readouterr()
    assert output.out.splitlines() == [
        "positive   0.750  a good film",
        "negative   0.500  (no words)",
        "negative   0.500  !!!  (no words, only signs)",
    ]
    assert output.err == ""


def test_lines_of_a_file(model, capsys):
    assert run("--input", texts("good", "", "bad"), "--format", "jsonl") == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(record["line"], record["text"], record["label"]) for record in records] == [
        (1, "good", "positive"),
        (3, "bad", "negative"),
    ]


def test_standard_input(model, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"good\nbad\n"), encoding="utf-8"))
    assert run("--input", "-", "--format", "csv") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["text"], row["probability_positive"]) for row in rows] == [("good", "0.75"), ("bad", "0.5")]


def test_bad_lines_are_named_the_others_answered_and_the_status_is_1(model, capsys):
    Path("in.jsonl").write_bytes(
        b'{"review": "good"}\n{"review":\n{"text": ""}\n{"review": "caf\xe9"}\n{"review": ""}'
    )
    assert run("--input", "in.jsonl", "--text-column", "review", "--format", "jsonl") == 1
    output = capsys.readouterr()
    records = [json.loads(line) for line in output.out.splitlines()]
    assert [record["label"] for record in records] == ["positive", None, None, None, "negative"]
    lines = output.err.splitlines()
    assert [line.partition(": ")[0] for line in lines[:3]] == [f"in.jsonl:{line}" for line in (2, 3, 4)]
    assert lines[3:] == ["3 of 5 texts could not be used."]


def test_texts_that_are_not_utf8_on_the_command_line(model, capsys):
    assert run("good", "caf\udce9") == 1
    output = capsys.readouterr()
    assert output.out == "positive   0.750  good\n"
    assert output.err.startswith("TEXT 2: not UTF-8: byte 0xe9")


def test_abstaining_is_counted(model, capsys):
    assert run("good", "bad", "--abstain-below", "0.6") == 0
    output = capsys.readouterr()
    assert output.out.splitlines()[1] == "abstained  0.500  bad  (negative is likeliest, but below 0.6)"
    assert output.err == "1 of 2 texts below 0.6: abstained.\n"


@pytest.mark.parametrize("form", ["text", "jsonl", "csv"])
def test_output_file_holds_what_standard_output_would(form, model, capsys):
    assert run("good", "bad", "--format", form) == 0
    expected = capsys.readouterr().out
    Path("out").write_text("an old and much longer file\n" * 30)
    assert run("good", "bad", "--format", form, "--output", "out") == 0
    assert Path("out").read_text(encoding="utf-8") == expected
    assert capsys.readouterr().out == ""


def test_a_text_that_is_the_name_of_a_file_is_told(model, capsys):
    assert run(texts("good")) == 0
    output = capsys.readouterr()
    assert output.out.startswith("negative   0.500  reviews.txt")
    assert "--input reviews.txt reads the file" in output.err
    assert run("x" * 5000, "nul\0byte") == 0


def test_a_megabyte_is_one_text(model, capsys):
    assert run("--input", texts("good " * 2**18), "--format", "jsonl") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["probability"] == 1.0
    assert len(record["text"]) == 5 * 2**18


# -- mistakes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "no text; give one in quotes, or --input FILE, or --input - for standard input"),
        (["-"], "standard input is read with --input -"),
        (["good", "--input", "reviews.txt"], "do not go together"),
        (["good", "--format", "csv", "--explain"], "--format csv has no place for the weights"),
        (["good", "--abstain-below", "1.5"], "expected a probability from 0 to 1, got '1.5'"),
        (["good", "--abstain-below", "nan"], "expected 0 or a number above, got 'nan'"),
        (["good", "--batch-size", "0"], "expected a whole number of at least 1, got '0'"),
        (["good", "--format", "xml"], "invalid choice: 'xml'"),
    ],
)
def test_mistaken_options_end_with_status_2(argv, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(*argv)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--input", "absent.txt"], "There is no file absent.txt"),
        (["--input", "."], ". is a folder"),
        (["--input", "in.csv"], "must name the columns text; it names review"),
        (["good", "--output", "absent/out.txt"], "Cannot write absent/out.txt"),
        (["good", "--page", "absent/page.html"], "Cannot write absent/page.html"),
        (["--input", "in.csv", "--text-column", "review", "--output", "in.csv"], "is one of the inputs"),
        (["--input", "in.csv", "--text-column", "review", "--page", "in.csv"], "is one of the inputs"),
        (["good", "--output", "both", "--page", "both"], "--output and --page both name both"),
    ],
)
def test_what_cannot_be_done_is_told_before_any_work(argv, message, capsys):
    Path("in.csv").write_text("review\ngood\n")
    assert run(*argv) == 2  # and no model was loaded
    assert message in capsys.readouterr().err
    assert Path("in.csv").read_text() == "review\ngood\n"


def test_an_input_without_texts_is_an_error(model, capsys):
    assert run("--input", texts("", " ")) == 2
    assert "The input holds no texts" in capsys.readouterr().err


def test_an_exported_model_cannot_explain(model, capsys):
    assert run("good", "--explain") == 2
    assert "Name a preset or the run folder" in capsys.readouterr().err
    assert model.batches == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device /dev/full")
def test_full_disk_is_a_clear_error(model, capsys):
    assert run("good", "--output", "/dev/full") == 2
    assert "Cannot write /dev/full: No space left" in capsys.readouterr().err


# -- explanations ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def explainer():
    keras.utils.set_random_seed(5)
    labels = ("negative", "positive")
    return explain.Explainer(
        SentimentClassifier(VOCABULARY, labels, units=3, embedding_size=5, pooling="mean")
    )


@pytest.fixture
def reader(explainer, monkeypatch):
    monkeypatch.setattr(predict, "load_model", lambda name: explainer.model)
    monkeypatch.setattr(explain, "Explainer", lambda model: explainer)  # whose graph is made once
    return explainer


def test_explanations_are_written_in_all_forms(reader, capsys):
    assert run("A good film!", "", "--explain", "--format", "jsonl", "--page", "page.html") == 0
    record, empty = map(json.loads, capsys.readouterr().out.splitlines())
    expected = reader.explain("A good film!")
    assert [word["word"] for word in record["explanation"]["words"]] == ["a", "good", "film", "!"]
    found = [word["weight"] for word in record["explanation"]["words"]]
    np.testing.assert_allclose(found, expected.weights, atol=1e-4)
    assert record["explanation"]["label"] == record["label"] == expected.label
    assert record["deletion"][0]["probability"] == pytest.approx(record["probability"], abs=2e-4)
    assert empty["explanation"]["words"] == []
    page = Path("page.html").read_text(encoding="utf-8")
    assert page.count("<section>") == 2
    assert f'title="{expected.weights[1]:+.3f}">good<' in page
    assert run("A good film!", "--explain") == 0
    plain = capsys.readouterr().out
    assert f"{expected.weights[1]:+.2f} good" in plain
    assert "\033" not in plain
    assert run("A good film!", "--explain", "--color", "always") == 0
    assert "\033[" in capsys.readouterr().out


def test_a_page_implies_explanations_beside_csv(reader, capsys):
    assert run("good", "--page", "page.html", "--format", "csv") == 0
    assert "good" in capsys.readouterr().out
    assert 'title="' in Path("page.html").read_text()


def test_a_text_that_is_too_long_to_explain_is_answered_all_the_same(reader, monkeypatch, capsys):
    monkeypatch.setattr(explain, "LONGEST", 3)
    assert run("a good bad film", "--explain", "--page", "page.html") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert "(not explained: The text has 4 words" in line
    assert "a good bad film" in Path("page.html").read_text()


def test_no_page_is_written_when_the_run_fails(reader, monkeypatch):
    def fail(*_):
        raise UserError("no")

    Path("page.html").write_text("old")
    monkeypatch.setattr(predict, "render", fail)
    assert run("good", "--page", "page.html") == 2
    assert Path("page.html").read_text() == "old"


@pytest.mark.parametrize(
    ("choice", "output", "terminal", "environment", "expected"),
    [
        ("auto", None, True, {}, True),
        ("auto", None, False, {}, False),
        ("auto", Path("out"), True, {}, False),
        ("auto", None, True, {"NO_COLOR": "1"}, False),
        ("auto", None, True, {"NO_COLOR": ""}, True),
        ("auto", None, True, {"TERM": "dumb"}, False),
        ("always", Path("out"), False, {"NO_COLOR": "1"}, True),
        ("never", None, True, {}, False),
    ],
)
def test_colours(choice, output, terminal, environment, expected, monkeypatch):
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    assert wants_color(choice, output) is expected


# -- the process -----------------------------------------------------------------------------------------


def test_help_and_mistakes_need_no_keras():
    code = (
        "import sys, sentiment.predict as m\n"
        "for argv in (['--help'], ['a', '--input', 'b']):\n"
        "    try:\n        m.main(argv)\n"
        "    except SystemExit:\n        pass\n"
        "sys.exit(int(bool({'keras', 'tensorflow', 'sklearn'} & set(sys.modules))))"
    )
    where = {**os.environ, "PYTHONPATH": str(Path(predict.__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=where
    )
    assert done.returncode == 0, done.stderr
    assert "--abstain-below" in done.stdout
