import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from charlm import evaluate
from charlm.app import APP
from charlm.config import NETWORK, CharLMConfig
from charlm.evaluation import dynamic, measures
from charlm.evaluation.ngram import NGramModel, best_order
from charlm.model.char_lm import CharLM
from charlm.model.scoring import Scorer
from charlm.text.characters import CharacterVocabulary
from shared.runs.folder import RunFolder
from shared.system.cli import run_script

TEXT = "a bad cab faced a deaf bee,\nand a bee fed a cad.\n" * 7 + "\u00e9t\u00e9, a \u20ac bead\n" * 2


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """A folder with a text and the run of a small model on it."""
    folder = tmp_path_factory.mktemp("evaluate")
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    make_run(folder / "run", data=(str(folder / "text.txt"),))
    return folder


def make_run(path: Path, app: str = "charlm", **settings) -> CharLM:
    settings = {"units": 5, "depth": 1, "embedding_size": 3, "validation_fraction": 0.2, **settings}
    config = CharLMConfig(**settings)
    run = RunFolder.create(path, dataclasses.asdict(config), app)
    model = CharLM(CharacterVocabulary.build([TEXT[:300]]), **config.pick(NETWORK))
    model.vocabulary.save(run.vocabulary_file)
    run.save_best_weights(model)
    return model


@pytest.fixture
def run(work, capsys):
    """Runs the script on the model of `work`, unless options say otherwise; gives status, output, errors."""

    def call(*options, model="run"):
        status = run_script(evaluate.main, ["--model", str(work / model), *map(str, options)])
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


def split_of(text: str, split: str, fraction: float = 0.2) -> str:
    cut = int((1 - fraction) * len(text))
    return {"train": text[:cut], "validation": text[cut:], "all": text}[split]


# -- the figures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["train", "validation", "all"])
def test_carried_and_windowed_are_those_of_the_scorer(work, record, split):
    found, _ = record("--split", split, "--window", 7, "--no-baseline")
    model = APP.load(work / "run")
    text = split_of(TEXT, split)
    scorer = Scorer(model, window=7)
    ids = model.vocabulary.encode(text)
    for kind, score in (("carried", scorer.carried(ids)), ("windowed", scorer.windowed(ids))):
        figures = found["scores"][kind]
        assert figures["nats"] == pytest.approx(score.nats, rel=1e-6)
        assert figures["nats_per_character"] == pytest.approx(score.nats / (len(text) - 1), rel=1e-6)
        assert figures["bits_per_character"] == pytest.approx(score.bits_per_character, rel=1e-6)
        assert figures["perplexity"] == pytest.approx(score.perplexity, rel=1e-6)
    assert list(found["scores"]) == ["carried", "windowed"]
    assert found["scores"]["windowed"]["window"] == 7
    assert found["predicted_characters"] == len(text) - 1
    assert found["predicted_tokens"] == len(ids) - 1


def test_the_text_has_characters_that_the_vocabulary_lacks(record):
    found, _ = record("--no-baseline")
    assert found["predicted_tokens"] > found["predicted_characters"]


def test_the_baseline_is_fitted_and_chosen_on_the_training_part(work, record):
    found, out = record()
    vocabulary = APP.load(work / "run").vocabulary
    train = vocabulary.encode(split_of(TEXT, "train"))
    text = split_of(TEXT, "validation")
    order = best_order(train, len(vocabulary))
    nats = NGramModel.fit(train, len(vocabulary), order).nats(vocabulary.encode(text))[1:].sum()
    assert found["scores"]["baseline"]["order"] == order
    assert found["scores"]["baseline"]["nats_per_character"] == pytest.approx(nats / (len(text) - 1))
    assert f"Kneser-Ney {order}-gram" in out


def test_dynamic_evaluation_stands_beside_them(work, record):
    options = ("--dynamic", "--dynamic-segment", 7, "--dynamic-rate", 0.0003, "--dynamic-decay", 0.02)
    found, out = record(*options, "--no-baseline")
    model = APP.load(work / "run")
    train, ids = (model.vocabulary.encode(split_of(TEXT, split)) for split in ("train", "validation"))
    rms = dynamic.gradient_rms(model, train, segment=7)
    score = dynamic.dynamic(model, ids, rms=rms, segment=7, learning_rate=0.0003, decay=0.02)
    figures = found["scores"]["dynamic"]
    assert figures.pop("nats") == pytest.approx(score.nats, rel=1e-5)
    assert abs(score.nats - found["scores"]["carried"]["nats"]) > 0.01
    settings = {name: figures[name] for name in ("rule", "segment", "learning_rate", "decay")}
    assert settings == {"rule": "RMS", "segment": 7, "learning_rate": 0.0003, "decay": 0.02}
    assert "recurrent, dynamic, RMS every 7 tokens" in out


def test_the_command_line_has_the_settings_of_dynamic_evaluation(record):
    arguments = evaluate.parse_arguments([])
    assert (arguments.dynamic_segment, arguments.dynamic_decay) == (dynamic.SEGMENT, dynamic.DECAY)
    found, _ = record("--dynamic", "--no-baseline")
    assert found["scores"]["dynamic"]["learning_rate"] == dynamic.RATE
    found, _ = record("--dynamic", "--no-baseline", "--split", "all")
    assert found["scores"]["dynamic"]["learning_rate"] == dynamic.SGD_RATE
    assert found["scores"]["dynamic"]["rule"] == "SGD"
    assert any("plain SGD" in note for note in found["notes"])


# -- what is printed -------------------------------------------------------------------------------------


def test_the_table_names_model_data_rule_and_split(work, run):
    status, out, err = run("--window", 7)
    assert (status, err) == (0, "")
    heading, figures = out.split("\n\n", 1)
    assert heading.splitlines() == [
        f"model  {work / 'run'}: lstm, 1 x 5, 11 characters and 256 bytes",
        f"data   {work / 'text.txt'}: first 80 % train, last 20 % validation of 371 characters",
        "split  validation: 75 characters; all but the first are predicted",
    ]
    lines = figures.splitlines()
    assert lines[0].split() == ["nats/char", "bits/char", "perplexity"]
    assert [line[:33].strip() for line in lines[1:3]] == [
        "recurrent, carried",
        "recurrent, windowed, cold every 7",
    ]
    assert len({len(line) for line in lines}) == 1
    assert len(lines) == 4


def test_the_figures_printed_are_those_written(record):
    found, out = record("--window", 7)
    lines = [line for line in out.splitlines() if line.startswith(("recurrent", "Kneser"))]
    for line, figures in zip(lines, found["scores"].values(), strict=True):
        names = ("nats_per_character", "bits_per_character", "perplexity")
        assert line.split()[-3:] == [f"{figures[name]:.4f}" for name in names]


# -- data ------------------------------------------------------------------------------------------------


def test_data_and_fractions_are_those_of_the_run(work, record):
    found, _ = record("--no-baseline")
    assert found["data"] == [str(work / "text.txt")]
    assert (found["validation_fraction"], found["test_fraction"]) == (0.2, 0.0)
    assert found["rule"] == "first 80 % train, last 20 % validation of 371 characters"
    assert found["notes"] == []


def test_other_data_are_cut_as_the_run_cut_its_own_unless_told(work, record, tmp_path):
    (tmp_path / "a.txt").write_text("a bee\n" * 20)
    (tmp_path / "b.txt").write_text("a cab\n" * 20)
    found, _ = record("--data", tmp_path / "a.txt", tmp_path / "b.txt", "--no-baseline")
    assert found["rule"] == "first 80 % train, last 20 % validation of 240 characters"
    assert found["notes"] == []
    fractions = ("--validation-fraction", 0.1, "--test-fraction", 0.3)
    found, _ = record("--data", tmp_path, "--pattern", "b.*", *fractions, "--split", "test", "--no-baseline")
    assert found["rule"] == "first 60 % train, next 10 % validation, last 30 % test of 120 characters"
    assert found["predicted_characters"] == 35


def test_it_says_where_the_model_may_know_the_text(record):
    found, out = record("--validation-fraction", 0.5, "--no-baseline")
    assert found["notes"] == [
        "The text was split differently during training: the model may have seen parts of this split."
    ]
    assert out.endswith(f"\n\n{found['notes'][0]}\n")
    found, _ = record("--split", "train", "--no-baseline")
    assert found["notes"] == ["The model was trained on this text, or on most of it."]


@pytest.mark.parametrize("split", ["train", "all"])
def test_no_baseline_is_fitted_to_the_text_that_is_measured(record, split, tmp_path):
    (tmp_path / "a.txt").write_text("a bee\n" * 20)
    found, out = record("--data", tmp_path / "a.txt", "--split", split)
    assert list(found["scores"]) == ["carried", "windowed"]
    (note,) = found["notes"]
    assert note.startswith("No n-gram model: the training part")
    assert note in out


def test_the_whole_text_may_be_for_training(record, tmp_path):
    (tmp_path / "a.txt").write_text("a bee\n" * 20)
    found, _ = record("--data", tmp_path / "a.txt", "--validation-fraction", 0, "--split", "all")
    assert found["predicted_characters"] == 119


def test_hello_is_measured_on_what_is_trained_on(record):
    found, _ = record("--data", "hello")
    assert found["predicted_characters"] == 4
    assert list(found["scores"]) == ["carried", "windowed"]


def test_no_baseline_where_the_text_is_too_long_to_be_counted(record, monkeypatch):
    monkeypatch.setattr(measures, "LARGEST_COUNTED", 100)
    encode, encoded = measures.encode_split, []

    def watched(data, split, vocabulary):
        encoded.append(split)
        return encode(data, split, vocabulary)

    monkeypatch.setattr(measures, "encode_split", watched)
    found, _ = record()
    assert "baseline" not in found["scores"]
    characters = len(split_of(TEXT, "train"))
    (note,) = found["notes"]
    assert (
        note == f"No n-gram model: {characters} characters are more than the 100 that it can count in memory."
    )
    assert encoded == ["validation"]  # the training part may be larger than the disk


def test_figures_that_are_no_numbers_are_null(work, record):
    model = make_run(work / "diverged", data=(str(work / "text.txt"),))
    for weight in model.weights:
        weight.assign(np.full(weight.shape, 3e38))  # their sums are infinite
    RunFolder(work / "diverged", {}).save_best_weights(model)
    found, out = record("--no-baseline", model="diverged")
    assert found["scores"]["carried"]["nats_per_character"] is None
    assert "nan" in out


# -- what cannot be done ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--split", "dev"], "has no split 'dev'. Expected one of train, validation, or all."),
        (["--data", "nowhere.txt"], "Unknown data source 'nowhere.txt'"),
        (["--validation-fraction", "1.5"], "leave no text for training"),
        (["--data", "hello", "--split", "test"], "hello has no split 'test'"),
        (["--json", "no/such/folder/figures.json"], "Cannot write no/such/folder/figures.json"),
    ],
)
def test_bad_options_end_with_status_2(run, options, message):
    status, out, err = run(*options)
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1


def test_figures_may_not_destroy_the_text(run, tmp_path):
    (tmp_path / "book.txt").write_text(TEXT, encoding="utf-8")
    for source in ("book.txt", ""):  # the file, and the folder it lies in
        status, out, err = run("--data", tmp_path / source, "--json", tmp_path / "book.txt")
        assert (status, out) == (2, "")
        assert "book.txt is one of the inputs; writing would destroy it" in err
    assert (tmp_path / "book.txt").read_text(encoding="utf-8") == TEXT


@pytest.mark.parametrize("text", ["a" * 5, "\u20ac" * 5])
def test_a_split_of_one_character_is_too_short(run, tmp_path, text):
    (tmp_path / "short.txt").write_text(text, encoding="utf-8")
    status, _, err = run("--data", tmp_path / "short.txt")
    assert status == 2
    assert "has 1 character. Expected at least 2" in err


def test_an_empty_file_is_an_error(run, tmp_path):
    (tmp_path / "empty.txt").touch()
    status, _, err = run("--data", tmp_path / "empty.txt")
    assert status == 2
    assert "is empty" in err


def test_there_must_be_such_a_model(run):
    status, _, err = run(model="nothing")
    assert status == 2
    assert "There is no model" in err


def test_a_run_of_another_application_is_refused(work, run):
    make_run(work / "captions", app="captioning", data=(str(work / "text.txt"),))
    status, _, err = run(model="captions")
    assert status == 2
    assert "holds a run of 'captioning'; expected one of 'charlm'" in err


def test_an_edited_vocabulary_is_refused(work, run):
    make_run(work / "edited", data=(str(work / "text.txt"),))
    file = work / "edited" / "vocabulary.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"b"', '"q"'), encoding="utf-8")
    status, _, err = run(model="edited")
    assert status == 2
    assert "vocabulary.json" in err
    assert "changed" in err


def test_a_run_without_a_checkpoint_is_refused(work, run):
    make_run(work / "young", data=(str(work / "text.txt"),))
    (work / "young" / "best.safetensors").unlink()
    status, _, err = run(model="young")
    assert status == 2
    assert "has no checkpoint yet" in err


def test_standard_input_of_the_training_cannot_be_read_again(work, run):
    make_run(work / "piped", data=("-",))
    status, _, err = run(model="piped")
    assert status == 2
    assert "was trained on standard input. Name a text with --data." in err
    assert run("--data", work / "text.txt", "--no-baseline", model="piped")[0] == 0


# -- exported models -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "does not say what it was trained on. Name a text with --data."),
        (["--data", "hello", "--dynamic"], "is an exported SavedModel, which can be neither trained nor"),
    ],
)
def test_an_exported_model_knows_no_data_and_does_not_learn(work, run, options, message):
    folder = work / "only-named"
    folder.mkdir(exist_ok=True)
    (folder / "saved_model.pb").touch()
    (folder / "charlm.json").touch()
    status, out, err = run(*options, model="only-named")
    assert (status, out) == (2, "")
    assert message in err


# -- the command line ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        ["--window", "0"],
        ["--window", "many"],
        ["--dynamic-segment", "0"],
        ["--dynamic-rate", "-1"],
        ["--dynamic-rate", "nan"],
        ["--dynamic-decay", "1.5"],
        ["--test-fraction", "-0.1"],
        ["--colour"],
    ],
)
def test_mistaken_options_end_with_status_2(options, capsys):
    with pytest.raises(SystemExit) as stopped:
        evaluate.main(options)
    assert stopped.value.code == 2
    assert "error: " in capsys.readouterr().err
