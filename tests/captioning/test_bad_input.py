"""What a user gets for bad input: one line that says what is wrong, and an exit status; never a traceback."""

import io
import json
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from captioning import evaluate, export, predict, train
from captioning.config import CaptioningConfig
from captioning.data import __main__ as data
from captioning.model.captioner import Captioner
from shared.runs.folder import RunFolder
from shared.system.cli import run_script
from shared.text.vocabulary import Vocabulary

WORDS = ("a", "red", "dog", "runs")
SMALL = "--encoder small_cnn --encoder-weights none --image-size 24 --units 8 --min-count 1 --epochs 1"


def png_header(width, height):
    def chunk(kind, content):
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


def make_pictures(folder):
    pixels = np.random.default_rng(5).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    jpeg = io.BytesIO()
    Image.fromarray(pixels).save(jpeg, "JPEG")
    (folder / "good.jpg").write_bytes(jpeg.getvalue())
    (folder / "truncated.jpg").write_bytes(jpeg.getvalue()[:900])
    (folder / "text.jpg").write_text("This is no picture.")
    (folder / "zero.jpg").touch()
    (folder / "huge.png").write_bytes(png_header(50_000, 50_000))


def make_captions(folder):
    good = {"image": "good.jpg", "caption": "a red dog runs"}
    tables = {
        "fine": [{**good, "split": "train"}, {**good, "image": "./good.jpg", "split": "validation"}],
        "training": [{**good, "split": "train"}],
        "absent": [{**good, "image": "absent.jpg", "split": "train"}],
        "columns": [{"image": "good.jpg", "text": "a red dog runs"}],
        "unreadable": [{**good, "image": "text.jpg", "split": "validation"}],
    }
    for name, rows in tables.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "columns.csv").write_text("image,text\ngood.jpg,a red dog runs\n")


def make_runs(folder):
    """A run as it should be (with untrained weights), and damaged ones."""
    config = CaptioningConfig(encoder="small_cnn", encoder_weights="none", image_size=24, units=8)
    run = RunFolder.create(folder / "run", vars(config), "captioning")
    Vocabulary.build([WORDS]).save(run.vocabulary_file)
    keras.utils.set_random_seed(3)
    run.save_best_weights(Captioner.from_settings(config, Vocabulary.load(run.vocabulary_file)))
    foreign = RunFolder.create(folder / "foreign", vars(config), "captioning")
    words = Vocabulary.build([["zebras", "graze"]])
    words.save(foreign.vocabulary_file)
    foreign.save_best_weights(Captioner.from_settings(config, words))
    names = ("young", "edited", "other", "torn", "preset")
    damaged = {name: shutil.copytree(run.path, folder / name) for name in names}
    (damaged["preset"] / "history.csv").write_text("epoch\n1\n")
    (damaged["young"] / "best.safetensors").unlink()
    words = (damaged["edited"] / "vocabulary.json").read_text()
    (damaged["edited"] / "vocabulary.json").write_text(words.replace('"dog"', '"cat"'))
    Vocabulary.build([WORDS, ["cat"]]).save(damaged["other"] / "vocabulary.json")
    (damaged["torn"] / "best.safetensors").write_bytes(run.best_weights.read_bytes()[:5000])


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bad")
    make_pictures(folder)
    make_captions(folder)
    make_runs(folder)
    for name in ("empty", "full", "charlm"):
        (folder / name).mkdir()
    for name in ("file", "weights.h5", "full/notes.txt", "charlm/saved_model.pb", "charlm/charlm.json"):
        (folder / name).write_text("something")
    return folder


TRAIN = f"{SMALL} --data fine.jsonl --out new --cache cache"

# Script, arguments (file names are those of `place`), what the error must say.
REFUSED_BEFORE_TENSORFLOW_STARTS = [
    (predict, "empty --model run", "no images in this folder. Expected files named"),
    (predict, "*.xyz --model run", "no image matches this pattern"),
    (predict, "good.jpg --model flickr9k", "no model 'flickr9k'. Expected a preset"),
    (predict, "good.jpg --model empty", "no config.json. Name a folder"),
    (predict, "good.jpg --model file", "it is a file. Name a folder"),
    (predict, "good.jpg --model charlm", "not a SavedModel of captioning.export: it has charlm.json"),
    (predict, "https://example.org/good.jpg --model run", "is a URL; download it first"),
    (predict, "good.jpg --model run --output file/captions.txt", "Cannot write file/captions.txt"),
    (predict, "good.jpg --model run --output good.jpg", "is one of the inputs"),
    (predict, "good.jpg --num-beams 0", "--num-beams must be at least 1, not 0"),
    (predict, "good.jpg --max-length 1", "--max-length must be at least 2, not 1"),
    (predict, "good.jpg --length-penalty nan", "--length-penalty must be a number of at least 0, not nan"),
    (predict, "good.jpg --num-beams 3 --n-best 5", "--num-beams 3 finds 3 captions an image; for --n-best 5"),
    (predict, "good.jpg --must dog --never dog", "'dog' is a word of must and of never"),
    (predict, "good.jpg --prefix dog --never dog", "'dog' is a word of prefix and of never"),
    (
        predict,
        "good.jpg --must a b c --max-length 2",
        "prefix and must have 3 words; a caption has at most 2",
    ),
    (predict, "good.jpg --must ?", "'?' has no word; must and prefix are made of words"),
    (predict, "good.jpg --abstain-below 2", "expected a number from 0 to 1, got '2'"),
    (evaluate, "--data fine.jsonl --calibrate --out scores.json", "Name a folder as --out, not scores.json"),
    (evaluate, "--model flickr9k --data fine.jsonl --out scores", "no model 'flickr9k'"),
    (evaluate, "--model run --data columns.csv --out scores", "must name the columns image and caption"),
    (evaluate, "--model run --data nothing.csv --out scores", "no such file or folder. Expected a Flickr8k"),
    (evaluate, "--model run --data training.jsonl --split test --out scores", "Name another --split"),
    (evaluate, "--model run --data training.jsonl --out file/scores", "Name another --out"),
    (evaluate, "--model run --data run/config.json --out run/config.json", "is one of the inputs"),
    (export, "--model run --out file/exported", "Name another folder with --out"),
    (export, "--model run --out full", "exists already"),
    (export, "--model charlm --out exported", "can be neither trained nor exported again"),
    (export, "--model run --out exported --num-beams 0", "--num-beams must be at least 1"),
    (export, "--model run --out exported --length-penalty=-1", "must be a number of at least 0, not -1.0"),
    (export, "--model run --out exported --n-best 4", "for --n-best 4, give at least as many beams"),
    (data, "columns.csv", "must name the columns image and caption; it names image, text. A column split is"),
    (data, "columns.jsonl", "column caption is missing or empty"),
    (data, "absent.jsonl", "image absent.jpg is absent from"),
    (data, "fine.jsonl training.jsonl ./fine.jsonl", "The source ./fine.jsonl is named twice"),
    (data, "fine.jsonl training.jsonl --images .", "1 folders of images for 2 sources"),
    (data, "text.jpg", "unknown kind of captions file"),
    (data, "fine.jsonl --json file/report.json", "Cannot write file/report.json"),
    (data, "fine.jsonl --json fine.jsonl", "is one of the inputs"),
    (data, "fine.jsonl --min-count 0", "expected a whole number of at least 1"),
    (train, f"{TRAIN} --data columns.csv", "must name the columns"),
    (train, f"{TRAIN} --data absent.jsonl", "image absent.jpg is absent"),
    (train, f"{TRAIN} --batch-size 0", "--batch-size must be at least 1, not 0"),
    (train, f"{TRAIN} --units 9", "--units 9 must be a multiple of --num-heads 8"),
    (train, f"{TRAIN} --init-from flickr9k", "no model 'flickr9k'"),
    (train, f"{TRAIN} --init-from charlm", "can be neither trained nor exported again"),
    (train, f"{TRAIN} --data fine.jsonl fine.jsonl", "named twice. Name it once; --mix shows it more often"),
    (
        train,
        f"{TRAIN} --data fine.jsonl training.jsonl --mix 1",
        "--mix needs a number for each of 2 sources",
    ),
    (train, f"{TRAIN} --source-weights 0", "--source-weights must be numbers above 0, not 0.0"),
    (train, f"{TRAIN} --crop 1.1", "--crop must lie in (0, 1], not 1.1"),
    (train, f"{TRAIN} --train-encoder --encoder-from-epoch 2", "is after the last of --epochs 1"),
    (train, f"{TRAIN} --images nothing", "no such folder of images"),
    (train, f"{TRAIN} --out file/run", "Choose another folder, where you may write"),
    (train, f"{TRAIN} --out file", "is a file; a run needs a folder"),
    (train, f"{TRAIN} --out run", "already holds a run; continue it with --resume"),
    (train, f"{TRAIN} --out full", "holds files that are not of a run"),
    (train, "--out nothing --resume", "nothing of that name exists"),
    (train, "--out run --resume --units 16", "started with other settings (units: 8 -> 16)"),
    (predict, "good.jpg --model run --model absent", "absent"),
    (evaluate, "--data fine.jsonl --calibrate --model run --model run", "fits the confidence of one model"),
    (predict, "good.jpg --colour red", "unrecognized arguments: --colour red"),
    (evaluate, "--data fine.jsonl --color red", "unrecognized arguments: --color red"),
    (evaluate, "--data fine.jsonl --n-best 2", "unrecognized arguments: --n-best 2"),
    (export, "--out exported --n-bests 3", "Did you mean --n-best?"),
    (data, "fine.jsonl --colour red", "unrecognized arguments: --colour red"),
    (train, "--unit 3", "Did you mean --units?"),
]
REFUSED = [
    *REFUSED_BEFORE_TENSORFLOW_STARTS,
    (predict, "good.jpg --model young", "no checkpoint yet"),
    (predict, "good.jpg --model edited", "was changed after it was written"),
    (predict, "good.jpg --model other", "does not fit the 9 tokens of vocabulary.json"),
    (predict, "good.jpg --model torn", "or is damaged (it is no weights file"),
    (predict, "good.jpg --model run --model foreign", "Model 2 of the ensemble has other words"),
    (predict, "good.jpg --model run --must zebra", "does not know the word 'zebra' of must"),
    (predict, "good.jpg --model run --prefix xylophone", "does not know the word 'xylophone' of prefix"),
    (evaluate, "--model run --model foreign --data fine.jsonl --out scores", "Model 2 of the ensemble has"),
    (evaluate, "--model young --data training.jsonl --split train --out scores", "no checkpoint yet"),
    (evaluate, "--model run --data unreadable.jsonl --out scores", "None of the images could be read"),
    (export, "--model young --out exported", "no checkpoint yet"),
    (export, "--model other --out exported", "does not fit the 9 tokens"),
    (train, f"{TRAIN} --data training.jsonl", "has no validation split: its images are in train"),
    (train, f"{TRAIN} --train-encoder --encoder-from-epoch 1 --encoder-blocks 9", "small_cnn has 8 blocks"),
    (train, f"{TRAIN} --teachers foreign", "The teacher foreign has other words"),
    (train, f"{TRAIN} --encoder resnet5", "no encoder 'resnet5'. Did you mean ResNet50"),
    (train, f"{TRAIN} --encoder-weights weights.h5", "does not hold the weights of small_cnn"),
    (train, f"{TRAIN} --encoder-weights run/best.safetensors", "is not a weights file"),
    (train, f"{TRAIN} --encoder-weights nothing.h5", "no weights file nothing.h5"),
    (train, f"{TRAIN} --init-from run --units 16", "does not go with --init-from"),
    (train, "--out preset --resume", "has a history but no checkpoint last.npz, as a preset does"),
    (train, f"{TRAIN} --cache file/cache", "cannot be written to file/cache"),
]


def run_in(place, monkeypatch, capsys, script, arguments) -> tuple[int, str, str]:
    monkeypatch.chdir(place)
    try:
        status = run_script(script.main, arguments.split())
    except SystemExit as exit_:  # as argparse ends a program
        status = exit_.code
    told = capsys.readouterr()
    return status, told.out, told.err


def content_of(place) -> dict[str, bytes]:
    new = {"cache", "new", "scores", "exported"}
    files = (path for path in place.rglob("*") if path.is_file())
    return {str(file): file.read_bytes() for file in files if file.relative_to(place).parts[0] not in new}


@pytest.mark.parametrize(("script", "arguments", "expected"), REFUSED)
def test_refused_in_one_line(place, monkeypatch, capsys, script, arguments, expected):
    before = content_of(place)
    status, _, told = run_in(place, monkeypatch, capsys, script, arguments)
    lines = told.strip().splitlines()
    errors = [line for line in lines if "error: " in line and not line.startswith("text.jpg: ")]
    assert status == 2, told
    assert errors == lines[-1:], told
    assert expected in errors[0]
    assert content_of(place) == before
    assert not (place / "new").exists()


def test_these_mistakes_are_told_before_tensorflow_is_imported(place):
    calls = [
        (script.__name__, arguments.split()) for script, arguments, _ in REFUSED_BEFORE_TENSORFLOW_STARTS
    ]
    program = (
        "import contextlib, importlib, sys\n"
        "from shared.system.cli import run_script\n"
        f"for name, arguments in {calls}:\n"
        "    with contextlib.suppress(SystemExit):\n"
        "        run_script(importlib.import_module(name).main, arguments)\n"
        "    assert not {'tensorflow', 'keras'} & set(sys.modules), (name, arguments)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("error: ") == len(calls)


@pytest.fixture(scope="module")
def described(place):
    """The results of all pictures in one call, by name, and the exit status."""
    names = ["absent.jpg", "truncated.jpg", "text.jpg", "zero.jpg", "huge.png", "good.jpg"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        options = ["--model", "run", "--format", "jsonl", "--max-length", "4", "--output", "new.jsonl"]
        status = run_script(predict.main, [*names, *options])
        lines = Path("new.jsonl").read_text().splitlines()
        Path("new.jsonl").unlink()
    assert [json.loads(line)["image"] for line in lines] == names
    return {name: json.loads(line) for name, line in zip(names, lines, strict=True)}, status


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("absent.jpg", "no such file"),
        ("truncated.jpg", "damaged or truncated"),
        ("text.jpg", "not an image, or not of a format that can be read (JPEG,"),
        ("zero.jpg", "the file is empty (0 bytes)"),
        ("huge.png", "too large: at most 50,000,000 pixels are accepted"),
    ],
)
def test_a_bad_picture_alone_fails(described, name, expected):
    results, status = described
    assert status == 1
    assert results[name].keys() == {"image", "error"}
    assert expected in results[name]["error"]
    assert results["good.jpg"]["caption"]


def test_a_batch_larger_than_the_data_is_all_of_them(place, monkeypatch, capsys):
    status, out, told = run_in(place, monkeypatch, capsys, train, f"{TRAIN} --out large --batch-size 99")
    assert status == 0, told
    assert "Saved to large." in out
    status, out, told = run_in(place, monkeypatch, capsys, train, "--out large --resume --cache cache")
    assert status == 0, told
    assert "The run in large is finished already" in out
    assert "Saved to large." in out
    shutil.rmtree(place / "large")
