import gc
import json
import random
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from captioning import evaluate
from captioning.app import APP
from captioning.config import Calibration, Search
from captioning.evaluation import official, report
from captioning.evaluation.official import java_present, official_metrics
from captioning.model.captions import Caption
from shared.system.cli import UserError, run_script

pytest.importorskip("pycocoevalcap", reason="needs the extra 'evaluation'")
needs_java = pytest.mark.skipif(not java_present(), reason="needs a Java runtime")

REFERENCES = {
    "dog": ["A brown dog runs through the grass.", "The dog is running on a lawn!"],
    "boat": ["Two boats sail on the sea.", "Boats, far out on the water"],
    "child": ["A child in a red shirt climbs a tree."],
}
CANDIDATES = {
    "dog": "a dog runs on the grass",
    "boat": "two boats on the water",
    "child": "a man rides a bicycle",
}


# -- the metrics -----------------------------------------------------------------------------------------


def test_metrics_are_those_of_the_official_code():
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    references = {
        "dog": ["a brown dog runs through the grass", "the dog is running on a lawn"],
        "boat": ["two boats sail on the sea", "boats far out on the water"],
        "child": ["a child in a red shirt climbs a tree"],
    }
    candidates = {image: [text] for image, text in CANDIDATES.items()}
    scores = official_metrics(REFERENCES, CANDIDATES, tokenizer="words", meteor=False)
    bleu, _ = Bleu(4).compute_score(references, candidates, verbose=0)
    assert [scores[f"BLEU-{n}"] for n in (1, 2, 3, 4)] == pytest.approx(bleu)
    assert scores["ROUGE-L"] == pytest.approx(Rouge().compute_score(references, candidates)[0])
    assert scores["CIDEr"] == pytest.approx(Cider().compute_score(references, candidates)[0])
    assert scores["tokenizer"] == "words"
    assert scores["tool"].startswith("pycocoevalcap 1.")
    assert "METEOR" not in scores
    assert all(
        type(scores[name]) is float for name in scores if name not in ("tokenizer", "tool", "cider_of_each")
    )
    of_each = Cider().compute_score(references, candidates)[1]
    assert scores["cider_of_each"] == pytest.approx(of_each.tolist())


def test_order_of_candidates_does_not_matter():
    shuffled = dict(reversed(CANDIDATES.items()))
    assert official_metrics(REFERENCES, shuffled, "words", False) == official_metrics(
        REFERENCES, CANDIDATES, "words", False
    )


def test_perfect_captions_score_at_the_top():
    candidates = {image: texts[0] for image, texts in REFERENCES.items()}
    scores = official_metrics(REFERENCES, candidates, tokenizer="words", meteor=False)
    assert scores["BLEU-4"] == pytest.approx(1, abs=1e-6)
    assert scores["ROUGE-L"] == pytest.approx(1)


ODD_CAPTIONS = [
    'A dog\'s ball (red) - it is well-known, "ok".',
    "",
    "   ",
    "two\nlines\r\nin one\u2028caption\x0b\x85",
    "Ein Hund läuft über 3,5 Wiesen; 中文 und café!",
    "`quoted' ... it costs $5 & more? isn't it -- yes: no/yes",
    "<start> a|b ||| c",
]


@needs_java
def test_ptb_tokens_are_those_of_the_official_tokenizer(capfd):
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    words = [
        "Dog",
        "dog's",
        "runs,",
        "(a)",
        "well-known",
        "U.S.",
        "can't",
        "--",
        "2",
        "1/2",
        "e.g.",
        "\u201chi\u201d",
    ]
    generator = random.Random(5)
    mixtures = [" ".join(generator.choices(words, k=generator.randint(0, 13))) for _ in range(40)]
    captions = [*ODD_CAPTIONS, *mixtures, ""]
    captions = {number: captions[number : number + 1 + number % 3] for number in range(len(captions))}
    # The official wrapper itself is not safe against line ends within a caption.
    clean = {
        image: [{"caption": " ".join(text.split())} for text in texts] for image, texts in captions.items()
    }
    assert official._tokenize_ptb(captions) == PTBTokenizer().tokenize(clean)


@needs_java
def test_with_java_odd_captions_score_quietly_and_no_process_stays_behind(monkeypatch, capfd):
    from pycocoevalcap.meteor import meteor as module

    started, results = [], []
    popen, compute_score = subprocess.Popen, module.Meteor.compute_score
    monkeypatch.setattr(
        module.subprocess,
        "Popen",
        lambda *args, **kwargs: started.append(popen(*args, **kwargs)) or started[-1],
    )
    monkeypatch.setattr(
        module.Meteor,
        "compute_score",
        lambda *args: results.append(compute_score(*args)) or results[-1],
    )
    perfect = {image: texts[0] for image, texts in REFERENCES.items()} | dict(enumerate(ODD_CAPTIONS))
    references = REFERENCES | {number: ["a dog runs", text] for number, text in enumerate(ODD_CAPTIONS)}
    scores = official_metrics(references, perfect)
    assert scores["tokenizer"] == "ptb"
    meteor, meteor_of_each = results[0]  # 0 for captions without words
    assert scores["METEOR"] == meteor
    assert meteor_of_each[: len(REFERENCES)] == pytest.approx([1.0] * len(REFERENCES))
    assert all(np.isfinite(scores[name]) for name in ("BLEU-4", "METEOR", "ROUGE-L", "CIDEr"))
    assert capfd.readouterr() == ("", "")
    gc.collect()  # an unclosed pipe would warn here, and warnings are errors
    (process,) = (process for process in started if "meteor-1.5.jar" in process.args)
    assert process.poll() is not None
    assert process.stdin.closed
    assert process.stdout.closed
    assert process.stderr.closed


@needs_java
def test_meteor_that_dies_is_a_clear_error(monkeypatch):
    from pycocoevalcap.meteor import meteor as module

    monkeypatch.setattr(module, "METEOR_JAR", "absent.jar")
    with pytest.raises(UserError, match=r"METEOR's Java process failed.*absent\.jar"):
        official_metrics(REFERENCES, CANDIDATES, tokenizer="words", meteor=True)
    gc.collect()


def test_without_java(monkeypatch):
    monkeypatch.setattr(official, "java_present", lambda: False)
    scores = official_metrics(REFERENCES, CANDIDATES)
    assert scores["tokenizer"] == "words"
    assert "METEOR" not in scores
    with pytest.raises(UserError, match="PTB tokenizer needs Java"):
        official_metrics(REFERENCES, CANDIDATES, tokenizer="ptb")
    with pytest.raises(UserError, match="METEOR needs Java"):
        official_metrics(REFERENCES, CANDIDATES, meteor=True)


def test_a_java_stub_does_not_count(monkeypatch):
    monkeypatch.setattr(official.shutil, "which", lambda name: "/usr/bin/java")
    monkeypatch.setattr(official.subprocess, "run", lambda *args, **kwargs: SimpleNamespace(returncode=1))
    assert not java_present.__wrapped__()


def test_images_must_agree():
    with pytest.raises(ValueError, match="3 images with references and 1"):
        official_metrics(REFERENCES, {"dog": "a dog"}, "words", False)
    with pytest.raises(ValueError, match="at least one"):
        official_metrics({}, {}, "words", False)
    with pytest.raises(ValueError, match="'treebank'"):
        official_metrics(REFERENCES, CANDIDATES, "treebank", False)


def test_missing_package_names_the_extra(monkeypatch):
    def absent(name):
        raise official.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(official.importlib.metadata, "version", absent)
    with pytest.raises(UserError, match=r"pip install '\.\[evaluation\]'"):
        official_metrics(REFERENCES, CANDIDATES)


# -- the script ------------------------------------------------------------------------------------------


class FakeExample(SimpleNamespace):
    def load(self, size):
        if self.caption is None:
            raise UserError(f"{self.image_id}.jpg: cut short")
        return np.full((size, size, 3), self.caption, np.uint8)


class FakeCaptioner:
    """Gives the caption whose number is an image's only pixel."""

    image_size, search_defaults = 1, Search()

    def __init__(self, captions):
        self.captions, self.options = captions, None

    def caption_pixels(self, pixels, **options):
        self.options = options
        texts = [self.captions[pixel[0, 0, 0]] for pixel in pixels]
        return [[Caption(text, tuple(text.split()), -7.0, self.confidence(text))] for text in texts]

    def confidence(self, text):
        return 0.25


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A data set of three images and a model that knows what to say about them."""
    monkeypatch.chdir(tmp_path)
    examples = [
        FakeExample(image_id=image, captions=tuple(texts), split="validation", caption=number)
        for number, (image, texts) in enumerate(REFERENCES.items())
    ]
    captioner = FakeCaptioner(list(CANDIDATES.values()))
    data = SimpleNamespace(
        name="toy", problems=(), split=lambda name: [example for example in examples if example.split == name]
    )
    monkeypatch.setattr(report, "load_examples", lambda source, images, max_pixels, **form: data)
    monkeypatch.setattr(type(APP), "find", lambda app, name, trainable: Path(name))
    monkeypatch.setattr(type(APP), "load", lambda app, name, trainable: captioner)
    return SimpleNamespace(examples=examples, captioner=captioner, data=data)


def run(*argv):
    return run_script(evaluate.main, ["--data", "toy", "--model", "runs/best", "--tokenizer", "words", *argv])


def test_script_writes_and_prints(world, capsys):
    assert run("--no-meteor", "--num-beams", "5", "--batch-size", "2") == 0
    assert world.captioner.options["num_beams"] == 5
    expected = official_metrics(REFERENCES, CANDIDATES, "words", False)
    folder = Path("evaluation/best-validation")
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["metrics"] == {name: expected[name] for name in metrics["metrics"]}
    assert len(metrics["metrics"]) == 6
    assert (metrics["split"], metrics["images"], metrics["tokenizer"]) == ("validation", 3, "words")
    predictions = json.loads((folder / "predictions.json").read_text())
    assert predictions[0] == {
        "image_id": "dog",
        "caption": CANDIDATES["dog"],
        "log_prob": -7.0,
        "confidence": 0.25,
        "references": REFERENCES["dog"],
    }
    output = capsys.readouterr()
    assert output.out.startswith(
        "toy validation, 3 images, tokenizer words, beam 5, length penalty 0.8, pycocoevalcap 1."
    )
    assert f"BLEU-4 {expected['BLEU-4']:.4f}" in output.out
    assert output.out.splitlines()[1:] == [
        "confidence  captions  CIDEr above the median",
        "0.2 to 0.3         3     33%",
    ]
    assert metrics["confidence_bands"][0]["captions"] == 3
    assert not (folder / "calibration.json").exists()


def test_script_calibrates(world, monkeypatch):
    world.captioner.confidence = {text: 0.5 - 0.1 * rank for rank, text in enumerate(CANDIDATES.values())}.get
    world.captioner.calibration = "an old one"
    assert run("--no-meteor", "--calibrate", "--out", "out") == 0
    assert world.captioner.calibration is None
    record = json.loads(Path("out/calibration.json").read_text())
    assert (record["data"], record["split"], record["images"]) == ("toy", "validation", 3)
    calibration = Calibration.load(Path("out"))
    assert (calibration.slope, calibration.intercept) == (record["slope"], record["intercept"])
    predictions = json.loads(Path("out/predictions.json").read_text())
    expected = [calibration.apply(0.5 - 0.1 * rank) for rank in range(3)]
    assert [entry["confidence"] for entry in predictions] == pytest.approx(expected, abs=1e-4)
    metrics = json.loads(Path("out/metrics.json").read_text())
    assert metrics["confidence_bands"] == record["confidence_bands"]
    assert sum(band["captions"] for band in metrics["confidence_bands"]) == 3


def test_confidence_without_meaning_is_not_calibrated(world, capsys):
    assert run("--no-meteor", "--calibrate", "--out", "out") == 2
    assert "On 3 captions, more confidence does not mean a higher CIDEr" in capsys.readouterr().err
    assert run("--no-meteor", "--calibrate", "--out", "one.json") == 2
    assert "Name a folder as --out, not one.json" in capsys.readouterr().err


def test_script_writes_one_file(world):
    assert run("--no-meteor", "--out", "scores.json") == 0
    report = json.loads(Path("scores.json").read_text())
    assert report["metrics"]["metrics"].keys() >= {"BLEU-1", "CIDEr"}
    assert len(report["predictions"]) == 3


def test_numbers_of_coco_stay_numbers(world):
    for example, number in zip(world.examples, ("391895", "522418", "007"), strict=True):
        example.image_id = number
    run("--no-meteor", "--out", "out")
    predictions = json.loads(Path("out/predictions.json").read_text())
    assert [entry["image_id"] for entry in predictions] == [391895, 522418, "007"]


def test_unreadable_images_are_named_and_left_out(world, capsys):
    world.examples[1].caption = None
    assert run("--no-meteor", "--out", "out") == 1
    output = capsys.readouterr()
    assert "boat: error: boat.jpg: cut short" in output.err
    assert "1 of 3 images could not be read" in output.err
    assert "2 images" in output.out


def test_no_readable_image_is_an_error(world, capsys):
    for example in world.examples:
        example.caption = None
    assert run("--out", "out") == 2
    assert "None of the images could be read" in capsys.readouterr().err


def test_predictions_outlive_a_failure_of_the_metrics(world, monkeypatch, capsys):
    def fail(*args, **kwargs):
        raise UserError("METEOR's Java process failed")

    monkeypatch.setattr(report, "official_metrics", fail)
    assert run("--out", "out") == 2
    assert len(json.loads(Path("out/predictions.json").read_text())) == 3


def test_split_without_captions_is_an_error(world, capsys):
    assert run("--split", "test") == 2
    assert "'test'" in capsys.readouterr().err


def test_bad_rows_are_counted(world, capsys):
    world.data.problems = ["row 3", "row 7"]
    assert run("--no-meteor", "--out", "out") == 0
    assert "2 bad rows left out" in capsys.readouterr().err


def test_unwritable_output_is_reported_before_any_work(world, monkeypatch, capsys):
    monkeypatch.setattr(type(APP), "load", lambda *arguments: pytest.fail("the model was loaded"))
    Path("file").write_text("")
    assert run("--out", "file/folder") == 2
    assert run("--out", "absent/scores.json") == 2
    assert capsys.readouterr().err.count("error: Cannot") == 2
