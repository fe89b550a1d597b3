"""Validation after an epoch: CIDEr-D, exact captions and samples, of one source and of several."""

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
