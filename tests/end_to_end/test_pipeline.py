"""Pipelines over collections on Beam's local runner: what they write, and that a second run does the rest."""

import builtins
import json

import numpy as np
import pytest
from PIL import Image

from shared import pipeline
from shared.system.cli import run_script


@pytest.fixture
def beam(monkeypatch):
    module = pytest.importorskip("apache_beam", reason="the extra beam is not installed")
    monkeypatch.setattr(pipeline, "PART", 4)
    return module


def records_of(folder, kind):
    files = sorted(folder.glob(f"out-{kind}-*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


class Reds:
    """In place of a captioner: the mean red of an image is its caption."""

    image_size = 2

    def caption_pixels(self, pixels):
        from captioning.model.captions import Caption

        reds = pixels[..., 0].mean(axis=(1, 2)).round().astype(int)
        return [[Caption(f"red {red}", ("red", str(red)), -1.0, 0.5)] for red in reds]


def load_reds():
    return Reds()


@pytest.fixture
def photographs(tmp_path):
    for number in range(11):
        pixels = np.full((3, 5, 3), 10 * number, np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number:02} \u00e9.png")
    (tmp_path / "bad.png").write_text("no image")
    return tmp_path


def caption_all(folder):
    from captioning.prediction.pipeline import caption_job

    job = caption_job("photos", 3)._replace(load=load_reds)
    return pipeline.run_pipeline(str(folder / "*.png"), str(folder / "out"), job)


@pytest.mark.filterwarnings("ignore")  # Beam's own
def test_every_photograph_has_a_caption_or_an_error_and_a_second_run_does_what_is_missing(beam, photographs):
    assert caption_all(photographs) == {"done": 11, "bad": 1}
    expected = {str(photographs / f"{number:02} \u00e9.png"): f"red {10 * number}" for number in range(11)}
    first = records_of(photographs, "results")
    assert {record["image"]: record["caption"] for record in first} == expected
    (bad,) = records_of(photographs, "errors")
    assert bad["image"] == str(photographs / "bad.png")
    assert "error" in bad
    assert len(list(photographs.glob("out-results-*"))) == 3
    assert not list(photographs.glob("*.partial"))

    assert caption_all(photographs) == {"before": 12}
    lost = sorted(photographs.glob("out-results-*"))[0]
    count = len(lost.read_text(encoding="utf-8").splitlines())
    lost.unlink()
    Image.fromarray(np.full((3, 5, 3), 7, np.uint8)).save(photographs / "new.png")
    assert caption_all(photographs) == {"before": 12 - count, "done": count + 1}
    records = records_of(photographs, "results")
    assert len(records) == 12
    assert {record["image"]: record["caption"] for record in records} == {
        **expected,
        str(photographs / "new.png"): "red 7",
    }


class Lengths:
    """In place of a sentiment model: long texts are good."""

    labels = ("bad", "good")

    def __init__(self):
        from shared.text.vocabulary import Vocabulary

        self.vocabulary = Vocabulary.build([["word"]])

    def probabilities_of_ids(self, sequences):
        return np.array([[0.25, 0.75] if len(ids) > 4 else [1.0, 0.0] for ids in sequences], np.float32)


def load_lengths():
    return Lengths()


@pytest.mark.filterwarnings("ignore")
def test_texts_of_many_files_are_told_apart_by_file_and_line(beam, tmp_path):
    from sentiment.prediction.pipeline import sentiment_job

    (tmp_path / "a.csv").write_text('review,id\nshort,1\n"a long\ntext, word",2\n', encoding="utf-8")
    (tmp_path / "b.csv").write_text("other\nshort\n", encoding="utf-8")
    (tmp_path / "c.csv").write_text("review\none more short\n", encoding="utf-8")
    job = sentiment_job("imdb", "review", 2)._replace(load=load_lengths)
    counts = pipeline.run_pipeline(str(tmp_path / "*.csv"), str(tmp_path / "out"), job)
    assert counts == {"done": 3, "bad": 1}
    records = {(record["file"], record["line"]): record for record in records_of(tmp_path, "results")}
    a, c = str(tmp_path / "a.csv"), str(tmp_path / "c.csv")
    labels = {key: record["label"] for key, record in records.items()}
    assert labels == {(a, 2): "bad", (a, 3): "good", (c, 2): "good"}
    assert records[a, 3]["id"] == "2"
    (bad,) = records_of(tmp_path, "errors")
    assert bad["file"] == str(tmp_path / "b.csv")
    assert "review" in bad["error"]


@pytest.mark.filterwarnings("ignore")
def test_a_pattern_without_files_is_named(beam, tmp_path):
    from captioning.pipeline import main

    assert run_script(main, ["--input", f"{tmp_path}/*.jpg", "--output", f"{tmp_path}/out"]) == 2


@pytest.mark.parametrize("app", ["captioning", "sentiment"])
def test_without_beam_the_command_says_how_to_install_it(app, monkeypatch, capsys):
    import importlib

    real = builtins.__import__

    def without_beam(name, *arguments, **options):
        if name.startswith("apache_beam"):
            raise ImportError(f"No module named {name!r}")
        return real(name, *arguments, **options)

    main = importlib.import_module(f"{app}.pipeline").main
    monkeypatch.setattr(builtins, "__import__", without_beam)
    assert run_script(main, ["--input", "*", "--output", "out"]) == 2
    assert "pip install '.[beam]'" in capsys.readouterr().err


def test_a_part_is_whole_and_named_by_its_inputs(beam, tmp_path):
    records = [{"image": "a"}, {"image": "\udcff b", "caption": "\u00e9"}]
    for _ in range(2):  # as after a worker died between writing and saying so
        pipeline.write_part(records, str(tmp_path / "new" / "out-results"), lambda record: record["image"])
    (file,) = (tmp_path / "new").iterdir()
    assert list(pipeline.read_part(str(file))) == records


def test_an_unreadable_file_is_a_bad_input(beam, tmp_path):
    from captioning.prediction.pipeline import caption, read_image

    (pair,) = read_image(str(tmp_path))
    (record,) = caption(Reds(), [pair])
    assert record["image"] == str(tmp_path)
    assert "cannot be read" in record["error"]
