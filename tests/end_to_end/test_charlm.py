"""Train, evaluate, generate, export, and go on after Ctrl-C: the scripts as processes, on a small text."""

import csv
import io
import json
import shlex
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest

# A language that a small network learns in a moment: three sentences, each from its first letter to its end.
SENTENCES = ("The cat sat on the mat.\n", "A dog ran to the door.\n", "Once more, said the owl: hoot!\n")
SMALL = shlex.split(
    "--units 32 --depth 2 --embedding-size 9 --window 13 --batch-size 7 --dropout 0.1 --output-dropout 0.1 "
    "--precision float32 --sample-length 31 --prompts The ''"
)

# Runs the training script, and sends its own process the signal of Ctrl-C in the middle of an epoch.
INTERRUPTED = """
import os, signal, sys
from charlm import train
from shared.training.windows import TextWindows
from shared.system.cli import run_script

def windows(self, epoch, plain=TextWindows.__call__):
    for step, batch in enumerate(plain(self, epoch), 1):
        if (epoch, step) == (2, 3):
            os.kill(os.getpid(), signal.SIGINT)
        yield batch

TextWindows.__call__ = windows
raise SystemExit(run_script(train.main, sys.argv[1:]))
"""

# What somebody does who has the exported folder and TensorFlow, and nothing of this project.
ALONE = """
import json, sys
import tensorflow as tf
model, prompt, count, seed = sys.argv[1:]
signatures = tf.saved_model.load(model).signatures
texts = signatures["generate"](
    prompts=tf.constant([prompt]), count=tf.constant(int(count)), temperature=tf.constant(0.8),
    top_k=tf.constant(0), top_p=tf.constant(1.0), seed=tf.constant(int(seed), tf.int64),
)["texts"]
scores = signatures["score"](texts=tf.constant([prompt, ""]))
assert not {"charlm", "shared"} & set(sys.modules), "the project was imported"
print(json.dumps([texts.numpy()[0].decode(), scores["nats"].numpy().tolist()]))
"""


@pytest.fixture(scope="session")
def script(python):
    """Runs `python -m charlm.NAME`."""
    return lambda name, *arguments, **options: python("-m", f"charlm.{name}", *arguments, **options)


@pytest.fixture(scope="session")
def text(tmp_path_factory) -> Path:
    order = np.random.default_rng(3).integers(len(SENTENCES), size=300)
    file = tmp_path_factory.mktemp("texts") / "sentences.txt"
    file.write_text("".join(SENTENCES[index] for index in order), encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def trained(text, script, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "sentences"
    done = script("train", "--data", text, "--out", run, *SMALL, "--epochs", 25)
    assert "first 90 % train, last 10 % validation" in done.stdout
    return run


@pytest.fixture(scope="session")
def exported(trained, script, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("exports") / "sentences"
    done = script("export", "--model", trained, "--out", folder)
    assert f"Wrote {folder}." in done.stdout
    return folder


def test_training_leaves_a_whole_run_folder_and_learns(trained):
    files = {"config.json", "vocabulary.json", "best.weights.h5", "last.npz", "history.csv", "samples.txt"}
    assert {file.name for file in trained.iterdir()} == {*files, "tensorboard"}
    history = list(csv.DictReader(io.StringIO((trained / "history.csv").read_text())))
    # Which sentence comes next is all that cannot be known: log 3 nats in some 24 characters.
    assert float(history[-1]["val_nats"]) < 0.3
    assert all(0 <= float(row["clip_rate"]) <= 1 for row in history)
    pages = (trained / "samples.txt").read_text().split("--- ")
    assert [page.split(",")[0].split("\n")[0] for page in pages[1:3]] == ["untrained", "epoch 1"]
    assert "the" in pages[-1]


def test_evaluate_prints_both_kinds_beside_the_baseline(trained, script, tmp_path):
    done = script("evaluate", "--model", trained, "--window", 31, "--json", tmp_path / "scores.json")
    for part in ("carried", "windowed", "Kneser-Ney", "last 10 %", "nats/char", "bits/char", "perplexity"):
        assert part in done.stdout, done.stdout
    assert json.loads((tmp_path / "scores.json").read_text())


def test_generate_writes_the_same_text_from_the_same_seed(trained, script):
    write = partial(script, "generate", "--model", trained, "--num-chars", 47)
    first, again, other = (write("--prompt", "A dog", "--seed", seed).stdout for seed in (5, 5, 6))
    assert first == again != other
    assert first.startswith("A dog")
    assert len(first.removesuffix("\n")) == len("A dog") + 47


def test_generate_reads_prompts_it_never_saw(trained, script, tmp_path):
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("Żółć \U0001f600", encoding="utf-8")
    done = script(
        "generate", "--model", trained, "--prompt-file", prompt, "--num-samples", 3, "--format", "jsonl",
        "--num-chars", 11, "--seed", 1,
    )  # fmt: skip
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(records) == 3
    assert {record["prompt"] for record in records} == {prompt.read_text(encoding="utf-8")}


def test_the_export_writes_what_the_run_writes(trained, exported, script):
    options = ["--prompt", "Once", "--num-chars", 41, "--seed", 8]
    of_run, of_export = (
        script("generate", "--model", model, *options).stdout for model in (trained, exported)
    )
    assert of_run == of_export


def test_the_export_needs_tensorflow_alone(trained, exported, script, python, tmp_path):
    moved = shutil.copytree(exported, tmp_path / "moved")
    text, (nats, nothing) = json.loads(
        python("-I", "-c", ALONE, moved, "The cat", 29, 8, cwd=tmp_path).stdout
    )
    told = script(
        "generate", "--model", trained, "--prompt", "The cat", "--num-chars", 29, "--seed", 8
    ).stdout
    assert told.removesuffix("\n") in (text, "The cat" + text)
    assert 0 < nats < 3
    assert nothing == 0


def test_continued_run_equals_an_undisturbed_one(text, script, python, tmp_path):
    """Weights, optimizer, averages, random state, carried state and history, bit for bit."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    options = ["--data", text, *SMALL, "--epochs", 1, "--steps-between", 5, "--forget-rate", 0.2]
    script("train", *options, "--out", whole)
    stopped = python("-c", INTERRUPTED, *options, "--out", parts, status=130)
    assert "stopped: saved after step 3 of 5 of epoch 2" in stopped.stderr
    script("train", "--out", parts, "--resume")
    for name in ("history.csv", "samples.txt"):
        assert (parts / name).read_bytes() == (whole / name).read_bytes()
    with np.load(whole / "last.npz") as expected, np.load(parts / "last.npz") as found:
        assert found.files == expected.files
        assert any(name.startswith("carry/") for name in found.files)
        for name in expected.files:
            np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("generate", "--temperature", 0), "temperature"),
        (("generate", "--top-k", 0), "top-k"),
        (("generate", "--model", "nowhere"), "There is no model"),
        (("train", "--data", "nowhere.txt"), "nowhere.txt"),
        (("train", "--dropout", 1), "--dropout"),
        (("evaluate", "--model", "flickr8k"), "There is no model"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_bad_input_is_told_and_exits_with_2(script, tmp_path, arguments, message):
    out = ("--out", tmp_path / "run") if arguments[0] == "train" else ()
    assert message in script(*arguments, *out, status=2).stderr
