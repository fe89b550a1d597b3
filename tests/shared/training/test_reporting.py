"""What a run shows while it works: the line of an epoch, its pace, and scalars that TensorBoard reads."""

import pytest
import tensorflow as tf

from shared.runs.folder import RunError
from shared.training import reporting
from shared.training.reporting import EXAMPLES, EpochBar, ScalarLog, print_epoch


def scalars(folder):
    found = {}
    for file in folder.iterdir():
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            for value in event.summary.value:
                found[event.step, value.tag] = tf.make_ndarray(value.tensor).item()
    return found


def test_scalars_are_there_when_they_are_written(tmp_path):
    folder = tmp_path / "run" / "tensorboard"
    with ScalarLog(folder) as log:
        log.write(3, {"loss": 1.5, "rate": 7.0})
        assert scalars(folder) == {(3, "loss"): 1.5, (3, "rate"): 7.0}
    with ScalarLog(folder) as log:  # another process goes on
        log.write(4, {"loss": 1.25})
    assert scalars(folder) == {(3, "loss"): 1.5, (3, "rate"): 7.0, (4, "loss"): 1.25}


def test_a_full_disk_is_an_error_of_the_run(tmp_path, monkeypatch):
    def fail(*arguments):
        raise tf.errors.ResourceExhaustedError(None, None, "x/events.v2; No space left\n\tCould not flush")

    with ScalarLog(tmp_path) as log:
        monkeypatch.setattr(log._writer, "flush", fail)
        monkeypatch.setattr(log._writer, "close", fail)  # TensorFlow would try again, and fail again
        with pytest.raises(
            RunError, match=r"could not write .*: x/events\.v2; No space left Could not flush\."
        ):
            log.write(1, {"loss": 1.0})


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "tensorboard").touch()
    with pytest.raises(RunError, match=r"could not write .*tensorboard: .*--resume"):
        ScalarLog(tmp_path / "tensorboard")


@pytest.mark.parametrize(
    ("left", "best", "line"),
    [
        (0.0, True, "epoch 3/7: loss 1.235, val_nats 2.5 (4 s) *\n"),
        (99.0, False, "epoch 3/7: loss 1.235, val_nats 2.5 (4 s, 99 s left)\n"),
        (600.0, False, "epoch 3/7: loss 1.235, val_nats 2.5 (4 s, 10 min left)\n"),
        (9000.0, False, "epoch 3/7: loss 1.235, val_nats 2.5 (4 s, 2.5 h left)\n"),
    ],
)
def test_the_line_of_an_epoch_has_what_matters(capsys, left, best, line):
    row = {"epoch": 3, "minutes": 5.0, "loss": 1.23456, "gradient_norm": 0.1, "val_nats": 2.5}
    print_epoch(row, ["val_nats"], "epoch 3/7", 3.7, left, best)
    assert capsys.readouterr().out == line


def test_the_pace_of_an_epoch_counts_what_this_process_did(monkeypatch):
    now = iter([10.0, 12.0, 15.0, 15.0])
    monkeypatch.setattr(reporting.time, "perf_counter", lambda: next(now))
    with EpochBar("epoch 1", 9, done=5) as bar:
        bar.advance(1.0, 30)
        assert (bar.seconds, bar.rate) == (5.0, 6.0)


def test_the_size_of_a_batch_is_that_of_its_first_part():
    assert EXAMPLES.of({"a": tf.zeros((3, 4)), "b": tf.zeros(5)}) == 3
