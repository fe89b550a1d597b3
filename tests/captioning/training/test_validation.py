"""Validation after an epoch: CIDEr-D, exact captions and samples, of one source and of several."""

import dataclasses

import numpy as np
import pytest

from captioning.data.examples import Example
from captioning.model.captions import Caption
from captioning.training.validation import Validation

SENTENCES = ("a red dog", "a cat runs", "two dogs", "the red cat sleeps", "a dog runs")


class Parrot:
    """A source whose captions are given."""

    def __init__(self, examples, sentences):
        self.examples, self.sentences, self.asked = examples, sentences, []

    def caption(self, rows, **options):
        self.asked.append(options)
        return [[Caption.of(sentence.split(), -1.0, 3)] for sentence in np.array(self.sentences)[rows]]


def test_validation_of_perfect_captions(tmp_path, settings, make_run):
    examples = [
        Example(
            f"image {number}", b"", (f"{sentence} on the grass", f"{sentence} on the grass"), "validation"
        )
        for number, sentence in enumerate(SENTENCES)
    ]
    source = Parrot(examples, [example.captions[0] for example in examples])
    run, config = make_run(tmp_path / "run", settings()), settings(batch_size=1)  # batches of 4 and 1
    metrics = Validation(source, run, config)(epoch=7)
    assert metrics == {"val_cider": pytest.approx(10.0), "val_exact": 1.0}
    assert source.asked == [{"num_beams": 2, "max_length": 5}] * 2
    samples = run.samples_file.read_text()
    assert samples.startswith("epoch 7\n")
    assert f"image 0: {examples[0].captions[0]}" in samples


def test_validation_counts_what_is_exactly_one_of_the_references(tmp_path, settings, examples_of, make_run):
    examples = examples_of(4, split="validation")
    said = [examples[0].captions[0], examples[1].captions[1], "a dog", "nothing of this"]
    metrics = Validation(Parrot(examples, said), make_run(tmp_path / "run", settings()), settings())(epoch=1)
    assert metrics["val_exact"] == 0.5
    assert 0 < metrics["val_cider"] < 10


def of_source(examples, source):
    return [dataclasses.replace(e, source=source, image_id=f"{source}/{e.image_id}") for e in examples]


def test_each_source_is_scored_by_itself_and_the_mean_counts(tmp_path, settings, examples_of, make_run):
    """Three images of one source and one of the other: a mean of two sources, not of four images."""
    parts = {"birds": examples_of(3, split="validation"), "cats": examples_of(4, split="validation")[3:]}
    said = {"birds": [parts["birds"][0].captions[0], "a dog", "two dogs run"], "cats": ["the red cat sleeps"]}
    alone = {
        name: Validation(Parrot(parts[name], said[name]), make_run(tmp_path / name), settings())(epoch=1)
        for name in parts
    }
    assert all("val_cider_" not in name for metrics in alone.values() for name in metrics)
    together = [e for name in ("birds", "cats") for e in of_source(parts[name], name)]
    source = Parrot(together, said["birds"] + said["cats"])
    metrics = Validation(source, make_run(tmp_path / "both"), settings(batch_size=1))(epoch=1)
    assert list(metrics) == ["val_cider", "val_exact", "val_cider_birds", "val_cider_cats"]
    assert metrics["val_cider_birds"] == pytest.approx(alone["birds"]["val_cider"])
    assert metrics["val_cider_cats"] == pytest.approx(alone["cats"]["val_cider"])
    assert metrics["val_cider"] == pytest.approx(np.mean([m["val_cider"] for m in alone.values()]))
    assert metrics["val_exact"] == pytest.approx((1 / 3 + 1) / 2)
    assert 0 < metrics["val_cider_birds"] < 10


def test_one_validation_image_is_scored_by_the_words_of_training_captions(tmp_path, settings, make_run):
    """CIDEr-D of one image alone is 0 whatever its caption: every epoch would be as good as the first."""
    images = [Example(sentence, b"", (sentence,), "train") for sentence in SENTENCES]
    run = make_run(tmp_path / "run", settings())
    for caption, least in (("the red cat sleeps", 5.0), ("the red dog sleeps", 0.5), ("two dogs", 0.0)):
        source = Parrot([Example("x", b"", ("the red cat sleeps",), "validation")], [caption])
        score = Validation(source, run, settings(), Parrot(images[:3], []))(epoch=1)["val_cider"]
        assert score >= least
        assert (score == 0) == (least == 0)
