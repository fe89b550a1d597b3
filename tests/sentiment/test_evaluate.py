import csv
import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest

from sentiment import evaluate
from sentiment.app import APP
from sentiment.config import SentimentConfig
from sentiment.data.labels import save_labels
from sentiment.data.load import load_reviews
from sentiment.evaluation import comparison
from sentiment.evaluation.baseline import NBSVM
from sentiment.evaluation.metrics import measure
from sentiment.model.classifier import SentimentClassifier
from sentiment.text.words import split_words
from shared.runs.folder import RunFolder
from shared.system.cli import run_script
from shared.text.vocabulary import Vocabulary

WORDS = {
    "bad": ("dull", "awful", "bad", "boring"),
    "fine": ("fair", "fine", "okay", "decent"),
    "good": ("great", "lovely", "superb", "good"),
}


def sentence(label: str, number: int) -> str:
    """A text whose label is plain to see in three texts of four."""
    names = sorted(WORDS)
    seen = label if number % 4 else names[(names.index(label) + 1) % 3]
    return f"number {number} was {WORDS[seen][number % 4]} " + "and so on " * (number % 7 * 12)


def write_rows(path: Path, rows, columns=("text", "label", "split")) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([columns, *rows])
    return path


def rows_of(split: str, count: int, labels=("bad", "fine", "good"), first: int = 0):
    return [(sentence(label, n), label, split) for n in range(first, first + count) for label in labels]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a table of reviews and the run of a small model on it."""
    folder = tmp_path_factory.mktemp("evaluate")
    rows = rows_of("train", 31) + rows_of("validation", 11, first=31) + rows_of("test", 5, first=50)
    write_rows(folder / "reviews.csv", rows)
    make_run(folder / "run", data=(str(folder / "reviews.csv"),))
    return folder


def make_run(path: Path, app: str = "sentiment", labels=("bad", "fine", "good"), **settings):
    settings = {"units": 5, "embedding_size": 7, "seed": 3, **settings}
    config = SentimentConfig(**settings)
    run = RunFolder.create(path, dataclasses.asdict(config), app)
    words = sorted({word for some in WORDS.values() for word in some} | {"number", "was", "so", "on"})
    model = SentimentClassifier.from_settings(config, Vocabulary((*Vocabulary.SPECIALS, *words)), labels)
    model.temperature = 0.5
    model.vocabulary.save(run.vocabulary_file)
    save_labels(run, labels)
    run.save_best_weights(model)
    return model


@pytest.fixture(scope="module", autouse=True)
def loaded():
    """Each run is loaded once, so that its graph is there already when it is measured again."""
    runs = {}

    def load_run(run):
        if run.path not in runs:
            runs[run.path] = APP.load_run(run)
        return runs[run.path]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "APP", dataclasses.replace(APP, load_run=load_run))
        yield


@pytest.fixture
def run(place, capsys):
    """Runs the script on the model of `place`, unless options say otherwise; gives status, output, errors."""

    def call(*options, model="run"):
        status = run_script(evaluate.main, ["--model", str(place / model), *map(str, options)])
        return status, *capsys.readouterr()

    return call


@pytest.fixture
def record(run, tmp_path):
    """What the script writes to a file when it is run with options, and what it prints."""

    def call(*options, **more):
        status, out, err = run("--json", tmp_path / "figures.json", *options, **more)
        assert status == 0, err
        return json.loads((tmp_path / "figures.json").read_text(encoding="utf-8")), out

    return call


# -- the figures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("split", "count"), [("validation", 33), ("test", 15), ("train", 93), ("all", 141)])
def test_figures_are_those_of_the_models_probabilities(place, record, split, count):
    found, _ = record("--split", split, "--no-baseline")
    model = evaluate.APP.load(place / "run")
    reviews = load_reviews(place / "reviews.csv").split(split)
    likely = model.probabilities([review.text for review in reviews])
    expected = measure(likely, [model.labels.index(review.label) for review in reviews])
    assert (found["texts"], len(reviews)) == (count, count)
    assert list(found["scores"]) == ["model"]
    figures = found["scores"]["model"]
    for name in ("accuracy", "macro_f1", "auc", "log_loss", "calibration_error"):
        assert figures[name] == pytest.approx(getattr(expected, name), rel=1e-5)
    assert figures["confusion"] == expected.confusion.tolist()
    assert figures["f1"] == dict(zip(("bad", "fine", "good"), expected.f1, strict=True))


def test_measures_by_words_count_every_text(place, record):
    figures = record("--no-baseline")[0]["scores"]["model"]
    reviews = load_reviews(place / "reviews.csv").split("validation")
    words = np.array([len(split_words(review.text)) for review in reviews])
    ends = [(0, 5), (6, 10), (11, 25), (26, 100), (101, 400)]
    counts = [int(((words >= low) & (words <= high)).sum()) for low, high in ends]
    assert min(counts[0], *counts[3:]) >= 3
    assert [stretch["examples"] for stretch in figures["by_words"]] == [*counts, 0]
    assert [stretch["last"] for stretch in figures["by_words"]] == [5, 10, 25, 100, 400, None]
    right = sum(stretch["examples"] * (stretch["accuracy"] or 0) for stretch in figures["by_words"])
    assert right == pytest.approx(figures["accuracy"] * 33)
    assert (figures["by_words"][-1]["accuracy"], figures["by_words"][-1]["calibration_error"]) == (None, None)
    assert all(
        0 <= stretch["calibration_error"] <= 1 for stretch in figures["by_words"] if stretch["examples"]
    )


def test_texts_without_enough_known_words_are_counted(place, record, tmp_path):
    rows = [("was great", "good"), ("war wunderbar", "good"), ("so und so oder anders auch nicht", "bad")]
    odd = write_rows(tmp_path / "odd.csv", rows, ("text", "label"))
    found, out = record("--data", odd, "--split", "all", "--no-baseline")
    assert found["scores"]["model"]["withheld"] == 2
    assert "2 of 3 texts have too few known words, and sentiment.predict withholds their labels." in out


def test_the_baseline_is_fitted_to_the_training_part(place, record):
    found, out = record("--split", "test")
    data = load_reviews(place / "reviews.csv")
    baseline = NBSVM().fit(data.split("train"))
    reviews = data.split("test")
    likely = baseline.probabilities([review.text for review in reviews])
    expected = measure(likely, [baseline.labels.index(review.label) for review in reviews])
    figures = found["scores"]["baseline"]
    assert figures["log_loss"] == pytest.approx(expected.log_loss)
    assert figures["accuracy"] == pytest.approx(expected.accuracy)
    assert expected.accuracy > 0.5
    assert (figures["longest"], figures["strength"], figures["beta"]) == (2, 1.0, 1.0)
    assert "NB-SVM of 1 to 2 words" in out


# -- what is printed -------------------------------------------------------------------------------------


def test_the_tables_name_model_data_rule_and_split(place, run):
    status, out, err = run()
    assert (status, err) == (0, "")
    heading, figures, by_words, confusion, notes = out.split("\n\n")
    assert heading.splitlines() == [
        f"model  {place / 'run'}: bidirectional lstm, 1 x 5, pooling concat, 20 words",
        f"data   {place / 'reviews.csv'}: as the source has it; train 93, validation 33, test 15",
        "split  validation: 33 texts; bad 11, fine 11, good 11",
    ]
    lines = figures.splitlines()
    assert lines[0].split() == ["accuracy", "macro", "F1", "AUC", "log", "loss", "ECE"]
    names = ["recurrent network", "NB-SVM of 1 to 2 words"]
    assert [line[:22].strip() for line in lines[1:]] == names
    lines = by_words.splitlines()
    assert re.findall(r"\d+ \w+ \w+", lines[0]) == [
        "0 to 5",
        "6 to 10",
        "11 to 25",
        "26 to 100",
        "101 to 400",
        "401 or more",
    ]
    titles = ["texts", *(f"{metric}, {name}" for metric in ("accuracy", "ECE") for name in names)]
    assert [line[:32].strip() for line in lines[1:]] == titles
    assert all(line.split()[-1] == "-" for line in lines[2:])
    lines = confusion.splitlines()
    assert lines[0].split() == ["right,", "taken", "for", "bad", "fine", "good", "F1"]
    assert [line.split()[0] for line in lines[1:]] == ["bad", "fine", "good"]
    for block in (figures, by_words, confusion):
        assert len({len(line) for line in block.splitlines()}) == 1
    assert notes == "Training chose the best weights and the temperature by this split.\n"


def test_the_figures_printed_are_those_written(record):
    found, out = record()
    first, by_words, confusion = (block.splitlines() for block in out.split("\n\n")[1:4])
    names = ("accuracy", "macro_f1", "auc", "log_loss", "calibration_error")
    for line, figures in zip(first[1:], found["scores"].values(), strict=True):
        assert line.split()[-5:] == [f"{figures[name]:.4f}" for name in names]
    names = ("accuracy", "calibration_error")
    rows = [(figures, name) for name in names for figures in found["scores"].values()]
    for line, (figures, name) in zip(by_words[2:], rows, strict=True):
        values = [stretch[name] for stretch in figures["by_words"]]
        assert line.split()[-6:] == ["-" if value is None else f"{value:.4f}" for value in values]
    counts = [[int(count) for count in line.split()[1:4]] for line in confusion[1:]]
    assert counts == found["scores"]["model"]["confusion"]


def test_all_settings_are_written(place, record):
    found, _ = record("--no-baseline")
    assert found["model"] == str(place / "run")
    assert found["network"]["units"] == 5
    assert found["temperature"] == 0.5
    assert found["labels"] == ["bad", "fine", "good"]
    assert found["data"] == [str(place / "reviews.csv")]
    assert (found["text_column"], found["validation_fraction"], found["seed"]) == ("text", 0.1, 3)
    assert found["split"] == "validation"


def test_predictions_are_one_line_a_text(place, run, tmp_path):
    assert run("--predictions", tmp_path / "said.jsonl", "--no-baseline")[0] == 0
    lines = (tmp_path / "said.jsonl").read_text(encoding="utf-8").splitlines()
    model = evaluate.APP.load(place / "run")
    reviews = load_reviews(place / "reviews.csv").split("validation")
    likely = model.probabilities([review.text for review in reviews])
    for line, review, row in zip(lines, reviews, likely, strict=True):
        found = json.loads(line)
        predicted = model.labels[row.argmax()]
        assert (found["place"], found["text"], found["label"]) == (review.place, review.text, review.label)
        assert (found["predicted"], found["right"]) == (predicted, predicted == review.label)
        assert list(found["probabilities"]) == list(model.labels)
        assert list(found["probabilities"].values()) == pytest.approx(row.tolist(), abs=1e-5)
    assert {json.loads(line)["right"] for line in lines} == {False, True}


# -- data ------------------------------------------------------------------------------------------------


def test_other_data_are_read_as_the_runs_own_unless_told(place, record, tmp_path):
    source = write_rows(
        tmp_path / "more.csv", [(*row[:2], "-") for row in rows_of("", 20)], ("body", "class", "x")
    )
    options = ("--data", source, "--text-column", "body", "--label-column", "class", "--no-baseline")
    found, _ = record(*options)
    assert found["rule"].startswith(
        "validation is 10 % of train, class by class, chosen by a hash of text and seed 3"
    )
    assert (found["text_column"], found["texts"], found["notes"]) == ("body", 6, [])
    found, _ = record(*options, "--validation-fraction", 0.3, "--seed", 5, "--split", "train")
    assert "seed 5" in found["rule"]
    assert found["texts"] == 42


def test_the_split_may_have_another_name(record, tmp_path):
    rows = rows_of("train", 7) + rows_of("dev", 3, first=7)
    source = write_rows(tmp_path / "parts.csv", rows, ("text", "label", "part"))
    found, _ = record("--data", source, "--split-column", "part", "--no-baseline")
    assert found["texts"] == 9
    assert found["split_column"] == "part"


def test_it_says_where_the_model_may_know_the_texts(place, record):
    found, out = record("--seed", 4, "--no-baseline")
    (note,) = found["notes"]
    assert note.startswith("This source was split differently during training")
    assert out.endswith(f"\n\n{note}\n")
    assert record("--split", "train", "--no-baseline")[0]["notes"] == [
        "The model was trained on these texts, or on most of them."
    ]
    assert record("--split", "test", "--no-baseline")[0]["notes"] == []


def test_bad_rows_are_told_and_the_others_measured(run, tmp_path):
    source = write_rows(tmp_path / "holes.csv", [*rows_of("validation", 3), ("", "good", "validation")])
    status, out, err = run("--data", source, "--no-baseline")
    assert status == 0
    assert "9 texts" in out
    assert "holes.csv:11" in err
    assert "rows left out: 1" in err


# -- labels ----------------------------------------------------------------------------------------------


@pytest.fixture
def mixed(tmp_path) -> Path:
    rows = rows_of("validation", 3) + [("so so", "mixed", "validation")] * 2 + [("?", "odd", "validation")]
    return write_rows(tmp_path / "mixed.csv", rows)


def test_labels_unknown_to_the_model_are_an_error(run, mixed):
    status, out, err = run("--data", mixed)
    assert (status, out) == (2, "")
    assert err == (
        f"error: 3 of 12 texts in the split 'validation' of {mixed} have labels that the model does not "
        "know: 'mixed' (2), 'odd' (1). Expected 'bad', 'fine', 'good'. Leave them out with "
        "--skip-unknown-labels, or say what they are called in the model: --labels mixed=LABEL,odd=LABEL\n"
    )


def test_texts_of_unknown_labels_can_be_left_out(record, mixed, tmp_path):
    predictions = tmp_path / "said.jsonl"
    options = ("--skip-unknown-labels", "--no-baseline", "--predictions", predictions)
    found, out = record("--data", mixed, *options)
    (note,) = found["notes"]
    assert note.startswith(
        "3 of 12 texts were left out, because the model does not know their labels: 'mixed' (2)"
    )
    assert note in out
    known = write_rows(mixed.with_name("known.csv"), rows_of("validation", 3))
    expected, _ = record("--data", known, "--no-baseline")
    assert found["scores"] == expected["scores"]
    assert (found["texts"], len(predictions.read_text(encoding="utf-8").splitlines())) == (9, 9)


@pytest.mark.parametrize("options", [[], ["--skip-unknown-labels"]])
def test_where_no_label_is_known_there_is_nothing_to_measure(run, tmp_path, options):
    source = write_rows(tmp_path / "stars.csv", [("text", f"{n} stars", "validation") for n in range(12)])
    status, _, err = run("--data", source, *options)
    assert status == 2
    assert err.count("(1)") == 10
    assert (
        "and 2 more. Expected 'bad', 'fine', 'good'. Say what they are called in the model: --labels '0 s"
        in err
    )


def test_labels_of_the_model_may_be_absent(record, tmp_path):
    source = write_rows(tmp_path / "one.csv", rows_of("validation", 5, labels=["good"]))
    found, out = record("--data", source)
    assert found["scores"]["model"]["auc"] is None
    assert found["scores"]["model"]["confusion"][0] == [0, 0, 0]
    assert "bad 0, fine 0, good 5" in out


# -- the baseline ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["train", "all"])
def test_no_baseline_is_fitted_to_what_is_measured(record, split):
    found, out = record("--split", split)
    assert list(found["scores"]) == ["model"]
    assert found["notes"][-1].startswith(
        "No NB-SVM baseline: it would be measured on the texts that it is fitted to"
    )
    assert found["notes"][-1] in out


def test_no_baseline_without_a_training_part(record, tmp_path):
    source = write_rows(tmp_path / "test.csv", rows_of("test", 3))
    found, _ = record("--data", source, "--split", "test")
    assert list(found["scores"]) == ["model"]
    assert found["notes"] == [f"No NB-SVM baseline: {source} has no split train to fit it to."]


def test_no_baseline_where_the_training_part_is_too_long_to_be_counted(record, monkeypatch):
    monkeypatch.setattr(comparison, "LARGEST_COUNTED", 100)
    found, _ = record()
    assert list(found["scores"]) == ["model"]
    assert "characters, more than the 100 that it can count in memory." in found["notes"][-1]


# -- what cannot be done ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--split", "dev"], "has no split 'dev'. Expected one of train, validation, test, or all."),
        (["--data", "nowhere.csv"], "Unknown data source 'nowhere.csv'"),
        (["--text-column", "body"], "body"),
        (["--validation-fraction", "1.5"], "--validation-fraction must lie in (0, 1), not 1.5."),
        (["--json", "no/such/folder/figures.json"], "Cannot write no/such/folder/figures.json"),
        (["--predictions", "no/such/folder/said.jsonl"], "Cannot write no/such/folder/said.jsonl"),
    ],
)
def test_bad_options_end_with_status_2(run, options, message):
    status, out, err = run(*options)
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("option", ["--json", "--predictions"])
def test_no_output_may_destroy_the_texts(run, tmp_path, option):
    source = write_rows(tmp_path / "reviews.csv", rows_of("validation", 3))
    for label in ("good", "bad"):
        (tmp_path / "classes" / label).mkdir(parents=True)
        for number in range(3):
            (tmp_path / "classes" / label / f"{number}.txt").write_text(sentence(label, number))
    for data, file in ((source, source), (tmp_path / "classes", tmp_path / "classes" / "good" / "1.txt")):
        before = file.read_text(encoding="utf-8")
        status, out, err = run("--data", data, option, file)
        assert (status, out) == (2, "")
        assert f"{file} is one of the inputs; writing would destroy it" in err
        assert file.read_text(encoding="utf-8") == before


def test_figures_and_predictions_are_two_files(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, _, err = run("--json", "out.json", "--predictions", tmp_path / "out.json")
    assert status == 2
    assert "--json and --predictions both name out.json. Name two files." in err
    assert not list(tmp_path.iterdir())


def test_probabilities_that_are_no_numbers_are_an_error(place, run, monkeypatch):
    monkeypatch.setattr("shared.runs.weights.check_finite", lambda arrays: None)
    model = make_run(place / "diverged", data=(str(place / "reviews.csv"),))
    model.output_layer.bias.assign(np.full(3, np.nan))
    RunFolder(place / "diverged", {}).save_best_weights(model)
    status, out, err = run(model="diverged")
    assert (status, out) == (2, "")
    assert "gives 33 of 33 texts probabilities that are not numbers" in err


def test_there_must_be_such_a_model(run):
    status, _, err = run(model="nothing")
    assert status == 2
    assert "There is no model" in err


def test_a_run_of_another_application_is_refused(place, run):
    make_run(place / "captions", app="captioning", data=(str(place / "reviews.csv"),))
    status, _, err = run(model="captions")
    assert status == 2
    assert "holds a run of 'captioning'; expected one of 'sentiment'" in err


def test_a_run_without_a_checkpoint_is_refused(place, run):
    make_run(place / "young", data=(str(place / "reviews.csv"),))
    (place / "young" / "best.safetensors").unlink()
    status, _, err = run(model="young")
    assert status == 2
    assert "has no checkpoint yet" in err


# -- exported models -------------------------------------------------------------------------------------


def test_an_exported_model_is_measured_like_the_run(small_run, small_export, record, tmp_path):
    rows = [(f"{word} film {n}", label, split) for split in ("train", "validation") for n in range(3)
            for word, label in (("good", "g\u00f6od"), ("bad", "bad"), ("so so", "so so"))]  # fmt: skip
    options = ("--data", write_rows(tmp_path / "reviews.csv", rows))
    expected, _ = record(*options, model=small_run.path)
    found, out = record(*options, model=small_export)
    for kind in ("model", "baseline"):
        assert found["scores"][kind]["log_loss"] == pytest.approx(
            expected["scores"][kind]["log_loss"], rel=1e-4
        )
        assert found["scores"][kind]["confusion"] == expected["scores"][kind]["confusion"]
    assert (found["temperature"], found["notes"]) == (pytest.approx(1.7), [])
    assert "bidirectional lstm, 1 x 5" in out


def test_an_exported_model_knows_no_data(place, run):
    folder = place / "only-named"
    folder.mkdir(exist_ok=True)
    for name in ("saved_model.pb", "sentiment.json"):
        (folder / name).touch()
    status, out, err = run(model="only-named")
    assert (status, out) == (2, "")
    assert "is an exported model, which does not know what it was trained on. Name labelled texts with" in err


# -- the command line ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [["--validation-fraction", "-1"], ["--validation-fraction", "nan"], ["--seed", "-1"], ["--colour"]],
)
def test_mistaken_options_end_with_status_2(options, capsys):
    with pytest.raises(SystemExit) as stopped:
        evaluate.main(options)
    assert stopped.value.code == 2
    assert "error: " in capsys.readouterr().err
