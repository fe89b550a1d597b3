"""The batches of an epoch: what is in them, in which order, and how long they are."""

import numpy as np
import pytest

from sentiment.training.batches import SORTED_BATCHES, ReviewBatches, padded_length
from shared.text.vocabulary import Vocabulary

BATCH, WINDOW = 3, 16
COUNT = 3 * SORTED_BATCHES * BATCH + 2 * BATCH + 1  # three stretches, two batches and one review


def some_reviews(count=COUNT, longest=50):
    """Reviews that can be told apart: each begins with its own number."""
    lengths = np.random.default_rng(1).integers(1, longest, count)
    return [np.full(length, 10 + place, np.int32) for place, length in enumerate(lengths)]


def targets_of(count):
    """Soft labels by which a review can be told, too."""
    shares = np.arange(count, dtype=np.float32) / count
    return np.stack([shares, 1 - shares], axis=1)


def make(seed=1, count=COUNT, batch_size=BATCH, window=WINDOW):
    return ReviewBatches(some_reviews(count), targets_of(count), batch_size, window, seed)


def places(batch):
    return (batch["tokens"][:, 0] - 10).tolist()


def epoch_of(batches, epoch):
    return [place for batch in batches(epoch) for place in places(batch)]


def test_reviews_stay_whole_and_with_their_labels():
    reviews = some_reviews()
    for batch in make()(epoch=1):
        assert {name: array.dtype for name, array in batch.items()} == {
            "tokens": np.int32,
            "mask": np.bool_,
            "targets": np.float32,
        }
        assert batch["tokens"].shape == batch["mask"].shape
        for place, tokens, mask, target in zip(places(batch), *batch.values(), strict=True):
            np.testing.assert_array_equal(tokens[mask], reviews[place])
            assert np.all(tokens[~mask] == Vocabulary.PAD)
            assert not np.any(np.diff(mask.astype(int)) > 0)  # padding is on the right
            np.testing.assert_array_equal(target, targets_of(COUNT)[place])


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_an_epoch_has_every_review_once_but_for_less_than_a_batch(epoch):
    batches = make()
    found = epoch_of(batches, epoch)
    assert len(found) == len(set(found)) == COUNT - 1
    assert batches.steps_per_epoch == len(list(batches(epoch))) == COUNT // BATCH


def test_others_are_left_out_in_other_epochs():
    batches = make()
    left_out = [set(range(COUNT)) - set(epoch_of(batches, epoch)) for epoch in range(1, 8)]
    assert len(set(map(tuple, left_out))) > 3


def test_seed_and_epoch_decide_and_nothing_else():
    batches = make(seed=5)
    first, third = epoch_of(batches, 1), epoch_of(batches, 3)
    assert first != third
    assert epoch_of(batches, 1) == first  # not what was asked for before
    assert epoch_of(make(seed=5), 3) == third
    assert epoch_of(make(seed=6), 1) != first


def test_lengths_are_alike_within_a_batch_and_in_disorder_over_the_epoch():
    reviews, batches = some_reviews(), list(make()(epoch=2))
    lengths = [[len(reviews[place]) for place in places(batch)] for batch in batches]
    spreads = [max(batch) - min(batch) for batch in lengths]
    assert np.mean(spreads) < 3 < 10 < np.mean(np.abs(np.diff([len(review) for review in reviews])))
    longest = [max(batch) for batch in lengths]
    falls = np.mean(np.diff(longest) < 0)
    assert 0.3 < falls < 0.7  # sorted batches would only climb
    assert 0.2 < np.mean(np.array(longest[: len(longest) // 2]) > 25) < 0.8


def test_reviews_of_a_batch_come_from_the_same_stretch_of_the_order():
    """Sorting all of the epoch would give batches the same neighbours in each epoch."""
    partners = []
    for epoch in (1, 2):
        found = {}
        for batch in make()(epoch):
            found.update({place: set(places(batch)) - {place} for place in places(batch)})
        partners.append(found)
    both = partners[0].keys() & partners[1].keys()
    assert np.mean([bool(partners[0][place] & partners[1][place]) for place in both]) < 0.3


def test_batches_are_padded_to_few_lengths():
    seen = set()
    for batch in make()(epoch=1):
        length = batch["tokens"].shape[1]
        assert length == padded_length(int(batch["mask"].sum(axis=1).max()), WINDOW)
        seen.add(length)
    assert seen <= {2, 4, 6, 8, 10, 12, 14, 16, 32, 48, 64}
    assert len(seen) > 5


@pytest.mark.parametrize("window", [2, 5, 8, 13, 100, 500, 512])
def test_padded_lengths(window):
    found = {length: padded_length(length, window) for length in range(1, 3 * window + 2)}
    assert all(length <= padded for length, padded in found.items())
    within = {padded for length, padded in found.items() if length <= window}
    assert len(within) <= 11
    assert max(within) == window  # one window is enough
    assert {padded for length, padded in found.items() if length > window} == {k * window for k in (2, 3, 4)}


def test_fewer_reviews_than_a_batch_are_one_batch():
    batches = make(count=2, batch_size=5)
    assert (batches.batch_size, batches.steps_per_epoch) == (2, 1)
    (batch,) = batches(1)
    assert sorted(places(batch)) == [0, 1]
