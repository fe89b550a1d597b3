"""Replicas: how a batch is cut, and what is refused. End-to-end tests run several of them."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from shared.system.cli import UserError
from shared.training.replicas import Replicas, WorkerLostError


def of(count):
    replicas = Replicas()
    replicas.count = count
    return replicas


@pytest.mark.parametrize(
    ("rows", "count", "sizes"), [(7, 3, [2, 2, 3]), (6, 3, [2, 2, 2]), (3, 3, [1, 1, 1])]
)
def test_the_slices_of_a_batch_are_all_of_it(rows, count, sizes):
    slices = of(count).slices(rows)
    assert [len(np.arange(rows)[one]) for one in slices] == sizes
    assert np.concatenate([np.arange(rows)[one] for one in slices]).tolist() == list(range(rows))


def test_a_batch_with_too_few_rows_is_refused():
    with pytest.raises(UserError, match="2 rows, and there are 3 replicas"):
        of(3).slices(2)


def test_one_replica_adds_up_to_what_it_is():
    def function(index):
        return {"index": tf.constant(index), "half": tf.constant([1.5], tf.bfloat16), "none": None}

    total = Replicas().sum(function)
    assert int(total["index"]) == 0
    assert total["half"].dtype == tf.bfloat16
    assert total["none"] is None


def test_more_gpus_than_there_are_are_refused(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["gpu"])
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [SimpleNamespace(name="/gpu:0")])
    with pytest.raises(UserError, match="--replicas 2 is more than the 1 GPUs"):
        Replicas.mirrored(2)


def test_processes_that_differ_are_told_in_what(monkeypatch):
    replicas = Replicas()
    monkeypatch.setattr(replicas, "gather", lambda numbers: np.array([numbers, [4.0, 8.0]]))
    with pytest.raises(UserError, match=r"differ in weights: 7, 8\."):
        replicas.check_alike({"steps": 4.0, "weights": 7.0})


def test_a_lost_worker_is_an_error_of_its_own_status(monkeypatch):
    error = tf.errors.UnavailableError(
        None, None, "Graph error:\n\nCollective ops is aborted by: reset by peer"
    )
    replicas = Replicas()
    with pytest.raises(tf.errors.UnavailableError), replicas.watched():
        raise error
    monkeypatch.setattr(replicas, "_processes", 2)
    told = pytest.raises(WorkerLostError, match=r"aborted by: reset by peer\. What the run saved")
    with told as caught, replicas.watched():
        raise error
    assert caught.value.status == 75
