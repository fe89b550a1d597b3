"""Tiny runs of the three applications, for attacks on them, and what must be the same in two of them."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

STATUS = {"charlm": 3, "sentiment": 0, "captioning": 3}  # of a whole run; 3: so tiny a one learns nothing
APPS = ("charlm", "sentiment", "captioning")
OPTIONS = {
    "charlm": "--cell simple --units 7 --embedding-size 5 --window 7 --batch-size 5 --steps-between 4 "
    "--epochs 1 --learning-rate 0.2 --average-decay 0.9 --dropout 0.1 --sample-length 11 --precision float32",
    "sentiment": "--cell simple --units 5 --embedding-size 5 --min-count 1 --epochs 2 --batch-size 7 "
    "--learning-rate 0.1 --average-decay 0.7 --window 16 --validation-fraction 0.2 --pretrain-window 5 "
    "--pretrain-batch-size 3 --pretrain-epochs 1 --samples 11 --precision float32",
    "captioning": "--encoder small_cnn --encoder-weights none --image-size 32 --units 6 --num-heads 2 "
    "--min-count 1 --epochs 2 --batch-size 3 --max-length 5 --no-train-encoder --validation-beams 1",
}
TEXT = "the cat sat on the mat, and the rat sat on the cat.\n" * 7
WORDS = ("the", "film", "was", "dull", "a", "superb", "cast", "of", "lovely", "songs", "made", "it", "good")


def make_data(folder: Path) -> None:
    """Writes the data of all three applications into a folder."""
    random = np.random.default_rng(1)
    (folder / "cat.txt").write_text(TEXT)
    texts = [" ".join(random.choice(WORDS, 9)) for _ in range(60)]
    labels = ("bad", "good")
    rows = [(f"{labels[number % 2]} {text}", labels[number % 2]) for number, text in enumerate(texts[:30])]
    write_table(folder / "reviews.csv", [("text", "label"), *rows])
    (folder / "more.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts[30:]))
    rows = []
    for number in range(9):
        Image.fromarray(random.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(folder / f"{number}.png")
        rows.append(
            (f"{number}.png", " ".join(random.choice(WORDS, 4)), "validation" if number > 5 else "train")
        )
    write_table(folder / "captions.csv", [("image", "caption", "split"), *rows])


def write_table(path: Path, rows) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def arguments_of(app: str, data: Path, out: Path) -> list[str]:
    """The command line of a run that saves after each step."""
    sources = {
        "charlm": ["--data", data / "cat.txt", "--prompts", "the "],
        "sentiment": ["--data", data / "reviews.csv", "--pretrain", data / "more.jsonl"],
        "captioning": ["--data", data / "captions.csv", "--cache", data / "cache"],
    }
    return [*map(str, [*sources[app], "--out", out, "--save-every", "1e-9"]), *OPTIONS[app].split()]


class Victims:
    """Starts training scripts as processes, through `victim.py`."""

    def __init__(self):
        self._server = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("victim.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            text=True,
        )
        assert json.loads(self._server.stdout.readline()) == "ready"

    def train(self, app: str, arguments: list[str], **attack) -> dict:
        """Runs a script to its end; see `victim.run`."""
        self._server.stdin.write(json.dumps({"app": app, "arguments": arguments, **attack}) + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline())

    def close(self) -> None:
        self._server.communicate()


def with_resume(arguments: list[str], out: Path) -> list[str]:
    """What somebody gives after a run was killed: the same command, with --resume if there are settings."""
    return [*arguments, "--resume"] if (out / "config.json").exists() else arguments


def result_of(out: Path) -> dict[str, object]:
    """What an undisturbed run and one that was killed must have in common, bit for bit."""
    result: dict[str, object] = {}
    for path in sorted(out.rglob("*")):
        name = str(path.relative_to(out))
        if (
            path.is_dir()
            or "tensorboard" in name
            or path.name in (".lock", "previous.npz", "diagnostics.jsonl")
        ):
            continue
        result[name] = arrays_of(path) if path.suffix == ".npz" else path.read_bytes()
    return result


def arrays_of(path: Path) -> dict[str, bytes]:
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name].tobytes() for name in archive.files}


def assert_same(out: Path, expected: dict[str, object]) -> None:
    result = result_of(out)
    differing = [name for name in {**expected, **result} if result.get(name) != expected.get(name)]
    assert not differing, f"{out}: {differing}"
