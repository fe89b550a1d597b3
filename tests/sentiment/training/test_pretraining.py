"""The language model's texts, its two directions in step, its measure, and its run folder."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

from sentiment.config import SentimentConfig
from sentiment.model.language import WordLM
from sentiment.training import pretraining
from sentiment.training.pretraining import (
    APP,
    WORDS,
    Perplexity,
    joined,
    language_loss,
    language_run,
    load_language_model,
    train_language_model,
)
from shared.runs.folder import RunError, RunFolder
from shared.system.cli import UserError
from shared.text.vocabulary import Vocabulary

SENTENCES = [line.split() for line in ("the cat sat on the mat", "a dog ran to a door", "owls hoot by night")]
VOCABULARY = Vocabulary.build(SENTENCES)
TINY = SentimentConfig(
    cell="simple",
    units=7,
    embedding_size=5,
    pretrain_window=5,
    pretrain_batch_size=3,
    pretrain_epochs=7,
    pretrain_learning_rate=0.1,
    pretrain_dropout=0.0,
    average_decay=0.5,
    samples=31,
    precision="float32",
)


def some_texts(count, seed=1):
    return [SENTENCES[place] for place in np.random.default_rng(seed).integers(0, 3, count)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A language model's run and its result."""
    run = language_run(TINY, tmp_path_factory.mktemp("runs") / "language", resume=False)
    result = train_language_model(TINY, run, some_texts(60), some_texts(20, seed=2), VOCABULARY)
    return run, result


def a_model(**settings):
    settings = {"units": 4, "embedding_size": 3, "cell": "gru", "seed": 1, **settings}
    model = WordLM(VOCABULARY, **settings)
    random = np.random.default_rng(1)
    for weight in model.trainable_variables:
        weight.assign(random.normal(0, 0.7, weight.shape))
    return model


# Texts and windows


def test_texts_stand_one_after_the_other_each_with_start_and_end():
    found = joined(VOCABULARY, [["the", "cat"], [], ["rabbits", "hoot"]])
    cat, hoot, the = VOCABULARY.encode(["cat", "hoot", "the"])
    assert found.tolist() == [1, the, cat, 2, 1, 2, 1, Vocabulary.UNK, hoot, 2]
    assert found.dtype == joined(VOCABULARY, []).dtype == np.int32
    assert joined(VOCABULARY, []).shape == (0,)


def test_both_directions_read_the_text_in_step():
    ids = np.arange(100, dtype=np.int32)
    windows = pretraining._Windows(ids, TINY)
    assert (windows.batch_size, windows.steps_per_pass) == (3, 7)
    seen = {"forward": [], "backward": []}
    for batch in windows(epoch=1):
        assert batch.keys() == seen.keys()
        for way, step in (("forward", 1), ("backward", -1)):
            tokens = batch[way]["tokens"]
            assert tokens.shape == (3, 6)
            assert set(np.diff(tokens, axis=1).ravel() % 100) == {step % 100}  # as its direction reads
            assert np.all(batch[way]["keeps_state"])  # no stream forgets
            seen[way].append(tokens)
        assert WORDS.of(batch) == 15
    for way, step in (("forward", 1), ("backward", -1)):
        ends, begins = np.array(seen[way])[:-1, :, -1], np.array(seen[way])[1:, :, 0]
        np.testing.assert_array_equal(ends, begins)  # a window goes on where the last one ended
        streams = np.concatenate([tokens[:, :-1] for tokens in seen[way]], axis=1)
        assert set(streams.ravel()) == set(range(100)), step  # a pass has all of the text


def test_one_direction_has_one_stream_of_windows():
    windows = pretraining._Windows(np.arange(100), dataclasses.replace(TINY, bidirectional=False))
    assert all(batch.keys() == {"forward"} for batch in windows(epoch=1))


@pytest.mark.parametrize(("between", "steps", "epochs"), [(400, 7, 3), (3, 3, 7), (2, 2, 11)])
def test_passes_over_the_text_become_epochs_of_the_loop(monkeypatch, between, steps, epochs):
    monkeypatch.setattr(pretraining, "STEPS_BETWEEN", between)
    windows = pretraining._Windows(np.arange(100), TINY)  # 7 steps a pass
    assert (windows.steps_per_epoch, windows.epochs(3)) == (steps, epochs)
    assert len(list(windows(epoch=2))) == steps


@pytest.mark.parametrize("texts", [[], [["the"]]])
def test_texts_that_are_too_short(tmp_path, texts):
    run = language_run(TINY, tmp_path / "run", resume=False)
    with pytest.raises(UserError, match=r"tokens\. Expected more than --pretrain-window 5: give more text"):
        train_language_model(TINY, run, texts, some_texts(3), VOCABULARY)


# The loss and the measure


def test_the_loss_is_the_mean_of_the_directions_with_their_states():
    class Recorder:
        def sampled_loss(self, tokens, direction, states):
            seen.append((tokens.tolist(), direction, states))
            return tf.constant([2.0, 5.0][direction]), f"{states} later"

    seen = []
    batch = {"forward": {"tokens": np.array([[1, 2]])}, "backward": {"tokens": np.array([[2, 1]])}}
    loss, carry = language_loss(Recorder(), batch, ["a", "b"])
    assert (float(loss), carry) == (3.5, ["a later", "b later"])
    assert seen == [([[1, 2]], 0, "a"), ([[2, 1]], 1, "b")]
    loss, carry = language_loss(Recorder(), batch, ["a"])
    assert (float(loss), carry) == (2.0, ["a later"])


def stream_nats(model, tokens, direction):
    """Mean nats of all words but the first of one stream, read in one pass, in NumPy."""
    hidden, _ = model.hidden(tokens[None, :-1], direction)
    logits = np.asarray(model.score(hidden), "float64")[0]
    return np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(logits)), tokens[1:]])


@pytest.mark.parametrize("bidirectional", [True, False])
def test_the_measure_reads_side_by_side_streams_in_both_directions(bidirectional):
    model = a_model(bidirectional=bidirectional)
    ids = np.random.default_rng(3).integers(0, len(VOCABULARY), 3 * 20 + 1)
    found = Perplexity(model, ids, window=5, batch_size=3)(epoch=1)
    expected = []
    for direction, order in enumerate([ids, ids[::-1]][: 1 + bidirectional]):
        expected += [stream_nats(model, order[first : first + 21], direction) for first in (0, 20, 40)]
    assert found == {"val_nats": pytest.approx(np.mean(expected), rel=1e-5)}
    assert Perplexity(model, ids, window=5, batch_size=3)(epoch=2) == found


@pytest.mark.parametrize("count", [2, 5, 64, 65, 66])
def test_the_measure_of_a_short_text(count):
    model = a_model()
    ids = np.random.default_rng(3).integers(0, len(VOCABULARY), count)
    read = ids[: 65 if count > 65 else count], ids[::-1][: 65 if count > 65 else count]
    expected = np.mean([stream_nats(model, order, direction) for direction, order in enumerate(read)])
    assert Perplexity(model, ids)(epoch=1)["val_nats"] == pytest.approx(expected, rel=1e-5)


# Runs


def test_it_learns_the_sentences(trained):
    run, result = trained
    assert result.best_metrics["val_nats"] < 0.5 < 0.25 * math.log(len(VOCABULARY))
    assert len(result.history) == TINY.pretrain_epochs
    assert Vocabulary.load(run.vocabulary_file) == VOCABULARY
    assert {"config.json", "vocabulary.json", "best.safetensors", "last.npz", "history.csv"} <= {
        file.name for file in run.path.iterdir()
    }


def test_the_best_one_is_loaded(trained):
    run, result = trained
    config = dataclasses.replace(TINY, dropout=0.25, epochs=3, pretrain_epochs=9, seed=7)  # which may differ
    model = load_language_model(str(run.path), config)
    assert (model.vocabulary, model.dtype_policy.name) == (VOCABULARY, "float32")
    measured = Perplexity(model, joined(VOCABULARY, some_texts(20, seed=2)))(epoch=0)
    assert measured["val_nats"] == pytest.approx(result.best_metrics["val_nats"], rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"units": 9}, r"has units 7\. Give the classifier the same"),
        ({"cell": "gru", "embedding_size": 3}, r"has cell simple, embedding_size 5\."),
        ({"bidirectional": False, "depth": 2}, r"has depth 1, bidirectional True\."),
    ],
)
def test_a_language_model_of_another_form(trained, changes, message):
    with pytest.raises(UserError, match=message):
        load_language_model(str(trained[0].path), dataclasses.replace(TINY, **changes))


def test_what_is_no_language_model(tmp_path):
    with pytest.raises(RunError, match="there is no run folder"):
        load_language_model(str(tmp_path / "absent"), TINY)
    RunFolder.create(tmp_path / "run", dataclasses.asdict(TINY), "sentiment")
    with pytest.raises(RunError, match=rf"holds a run of 'sentiment'; expected one of '{APP}'"):
        load_language_model(str(tmp_path / "run"), TINY)
    language_run(TINY, tmp_path / "begun", resume=False)
    with pytest.raises(RunError, match="has no checkpoint yet"):
        load_language_model(str(tmp_path / "begun"), TINY)
