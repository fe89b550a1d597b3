"""A small model, its run and its export, shared by the tests of this application."""

import dataclasses
import random

import keras
import numpy as np
import pytest

from sentiment import export
from sentiment.config import SentimentConfig
from sentiment.data.labels import save_labels
from sentiment.model.classifier import SentimentClassifier
from sentiment.text.known import KnownWords
from shared.runs.folder import RunFolder
from shared.system.cli import run_script
from shared.text.vocabulary import Vocabulary

LABELS = ("bad", "g\u00f6od", "so so")
WORDS = ["a", "film", "good", "n\u2019t", "is", "!", "\u203c", "\u597d", "7\u204410", "caf\u00e9", "cafe"]
SIZES = {"units": 5, "depth": 1, "embedding_size": 3, "window": 7}


VOCABULARY = Vocabulary((*Vocabulary.SPECIALS, "a", "good", "bad", "film"))
(GOOD,) = VOCABULARY.encode(["good"])
ODD_TEXTS = [
    "",
    "A good film!!!",
    "It isn't a GOOD film... <br /><br />7/10",
    "\u597d\u597d caf\u00e9 Cafe\u0301 \U0001f600\U0001f3fd \0 \ud800 \u202e\u0641\u064a\u0644\u0645",
    " ".join(random.Random(5).choices(["A", "film", "good", "isn't", "!", "zzz"], k=5000)),
    "!",
    "good " * SIZES["window"],
]


class FakeModel:
    """Likes a text the more often it says good; a stand-in for the model."""

    labels, vocabulary, known_words = ("negative", "positive"), VOCABULARY, KnownWords(VOCABULARY)

    def __init__(self):
        self.batches = []

    def probabilities_of_ids(self, sequences, progress=None):
        self.batches.append(len(sequences))
        counts = np.array([np.count_nonzero(ids == GOOD) for ids in sequences])
        good = (1 - 0.5 ** (1.0 + counts)).astype(np.float32)
        return np.stack([1 - good, good], axis=1)


@pytest.fixture
def fake_model():
    return FakeModel()


@pytest.fixture(scope="session")
def odd_texts():
    """Texts of very different lengths and characters; some are longer than the window of the small model."""
    return ODD_TEXTS


@pytest.fixture(scope="session")
def make_small_model():
    """A function that makes a small model with strong opinions; options as in `SentimentClassifier`."""

    def make(seed=3, **options):
        keras.utils.set_random_seed(seed)
        settings = {**SIZES, **options}
        model = SentimentClassifier(Vocabulary((*Vocabulary.SPECIALS, *WORDS)), LABELS, **settings)
        for weight in model.weights:  # those of a new model hardly depend on the text
            if "kernel" in weight.path:
                weight.assign(weight * 3.0)
            if "embeddings" in weight.path:
                weight.assign(weight * 10.0)
        kernel = model.output_layer.kernel
        kernel.assign(np.random.default_rng(seed).normal(0, 3.0, kernel.shape))
        model.temperature = 1.7
        return model

    return make


@pytest.fixture(scope="session")
def small_model(make_small_model):
    """A model that no test changes."""
    return make_small_model()


@pytest.fixture(scope="session")
def small_run(small_model, tmp_path_factory):
    """The run folder of the small model."""
    path = tmp_path_factory.mktemp("runs") / "small"
    run = RunFolder.create(path, dataclasses.asdict(SentimentConfig(**SIZES)), "sentiment")
    small_model.vocabulary.save(run.vocabulary_file)
    save_labels(run, small_model.labels)
    run.save_best_weights(small_model)
    return run


@pytest.fixture(scope="session")
def small_export(small_run, tmp_path_factory):
    """The folder that the script makes of the run; the script compares it with the model."""
    path = tmp_path_factory.mktemp("exports") / "model"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUDA_VISIBLE_DEVICES", "-1")  # as the script will, and back again
        assert run_script(export.main, ["--model", str(small_run.path), "--out", str(path)]) == 0
    return path
