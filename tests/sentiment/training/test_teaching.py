"""Self-training: what teachers say, what is kept of it, and what a pupil learns from it."""

import dataclasses
import json
import signal

import numpy as np
import pytest

from sentiment.app import APP
from sentiment.config import LANGUAGE_FOLDER, SentimentConfig
from sentiment.data.reviews import Review
from sentiment.evaluation.baseline import NBSVM
from sentiment.training import run as training
from sentiment.training import teaching
from sentiment.training.batches import ReviewBatches
from sentiment.training.preparation import load_data
from sentiment.training.run import train_sentiment
from sentiment.training.teaching import TAUGHT_FILE, load_taught, save_taught, teach
from shared.runs.folder import RunError, RunFolder
from shared.system.cli import UserError
from shared.system.signals import Interrupted

REVIEWS = [
    Review(f"a {word} film {number}", label, "")
    for number in range(6)
    for word, label in (("superb", "good"), ("dull", "bad"))
]
UNLABELLED = ["superb songs", "dull songs", "superb and lovely sea", "a quiet sea", "songs \ud800 of \x00 it"]
TINY = SentimentConfig(
    cell="simple",
    bidirectional=False,
    units=3,
    embedding_size=4,
    batch_size=4,
    epochs=2,
    learning_rate=0.001,
    min_count=1,
    validation_fraction=0.25,
    precision="float32",
)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    rows = [{"text": review.text, "label": review.label} for review in REVIEWS]
    labelled, unlabelled = folder / "labelled.jsonl", folder / "unlabelled.jsonl"
    labelled.write_text("".join(json.dumps(row) + "\n" for row in rows))
    texts = [*UNLABELLED[:4], UNLABELLED[0].upper(), *(review.text for review in REVIEWS)]
    unlabelled.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return labelled, unlabelled


def run_training(path, tables, resume=False, **changes):
    changes = {"teachers": ("nb-svm",), "unlabelled": (str(tables[1]),), **changes}
    config = dataclasses.replace(TINY, data=(str(tables[0]),), **changes)
    run = RunFolder.create(path, dataclasses.asdict(config), "sentiment", resume=resume)
    return train_sentiment(config, run, load_data(config), resume=resume), run


@pytest.fixture(scope="module")
def network(tmp_path_factory, tables):
    path = tmp_path_factory.mktemp("runs") / "network"
    run_training(path, tables, teachers=(), unlabelled=())
    return path


def test_teachers_say_the_mean_of_their_probabilities_in_the_wanted_order(network):
    linear = NBSVM().fit(REVIEWS).probabilities(UNLABELLED)
    model = APP.load(network)
    assert model.labels == ("bad", "good")
    expected = (linear + model.probabilities(UNLABELLED)) / 2
    found = teach(["nb-svm", str(network)], UNLABELLED, REVIEWS, ["good", "bad"])
    np.testing.assert_allclose(found, expected[:, ::-1], rtol=1e-5)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)
    alone = teach(["nb-svm"], UNLABELLED, REVIEWS, ["bad", "good"])
    assert alone[0, 1] > 0.5 > alone[1, 1]


def test_a_teacher_of_other_labels(network):
    with pytest.raises(UserError, match="knows the labels bad, good; those of the reviews are bad, fine"):
        teach([str(network)], UNLABELLED, REVIEWS, ["bad", "fine"])


def test_a_teacher_that_is_not_there_is_missed_before_a_language_model_is_trained(tables, tmp_path):
    with pytest.raises(UserError, match="There is no model 'nobody'"):
        run_training(tmp_path / "run", tables, teachers=("nobody",), pretrain=(str(tables[1]),))
    assert not (tmp_path / "run" / LANGUAGE_FOLDER).exists()


def test_what_was_said_is_kept_exactly(tmp_path):
    run = RunFolder.create(tmp_path / "run", {}, "sentiment")
    probabilities = np.random.default_rng(1).random((5, 3), np.float32)
    save_taught(run, UNLABELLED, probabilities)
    texts, found = load_taught(run)
    assert texts == UNLABELLED
    np.testing.assert_array_equal(found, probabilities)
    (run.path / TAUGHT_FILE).write_bytes((run.path / TAUGHT_FILE).read_bytes()[:40])
    with pytest.raises(RunError, match="Start a new run"):
        load_taught(run)


class SeenError(Exception):
    """Raised in place of training."""


def test_the_pupil_learns_from_both_and_from_no_text_that_is_labelled_already(tmp_path, tables, monkeypatch):
    seen = {}

    def spy(model, optimizer, loss, batches, **settings):
        seen.update(model=model, batches=batches)
        raise SeenError

    monkeypatch.setattr(training, "train", spy)
    with pytest.raises(SeenError):
        run_training(tmp_path / "run", tables, batch_size=3)
    model, batches = seen["model"], seen["batches"]
    assert batches.steps_per_epoch == (8 + 4) // 3  # eight of training; four others, each once
    found = {}
    for batch in batches(epoch=1):
        for tokens, mask, target in zip(*batch.values(), strict=True):
            found[tuple(tokens[mask])] = target
    assert len(found) == 12
    texts, said = load_taught(RunFolder.open(tmp_path / "run", "sentiment"))
    assert texts == UNLABELLED[:4]
    for text, row in zip(texts, said, strict=True):
        np.testing.assert_array_equal(found.pop(tuple(model.encode(text))), row)
    for review in REVIEWS:  # a label that was given stays as it is; validation is not among them
        target = found.pop(tuple(model.encode(review.text)), None)
        assert target is None or target.tolist() == [review.label == label for label in model.labels]
    assert not found


def test_a_stopped_run_goes_on_bit_for_bit_and_asks_nobody_again(tmp_path, tables, monkeypatch):
    make, made = ReviewBatches._batch, iter(range(100))

    def interrupted(*arguments):
        if next(made) == 4:
            signal.raise_signal(signal.SIGINT)
        return make(*arguments)

    whole, _ = run_training(tmp_path / "whole", tables)
    monkeypatch.setattr(ReviewBatches, "_batch", interrupted)
    with pytest.raises(Interrupted):
        run_training(tmp_path / "run", tables)
    monkeypatch.setattr(teaching, "teach", None)
    result, _ = run_training(tmp_path / "run", tables, resume=True)
    for one, other in zip(result.history, whole.history, strict=True):
        assert (one["loss"], one["val_log_loss"]) == (other["loss"], other["val_log_loss"])


def test_nothing_to_label(tmp_path, tables):
    with pytest.raises(UserError, match="--unlabelled contains only texts that are already labelled"):
        run_training(tmp_path / "run", tables, unlabelled=(str(tables[0]),))


@pytest.mark.parametrize("changes", [{"teachers": ("nb-svm",)}, {"unlabelled": ("texts.jsonl",)}])
def test_one_option_without_the_other(changes):
    with pytest.raises(ValueError, match="need each other"):
        SentimentConfig(**changes)
