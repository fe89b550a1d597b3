"""How far a run has come, by steps or by a clock that the test holds, and the learning rate on the way."""

import math
from types import SimpleNamespace

import keras
import pytest

from shared.training import pace
from shared.training.pace import Pace, cosine


class Clock:
    """A clock that stands still unless it is told."""

    def __init__(self, now=1000.0):
        self.now = now

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(pace, "time", SimpleNamespace(perf_counter=clock.perf_counter))
    return clock


def work(clock, run, seconds, steps=1):
    for _ in range(steps):
        clock.now += seconds
        run.tick()


def test_progress_by_steps():
    run = Pace(epochs=3, steps_per_epoch=7)
    assert [run.progress(step) for step in (0, 7, 14, 21, 22)] == pytest.approx([0, 1 / 3, 2 / 3, 1, 1])
    assert [run.is_over(epochs) for epochs in (0, 2, 3, 4)] == [False, False, True, True]
    assert not run.is_out_of_time


def test_progress_by_the_clock(clock):
    run = Pace(epochs=None, steps_per_epoch=7, minutes=0.5)
    run.start_clock()
    assert run.progress(0) == 0.0
    work(clock, run, seconds=5.0, steps=3)
    assert run.seconds == 15.0
    assert run.progress(3) == run.progress(1000) == 0.5  # steps do not matter
    assert not run.is_over(1000)
    work(clock, run, seconds=14.9)
    assert not run.is_out_of_time
    work(clock, run, seconds=0.25)
    assert run.is_out_of_time
    assert run.is_over(0)
    assert run.progress(5) == 1.0


def test_what_is_done_between_epochs_does_not_count(clock):
    run = Pace(epochs=None, steps_per_epoch=7, minutes=1)
    run.start_clock()
    work(clock, run, seconds=2.0, steps=3)
    clock.now += 500.0
    run.start_clock()
    work(clock, run, seconds=4.0)
    assert run.seconds == 10.0


def test_the_clock_goes_on_where_another_process_stopped(clock):
    run = Pace(epochs=None, steps_per_epoch=7, minutes=1)
    run.seconds = 50.0
    run.start_clock()
    work(clock, run, seconds=3.0)
    assert run.state == {"seconds": 53.0}
    assert run.progress(0) == pytest.approx(53 / 60)
    work(clock, run, seconds=7.0)
    assert run.is_out_of_time


def test_epochs_and_minutes_whichever_ends_first(clock):
    run = Pace(epochs=3, steps_per_epoch=7, minutes=1)
    run.start_clock()
    assert run.is_over(3)
    assert not run.is_over(2)
    work(clock, run, seconds=30.0)
    assert run.progress(21) == 0.5  # the clock says how far, as it does without epochs
    work(clock, run, seconds=30.0)
    assert run.is_over(2)


def test_what_is_kept_of_the_clock(clock):
    timed, counted = Pace(None, 7, minutes=5), Pace(3, 7)
    for run in (timed, counted):
        run.start_clock()
        clock.now += 100.0
        run.tick()
    assert (timed.state, timed.columns) == ({"seconds": 100.0}, {"minutes": 1.6667})
    assert (counted.state, counted.columns) == ({}, {})  # the same run gives the same files


def test_titles():
    assert Pace(5, 7).title(3) == "epoch 3/5"
    assert Pace(None, 7, minutes=1).title(3) == "epoch 3"


@pytest.mark.parametrize("timed", [False, True])
def test_the_rate_follows_progress(clock, timed):
    run = Pace(None if timed else 2, 5, minutes=1.0 if timed else None, schedule=lambda done: 3.0 + done)
    optimizer = keras.optimizers.SGD(0.7)
    optimizer.build([keras.Variable(1.0)])
    optimizer.iterations.assign(4)
    run.seconds = 45.0
    run.set_rate(optimizer)
    assert float(optimizer.learning_rate) == pytest.approx(3.75 if timed else 3.45)


def test_without_a_schedule_the_rate_is_that_of_the_optimizer():
    optimizer = keras.optimizers.SGD(0.7)
    Pace(2, 5).set_rate(optimizer)
    assert float(optimizer.learning_rate) == pytest.approx(0.7)


@pytest.mark.parametrize(("warmup", "final"), [(0.0, 0.0), (0.3, 0.0), (0.02, 0.1)])
def test_cosine_against_its_formula(warmup, final):
    rate = cosine(0.7, warmup, final)
    for step in range(51):
        done = step / 50
        if done < warmup:
            expected = 0.7 * done / warmup
        else:
            wave = (1 + math.cos(math.pi * (done - warmup) / (1 - warmup))) / 2
            expected = 0.7 * (final + (1 - final) * wave)
        assert rate(done) == pytest.approx(expected, abs=1e-12)
    assert rate(warmup) == pytest.approx(0.7)
    assert rate(1.0) == pytest.approx(0.7 * final)


@pytest.mark.parametrize("warmup", [-0.1, 1.0, math.nan])
def test_a_climb_must_leave_time_for_the_rest(warmup):
    with pytest.raises(ValueError, match=r"warmup must lie in \[0, 1\)"):
        cosine(0.7, warmup)
