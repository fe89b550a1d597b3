"""Training on several devices and in several processes gives what one process gives, and survives deaths."""

import csv
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.output import own_lines

ROOT = Path(__file__).parents[2]
STRATEGY = ("--strategy", "multi-worker")
TOLERANCE = 2e-4  # of weights near 1; a run of one process differs from itself by none
# Nothing is drawn at random in a step, as replicas draw for themselves.
CHARLM = (
    "--units 12 --embedding-size 5 --window 8 --batch-size 7 --epochs 12 --precision float32 "
    "--sample-length 4 --dropout 0 --output-dropout 0"
)
SENTIMENT = (
    "--units 6 --embedding-size 5 --batch-size 6 --epochs 2 --precision float32 --adversarial 0.5 "
    "--dropout 0 --word-dropout 0 --input-dropout 0 --output-dropout 0"
)
CAPTIONING = (
    "--encoder small_cnn --encoder-weights none --train-encoder --encoder-from-epoch 1 --image-size 32 "
    "--units 8 --num-heads 2 --batch-size 7 --epochs 2 --min-count 1 --dropout 0 --input-dropout 0 "
    "--validation-beams 1"
)


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    file = tmp_path_factory.mktemp("text") / "text.txt"
    file.write_text("".join(random.Random(1).choices("abcdef ghij", k=1600)), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def reviews(tmp_path_factory):
    file, draw = tmp_path_factory.mktemp("reviews") / "reviews.csv", random.Random(2)
    words = {"pos": ["good", "fine", "a", "b"], "neg": ["bad", "poor", "a", "b"]}
    rows = [
        f"{' '.join(draw.choices(words[label], k=draw.randint(3, 20)))} {number},{label}"
        for number in range(30)
        for label in words
    ]
    file.write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def alone(text, python, tmp_path_factory):
    """The run of one process that the others must equal."""
    out = tmp_path_factory.mktemp("alone") / "run"
    python("-m", "charlm.train", "--data", text, *CHARLM.split(), "--out", out)
    return out


def assert_same_run(one, other, tolerance=TOLERANCE):
    with np.load(one / "last.npz") as left, np.load(other / "last.npz") as right:
        assert left.files == right.files
        for name in left.files:
            if left[name].dtype.kind in "fi":
                np.testing.assert_allclose(
                    left[name], right[name], atol=tolerance, rtol=tolerance, err_msg=name
                )
    assert len(rows_of(one)) == len(rows_of(other))


def rows_of(run):
    file = run / "history.csv"
    return list(csv.DictReader(file.read_text(encoding="utf-8").splitlines())) if file.is_file() else []


class Workers:
    """Worker processes on this computer, as `TF_CONFIG` names them."""

    def __init__(self, count, *arguments):
        addresses = [f"127.0.0.1:{port}" for port in _free_ports(count)]
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-m", *(str(each).format(index=index) for each in arguments), *STRATEGY],
                cwd=ROOT,
                env={**os.environ, "TF_CONFIG": _config(addresses, index)},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for index in range(count)
        ]

    def join(self, timeout=240):
        """Exit status and output of each."""
        try:
            outputs = [process.communicate(timeout=timeout)[0] for process in self.processes]
        finally:
            for process in self.processes:
                process.kill()
        return [process.returncode for process in self.processes], outputs

    def wait_for(self, rows, run, timeout=240):
        """Waits until the history of a run has this many rows."""
        end = time.monotonic() + timeout
        while len(rows_of(run)) < rows:
            assert time.monotonic() < end, "the workers make no progress"
            assert all(process.poll() is None for process in self.processes), self.join()
            time.sleep(0.05)


def _config(addresses, index):
    return json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})


def _free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def test_devices_give_the_run_of_one(text, alone, python, tmp_path):
    """The batch of 7 does not divide by 3; state is carried from batch to batch."""
    command = ("-m", "charlm.train", "--data", text, *CHARLM.split(), "--out", tmp_path / "run")
    python(*command, "--strategy", "mirrored", "--replicas", "3")
    assert_same_run(alone, tmp_path / "run")


@pytest.mark.parametrize("app", ["sentiment", "captioning"])
def test_devices_give_the_run_of_one_in_other_applications(app, reviews, squares, python, tmp_path):
    """Adversarial training; captions of different lengths, and batch norms of an encoder from scratch."""
    data, options = {"sentiment": (reviews, SENTIMENT), "captioning": (squares.file, CAPTIONING)}[app]
    command = ("-m", f"{app}.train", "--data", data, *options.split(), "--out")
    status = {"sentiment": 0, "captioning": 3}[app]  # two epochs of captions teach nothing
    python(*command, tmp_path / "one", status=status)
    python(*command, tmp_path / "three", "--strategy", "mirrored", "--replicas", "3", status=status)
    assert_same_run(tmp_path / "one", tmp_path / "three", tolerance=2e-3)


def test_workers_give_the_run_of_one_and_survive_signals_and_death(text, alone, tmp_path):
    run = tmp_path / "run"
    command = ("charlm.train", "--data", text, *CHARLM.split(), "--out", run)
    workers = Workers(2, *command)
    workers.wait_for(1, run)
    workers.processes[1].terminate()
    codes, outputs = workers.join()
    assert codes == [128 + signal.SIGTERM] * 2, outputs  # one was told, all stopped and the chief saved

    workers = Workers(2, *command, "--resume")
    workers.wait_for(5, run)
    workers.processes[1].kill()
    began = time.monotonic()
    (chief, _), outputs = workers.join(timeout=60)
    assert chief == 75, outputs
    assert time.monotonic() - began < 60
    assert "aborted" in outputs[0]
    assert "Start all workers again, with --resume" in outputs[0]
    assert "Traceback" not in outputs[0]
    assert 5 <= len(rows_of(run)) < 12

    codes, outputs = Workers(2, *command, "--resume").join()
    assert codes == [0, 0], outputs
    assert_same_run(alone, run)
    assert [file.name for file in tmp_path.iterdir()] == ["run"]
    assert "Saved to" in outputs[0]
    assert own_lines(outputs[1]).strip() == "worker 1 of 2 waits for the others"


def test_workers_that_start_apart_are_told(text, tmp_path):
    """Here with other seeds; it could be other data, versions, or another run folder."""
    out = tmp_path / "run"
    workers = Workers(2, "charlm.train", "--data", text, *CHARLM.split(), "--out", out, "--seed", "{index}")
    codes, outputs = workers.join()
    assert codes == [2, 2], outputs
    assert "The workers differ in weights (checksum)" in outputs[1]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("", "needs the environment variable TF_CONFIG"),
        ("{", "names no task of its cluster"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}', "names no task"),
        ('{"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}}', "names no task"),
    ],
)
def test_a_bad_cluster_is_named(config, message, monkeypatch, tmp_path, capsys):
    from charlm.train import main
    from shared.system.cli import run_script

    monkeypatch.setenv("TF_CONFIG", config)
    assert run_script(main, ["--out", str(tmp_path / "run"), "--strategy", "multi-worker"]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
