import csv
import dataclasses
import io
import json
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from sentiment import predict
from sentiment.app import APP
from sentiment.model.classifier import SentimentClassifier
from sentiment.prediction import explain
from shared.system.cli import UserError, run_script
from shared.text.vocabulary import Vocabulary

VOCABULARY = Vocabulary((*Vocabulary.SPECIALS, "a", "good", "bad", "film"))


def application(load_run):
    """The application with another way to load a run; its presets are found all the same."""
    return dataclasses.replace(APP, load_run=load_run)


@pytest.fixture
def model(fake_model, monkeypatch):
    monkeypatch.setattr(predict, "APP", application(lambda run: fake_model))
    return fake_model


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(predict, "APP", application(lambda run: pytest.fail("the model was loaded")))
    return tmp_path


def run(*argv):
    return run_script(predict.main, [str(argument) for argument in argv])


def texts(*lines):
    Path("reviews.txt").write_text("".join(f"{line}\n" for line in lines))
    return "reviews.txt"


# -- the command line ------------------------------------------------------------------------------------


def test_texts_of_the_command_line(model, capsys):
    assert run("a good film", "", "!!!", "gut good xyz plugh", "--model", "imdb") == 0
    output = capsys.readouterr()
    assert output.out.splitlines() == [
        "positive   0.750  a good film",
        "withheld   0.500  (no words)",
        "withheld   0.500  !!!  (no words, only symbols or unknown numbers)",
        "withheld   0.750  gut good xyz plugh  (the model knows only 1 of 4 words)",
    ]
    assert output.err == (
        "3 of 4 labels withheld: the model does not know enough of the words. --force gives a label all the "
        "same.\n"
    )


def test_a_withheld_label_is_given_by_force_with_the_reason_as_a_note(model, capsys):
    assert run("gut good xyz plugh", "--format", "csv", "--force") == 0
    output = capsys.readouterr()
    (row,) = csv.DictReader(io.StringIO(output.out))
    assert (row["label"], row["note"]) == ("positive", "the model knows only 1 of 4 words")
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
    assert [record["label"] for record in records] == ["positive", None, None, None, None]
    lines = output.err.splitlines()
    assert [line.partition(": ")[0] for line in lines[:3]] == [f"in.jsonl:{line}" for line in (2, 3, 4)]
    assert lines[3] == "3 of 5 texts could not be used."
    assert lines[4].startswith("1 of 5 labels withheld")


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


def test_bad_lines_are_named_also_where_the_results_go_to_a_file(model, capsys):
    Path("in.jsonl").write_text('{"text": "good"}\n{"text":\n')
    assert run("--input", "in.jsonl", "--output", "out.csv", "--format", "csv") == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("in.jsonl:2: ")


@pytest.mark.parametrize("form", ["text", "jsonl", "csv"])
def test_output_file_holds_what_standard_output_would(form, model, capsys):
    assert run("good", "bad", "--format", form) == 0
    expected = capsys.readouterr().out
    Path("out").write_text("an old and much longer file\n" * 30)
    assert run("good", "bad", "--format", form, "--output", "out") == 0
    assert Path("out").read_text(encoding="utf-8") == expected
    assert capsys.readouterr().out == ""


def test_a_text_that_is_the_name_of_a_file_is_told(model, capsys):
    assert run(texts("good"), "--force") == 0
    output = capsys.readouterr()
    assert output.out.startswith("negative   0.500  reviews.txt")
    assert output.err == "treating 'reviews.txt' as text; use --input reviews.txt to read the file\n"
    assert run("x" * 5000, "nul\0byte") == 0


def test_a_megabyte_is_one_text(model, capsys):
    assert run("--input", texts("good " * 2**18), "--format", "jsonl") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["probability"] == 1.0
    assert len(record["text"]) == 5 * 2**18


def test_an_export_predicts_what_its_run_predicts(small_run, small_export, odd_texts, monkeypatch, capsys):
    monkeypatch.setattr(predict, "APP", APP)
    texts = [text for text in odd_texts if "\ud800" not in text]
    said = []
    for path in (small_run.path, small_export):
        assert run("--model", path, "--format", "jsonl", "--", *texts) == 0
        said.append([json.loads(line) for line in capsys.readouterr().out.splitlines()])
    for one, other in zip(*said, strict=True):
        assert one["label"] == other["label"]
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-4)


# -- mistakes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "no text; give one in quotes, or --input FILE, or --input - for standard input"),
        (["-"], "standard input is read with --input -"),
        (["good", "--input", "reviews.txt"], "do not go together"),
        (["good", "--format", "csv", "--explain"], "--format csv cannot hold the weights"),
        (["good", "--abstain-below", "1.5"], "expected a number from 0 to 1, got '1.5'"),
        (["good", "--abstain-below", "nan"], "expected 0 or a number above, got 'nan'"),
        (["good", "--batch-size", "0"], "expected a whole number of at least 1, got '0'"),
        (["good", "--format", "xml"], "invalid choice: 'xml'"),
        (["--input", "https://a.org/b.csv"], "https://a.org/b.csv is a URL; download it first and give the"),
        (["good", "--outputs", "a"], "Did you mean --output?"),
    ],
)
def test_mistaken_options_end_with_status_2(argv, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(*argv)
    assert stopped.value.code == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


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
        (["good", "--model", "absent"], "There is no model 'absent'"),
        (["good", "--model", "https://a.org/b"], "https://a.org/b is a URL"),
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


@pytest.mark.parametrize("option", ["--explain", "--page=page.html"])
def test_an_exported_model_cannot_explain(option, capsys):
    Path("exported").mkdir()
    for name in ("saved_model.pb", "sentiment.json"):
        Path("exported", name).touch()
    assert run("good", option, "--model", "exported") == 2
    assert "Name a preset or the run folder" in capsys.readouterr().err


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
    monkeypatch.setattr(predict, "APP", application(lambda run: explainer.model))
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
    assert (empty["label"], empty["reason"], "explanation" in empty) == (None, "no words", False)
    page = Path("page.html").read_text(encoding="utf-8")
    assert page.count("<section>") == 2
    assert "<strong>withheld</strong>" in page
    assert "<p>no words</p>" in page
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
