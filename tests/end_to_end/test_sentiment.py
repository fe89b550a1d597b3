"""Train, evaluate, predict, export, and go on after Ctrl-C: the scripts as processes, on a small table."""

import csv
import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

VERDICTS = {"bad": ("dull", "awful"), "good": ("superb", "lovely")}
PLAIN = ("the", "film", "about", "a", "house", "by", "the", "sea", "with", "songs", "in", "it")
SMALL = shlex.split(
    "--cell gru --pooling max --units 5 --embedding-size 5 --window 16 --batch-size 7 --min-count 1 "
    "--learning-rate 0.1 --average-decay 0.7 --dropout 0.05 --word-dropout 0.05 --input-dropout 0.05 "
    "--output-dropout 0.05 --precision float32"
)
PRETRAIN = shlex.split(
    "--pretrain-window 5 --pretrain-batch-size 3 --pretrain-epochs 2 --samples 31 --no-bidirectional"
)

# Runs the training script, and sends its own process the signal of Ctrl-C in the language model's third step.
INTERRUPTED = """
import os, signal, sys
from sentiment import train
from shared.system.cli import run_script
from shared.training.windows import TextWindows

def windows(self, epoch, plain=TextWindows.__call__):
    for step, batch in enumerate(plain(self, epoch), 1):
        if (epoch, step) == (1, 3):
            os.kill(os.getpid(), signal.SIGINT)
        yield batch

TextWindows.__call__ = windows
raise SystemExit(run_script(train.main, sys.argv[1:]))
"""

# What somebody does who has the exported folder and TensorFlow, and nothing of this project.
ALONE = """
import json, sys
import tensorflow as tf
model, *texts = sys.argv[1:]
answer = tf.saved_model.load(model).signatures["serving_default"](texts=tf.constant(texts))
assert not {"sentiment", "shared"} & set(sys.modules), "the project was imported"
labels = [name.decode() for name in answer["labels"].numpy()]
print(json.dumps([labels, answer["probabilities"].numpy().tolist()]))
"""

LONG = "the film with songs " * 6
PLAIN_TEXT = "a superb house by the sea"
TEXTS = {"A superb film!": "good", "dull": "bad", LONG + "lovely": "good", "awful " + LONG: "bad"}


@pytest.fixture(scope="session")
def script(python):
    """Runs `python -m sentiment.NAME`."""
    return lambda name, *arguments, **options: python("-m", f"sentiment.{name}", *arguments, **options)


@pytest.fixture(scope="session")
def table(tmp_path_factory) -> Path:
    random, rows = np.random.default_rng(1), []
    for number in range(200):
        label = ("bad", "good")[number % 2]
        words = [PLAIN[place] for place in random.integers(0, len(PLAIN), random.choice([7, 20]))]
        words[random.integers(len(words))] = VERDICTS[label][random.integers(2)]
        # Whoever wrote one in seventeen meant the opposite.
        rows.append((" ".join(words), label if number % 17 else {"bad": "good", "good": "bad"}[label]))
    file = tmp_path_factory.mktemp("reviews") / "reviews.csv"
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("text", "label"), *rows])
    return file


@pytest.fixture(scope="session")
def options(table) -> list:
    """Options of training, with a language model."""
    more = table.with_name("more.txt")
    more.write_text("Rabbits ran by the sea. " * 9, encoding="utf-8")
    options = ["--data", table, *SMALL, "--epochs", 6, "--validation-fraction", 0.2]
    return [*options, "--pretrain", more, *PRETRAIN]


@pytest.fixture(scope="session")
def trained(options, script, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "reviews"
    done = script("train", *options, "--out", run)
    assert "validation is 20 % of train" in done.stdout
    assert "of 40 validation texts right" in done.stdout
    return run


@pytest.fixture(scope="session")
def exported(trained, script, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("exports") / "reviews"
    done = script("export", "--model", trained, "--out", folder)
    assert f"Wrote {folder}." in done.stdout
    return folder


def test_training_leaves_a_whole_run_folder(trained):
    files = {"config.json", "vocabulary.json", "labels.json", "best.safetensors", "last.npz", "history.csv"}
    files |= {"previous.npz", ".lock"}
    assert {file.name for file in trained.iterdir()} == {
        *files,
        "curves.svg",
        "diagnostics.jsonl",
        "tensorboard",
        "language_model",
    }


def test_evaluate_prints_the_model_beside_the_baseline(trained, script, tmp_path):
    done = script(
        "evaluate",
        "--model",
        trained,
        "--json",
        tmp_path / "scores.json",
        "--predictions",
        tmp_path / "p.jsonl",
    )
    for part in ("accuracy", "log loss", "NB-SVM", "validation is 20 %"):
        assert part in done.stdout, done.stdout
    record = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert (record["texts"], record["labels"]) == (40, ["bad", "good"])
    rows = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text(encoding="utf-8").splitlines()]
    assert sum(row["right"] for row in rows) >= 34  # of 40, where three are wrong in the table


@pytest.fixture(scope="session")
def predicted(trained, script, tmp_path_factory) -> tuple[list[dict], str]:
    """What the run predicts, with explanations, and the page of them."""
    page = tmp_path_factory.mktemp("pages") / "page.html"
    options = ("--model", trained, "--format", "jsonl", "--explain", "--page", page)
    done = script("predict", *options, "--", *TEXTS, PLAIN_TEXT)
    return [json.loads(line) for line in done.stdout.splitlines()], page.read_text(encoding="utf-8")


def test_the_export_needs_tensorflow_alone_and_says_what_the_run_says(predicted, exported, python, tmp_path):
    moved = shutil.copytree(exported, tmp_path / "moved")
    labels, likely = json.loads(python("-I", "-c", ALONE, moved, *TEXTS, cwd=tmp_path).stdout)
    of_run = predicted[0][: len(TEXTS)]
    assert [row["label"] for row in of_run] == labels == list(TEXTS.values())
    for one, other in zip(of_run, likely, strict=True):
        assert list(one["probabilities"].values()) == pytest.approx(other, abs=1e-4)
        assert sum(one["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(np.sum(likely, axis=1), 1, rtol=1e-5)


def test_prediction_explains_itself(predicted):
    record = predicted[0][-1]
    assert record["label"] == "good"
    weights = {item["word"]: item["weight"] for item in record["explanation"]["words"]}
    assert list(weights) == ["a", "superb", "house", "by", "the", "sea"]
    assert any(weights.values())
    assert "superb" in predicted[1]


def test_a_run_that_stopped_in_its_language_model_equals_an_undisturbed_one(
    trained, options, script, python, tmp_path
):
    """Weights, optimizer, averages, random state and history, of both models, bit for bit."""
    parts = tmp_path / "parts"
    stopped = python("-c", INTERRUPTED, *options, "--out", parts, status=130)
    assert "stopped: saved after step 3" in stopped.stderr
    assert not (parts / "last.npz").exists()
    script("train", "--out", parts, "--resume")
    for folder in (".", "language_model"):
        for name in ("history.csv", "vocabulary.json"):
            assert (parts / folder / name).read_bytes() == (trained / folder / name).read_bytes()
        with (
            np.load(trained / folder / "last.npz") as expected,
            np.load(parts / folder / "last.npz") as found,
        ):
            assert found.files == expected.files
            for name in expected.files:
                np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
        assert arrays_of(parts / folder / "best.safetensors") == arrays_of(
            trained / folder / "best.safetensors"
        )


def arrays_of(path) -> dict[str, list]:
    """The arrays of a weights file by their names."""
    return {name: array.tolist() for name, array in load_file(path).items()}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "--data", "nowhere.csv"), "nowhere.csv"),
        (("train", "--dropout", 1), "--dropout"),
        (("train", "--pretrain", "nowhere.txt", "--depth", 2), "--depth 1"),
        (("predict", "--model", "nowhere", "text"), "There is no model"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_bad_input_is_told_and_exits_with_2(script, tmp_path, arguments, message):
    out = ("--out", tmp_path / "run") if arguments[0] == "train" else ()
    assert message in script(*arguments, *out, status=2).stderr
