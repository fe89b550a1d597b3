"""Train, evaluate, predict, export, and resume after Ctrl-C: the scripts as processes, on small pictures."""

import csv
import io
import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

# A network as small as can be that still learns the squares, and in seconds.
SMALL = shlex.split(
    "--encoder small_cnn --encoder-weights none --image-size 32 --units 16 --min-count 1 --max-length 9"
)
TO_LEARN = shlex.split(
    "--train-encoder --encoder-rate 1 --encoder-from-epoch 1 --batch-size 4 --epochs 40 --patience 40 "
    "--learning-rate 0.01 --warmup-steps 9 --no-mirror --crop 1 --brightness 0 "
    "--dropout 0 --input-dropout 0 --label-smoothing 0 --average-decay 0.5"
)
# Everything that draws random numbers, so that an exact continuation has something to prove.
TO_CONTINUE = shlex.split(
    "--train-encoder --batch-size 5 --epochs 2 --warmup-steps 3 --mirror --dropout 0.5 --input-dropout 0.3"
)

# Runs the training script, and sends its own process the signal of Ctrl-C in the middle of an epoch.
INTERRUPTED = """
import os, signal, sys
from captioning import train
from captioning.training.batches import CaptionBatches
from shared.system.cli import run_script

def batches(self, epoch, plain=CaptionBatches.__call__):
    for step, batch in enumerate(plain(self, epoch), 1):
        if (epoch, step) == (2, 3):
            os.kill(os.getpid(), signal.SIGINT)
        yield batch

CaptionBatches.__call__ = batches
raise SystemExit(run_script(train.main, sys.argv[1:]))
"""

# Runs several scripts in one process, as each start of TensorFlow takes seconds, and prints their statuses.
TOGETHER = """
import importlib, json, sys
from shared.system.cli import run_script
calls = json.loads(sys.argv[1])
print([run_script(importlib.import_module(f"captioning.{name}").main, options) for name, *options in calls])
"""

# What somebody does who has the exported folder and TensorFlow, and nothing of this project.
ALONE = """
import json, sys
from pathlib import Path
import tensorflow as tf
model, *pictures = sys.argv[1:]
describe = tf.saved_model.load(model).signatures["serving_default"]
outputs = describe(images=tf.constant([Path(picture).read_bytes() for picture in pictures]))
assert not {"captioning", "shared"} & set(sys.modules), "the project was imported"
print(json.dumps([[caption.decode() for caption in row] for row in outputs["captions"].numpy().tolist()]))
"""


@pytest.fixture(scope="session")
def trained(squares, script, tmp_path_factory) -> Path:
    """A run folder whose captioner tells the squares apart: encoder and decoder trained from nothing."""
    run = tmp_path_factory.mktemp("runs") / "squares"
    script("train", "--data", squares.file, "--out", run, *SMALL, *TO_LEARN)
    return run


@pytest.fixture(scope="session")
def exported(trained, script, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("exports") / "squares"
    done = script("export", "--model", trained, "--out", folder, "--n-best", 2, "--num-beams", 3)
    assert f"Wrote {folder}." in done.stdout
    return folder


@pytest.fixture(scope="session")
def together(python):
    """Runs several scripts in one process; returns their statuses, lines of output and standard error."""

    def run(*calls) -> tuple[list[int], list[str], str]:
        done = python("-c", TOGETHER, json.dumps([[str(part) for part in call] for call in calls]))
        *lines, statuses = done.stdout.splitlines()
        return json.loads(statuses), lines, done.stderr

    return run


def pictures_of(squares) -> list[Path]:
    return [squares.file.parent / name for name in squares.captions]


def assert_right(captions: dict[str, str], squares) -> None:
    """Three of four at least: a machine that rounds otherwise trains a little otherwise."""
    wanted = {name: caption.lower().rstrip(".") for name, caption in squares.captions.items()}
    assert captions.keys() == wanted.keys()
    right = [captions[name] == caption for name, caption in wanted.items()]
    assert sum(right) >= 0.75 * len(right), captions


def test_training_leaves_a_whole_run_folder_and_learns(trained):
    files = {"config.json", "vocabulary.json", "best.safetensors", "last.npz", "previous.npz", "history.csv"}
    files |= {"samples.txt", ".lock"}
    assert {file.name for file in trained.iterdir()} == {
        *files,
        "curves.svg",
        "diagnostics.jsonl",
        "tensorboard",
    }
    assert list((trained / "tensorboard").iterdir())
    history = list(csv.DictReader(io.StringIO((trained / "history.csv").read_text())))
    assert max(float(row["val_exact"]) for row in history) >= 0.75
    samples = (trained / "samples.txt").read_text()
    assert f"epoch {len(history)}\n" in samples
    assert "red-left-1.png: " in samples


def test_evaluate_writes_metrics_and_predictions(trained, squares, script, tmp_path):
    where = [
        "--model",
        trained,
        "--data",
        squares.file,
        "--split",
        "validation",
        "--out",
        tmp_path / "scores",
    ]
    done = script("evaluate", *where, "--no-meteor", "--tokenizer", "words", "--num-beams", 3)
    line = done.stdout.strip().splitlines()[0]
    for part in ("validation", "8 images", "tokenizer words", "beam 3", "pycocoevalcap", "BLEU-4 ", "CIDEr "):
        assert part in line
    metrics = json.loads((tmp_path / "scores" / "metrics.json").read_text())
    assert metrics["metrics"]["BLEU-1"] > 0.75
    predictions = json.loads((tmp_path / "scores" / "predictions.json").read_text())
    assert_right({row["image_id"]: row["caption"] for row in predictions}, squares)


@pytest.fixture
def with_bad_file(squares, tmp_path) -> list[Path]:
    """The validation pictures, and among them a text that is called a picture."""
    bad = tmp_path / "bad.jpg"
    bad.write_text("This is no picture.")
    first, *others = pictures_of(squares)
    return [first, bad, *others]


def test_predict_describes_all_but_the_bad_file_in_jsonl(trained, squares, script, with_bad_file):
    done = script("predict", *with_bad_file, "--model", trained, "--format", "jsonl", status=1)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [record["image"] for record in records] == [str(path) for path in with_bad_file]
    failed = records.pop(1)
    assert set(failed) == {"image", "error"}
    assert "not an image" in failed["error"]
    assert_right({Path(record["image"]).name: record["caption"] for record in records}, squares)
    assert all(record["log_prob"] < 0 < record["confidence"] <= 1 for record in records)


def test_files_in_text_and_csv_and_the_export_says_what_the_run_says(
    trained, exported, squares, together, with_bad_file, tmp_path
):
    text, of_run, of_export = (tmp_path / name for name in ("captions.txt", "run.csv", "export.csv"))
    options = [*with_bad_file, "--format", "csv", "--n-best", 2, "--num-beams", 3]
    statuses, lines, errors = together(
        ("predict", *with_bad_file, "--model", trained, "--output", text),
        ("predict", *options, "--model", trained, "--output", of_run),
        ("predict", *options, "--model", exported, "--output", of_export),
    )
    assert (statuses, lines) == ([1, 1, 1], [])
    assert errors.count(f"{with_bad_file[1]}: error: not an image") == 3
    assert_text(text.read_text(), with_bad_file)
    of_run, of_export = (list(csv.DictReader(io.StringIO(file.read_text()))) for file in (of_run, of_export))
    assert len(of_run) == 2 * len(squares.captions) + 1
    assert [(row["image"], row["rank"], row["caption"], row["error"]) for row in of_run] == [
        (row["image"], row["rank"], row["caption"], row["error"]) for row in of_export
    ]
    for mine, its in zip(of_run, of_export, strict=True):
        if not mine["error"]:
            assert float(mine["log_prob"]) == pytest.approx(float(its["log_prob"]), abs=1e-3)


def assert_text(text, paths):
    first, caption, failed, *others = text.splitlines()
    assert (first, len(others)) == (str(paths[0]), 14)
    assert re.fullmatch(r"  a [a-z ]+  \(confidence [01]\.\d\d\)", caption)
    assert failed.startswith(f"{paths[1]}: error: not an image")


def test_the_export_needs_tensorflow_alone(exported, squares, python, tmp_path):
    """In an isolated interpreter, from another folder, with the folder moved and files of several sizes."""
    moved = shutil.copytree(exported, tmp_path / "moved")
    done = python("-I", "-c", ALONE, moved, *pictures_of(squares), cwd=tmp_path)
    captions = json.loads(done.stdout)
    assert_right({name: row[0] for name, row in zip(squares.captions, captions, strict=True)}, squares)
    assert all(len(set(row)) == 2 for row in captions)


def test_frozen_encoder_then_fine_tuning(squares, together, tmp_path):
    """Cached features, mirrored ones too; then the encoder is trained as well, from that run's weights."""
    frozen, tuned, cache = tmp_path / "frozen", tmp_path / "tuned", tmp_path / "cache"
    data = ["--data", squares.file, *SMALL, "--batch-size", 4, "--epochs", 1]
    # At the second run's rate the weights do not move, so that those of the end are those of the start.
    tune = ["--init-from", frozen, "--train-encoder", "--encoder-from-epoch", 1, "--learning-rate", 1e-30]
    statuses, _, _ = together(
        ("train", *data, "--out", frozen, "--cache", cache, "--mirror"),
        ("train", *data, "--out", tuned, *tune),
    )
    assert statuses == [0, 0]
    assert len(list(cache.iterdir())) == 3  # train, train mirrored, validation
    start, end = weights_of(frozen), weights_of(tuned)
    assert start.keys() == end.keys()
    for name in start:
        np.testing.assert_allclose(end[name], start[name], rtol=0, atol=1e-12, err_msg=name)


def weights_of(run: Path) -> dict[str, np.ndarray]:
    return load_file(run / "best.safetensors")


def arrays_of(run: Path) -> dict[str, np.ndarray]:
    with np.load(run / "last.npz") as file:
        return dict(file)


def test_continued_run_equals_an_undisturbed_one(squares, together, python, tmp_path):
    """Weights, optimizer, averages, random state and history, bit for bit."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    options = ["--data", squares.file, *SMALL, *TO_CONTINUE]
    stopped = python("-c", INTERRUPTED, *options, "--out", parts, status=130)
    assert "stopped: saved after step 3 of 4 of epoch 2" in stopped.stderr
    assert "--resume" in stopped.stderr
    assert len((parts / "history.csv").read_text().splitlines()) == 2  # the header and one epoch
    together(("train", "--out", parts, "--resume"), ("train", *options, "--out", whole))
    assert (parts / "history.csv").read_bytes() == (whole / "history.csv").read_bytes()
    assert (parts / "samples.txt").read_bytes() == (whole / "samples.txt").read_bytes()
    for read in (weights_of, arrays_of):
        expected, resumed = read(whole), read(parts)
        assert resumed.keys() == expected.keys()
        for name in expected:
            np.testing.assert_array_equal(resumed[name], expected[name], err_msg=name)
