"""Training runs on tiny reviews: what is learned, how a stopped one goes on, and what cannot be used."""

import csv
import dataclasses
import json
import shutil
import signal

import numpy as np
import pytest
from safetensors.numpy import load_file

from sentiment import train
from sentiment.app import APP
from sentiment.config import LANGUAGE_FOLDER, SentimentConfig
from sentiment.data.load import load_reviews
from sentiment.text.words import split_words
from sentiment.training import pretraining
from sentiment.training import run as training
from sentiment.training.batches import ReviewBatches
from sentiment.training.preparation import load_data
from sentiment.training.pretraining import load_language_model
from sentiment.training.run import REVIEWS, train_sentiment
from shared.runs.folder import RunError, RunFolder
from shared.system.cli import UserError, run_script
from shared.system.signals import Interrupted
from shared.text.vocabulary import Vocabulary
from shared.training.replicas import Replicas
from shared.training.windows import TextWindows

TINY = SentimentConfig(
    cell="gru",
    pooling="max",
    units=5,
    embedding_size=5,
    dropout=0.05,
    word_dropout=0.05,
    input_dropout=0.05,
    output_dropout=0.05,
    recurrent_weight_dropout=0.05,
    window=16,
    batch_size=7,
    epochs=5,
    min_count=1,
    learning_rate=0.1,
    warmup=0.2,
    average_decay=0.7,
    validation_fraction=0.2,
    pretrain_window=5,
    pretrain_batch_size=3,
    pretrain_epochs=2,
    pretrain_learning_rate=0.1,
    samples=31,
    precision="float32",
)
PRETRAINED = {"cell": "simple", "epochs": 3}
VERDICTS = {"bad": ("dull", "awful"), "good": ("superb", "lovely")}
PLAIN = ("the", "film", "about", "a", "house", "by", "the", "sea", "with", "songs", "in", "it")
STEPS = 22  # an epoch: 160 reviews in batches of 7


def sentence(label, random):
    """One word says it, among others that say nothing; some are longer than a window."""
    words = [PLAIN[place] for place in random.integers(0, len(PLAIN), random.choice([7, 20]))]
    words[random.integers(len(words))] = VERDICTS[label][random.integers(2)]
    return " ".join(words)


def write_table(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    random = np.random.default_rng(1)
    rows = [(sentence(label, random), label) for _ in range(100) for label in VERDICTS]
    for place in range(0, 200, 17):  # whoever wrote these meant the opposite
        rows[place] = rows[place][0], "good" if rows[place][1] == "bad" else "bad"
    return write_table(tmp_path_factory.mktemp("data") / "reviews.csv", [("text", "label"), *rows])


@pytest.fixture(scope="module")
def more_texts(tmp_path_factory, table):
    """Texts without labels: the validation texts are among them, and words that no review has."""
    path = tmp_path_factory.mktemp("data") / "more.jsonl"
    texts = [
        "Rabbits were there, and rabbits ran.",
        "",
        *(review.text for review in reviews_of(table, "validation")),
    ]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    return path


def reviews_of(table, split):
    return load_reviews(table, validation_fraction=TINY.validation_fraction).split(split)


def run_training(path, table, resume=False, **changes):
    config = dataclasses.replace(TINY, data=(str(table),), **changes)
    run = RunFolder.create(path, dataclasses.asdict(config), "sentiment", resume=resume)
    return train_sentiment(config, run, load_data(config), resume=resume), run


@pytest.fixture
def stop_at(monkeypatch):
    """A function that has Ctrl-C pressed in a step, counted from 0 over all epochs; None: no more."""
    stop = {}

    def watch(kind, name):
        make, made = getattr(kind, name), iter(())

        def interrupted(*arguments):
            if kind in stop and next(made) == stop[kind]:
                signal.raise_signal(signal.SIGINT)
            return make(*arguments)

        def at(step):
            nonlocal made
            made = iter(range(1000))
            stop.pop(kind, None)
            if step is not None:
                stop[kind] = step

        monkeypatch.setattr(kind, name, interrupted)
        return at

    return {"reviews": watch(ReviewBatches, "_batch"), "words": watch(TextWindows, "_batch")}


def arrays_of(path):
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            return dict(archive)
    return load_file(path)


def assert_same_run(left, right):
    for name in ("history.csv", "vocabulary.json"):
        assert (left / name).read_bytes() == (right / name).read_bytes()
    for name in ("last.npz", "best.safetensors"):
        one, other = arrays_of(left / name), arrays_of(right / name)
        assert one.keys() == other.keys()
        for key in one:
            np.testing.assert_array_equal(one[key], other[key], err_msg=key)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, table):
    result, run = run_training(tmp_path_factory.mktemp("undisturbed") / "run", table)
    return run.path, result


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory, table, more_texts):
    path = tmp_path_factory.mktemp("pretrained") / "run"
    result, run = run_training(path, table, pretrain=(str(more_texts),), **PRETRAINED)
    return run.path, result


# Whole runs


def test_what_a_run_leaves_behind(undisturbed, table):
    path, result = undisturbed
    files = {"config.json", "vocabulary.json", "labels.json", "best.safetensors", "last.npz", "history.csv"}
    assert {file.name for file in path.iterdir()} == {*files, "previous.npz", "tensorboard"}
    with (path / "history.csv").open(newline="") as file:
        columns, *rows = csv.reader(file)
    metrics = ["val_accuracy", "val_log_loss", "val_calibration_error", "temperature"]
    assert columns == ["epoch", "loss", "learning_rate", "gradient_norm", "clip_rate", *metrics]
    assert len(rows) == TINY.epochs
    train = [split_words(review.text) for review in reviews_of(table, "train")]
    assert Vocabulary.load(path / "vocabulary.json") == Vocabulary.build(train)
    assert json.loads((path / "labels.json").read_text()) == ["bad", "good"]
    assert result.best_metrics["val_log_loss"] == min(row["val_log_loss"] for row in result.history)


def test_a_word_is_learned_wherever_it_stands(undisturbed):
    path, result = undisturbed
    assert result.best_metrics["val_accuracy"] > 0.9
    assert result.best_metrics["val_log_loss"] < 0.3
    model = APP.load(path)
    texts = [
        "superb film",
        "dull film",
        "the film with songs " * 9 + "lovely",
        "awful " + "by the sea in it " * 9,
    ]
    assert model.probabilities(texts).argmax(axis=1).tolist() == [1, 0, 1, 0]


def test_the_best_model_has_the_measures_that_the_history_says(undisturbed, table):
    path, result = undisturbed
    model = APP.load(path)
    assert model.temperature == pytest.approx(result.best_metrics["temperature"])
    reviews = reviews_of(table, "validation")
    right = [model.labels.index(review.label) for review in reviews]
    likely = model.probabilities([review.text for review in reviews]).astype("float64")
    losses = -np.log(likely[np.arange(len(right)), right])
    assert losses.mean() == pytest.approx(result.best_metrics["val_log_loss"], rel=1e-3)
    assert np.mean(likely.argmax(axis=1) == right) == result.best_metrics["val_accuracy"]


def test_a_stopped_run_goes_on_bit_for_bit(tmp_path, table, undisturbed, stop_at):
    """Batches of other shapes came before than in one go; that makes no difference either."""
    for step, place in ((2, "step 3 of 22 of epoch 1"), (STEPS + 1, "step 2 of 22 of epoch 2")):
        stop_at["reviews"](step)
        with pytest.raises(Interrupted, match=rf"after {place}.*--resume"):
            run_training(tmp_path / "run", table, resume=step > 2)
    stop_at["reviews"](None)
    result, _ = run_training(tmp_path / "run", table, resume=True)
    assert result == undisturbed[1]
    assert_same_run(tmp_path / "run", undisturbed[0])


def test_a_run_that_learns_from_pieces_goes_on_bit_for_bit(tmp_path, table, undisturbed, stop_at):
    settings = {"init_from": str(undisturbed[0]), "pieces": 0.5, "epochs": 2, "layers": "all"}
    result, run = run_training(tmp_path / "whole", table, **settings)
    assert {"val_piece_accuracy", "val_mixed_log_loss"} <= set(result.best_metrics)
    stop_at["reviews"](STEPS + 3)
    with pytest.raises(Interrupted):
        run_training(tmp_path / "stopped", table, **settings)
    stop_at["reviews"](None)
    _, resumed = run_training(tmp_path / "stopped", table, resume=True, **settings)
    assert_same_run(run.path, resumed.path)


def test_a_finished_run_says_so_when_it_is_resumed(undisturbed, capsys):
    before = (undisturbed[0] / "last.npz").read_bytes()
    assert run_script(train.main, ["--out", str(undisturbed[0]), "--resume"]) == 0
    out = capsys.readouterr().out
    assert f"The run in {undisturbed[0]} is finished already; its results follow." in out
    assert f"Best epoch {undisturbed[1].best_epoch}: " in out
    assert (undisturbed[0] / "last.npz").read_bytes() == before


def test_mixed_bfloat16_and_an_adversary_learn_too(tmp_path, table):
    changes = {
        "precision": "mixed_bfloat16",
        "adversarial": 0.5,
        "bidirectional": False,
        "learning_rate": 0.05,
    }
    result, run = run_training(tmp_path / "run", table, **changes)
    assert result.best_metrics["val_accuracy"] > 0.9
    for name, array in arrays_of(run.last_checkpoint).items():
        if name.startswith("model/") and "seed" not in name:
            assert array.dtype == np.float32


# With a language model


def test_an_adversary_and_shares_that_differ_are_refused(tmp_path, table):
    replicas, config = Replicas(), dataclasses.replace(TINY, data=(str(table),), adversarial=0.5)
    replicas.count = 3
    run = RunFolder.create(tmp_path / "run", {}, "sentiment")
    with pytest.raises(UserError, match="batch size that 3 replicas divide; it is 7"):
        train_sentiment(config, run, load_data(config), replicas=replicas)


def test_the_run_has_its_language_model_inside(pretrained, more_texts):
    path, result = pretrained
    inside = path / LANGUAGE_FOLDER
    assert {"config.json", "vocabulary.json", "best.safetensors", "last.npz"} <= {
        f.name for f in inside.iterdir()
    }
    vocabulary = Vocabulary.load(path / "vocabulary.json")
    assert vocabulary == Vocabulary.load(inside / "vocabulary.json")
    assert "rabbits" in vocabulary  # a word of the unlabelled texts alone
    assert len(result.history) == PRETRAINED["epochs"]
    assert APP.load(path).vocabulary == vocabulary


def test_a_run_that_stopped_after_its_language_model_does_not_train_that_again(
    tmp_path, table, more_texts, pretrained
):
    path = shutil.copytree(pretrained[0], tmp_path / "run")
    for name in (
        "last.npz",
        "previous.npz",
        "best.safetensors",
        "history.csv",
        "vocabulary.json",
        "labels.json",
    ):
        (path / name).unlink()
    changes = {"pretrain": (str(more_texts),), **PRETRAINED}
    result, _ = run_training(path, table, resume=True, **changes)
    assert result == pretrained[1]
    assert_same_run(path, pretrained[0])
    for name in ("last.npz", "previous.npz", "best.safetensors"):
        before = (pretrained[0] / LANGUAGE_FOLDER / name).read_bytes()
        assert (path / LANGUAGE_FOLDER / name).read_bytes() == before


def test_without_resume_a_language_model_is_not_trained_over(tmp_path, table, more_texts, stop_at):
    stop_at["words"](1)
    with pytest.raises(Interrupted):
        run_training(tmp_path / "run", table, pretrain=(str(more_texts),), **PRETRAINED)
    stop_at["words"](None)
    with pytest.raises(RunError, match=r"language_model already holds a run; continue it with --resume"):
        run_training(tmp_path / "run", table, pretrain=(str(more_texts),), **PRETRAINED)


def test_a_language_model_that_stopped_before_its_first_checkpoint_begins_anew(
    tmp_path, table, more_texts, pretrained, stop_at
):
    changes = {"pretrain": (str(more_texts),), **PRETRAINED}
    stop_at["words"](1)
    with pytest.raises(Interrupted):
        run_training(tmp_path / "run", table, **changes)
    stop_at["words"](None)
    (tmp_path / "run" / LANGUAGE_FOLDER / "last.npz").unlink()
    (tmp_path / "run" / LANGUAGE_FOLDER / "best.safetensors").write_bytes(b"of the first epoch")
    assert run_training(tmp_path / "run", table, resume=True, **changes)[0] == pretrained[1]
    assert_same_run(tmp_path / "run" / LANGUAGE_FOLDER, pretrained[0] / LANGUAGE_FOLDER)


def test_resume_needs_the_reviews_that_the_run_began_with(tmp_path, table, stop_at):
    stop_at["reviews"](3)
    with pytest.raises(Interrupted):
        run_training(tmp_path / "run", table)
    stop_at["reviews"](None)
    with table.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    other = write_table(tmp_path / table.name, [header, *rows[::-1]])
    config = dataclasses.replace(TINY, data=(str(table),))
    run = RunFolder.create(tmp_path / "run", dataclasses.asdict(config), "sentiment", resume=True)
    with pytest.raises(RunError, match=r"other content of: train reviews, validation reviews; "):
        train_sentiment(config, run, load_data(dataclasses.replace(config, data=(str(other),))), resume=True)


class SeenError(Exception):
    """What a part was given is known."""


def what_is_trained(monkeypatch, path, table, **changes):
    """What a run would give to the training loop."""
    seen = {}

    def stop(model, optimizer, loss, batches, **kwargs):
        seen.update(model=model, optimizer=optimizer, batches=batches, **kwargs)
        raise SeenError

    monkeypatch.setattr(training, "train", stop)
    with pytest.raises(SeenError):
        run_training(path, table, **changes)
    return seen


def test_an_earlier_language_model_starts_the_classifier(tmp_path, table, pretrained, monkeypatch):
    folder = str(pretrained[0] / LANGUAGE_FOLDER)
    settings = {
        "cell": "simple",
        "language_model": folder,
        "layer_rate_decay": 0.5,
        "gradual_unfreezing": 0.5,
    }
    seen = what_is_trained(monkeypatch, tmp_path / "run", table, **settings)
    language = load_language_model(folder, dataclasses.replace(TINY, cell="simple"))
    assert seen["model"].vocabulary == language.vocabulary
    for name in ("embedding", "stack"):
        weights = zip(
            getattr(seen["model"], name).get_weights(), getattr(language, name).get_weights(), strict=True
        )
        for one, other in weights:
            np.testing.assert_array_equal(one, other)
    half = TINY.epochs * seen["steps_per_epoch"] / 2
    share, first_step = seen["optimizer"].part_of(seen["model"].embedding.embeddings.path)
    assert share == 0.25
    assert first_step == pytest.approx(half, abs=1)
    with pytest.raises(UserError, match="has units 5"):
        run_training(tmp_path / "other", table, language_model=folder, cell="simple", units=3)


def test_the_language_model_sees_each_text_once_and_none_that_is_validated_on(
    tmp_path, table, more_texts, monkeypatch
):
    seen = {}

    def stop(config, run, texts, validation, vocabulary, **options):
        seen.update(texts=texts, validation=validation, vocabulary=vocabulary)
        raise SeenError

    monkeypatch.setattr(pretraining, "train_language_model", stop)
    with pytest.raises(SeenError):
        run_training(tmp_path / "run", table, pretrain=(str(more_texts), str(table)))
    held_out = {tuple(split_words(review.text)) for review in reviews_of(table, "validation")}
    train = list(dict.fromkeys(tuple(split_words(review.text)) for review in reviews_of(table, "train")))
    texts = [tuple(words) for words in seen["texts"]]
    assert set(map(tuple, seen["validation"])) == held_out
    assert len(texts) == len(set(texts))
    assert set(texts) == {*train, tuple(split_words("Rabbits were there, and rabbits ran."))} - held_out
    assert texts[: len(train)] != train  # they are in disorder
    assert seen["vocabulary"] == Vocabulary.build(texts)


# What cannot be trained on


@pytest.mark.parametrize(
    ("rows", "changes", "message"),
    [
        ([("fine", "good")] * 5, {}, "has only one class in its training part, 'good'"),
        (
            [("fine", "good"), ("dull", "bad"), ("poor", "bad")],
            {},
            "too few different texts of the class 'good'",
        ),
        ([], {}, "has no usable texts"),
        ([("", "good"), ("dull", "")], {}, r"no usable texts.*reviews\.csv:2"),
        ([("fine", "good")], {"text_column": "review"}, "must name the columns review"),
    ],
)
def test_reviews_that_nothing_can_be_learned_from(tmp_path, rows, changes, message):
    table = write_table(tmp_path / "reviews.csv", [("text", "label"), *rows])
    with pytest.raises(UserError, match=message):
        run_training(tmp_path / "run", table, **changes)


def test_a_source_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        run_training(tmp_path / "run", tmp_path / "absent.csv")


def test_unlabelled_texts_that_are_not_there_are_missed_before_anything_is_trained(tmp_path, table):
    with pytest.raises(UserError, match=r"absent\.txt"):
        run_training(tmp_path / "run", table, pretrain=("absent.txt",))
    assert not (tmp_path / "run" / LANGUAGE_FOLDER).exists()


def test_rows_that_cannot_be_used_are_told(tmp_path, capsys, monkeypatch):
    rows = [
        ("text", "label"),
        ("", "good"),
        *((f"{word} film", label) for label in VERDICTS for word in VERDICTS[label]),
    ]
    table = write_table(tmp_path / "reviews.csv", rows)
    what_is_trained(monkeypatch, tmp_path / "run", table)
    told = capsys.readouterr()
    assert f"{table}: validation is 20 % of train, class by class" in told.out
    assert f"left out: {table}:2: column text is empty" in told.err


def test_labels_of_any_number(tmp_path, monkeypatch):
    rows = [(f"text {number}", str(number % 5 + 1)) for number in range(20)]
    table = write_table(tmp_path / "reviews.csv", [("text", "label"), *rows])
    seen = what_is_trained(monkeypatch, tmp_path / "run", table)
    assert seen["model"].labels == ("1", "2", "3", "4", "5")
    for batch in seen["batches"](1):
        for tokens, target in zip(batch["tokens"], batch["targets"], strict=True):
            number = next(
                n for n in range(20) if seen["model"].encode(f"text {n}").tolist() == tokens[:4].tolist()
            )
            assert seen["model"].labels[target.argmax()] == str(number % 5 + 1)
            assert sorted(target.tolist()) == [0, 0, 0, 0, 1]


def test_progress_is_counted_in_reviews():
    assert (REVIEWS.unit, REVIEWS.of({"targets": np.zeros((3, 2))})) == ("reviews", 3)
