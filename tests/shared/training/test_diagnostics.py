"""What a run shows of itself, and that showing it changes nothing."""

import json

import keras
import numpy as np
import pytest

from shared.layers import GRU, LSTM
from shared.runs.folder import RunFolder
from shared.training import diagnostics, loop
from shared.training.diagnostics import Climb, Diagnostics, read_records
from shared.training.loop import TrainingError
from shared.training.matrices import largest_singular_value, recurrent_matrices, spectral_radius
from tests.shared.training.test_loop import EPOCHS, STEPS, make_model, run_training


@pytest.fixture(autouse=True)
def with_time(monkeypatch):
    """Measurements are made whenever they are due, however slow the computer is."""
    monkeypatch.setattr(diagnostics, "SHARE", 1e9)


def make_run(path):
    return RunFolder.create(path, {}, "test")


@pytest.mark.parametrize("size", [5, 90])
def test_matrices_stretch_as_much_as_their_values_say(size):
    matrix = np.random.default_rng(size).normal(size=(size, size)).astype(np.float32)
    assert largest_singular_value(matrix) == pytest.approx(np.linalg.svd(matrix)[1][0], rel=1e-4)
    assert spectral_radius(matrix) == pytest.approx(np.abs(np.linalg.eigvals(matrix)).max(), rel=1e-3)


def test_each_gate_has_a_matrix():
    keras.utils.set_random_seed(1)
    inputs = keras.Input((None, 3))
    first, second = LSTM(4), GRU(5, name="second")
    model = keras.Model(inputs, second(first(inputs)[0])[0])
    matrices = recurrent_matrices(model)
    assert [len(each) for each in matrices.values()] == [4, 3]
    assert {matrix.shape for each in matrices.values() for matrix in each} == {(4, 4), (5, 5)}
    np.testing.assert_array_equal(np.concatenate(matrices[second.path], axis=1), second.get_weights()[1])


def test_a_run_has_curves_and_records(tmp_path):
    run_training(tmp_path, make_model(recurrent=True), probe=lambda: np.array([2.0, 1.0, 0.5, 0.2, 0.1]))
    run = RunFolder.open(tmp_path, "captioning")
    records = read_records(run)
    assert [record["step"] for record in records] == [STEPS * epoch for epoch in range(1, EPOCHS + 1)]
    (name,) = (name for name in records[0] if name.startswith("spectral_radius"))
    assert (
        0.5 < records[0][name] < records[0][name.replace("spectral_radius", "largest_singular_value")] + 1e-6
    )
    svg = (tmp_path / "curves.svg").read_text()
    assert svg.count('class="line"') >= 4
    assert "val loss" in svg


def test_a_finished_run_that_was_killed_before_its_curves_were_drawn_has_them_after_resuming(tmp_path):
    run_training(tmp_path)
    curves = (tmp_path / "curves.svg").read_bytes()
    (tmp_path / "curves.svg").write_text("those of the epoch before")
    run_training(tmp_path, resume=True)
    assert (tmp_path / "curves.svg").read_bytes() == curves


def test_the_gradient_is_measured_when_it_is_due(tmp_path, monkeypatch):
    counts = []
    watch = Diagnostics(
        make_run(tmp_path), make_model(), lambda: counts.append(1) or np.arange(12.0, 0, -1), 3
    )
    assert [watch.after_step(step) for step in range(1, 8)] == [False, False, True] * 2 + [False]
    rows = [{"epoch": 1, "loss": 1.0, "gradient_norm": 0.5, "learning_rate": 0.1}]
    watch.after_epoch(7, rows, "loss")
    records = read_records(RunFolder.open(tmp_path, "test"))
    assert [record["step"] for record in records] == [3, 6, 7]
    assert {json.dumps(record["gradient_by_distance"]) for record in records} == {
        json.dumps({"1": 11.0, "2": 10.0, "4": 8.0, "8": 4.0})
    }
    assert watch.picture().shape == (3, 4)
    monkeypatch.setattr(diagnostics, "SHARE", 0.0)
    assert not watch.after_step(9)
    assert len(counts) == 3


def test_records_after_the_checkpoint_are_dropped(tmp_path):
    run = make_run(tmp_path)
    lines = [json.dumps({"step": step}) for step in (3, 6, 9)]
    (tmp_path / "diagnostics.jsonl").write_text("\n".join([*lines[:2], "{damaged", lines[2]]))
    assert read_records(run) == [{"step": 3}, {"step": 6}]
    watch = Diagnostics(run, make_model(), None)
    watch.load(5)
    watch.after_epoch(5, [{"epoch": 1, "loss": 1.0, "gradient_norm": 0.5, "learning_rate": 0.1}], "loss")
    assert [record["step"] for record in read_records(run)] == [3, 5]


def test_the_training_is_the_same_without(tmp_path):
    for name, shown in (("with", True), ("without", False)):
        run_training(tmp_path / name, make_model(recurrent=True), diagnostics=shown, probe=lambda: np.ones(9))
    weights = [(tmp_path / name / "best.safetensors").read_bytes() for name in ("with", "without")]
    assert weights[0] == weights[1]
    assert not (tmp_path / "without" / "curves.svg").exists()
    assert not (tmp_path / "without" / "diagnostics.jsonl").exists()


@pytest.mark.parametrize(
    ("norms", "gradient_norm", "sentence"),
    [
        (10.0 ** -np.arange(40), 0.5, "The gradient vanishes: 32 steps back it is 1e-31"),
        (2.0 ** np.arange(40), 0.5, "The gradient explodes: 32 steps back"),
        (np.ones(40), 20.0, "more than 10 times as large as --clip-norm 1"),
        (np.ones(40), 0.5, None),
    ],
)
def test_a_sentence_says_what_is_wrong(norms, gradient_norm, sentence, tmp_path, capsys):
    watch = Diagnostics(make_run(tmp_path), make_model(), lambda: norms, 1, clip_norm=1.0)
    rows = [{"epoch": 1, "loss": 1.0, "gradient_norm": gradient_norm, "learning_rate": 0.1}]
    for step in (1, 2):
        watch.after_step(step)
        watch.after_epoch(step, rows, "loss")
    told = capsys.readouterr().out
    assert told.count("\n") == (1 if sentence else 0)  # once
    assert (sentence or "") in told


def test_a_run_that_climbs_for_long_is_stopped():
    climb = Climb(patience=100)
    falling = [climb.is_lost(loss) for loss in np.linspace(3, 1, 300)]
    assert not any(falling)
    lost = [climb.is_lost(4.0) for _ in range(300)]
    assert 100 < lost.index(True) < 250


@pytest.mark.parametrize("losses", [np.full(900, 2.0), np.full(900, -0.5), 2 + 0.1 * np.cos(np.arange(900))])
def test_a_run_that_does_not_climb_goes_on(losses):
    climb = Climb(patience=100)
    assert not any(map(climb.is_lost, losses))


def test_the_loop_stops_a_climb_and_keeps_the_best_weights(tmp_path, monkeypatch):
    class Lost(Climb):
        def is_lost(self, loss):
            self.state["steps"] += 1
            return self.state["steps"] == STEPS + 2

    monkeypatch.setattr(loop, "Climb", Lost)
    with pytest.raises(TrainingError, match="at step 2 of epoch 2 the loss has long been higher"):
        run_training(tmp_path)
    assert (tmp_path / "best.safetensors").exists()
    with pytest.raises(TrainingError, match="at step 2 of epoch 2"):  # what it counted is in the checkpoint
        run_training(tmp_path, resume=True)
