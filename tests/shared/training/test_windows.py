"""Training batches of a text: what a stream reads, where it goes on, and that the step alone decides."""

import itertools

import numpy as np
import pytest

from shared.system.cli import UserError
from shared.training.windows import TextWindows

LENGTH = 103  # a prime: nothing divides it


def some_windows(length=LENGTH, batch_size=3, window=7, **settings):
    """Windows of a text whose token at each place is the place itself."""
    return TextWindows(np.arange(length, dtype=np.uint16), batch_size, window, **settings)


def batches_of(windows, epochs):
    return [batch for epoch in range(1, epochs + 1) for batch in windows(epoch)]


def test_shapes_and_kinds():
    windows = some_windows()
    batches = list(windows(1))
    assert len(batches) == windows.steps_per_epoch == windows.steps_per_pass == 5  # 34 places of 3 streams
    for batch in batches:
        assert batch.keys() == {"tokens", "keeps_state"}
        assert (batch["tokens"].shape, batch["tokens"].dtype) == ((3, 8), np.int32)
        assert (batch["keeps_state"].shape, batch["keeps_state"].dtype) == ((3,), bool)


def test_every_row_is_a_piece_of_the_ring():
    for batch in batches_of(some_windows(seed=5), 5):
        steps = np.diff(batch["tokens"], axis=1) % LENGTH
        assert np.all(steps == 1)


def test_streams_go_on_where_they_ended_over_epochs_and_round_the_ring():
    batches = batches_of(some_windows(), 9)
    wrapped = 0
    for before, after in itertools.pairwise(batches):
        np.testing.assert_array_equal(before["tokens"][:, -1], after["tokens"][:, 0])
        wrapped += np.any(after["tokens"][:, 0] > after["tokens"][:, -1])
    assert wrapped  # the text's end came by


def test_streams_begin_at_equal_distances_at_a_place_that_the_seed_decides():
    firsts = []
    for seed in range(20):
        first = next(some_windows(seed=seed)(1))["tokens"][:, 0]
        np.testing.assert_array_equal(np.diff(first) % LENGTH, LENGTH // 3)
        firsts.append(int(first[0]))
    assert len(set(firsts)) > 10


@pytest.mark.parametrize(
    ("length", "batch_size", "window"), [(105, 3, 7), (60, 4, 5), (9, 1, 3), (77, 7, 11)]
)
def test_a_pass_predicts_every_place_once_where_all_divides(length, batch_size, window):
    windows = some_windows(length, batch_size, window, seed=2)
    assert windows.steps_per_pass * windows.batch_size * window == length
    for epoch in (1, 2):
        predicted = np.concatenate([batch["tokens"][:, 1:].ravel() for batch in windows(epoch)])
        assert sorted(predicted.tolist()) == list(range(length))


@pytest.mark.parametrize(
    ("length", "batch_size", "window"), [(103, 3, 7), (101, 5, 11), (53, 13, 4), (5, 1, 4)]
)
def test_a_pass_leaves_out_less_places_than_there_are_streams(length, batch_size, window):
    windows = some_windows(length, batch_size, window, seed=2)
    predicted = np.concatenate([batch["tokens"][:, 1:].ravel() for batch in windows(1)])
    assert length - len(set(predicted.tolist())) < batch_size
    assert len(predicted) < length + batch_size * window  # and reads on for less than a window
    later = np.concatenate([batch["tokens"][:, 1:].ravel() for batch in windows(2)])
    assert set(predicted.tolist()) | set(later.tolist()) == set(range(length))


def test_the_borders_of_the_windows_fall_elsewhere_in_each_pass():
    windows = some_windows()
    borders = [
        {int(place) for batch in windows(epoch) for place in batch["tokens"][:, 0]} for epoch in (1, 2)
    ]
    assert borders[0] != borders[1]


def test_batches_depend_on_seed_and_epoch_alone():
    settings = {"forget_rate": 0.5, "seed": 7}
    straight = batches_of(some_windows(**settings), 3)
    windows = some_windows(**settings)
    list(windows(5))  # what was asked before does not matter
    again = [*windows(1), *windows(2), *windows(3)]
    for one, other in zip(straight, again, strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])
    other_seed = batches_of(some_windows(forget_rate=0.5, seed=8), 3)
    assert any(
        not np.array_equal(a["keeps_state"], b["keeps_state"])
        for a, b in zip(straight, other_seed, strict=True)
    )


@pytest.mark.parametrize("steps_between", [1, 3, 11])
def test_how_long_an_epoch_is_does_not_change_what_is_read(steps_between):
    settings = {"forget_rate": 0.5, "seed": 7}
    windows = some_windows(steps_between=steps_between, **settings)
    assert windows.steps_per_epoch == steps_between
    assert windows.steps_per_pass == 5
    found = batches_of(windows, -(-15 // steps_between))[:15]
    for one, other in zip(found, batches_of(some_windows(**settings), 3), strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


def test_an_epoch_has_a_thousand_steps_at_most_unless_it_is_told():
    text = np.zeros(3 * 7 * 1001, np.uint16)
    assert TextWindows(text, 3, 7).steps_per_pass == 1001
    assert TextWindows(text, 3, 7).steps_per_epoch == 1000
    assert TextWindows(text, 3, 7, steps_between=1001).steps_per_epoch == 1001
    assert TextWindows(text, 3, 77).steps_per_epoch == 91


def test_a_stream_forgets_as_often_as_it_is_told():
    def kept(rate):
        return np.stack([batch["keeps_state"] for batch in batches_of(some_windows(forget_rate=rate), 300)])

    assert kept(0.0).all()
    often = kept(0.3)
    assert often.shape == (1500, 3)
    assert np.mean(~often) == pytest.approx(0.3, abs=0.03)
    assert np.mean(~often[:, 0] & ~often[:, 1]) == pytest.approx(0.09, abs=0.02)  # each stream on its own


@pytest.mark.parametrize(
    ("length", "batch_size", "expected"), [(8, 5, 1), (20, 5, 2), (21, 5, 3), (90, 5, 5)]
)
def test_a_short_text_has_less_streams(length, batch_size, expected):
    windows = some_windows(length, batch_size, 7)
    assert windows.batch_size == expected
    assert {batch["tokens"].shape for batch in windows(1)} == {(expected, 8)}


@pytest.mark.parametrize("length", [0, 1, 7])
def test_a_text_shorter_than_a_window_is_refused(length):
    with pytest.raises(
        UserError, match=rf"has {length} tokens\. Expected more than --window 7: give more text"
    ):
        some_windows(length)


def test_a_memory_map_is_read_piece_by_piece(tmp_path):
    np.arange(LENGTH, dtype=np.uint16).tofile(tmp_path / "ids")
    mapped = np.memmap(tmp_path / "ids", np.uint16, mode="r")
    windows = TextWindows(mapped, 3, 7, seed=4)
    for one, other in zip(batches_of(windows, 2), batches_of(some_windows(seed=4), 2), strict=True):
        assert type(one["tokens"]) is np.ndarray
        np.testing.assert_array_equal(one["tokens"], other["tokens"])
