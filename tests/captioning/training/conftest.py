"""What tests of training share: settings of a tiny run, images of noise, and an untrained captioner.

Keras is imported where it is used: pytest reads this file in processes that run no test, too.
"""

import dataclasses
import json
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from captioning.config import CaptioningConfig
from captioning.data.examples import CaptionData, Example
from shared.runs.folder import RunFolder

TINY = CaptioningConfig(
    encoder="small_cnn",
    encoder_weights="none",
    image_size=32,
    train_encoder=True,
    encoder_from_epoch=1,
    init_from="",
    tokenizer="words",
    units=6,
    num_heads=2,
    min_count=1,
    max_length=5,
    captions_per_image=2,
    batch_size=3,
    epochs=1,
    repeats=1,
    learning_rate=0.01,
    warmup_steps=200,
    average_decay=0.998,
    patience=4,
    no_repeat_ngram=3,
    dropout=0.0,
    input_dropout=0.0,
    validation_beams=2,
)
SENTENCES = ("a red dog", "a cat runs", "two dogs", "the red cat sleeps", "a dog runs", "two cats", "a cat")


def _settings(**changes):
    return dataclasses.replace(TINY, **changes)


def _examples_of(count, bad=(), split="train", seed=5):
    random = np.random.default_rng(seed)
    return [
        Example(
            f"{split}-{number}",
            b"no image" if number in bad else random.integers(0, 256, (20 + number, 31, 3), dtype=np.uint8),
            (SENTENCES[number], SENTENCES[-number]),
            split,
        )
        for number in range(count)
    ]


def _make_run(path, config=TINY):
    return RunFolder.create(path, dataclasses.asdict(config), "captioning")


def _new_captioner(path, config=TINY):
    from captioning.training.run import make_captioner

    data = CaptionData("tiny", tuple(_examples_of(5)))
    return make_captioner(config, _make_run(path, config), data, resume=False)


@pytest.fixture(scope="session")
def settings() -> Callable:
    """Settings of a tiny run, but for those given."""
    return _settings


@pytest.fixture(scope="session")
def examples_of() -> Callable:
    """Images of noise with two captions each; the `bad` ones cannot be read."""
    return _examples_of


@pytest.fixture(scope="session")
def make_run() -> Callable:
    """A run folder for settings."""
    return _make_run


@pytest.fixture(scope="session")
def new_captioner() -> Callable:
    """A captioner at the start of a run in this folder."""
    return _new_captioner


@pytest.fixture(scope="module")
def captioner(tmp_path_factory):
    import keras

    keras.utils.set_random_seed(3)
    return _new_captioner(tmp_path_factory.mktemp("run") / "run")


@pytest.fixture(scope="module")
def make_source(tmp_path_factory) -> Callable:
    """Writes a captions file with images of noise, and returns its path."""

    def make(name="data", train=5, validation=2, seed=2):
        folder, random = tmp_path_factory.mktemp("sources") / name, np.random.default_rng(seed)
        folder.mkdir()
        with (folder / "captions.jsonl").open("w") as file:
            for number in range(train + validation):
                pixels = random.integers(0, 256, (33, 40, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
                split = "train" if number < train else "validation"
                row = {"image": f"{number}.png", "caption": SENTENCES[number % 7], "split": split}
                file.write(json.dumps(row) + "\n")
        return str(folder / "captions.jsonl")

    return make


@pytest.fixture(scope="module")
def source_file(make_source) -> str:
    """A captions file with five images for training and two for validation."""
    return make_source()
