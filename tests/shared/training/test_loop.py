"""The training loop: exact resume, early stopping, averages, clipping, files, and what survives a failure."""

import contextlib
import csv
import importlib
import os
import signal
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from shared.runs.folder import RunError, RunFolder
from shared.system import files
from shared.system.files import FileError
from shared.system.signals import Interrupted
from shared.training import pace
from shared.training.averaging import WeightAverage
from shared.training.checkpoint import load_checkpoint, save_checkpoint
from shared.training.loop import TrainingError, train
from shared.training.losses import sequence_cross_entropy
from shared.training.pace import cosine
from shared.training.reporting import Size
from shared.training.step import TrainStep

STEPS, EPOCHS, BATCH, TIME, VOCABULARY = 5, 3, 4, 7, 11


def make_model(width=6, recurrent=False):
    """A language model with all that a checkpoint must hold: two kinds of noise and batch statistics."""
    keras.utils.set_random_seed(3)
    tokens = keras.Input((TIME,), dtype="int32")
    outputs = keras.layers.Embedding(VOCABULARY, width)(tokens)
    outputs = keras.layers.BatchNormalization()(outputs)
    if recurrent:  # only where it is the point: its graph takes a second to make
        outputs = keras.layers.GRU(5, return_sequences=True, recurrent_dropout=0.2)(outputs)
    outputs = keras.layers.GaussianNoise(0.1)(outputs)
    outputs = keras.layers.Dropout(0.3)(outputs)
    return keras.Model(tokens, keras.layers.Dense(VOCABULARY)(outputs))


def make_optimizer():
    rate = keras.optimizers.schedules.CosineDecay(
        0.05 / 4, STEPS * EPOCHS - 4, warmup_target=0.05, warmup_steps=4
    )
    return keras.optimizers.AdamW(rate, weight_decay=0.01)


def batches(epoch):
    random = np.random.default_rng([8, epoch])
    for _ in range(STEPS):
        yield {"tokens": random.integers(0, VOCABULARY, (BATCH, TIME + 1)).astype("int32")}


def compute_loss(model, batch):
    tokens = batch["tokens"]
    return sequence_cross_entropy(tokens[:, 1:], model(tokens[:, :-1], training=True), label_smoothing=0.1)


def evaluate_with(model):
    tokens = np.random.default_rng(9).integers(0, VOCABULARY, (3, TIME + 1))

    def evaluate(epoch):
        logits = model(tokens[:, :-1], training=False)
        return {"val_loss": sequence_cross_entropy(tokens[:, 1:], logits)}

    return evaluate


def run_training(path, model=None, *, resume=False, **changes):
    model = model or make_model()
    settings = {
        "model": model,
        "optimizer": make_optimizer(),
        "compute_loss": compute_loss,
        "batches": batches,
        "epochs": EPOCHS,
        "steps_per_epoch": STEPS,
        "run": RunFolder.create(path, {"epochs": EPOCHS}, "captioning", resume=resume),
        "evaluate": evaluate_with(model),
        "monitor": "val_loss",
        "mode": "min",
        "patience": 2,
        "clip_norm": 0.7,
        "average": 0.9,
        **changes,
    }
    return train(**settings, resume=resume), model


class Signal(keras.callbacks.Callback):
    """Raises a signal after a number of steps."""

    def __init__(self, after, number=signal.SIGINT):
        super().__init__()
        self.left, self.number = after, number

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(self.number)


def arrays_of(path):
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def assert_same_run(left, right):
    assert (left / "history.csv").read_bytes() == (right / "history.csv").read_bytes()
    one, other = arrays_of(left / "last.npz"), arrays_of(right / "last.npz")
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)
    models = [make_model(), make_model()]
    for model, path in zip(models, (left, right), strict=True):
        RunFolder(path, {}).load_best_weights(model, VOCABULARY)
    for one, other in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    path = tmp_path_factory.mktemp("undisturbed") / "run"
    result, model = run_training(path)
    return path, result, [variable.numpy() for variable in model.variables]


@pytest.mark.parametrize("after", [1, STEPS - 1, STEPS, STEPS + 2, 2 * STEPS])
def test_interrupted_and_continued_is_bit_for_bit_the_undisturbed_run(tmp_path, undisturbed, after):
    path, expected, variables = undisturbed
    with pytest.raises(Interrupted, match=r"--resume"):
        run_training(tmp_path / "run", callbacks=[Signal(after)])
    result, model = run_training(tmp_path / "run", resume=True)
    assert result == expected
    assert_same_run(tmp_path / "run", path)
    for variable, value in zip(model.variables, variables, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value, err_msg=variable.path)


def test_random_numbers_of_a_recurrent_cell_go_on_too(tmp_path):
    def run(name, **changes):
        return run_training(tmp_path / name, make_model(recurrent=True), **changes)

    whole, _ = run("whole")
    with pytest.raises(Interrupted):
        run("parts", callbacks=[Signal(STEPS + 2)])
    assert run("parts", resume=True)[0] == whole
    whole, parts = arrays_of(tmp_path / "whole" / "last.npz"), arrays_of(tmp_path / "parts" / "last.npz")
    states = [name for name in whole if "seed_generator_state" in name]
    assert len(states) == 3
    for name in states:
        assert whole[name][1] > 0  # it is in use
    for name in whole:
        np.testing.assert_array_equal(whole[name], parts[name], err_msg=name)


@pytest.fixture
def hangups():
    """Hangups are not ignored, as they are below `nohup`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def test_many_interruptions_by_all_signals(tmp_path, undisturbed, hangups):
    statuses = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        with pytest.raises(Interrupted) as stopped:
            run_training(tmp_path / "run", resume=bool(statuses), callbacks=[Signal(4, number)])
        statuses.append(stopped.value.status)
    assert statuses == [143, 130, 129]
    run_training(tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "run", undisturbed[0])


def test_signal_in_the_evaluation_breaks_it_off_and_it_is_done_again(tmp_path, undisturbed):
    model = make_model()
    finished = []

    def evaluate(epoch):
        if epoch == 2:
            signal.raise_signal(signal.SIGINT)
        finished.append(epoch)
        return evaluate_with(model)(epoch)

    with pytest.raises(Interrupted, match="before the evaluation of epoch 2"):
        run_training(tmp_path / "run", model, evaluate=evaluate)
    assert finished == [1]
    run_training(tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "run", undisturbed[0])


def test_second_signal_stops_at_once(tmp_path):
    class Twice(Signal):
        def on_train_batch_end(self, batch, logs=None):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run_training(tmp_path / "run", callbacks=[Twice(1)])
    assert not (tmp_path / "run" / "last.npz").exists()


def test_a_second_hangup_is_the_same_one(tmp_path, hangups):
    class Twice(Signal):
        def on_train_batch_end(self, batch, logs=None):
            signal.raise_signal(signal.SIGHUP)
            signal.raise_signal(signal.SIGHUP)

    with pytest.raises(Interrupted):
        run_training(tmp_path / "run", callbacks=[Twice(1)])


def test_a_hangup_that_is_ignored_stays_ignored(tmp_path, undisturbed):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        run_training(tmp_path / "run", callbacks=[Signal(2, signal.SIGHUP)])
    finally:
        signal.signal(signal.SIGHUP, before)
    assert_same_run(tmp_path / "run", undisturbed[0])


def test_signal_handlers_are_put_back(tmp_path):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted):
        run_training(tmp_path / "run", callbacks=[Signal(1)])
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_finished_run_resumed_changes_nothing(tmp_path, undisturbed):
    run_training(tmp_path / "run")
    result, _ = run_training(tmp_path / "run", resume=True)
    assert result == undisturbed[1]
    assert_same_run(tmp_path / "run", undisturbed[0])


def test_history_file_has_one_row_an_epoch_and_no_clock(undisturbed):
    path, result, _ = undisturbed
    with (path / "history.csv").open(newline="") as file:
        table = list(csv.reader(file))
    assert table[0] == ["epoch", "loss", "learning_rate", "gradient_norm", "clip_rate", "val_loss"]
    assert [row[0] for row in table[1:]] == ["1", "2", "3"]
    assert RunFolder.open(path, "captioning").read_history() == result.history
    assert result.history[-1]["learning_rate"] == 0.0


def test_best_weights_are_the_averages_and_give_the_best_metric(undisturbed):
    path, result, _ = undisturbed
    model = make_model()
    RunFolder(path, {}).load_best_weights(model, VOCABULARY)
    assert float(evaluate_with(model)(0)["val_loss"]) == result.best_metrics["val_loss"]
    assert result.best_metrics["val_loss"] == min(row["val_loss"] for row in result.history)


def test_tensorboard_has_every_number_of_the_history(undisturbed):
    path, result, _ = undisturbed
    found = {}
    for file in sorted((path / "tensorboard").iterdir()):
        for record in tf.data.TFRecordDataset(str(file)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                found[event.step, value.tag] = float(tf.make_ndarray(value.tensor))
    for row in result.history:
        for name, number in row.items():
            assert found[row["epoch"], name] == np.float32(number)
    assert (1, "examples_per_second") in found


def simple_run(path, metric, *, model=None, mode="max", **changes):
    """A run of one weight whose validation metric is a given list."""
    if model is None:
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
        model.set_weights([np.zeros((1, 1))])
    settings = {
        "optimizer": keras.optimizers.SGD(0.5),
        "compute_loss": lambda model, batch: ops.mean(model(batch)),
        "batches": lambda epoch: [np.array([[2.0]], "float32"), np.array([[0.2]], "float32")],
        "evaluate": lambda epoch: {"score": metric[epoch - 1]},
        "run": RunFolder.create(path, {}, "captioning"),
        "epochs": len(metric),
        "steps_per_epoch": 2,
        "monitor": "score",
        **changes,
    }
    return train(model, mode=mode, **settings), model


@pytest.mark.parametrize(
    ("mode", "metric", "patience", "epochs", "best"),
    [
        ("max", [1.0, 3.0, 2.0, 3.0, 4.0], 2, 4, 2),  # an equal one is no better
        ("min", [3.0, 1.0, 2.0, 0.5, 4.0], 2, 5, 4),
        ("max", [1.0, float("nan"), 2.0], 2, 3, 3),
        ("max", [3.0, 2.0, 1.0], None, 3, 1),
    ],
)
def test_early_stop(tmp_path, mode, metric, patience, epochs, best):
    result, _ = simple_run(tmp_path / "run", metric, mode=mode, patience=patience)
    assert len(result.history) == epochs
    assert result.best_epoch == best
    assert result.best_metrics["score"] == metric[best - 1]


def test_clipping_by_hand(tmp_path):
    # The gradient of the one weight is the input: 2.0, clipped to 0.5, then 0.2.
    result, model = simple_run(tmp_path / "run", [1.0], clip_norm=0.5)
    row = result.history[0]
    assert row["clip_rate"] == 0.5
    assert row["gradient_norm"] == pytest.approx(1.1)
    np.testing.assert_allclose(model.get_weights()[0], [[-0.5 * (0.5 + 0.2)]], rtol=1e-6)


def test_norm_of_a_row_looked_up_twice_is_that_of_the_sum(tmp_path):
    model = keras.Sequential([keras.Input((2,), dtype="int32"), keras.layers.Embedding(3, 1)])
    result, _ = simple_run(
        tmp_path / "run",
        [1.0],
        model=model,
        batches=lambda epoch: [np.array([[1, 1]], "int32")],
        compute_loss=lambda model, batch: ops.sum(model(batch)),
        steps_per_epoch=1,
    )
    assert result.history[0]["gradient_norm"] == 2.0


def test_average_by_hand():
    weight = keras.Variable(np.array([1.0, -2.0], "float32"))
    average = WeightAverage([weight], decay=0.3)
    expected = np.array([1.0, -2.0])
    update = tf.function(average.update)
    for step in range(6):
        weight.assign(weight.value * 1.5 + step)
        update()
        decay = min(0.3, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * weight.numpy()
    own = weight.numpy()
    with contextlib.suppress(RuntimeError), average.swapped():
        np.testing.assert_allclose(weight.numpy(), expected, rtol=1e-5)
        raise RuntimeError
    np.testing.assert_array_equal(weight.numpy(), own)


def test_evaluation_sees_the_averages_and_training_goes_on_without(tmp_path):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.zeros((1, 1))])
    seen = []

    def evaluate(epoch):
        seen.append(model.get_weights()[0].item())
        return {"score": epoch}

    simple_run(tmp_path / "run", [1.0], model=model, evaluate=evaluate, average=0.5)
    first, second = -1.0, -1.1
    average = 0.9 * first
    average = 2 / 11 * average + 9 / 11 * second
    assert seen == [pytest.approx(average)]
    assert model.get_weights()[0].item() == pytest.approx(second)


def carried_run(path, resume=False, **changes):
    """Each epoch reads a stream of numbers; the carry is the sum of those before the window."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.set_weights([np.ones((3, 1)), np.zeros(1)])
    sums = []

    def compute_loss(model, batch, carry):
        total = carry["sum"] + ops.sum(batch, axis=-1)
        tf.py_function(lambda values: sums.append(values.numpy().tolist()), [carry["sum"]], [])
        return ops.mean((model(batch)[:, 0] - total) ** 2), {"sum": total, "count": carry["count"] + 1}

    def batches(epoch):
        return (np.full((2, 3), [[step], [10 * epoch]], "float32") for step in range(4))

    train(
        model,
        keras.optimizers.SGD(1e-5),
        compute_loss,
        batches,
        epochs=2,
        steps_per_epoch=4,
        run=RunFolder.create(path, {}, "charlm", resume=resume),
        evaluate=lambda epoch: {},
        monitor="loss",
        mode="min",
        initial_carry={"sum": np.zeros(2, "float32"), "count": 0},
        resume=resume,
        **changes,
    )
    return sums


@pytest.mark.parametrize("after", [2, 4, 7])
def test_an_epoch_may_begin_with_the_state_that_the_last_one_ended_with(tmp_path, after):
    sums = carried_run(tmp_path / "one", keep_carry=True)
    first = [[0.0, 0.0], [0.0, 30.0], [3.0, 60.0], [9.0, 90.0]]
    second = [[18.0, 120.0], [18.0, 180.0], [21.0, 240.0], [27.0, 300.0]]
    assert sums == first + second
    with pytest.raises(Interrupted):
        carried_run(tmp_path / "two", keep_carry=True, callbacks=[Signal(after)])
    assert carried_run(tmp_path / "two", keep_carry=True, resume=True) == sums[after:]
    one, other = arrays_of(tmp_path / "one" / "last.npz"), arrays_of(tmp_path / "two" / "last.npz")
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_carried_state_goes_from_batch_to_batch_and_survives_a_stop(tmp_path):
    sums = carried_run(tmp_path / "one")
    one_epoch = [[0.0, 0.0], [0.0, 30.0], [3.0, 60.0], [9.0, 90.0]]
    assert sums == one_epoch + [[first, 2 * second] for first, second in one_epoch]
    with pytest.raises(Interrupted):
        carried_run(tmp_path / "two", callbacks=[Signal(6)])
    assert carried_run(tmp_path / "two", resume=True) == sums[6:]
    one, other = arrays_of(tmp_path / "one" / "last.npz"), arrays_of(tmp_path / "two" / "last.npz")
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


class Clock(keras.callbacks.Callback):
    """A clock on which each step takes a number of seconds."""

    def __init__(self, seconds=10.0):
        super().__init__()
        self.now, self.seconds = 0.0, seconds

    def perf_counter(self):
        return self.now

    def on_train_batch_end(self, batch, logs=None):
        self.now += self.seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(pace, "time", clock)
    return clock


def timed_run(path, clock, model=None, *, minutes=1.2, callbacks=(), **changes):
    """72 seconds are up after 8 steps of 10: in the middle of the second epoch of five."""
    model = model or make_model()

    def evaluate(epoch):
        clock.now += 1000.0
        return evaluate_with(model)(epoch)

    settings = {"epochs": None, "patience": None, "schedule": cosine(0.05, 0.1), "evaluate": evaluate}
    settings |= {"optimizer": keras.optimizers.AdamW(0.05), **changes}
    return run_training(path, model, minutes=minutes, callbacks=[clock, *callbacks], **settings)


def test_minutes_end_a_run_in_the_middle_of_an_epoch(tmp_path, clock, capsys):
    rates, steps = [], []

    class Listener(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            rates.append(float(self.model.own_optimizer.learning_rate))
            steps.append((batch, logs["loss"]))

    model, optimizer = make_model(), keras.optimizers.AdamW(0.05)
    model.own_optimizer = optimizer
    result, _ = timed_run(tmp_path / "run", clock, model, optimizer=optimizer, callbacks=[Listener()])
    assert [batch for batch, _ in steps] == [0, 1, 2, 3, 4, 0, 1, 2]
    assert [row["minutes"] for row in result.history] == [0.8333, 1.3333]  # the evaluation does not count
    schedule = cosine(0.05, 0.1)
    np.testing.assert_allclose(rates, [schedule(10 * step / 72) for step in range(8)], rtol=1e-6)
    losses = [loss for _, loss in steps]
    for row, part in zip(result.history, (losses[:5], losses[5:]), strict=True):
        assert row["loss"] == pytest.approx(np.mean(part), rel=1e-6)
    assert RunFolder.open(tmp_path / "run", "captioning").read_history() == result.history
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["epoch 1", "epoch 2"]  # of nobody knows how many


@pytest.mark.parametrize("after", [3, 5, 7])
def test_a_timed_run_goes_on_with_the_clock_where_it_was(tmp_path, clock, after):
    whole, _ = timed_run(tmp_path / "whole", clock)
    with pytest.raises(Interrupted):
        timed_run(tmp_path / "parts", clock, callbacks=[Signal(after)])
    clock.now += 5000.0  # as another process finds it
    assert timed_run(tmp_path / "parts", clock, resume=True)[0] == whole
    assert_same_run(tmp_path / "parts", tmp_path / "whole")


def test_a_finished_timed_run_resumed_changes_nothing(tmp_path, clock):
    whole, _ = timed_run(tmp_path / "run", clock)
    before = (tmp_path / "run" / "last.npz").read_bytes()
    assert timed_run(tmp_path / "run", clock, resume=True)[0] == whole
    assert (tmp_path / "run" / "last.npz").read_bytes() == before


def test_an_evaluation_after_the_time_is_up_is_done_again(tmp_path, clock):
    whole, _ = timed_run(tmp_path / "whole", clock)
    model = make_model()

    def broken_off(epoch):
        if epoch == 2:
            signal.raise_signal(signal.SIGINT)
        return evaluate_with(model)(epoch)

    with pytest.raises(Interrupted, match="before the evaluation of epoch 2"):
        timed_run(tmp_path / "parts", clock, model, evaluate=broken_off)
    assert timed_run(tmp_path / "parts", clock, resume=True)[0] == whole
    assert_same_run(tmp_path / "parts", tmp_path / "whole")


@pytest.mark.parametrize("changes", [{"epochs": 1}, {"minutes": 50 / 60}], ids=["epochs", "minutes"])
def test_a_timed_run_may_end_with_a_whole_epoch(tmp_path, clock, changes):
    result, _ = timed_run(tmp_path / "run", clock, **changes)
    assert [row["minutes"] for row in result.history] == [0.8333]


def test_a_schedule_gives_each_step_its_rate_and_goes_on_exactly(tmp_path):
    rates = []

    def run(name, *callbacks, **changes):
        optimizer = keras.optimizers.AdamW(1.0)
        listener = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: rates.append(float(optimizer.learning_rate))
        )
        changes |= {"optimizer": optimizer, "schedule": cosine(0.05, 0.2, final=0.1)}
        return run_training(tmp_path / name, callbacks=[listener, *callbacks], **changes)[0]

    whole, schedule = run("whole"), cosine(0.05, 0.2, final=0.1)
    total = EPOCHS * STEPS
    np.testing.assert_allclose(rates, [schedule((step + 0.5) / total) for step in range(total)], rtol=1e-6)
    assert [row["learning_rate"] for row in whole.history] == rates[STEPS - 1 :: STEPS]
    rates.clear()
    with pytest.raises(Interrupted):
        run("parts", Signal(STEPS + 2))
    assert run("parts", resume=True) == whole
    np.testing.assert_allclose(rates, [schedule((step + 0.5) / total) for step in range(total)], rtol=1e-6)
    assert_same_run(tmp_path / "parts", tmp_path / "whole")


def test_the_size_of_a_batch_is_counted_as_it_is_told(tmp_path, monkeypatch):
    ticks = iter(range(1000))
    monkeypatch.setattr("shared.training.reporting.time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    size = Size("letters", lambda batch: int(batch[0, 0] * 50))  # 100 and 10
    simple_run(tmp_path / "run", [1.0], size=size)
    scalars = {}
    for file in (tmp_path / "run" / "tensorboard").iterdir():
        for record in tf.data.TFRecordDataset(str(file)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            scalars |= {value.tag: tf.make_ndarray(value.tensor) for value in event.summary.value}
    # The clock ticks once between the two readings.
    assert scalars["letters_per_second"] == pytest.approx(110 / (scalars["seconds"] + 1))
    assert "minutes" not in scalars  # nothing of the clock, unless the clock decides


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_loss_that_is_not_finite_stops_and_leaves_the_last_checkpoint(tmp_path, bad):
    def batches(epoch):
        yield np.array([[1.0]], "float32")
        yield np.array([[bad if epoch == 2 else 2.0]], "float32")

    with pytest.raises(TrainingError, match="step 2 of epoch 2 gave a loss of"):
        simple_run(tmp_path / "run", [1.0, 2.0], batches=batches)
    weights = [array for name, array in arrays_of(tmp_path / "run" / "last.npz").items() if "kernel" in name]
    assert len(weights) == 1
    assert np.isfinite(weights[0]).all()
    assert (tmp_path / "run" / "best.safetensors").exists()


def test_full_disk_leaves_the_last_good_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "run"
    with pytest.raises(Interrupted):
        run_training(path, callbacks=[Signal(STEPS)])
    before = {file.name: file.read_bytes() for file in path.iterdir() if file.is_file()}

    write = Path.write_bytes

    def full(file, content):
        if not file.name.endswith("last.npz"):
            return write(file, content)
        write(file, b"half a checkpoint")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(FileError, match="No space left on device"):
        run_training(path, resume=True, callbacks=[Signal(2)])
    monkeypatch.undo()
    after = {file.name: file.read_bytes() for file in path.iterdir() if file.is_file()}
    assert after.pop("best.safetensors")  # of the first epoch, whose evaluation was still to be done
    before.pop("best.safetensors", None)
    assert after == before
    assert run_training(path, resume=True)[0].best_epoch


def test_full_disk_while_the_best_weights_are_written(tmp_path, monkeypatch):
    model = make_model()
    scores = {1: 1.0, 2: 0.5}

    def evaluate(epoch):
        if epoch == 2:
            monkeypatch.setattr(files.os, "replace", refuse)
        return {"val_loss": scores[epoch]}

    def refuse(source, target):
        assert os.path.getsize(source) > 0
        raise OSError(28, "No space left on device")

    with pytest.raises(FileError, match=r"could not write .*best\.safetensors"):
        run_training(tmp_path / "run", model, evaluate=evaluate)
    monkeypatch.undo()
    assert sorted(file.name for file in (tmp_path / "run").iterdir()) == [
        "best.safetensors",
        "config.json",
        "curves.svg",
        "diagnostics.jsonl",
        "history.csv",
        "last.npz",
        "tensorboard",
    ]
    RunFolder(tmp_path / "run", {}).load_best_weights(make_model(), VOCABULARY)


# Damaged files, changed data, and what a process that was killed leaves


def damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(tmp_path, undisturbed, capsys):
    path = tmp_path / "run"
    with pytest.raises(Interrupted):
        run_training(path, callbacks=[Signal(STEPS + 2)])
    assert (path / "previous.npz").exists()  # of the first epoch
    damage(path / "last.npz")
    run_training(path, resume=True)
    assert "last.npz is damaged and cannot be read" in (told := capsys.readouterr().out)
    assert "continues from the checkpoint before that" in told
    assert_same_run(path, undisturbed[0])


def test_two_damaged_checkpoints_are_an_error(tmp_path):
    path = tmp_path / "run"
    with pytest.raises(Interrupted):
        run_training(path, callbacks=[Signal(STEPS + 2)])
    for name in ("last.npz", "previous.npz"):
        damage(path / name)
    with pytest.raises(RunError, match=r"previous\.npz is damaged"):
        run_training(path, resume=True)


def test_a_process_that_was_killed_between_two_renames(tmp_path, undisturbed):
    path = tmp_path / "run"
    with pytest.raises(Interrupted):
        run_training(path, callbacks=[Signal(STEPS + 2)])
    (path / "last.npz").replace(path / "previous.npz")
    run_training(path, resume=True)
    assert_same_run(path, undisturbed[0])


def test_no_changed_byte_of_a_checkpoint_goes_unnoticed(tmp_path):
    path, variable = tmp_path / "last.npz", keras.Variable(np.arange(50.0), name="numbers")
    save_checkpoint(path, {"model": [variable]}, {"epoch": 3})
    content, random = path.read_bytes(), np.random.default_rng(2)
    for index in random.integers(0, len(content), 300):
        changed = bytearray(content)
        changed[index] ^= 1 << random.integers(8)
        path.write_bytes(changed)
        with contextlib.suppress(RunError):
            assert load_checkpoint(path, {"model": [variable]}) == {"epoch": 3}
        np.testing.assert_array_equal(variable.numpy(), np.arange(50.0))


def test_a_checkpoint_that_was_written_anew_with_other_numbers(tmp_path):
    path, variable = tmp_path / "last.npz", keras.Variable(np.arange(5.0), name="numbers")
    save_checkpoint(path, {"model": [variable]}, {"epoch": 3})
    arrays = arrays_of(path)
    np.savez(path, **{**arrays, "model/0000/numbers": arrays["model/0000/numbers"] + 1})
    with pytest.raises(RunError, match="its checksum does not match"):
        load_checkpoint(path, {"model": [variable]})


@pytest.mark.parametrize("table", [b"", b"epoch,loss\n1", b"\xff\xfe", b'"', b"epoch\n1,2,3\n"])
def test_a_damaged_history_is_written_anew(tmp_path, undisturbed, table):
    path = tmp_path / "run"
    with pytest.raises(Interrupted):
        run_training(path, callbacks=[Signal(2 * STEPS)])
    (path / "history.csv").write_bytes(table)
    run_training(path, resume=True)
    assert_same_run(path, undisturbed[0])


def test_changed_data_are_named(tmp_path):
    path, data = tmp_path / "run", {"training texts": "1", "validation texts": "2"}
    with pytest.raises(Interrupted):
        run_training(path, callbacks=[Signal(1)], data=data)
    with pytest.raises(RunError, match=r"other content of: validation texts; .*the same data"):
        run_training(path, resume=True, data={**data, "validation texts": "3"})
    run_training(path, resume=True, data=data)


def test_changed_labels_are_named(tmp_path):
    path = tmp_path / "run"
    RunFolder.create(path, {"epochs": EPOCHS}, "captioning")
    (path / "labels.json").write_text('["bad", "good"]')
    with pytest.raises(Interrupted):
        run_training(path, callbacks=[Signal(1)])
    (path / "labels.json").write_text('["good", "bad"]')
    with pytest.raises(RunError, match=r"other content of: labels\.json; copy the folder again"):
        run_training(path, resume=True)


def with_samples(path, model):
    """An evaluation that writes a page."""

    def evaluate(epoch):
        RunFolder(path, {}).append_samples(f"page {epoch}\nännu")
        return evaluate_with(model)(epoch)

    return evaluate


def test_no_page_of_samples_is_there_twice(tmp_path, monkeypatch):
    path, model = tmp_path / "run", make_model()
    evaluate = with_samples(path, model)

    def killed(epoch):
        evaluate(epoch)
        raise KeyboardInterrupt if epoch == 2 else ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_training(path, model, evaluate=killed)
    with pytest.raises(Interrupted):  # begins anew
        run_training(path, evaluate=evaluate, callbacks=[Signal(STEPS + 1)])
    with pytest.raises(KeyboardInterrupt):
        run_training(path, resume=True, evaluate=killed)
    run_training(path, resume=True, evaluate=evaluate)
    assert (path / "samples.txt").read_text().splitlines()[::2] == ["page 1", "page 2", "page 3"]


@pytest.fixture
def minute(monkeypatch):
    """A clock on which a minute passes after each step."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("shared.training.saving.time", SimpleNamespace(monotonic=lambda: clock.now))

    def on_train_batch_end(batch, logs):
        clock.now += 60

    return keras.callbacks.LambdaCallback(on_train_batch_end=on_train_batch_end)


@pytest.mark.parametrize(("after", "saved"), [(1, None), (3, 2), (5, 5), (STEPS + 2, 7)])
def test_a_killed_run_loses_no_more_than_the_time_between_two_checkpoints(
    tmp_path, undisturbed, minute, after, saved
):
    class Killed(keras.callbacks.Callback):
        left = after

        def on_train_batch_begin(self, batch, logs=None):
            if self.left == 0:
                raise ZeroDivisionError
            self.left -= 1

    path = tmp_path / "run"
    with pytest.raises(ZeroDivisionError):
        run_training(path, save_every=2, callbacks=[minute, Killed()])
    if saved is None:
        assert not (path / "last.npz").exists()
    else:
        arrays = arrays_of(path / "last.npz")
        assert [arrays[name] for name in arrays if name.endswith("/iteration")] == [saved]
    run_training(path, save_every=2, resume=saved is not None)
    assert_same_run(path, undisturbed[0])


def test_keras_callbacks_hear_of_everything_and_may_stop_the_run(tmp_path):
    heard = []

    class Listener(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            heard.append(("begin", self.params["epochs"], self.params["steps"]))

        def on_epoch_begin(self, epoch, logs=None):
            heard.append(("epoch begins", epoch))

        def on_train_batch_end(self, batch, logs=None):
            heard.append(("batch", batch, sorted(logs)))

        def on_epoch_end(self, epoch, logs=None):
            heard.append(("epoch ends", epoch, logs["score"]))
            self.model.stop_training = epoch == 1

        def on_train_end(self, logs=None):
            heard.append("end")

    result, _ = simple_run(tmp_path / "run", [1.0, 2.0, 3.0], callbacks=[Listener()])
    epochs = [
        [("epoch begins", e), ("batch", 0, ["loss"]), ("batch", 1, ["loss"]), ("epoch ends", e, e + 1.0)]
        for e in (0, 1)
    ]
    assert heard == [("begin", 3, 2), *epochs[0], *epochs[1], "end"]
    assert result.best_epoch == 2


def test_quiet_without_a_terminal_but_for_one_line_an_epoch(tmp_path, capsys):
    simple_run(tmp_path / "run", [1.0, 0.5], clip_norm=1.0)
    output, errors = capsys.readouterr()
    lines = output.splitlines()
    assert [line.split(":")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    assert "score 1" in lines[0]
    assert "clip_rate" not in lines[0]  # that is in history.csv
    assert lines[0].endswith("*")  # the best so far
    assert not lines[1].endswith("*")
    assert errors == ""


def test_mixed_bfloat16_keeps_float32_weights_and_resumes(tmp_path):
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    try:
        result, model = run_training(tmp_path / "one")
        with pytest.raises(Interrupted):
            run_training(tmp_path / "two", callbacks=[Signal(7)])
        run_training(tmp_path / "two", resume=True)
        assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
        assert np.isfinite([row["loss"] for row in result.history]).all()
        assert_same_run(tmp_path / "one", tmp_path / "two")
    finally:
        keras.mixed_precision.set_dtype_policy(before)


def test_resume_needs_a_checkpoint_of_the_same_model_and_data(tmp_path):
    path = tmp_path / "run"
    with pytest.raises(RunError, match="there is no run folder"):
        run_training(path, resume=True)
    RunFolder.create(path, {"epochs": EPOCHS}, "captioning")
    with pytest.raises(RunError, match="there is no checkpoint"):
        run_training(path, resume=True)
    with pytest.raises(Interrupted):
        run_training(path, callbacks=[Signal(1)])
    with pytest.raises(RunError, match=r"has shape \(11, 6\), expected \(11, 4\)"):
        run_training(path, make_model(width=4), resume=True)
    with pytest.raises(RunError, match="started with 5 steps an epoch and now there are 4"):
        run_training(path, resume=True, steps_per_epoch=4)
    (path / "last.npz").write_bytes((path / "last.npz").read_bytes()[:-100])
    with pytest.raises(RunError, match="damaged"):
        run_training(path, resume=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mode": "up"}, "mode must be"),
        ({"epochs": None}, "give epochs, minutes or both"),
        ({"monitor": "bleu"}, "no metric 'bleu'"),
        ({"steps_per_epoch": 3}, "gave 2 batches"),
        ({"model": keras.Sequential([keras.layers.Dense(1)])}, "build it"),
    ],
)
def test_arguments_that_cannot_be_used(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        simple_run(tmp_path / "run", [1.0], **changes)


def test_used_optimizer_is_refused(tmp_path):
    optimizer = keras.optimizers.SGD(0.1)
    _, model = simple_run(tmp_path / "one", [1.0], optimizer=optimizer)
    with pytest.raises(ValueError, match="fresh"):
        simple_run(tmp_path / "two", [1.0], model=model, optimizer=optimizer)


def test_no_finite_metric_is_an_error(tmp_path):
    with pytest.raises(TrainingError, match="no epoch gave a finite score"):
        simple_run(tmp_path / "run", [float("nan")])


def test_checkpoint_keeps_variables_of_one_path_apart_and_bfloat16_exact(tmp_path):
    def variables():
        return [
            keras.Variable(np.full(3, 1 / 3), name="twin", dtype="float32"),
            keras.Variable(np.full(3, 2 / 3), name="twin", dtype="bfloat16"),
            keras.Variable(2**40 + 1, name="count", dtype="int64"),
        ]

    saved, loaded = variables(), variables()
    for variable in loaded:
        variable.assign(ops.zeros_like(variable.value))
    save_checkpoint(tmp_path / "last.npz", {"model": [*saved, saved[0]]}, {"sum": 0.1 + 0.2})
    assert load_checkpoint(tmp_path / "last.npz", {"model": loaded}) == {"sum": 0.1 + 0.2}
    for one, other in zip(saved, loaded, strict=True):
        np.testing.assert_array_equal(ops.cast(one.value, "float64"), ops.cast(other.value, "float64"))
    with pytest.raises(RunError, match="is not part of the model"):
        load_checkpoint(tmp_path / "last.npz", {"model": loaded[:2]})
    with pytest.raises(RunError, match="is missing in the file"):
        load_checkpoint(tmp_path / "last.npz", {"model": [*loaded, keras.Variable(1.0)]})


def test_a_run_goes_on_though_its_source_is_changed(tmp_path, monkeypatch):
    source = tmp_path / "losses_of_this_test.py"
    source.write_text("def compute(model, batch):\n    return (model(batch) ** 2)[0, 0]\n")
    monkeypatch.syspath_prepend(tmp_path)
    compute = importlib.import_module(source.stem).compute
    source.write_text("def other(model, batch, more):\n    return more\n")
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.array([[3.0]])])
    step = TrainStep(model, keras.optimizers.SGD(0.0), compute)
    assert step(np.array([[2.0]], np.float32))[0] == 36.0
