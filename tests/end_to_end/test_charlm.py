"""Train, evaluate, generate, export, and go on after Ctrl-C: the scripts as processes, on a small text."""

import csv
import io
import json
import shlex
import shutil
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

# Runs several scripts, one after the other: prints of each its status, and what it wrote to both streams.
SCRIPTS = """
import contextlib, importlib, io, json, sys
from shared.system.cli import run_script

for name, *arguments in json.loads(sys.argv[1]):
    main = importlib.import_module(f"charlm.{name}").main
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            status = run_script(main, arguments)
        except SystemExit as end:
            status = end.code
    print(json.dumps([status, out.getvalue(), err.getvalue()]))
print(json.dumps(sorted({"keras", "tensorflow"} & set(sys.modules))))
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
def scripts(python):
    """Runs several scripts in one process; gives status, output and errors of each, and what was imported."""

    def run(*commands):
        commands = [[str(word) for word in command] for command in commands]
        done = python("-c", SCRIPTS, json.dumps(commands))
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run


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
    files = {"config.json", "vocabulary.json", "best.safetensors", "last.npz", "previous.npz", "history.csv"}
    files |= {"samples.txt", ".lock"}
    assert {file.name for file in trained.iterdir()} == {
        *files,
        "curves.svg",
        "diagnostics.jsonl",
        "tensorboard",
    }
    history = list(csv.DictReader(io.StringIO((trained / "history.csv").read_text())))
    # Which sentence comes next is all that cannot be known: log 3 nats in some 24 characters.
    assert float(history[-1]["val_nats"]) < 0.3
    assert all(0 <= float(row["clip_rate"]) <= 1 for row in history)
    pages = (trained / "samples.txt").read_text().split("--- ")
    assert [page.split(",")[0].split("\n")[0] for page in pages[1:3]] == ["untrained", "epoch 1"]
    assert "the" in pages[-1]


@pytest.fixture(scope="session")
def written(trained, exported, scripts, script, tmp_path_factory):
    """What evaluation and generation gave: statuses and outputs by name."""
    folder = tmp_path_factory.mktemp("written")
    (folder / "prompt.txt").write_text("Żółć \U0001f600", encoding="utf-8")
    dog = ("generate", "--model", trained, "A dog", "--num-chars", 47, "--seed")
    once = ("--prompt", "Once", "--num-chars", 41, "--seed", 8)
    in_bytes = ("--prompt-file", folder / "prompt.txt", "--num-samples", 3, "--format", "jsonl")
    commands = {
        "evaluate": ("evaluate", "--model", trained, "--window", 31, "--json", folder / "scores.json"),
        "dog, seed 5": (*dog, 5),
        "dog, seed 6": (*dog, 6),
        "bytes": ("generate", "--model", trained, *in_bytes, "--num-chars", 11, "--seed", 1),
        "once, of the run": ("generate", "--model", trained, *once),
        "once, of the export": ("generate", "--model", exported, *once),
        "cat": ("generate", "--model", trained, "The cat", "--num-chars", 29, "--seed", 8),
    }
    *answers, _ = scripts(*commands.values())
    assert [status for status, *_ in answers] == [0] * len(commands), answers
    outputs = {name: out for name, (_, out, _) in zip(commands, answers, strict=True)}
    outputs["dog, seed 5, again"] = script(*commands["dog, seed 5"]).stdout
    outputs["scores"] = (folder / "scores.json").read_text(encoding="utf-8")
    return outputs


def test_evaluate_prints_both_kinds_beside_the_baseline(written):
    for part in ("carried", "windowed", "Kneser-Ney", "last 10 %", "nats/char", "bits/char", "perplexity"):
        assert part in written["evaluate"]
    assert json.loads(written["scores"])


def test_generate_writes_the_same_text_from_the_same_seed(written):
    first = written["dog, seed 5"]
    assert first == written["dog, seed 5, again"] != written["dog, seed 6"]
    assert first.startswith("A dog")
    assert len(first.removesuffix("\n")) == len("A dog") + 47


def test_generate_reads_prompts_it_never_saw(written):
    records = [json.loads(line) for line in written["bytes"].splitlines()]
    assert len(records) == 3
    assert {record["prompt"] for record in records} == {"Żółć \U0001f600"}


def test_the_export_writes_what_the_run_writes(written):
    assert written["once, of the run"] == written["once, of the export"]


def test_the_export_needs_tensorflow_alone(exported, written, python, tmp_path):
    moved = shutil.copytree(exported, tmp_path / "moved")
    text, (nats, nothing) = json.loads(
        python("-I", "-c", ALONE, moved, "The cat", 29, 8, cwd=tmp_path).stdout
    )
    assert written["cat"].removesuffix("\n") == ("The cat" + text).removesuffix("\n")
    assert 0 < nats < 3
    assert nothing == 0


def test_continued_run_equals_an_undisturbed_one(text, scripts, python, tmp_path):
    """Weights, optimizer, averages, random state, carried state and history, bit for bit."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    options = ["--data", text, *SMALL, "--epochs", 1, "--steps-between", 5, "--forget-rate", 0.2]
    stopped = python("-c", INTERRUPTED, *options, "--out", parts, status=130)
    assert "stopped: saved after step 3 of 5 of epoch 2" in stopped.stderr
    scripts(("train", "--out", parts, "--resume"), ("train", *options, "--out", whole))
    for name in ("history.csv", "samples.txt"):
        assert (parts / name).read_bytes() == (whole / name).read_bytes()
    with np.load(whole / "last.npz") as expected, np.load(parts / "last.npz") as found:
        assert found.files == expected.files
        assert any(name.startswith("carry/") for name in found.files)
        for name in expected.files:
            np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def test_bad_input_is_told_and_exits_with_2_before_tensorflow_is_imported(scripts, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.tex").touch()
    (tmp_path / "of sentiment").mkdir()
    for name in ("saved_model.pb", "sentiment.json"):
        (tmp_path / "of sentiment" / name).touch()
    new, taken = tmp_path / "new", tmp_path / "taken"
    messages = {
        ("generate", "--temperature", 0): "temperature",
        ("generate", "--top-k", 0): "top-k",
        ("generate", "--model", "nowhere"): "There is no model",
        ("generate", "--model", tmp_path / "of sentiment"): "not a SavedModel of charlm.export",
        ("generate", "--model", "https://example.org/model"): "is a URL",
        ("generate", "--prompt-file", "nowhere.txt"): "nowhere.txt cannot be read",
        ("generate", "--output", tmp_path / "no" / "out.txt"): "Cannot write",
        ("train", "--data", "nowhere.txt", "--out", new): "nowhere.txt",
        ("train", "--dropout", 1, "--out", new): "--dropout",
        ("train", "--data", "hello", "--out", taken): "files that are not of a run",
        ("train", "--resume", "--out", new): "there is no run folder",
        ("evaluate", "--model", "photos"): "There is no model",
        ("evaluate", "--data", "nowhere.txt"): "nowhere.txt",
        ("export", "--out", taken): "exists already",
    }
    *answers, imported = scripts(*messages)
    for (status, out, err), (command, message) in zip(answers, messages.items(), strict=True):
        assert (status, out) == (2, ""), command
        assert message in err
        assert err.count("\n") == 1, err
    assert imported == []
    assert not new.exists()
