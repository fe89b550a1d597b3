"""Training batches: a pure function of seed and epoch, every image once, padding where captions are
missing."""

import numpy as np
import pytest

from captioning.data.examples import Example
from captioning.training.batches import CaptionBatches, encode_captions, features_of, pixels_of
from shared.text.vocabulary import Vocabulary

PAD, START, END, UNK = Vocabulary.PAD, Vocabulary.START, Vocabulary.END, Vocabulary.UNK


def captions_of(count):
    """Image i has 1 + i % 3 captions, whose words are the image's number + 10."""
    return [
        [[START, *[image + 10] * (words + 1), END] for words in range(1 + image % 3)]
        for image in range(count)
    ]


def rows_of(count):
    return CaptionBatches(captions_of(count), lambda rows, random: {"features": rows}, 4, 3, seed=7)


def test_an_epoch_shows_every_image_once_with_its_own_captions():
    batches = list(rows_of(12)(epoch=1))
    assert sorted(np.concatenate([batch["features"] for batch in batches])) == list(range(12))
    for batch in batches:
        for image, tokens in zip(batch["features"], batch["tokens"], strict=True):
            words = tokens[tokens > UNK]
            assert set(words.tolist()) == {image + 10}
            filled = (tokens[:, 0] == START).sum()
            assert filled == 1 + image % 3
            assert (tokens[filled:] == PAD).all()


def test_same_seed_and_epoch_give_the_same_batches_and_others_do_not():
    first, again, later = (list(rows_of(12)(epoch)) for epoch in (2, 2, 3))
    assert all((a["tokens"] == b["tokens"]).all() for a, b in zip(first, again, strict=True))
    assert any((a["features"] != b["features"]).any() for a, b in zip(first, later, strict=True))


def test_a_last_smaller_batch_is_left_out_unless_it_is_the_only_one():
    assert rows_of(11).steps_per_epoch == 2
    assert rows_of(3).steps_per_epoch == 1
    assert len(next(rows_of(3)(epoch=1))["features"]) == 3


def test_captions_are_encoded_from_start_to_end_and_cut():
    vocabulary = Vocabulary.build([["a", "dog", "runs"]])
    examples = [Example("x", "x.jpg", ("A dog runs!", "A zebra"), "train")]
    encoded = encode_captions(examples, vocabulary, max_length=2)
    a, dog = vocabulary.encode(["a", "dog"])
    assert encoded == [[[START, a, dog, END], [START, a, UNK, END]]]


def test_half_of_the_features_come_from_the_mirrored_images():
    plain, mirrored = np.zeros((5, 3, 2)), np.ones((5, 3, 2))
    random = np.random.default_rng(0)
    drawn = np.stack([features_of(plain, mirrored)(np.arange(5), random)["features"] for _ in range(80)])
    assert set(np.unique(drawn.mean(axis=(2, 3)))) == {0.0, 1.0}  # an image is mirrored whole
    assert 0.4 < drawn.mean() < 0.6
    assert (features_of(plain, None)(np.arange(5), random)["features"] == plain).all()


@pytest.mark.parametrize("in_memory", [0, 10**6])
def test_pixels_are_prepared_in_the_order_asked(in_memory, monkeypatch):
    monkeypatch.setattr("captioning.training.batches.PIXELS_IN_MEMORY", in_memory)
    pictures = [np.arange(18, dtype=np.uint8).reshape(2, 3, 3) + 20 * number for number in range(4)]
    examples = [Example(str(number), picture, ("x",), "train") for number, picture in enumerate(pictures)]
    pixels = pixels_of(examples, lambda image: image + 1)
    for rows in ([2, 0, 3], [3, 2]):
        np.testing.assert_array_equal(pixels(np.array(rows)), np.stack([pictures[row] + 1 for row in rows]))


def mixed(shares, sizes=(4, 20), batch_size=6, seed=7):
    """Batches of sources of these sizes, whose rows follow each other."""
    ends = np.cumsum(sizes)
    rows = [np.arange(end - size, end) for size, end in zip(sizes, ends, strict=True)]
    groups = list(zip(rows, shares, strict=True))
    images = lambda rows, random: {"features": rows}  # noqa: E731
    return CaptionBatches(captions_of(sum(sizes)), images, batch_size, 3, seed, groups)


def drawn(batches, epoch):
    return np.concatenate([batch["features"] for batch in batches(epoch)])


@pytest.mark.parametrize(
    ("shares", "counts"),
    [
        ((0.5, 0.5), (12, 12)),
        ((3, 1), (18, 6)),
        ((1 / 6, 5 / 6), (4, 20)),
        ((1e-9, 1.0), (0, 24)),
        ((9, 0.9), (22, 2)),
    ],
)
def test_an_epoch_has_the_shares_of_the_mix(shares, counts):
    for epoch in (1, 2, 5):
        rows = drawn(mixed(shares), epoch)
        assert ((rows < 4).sum(), (rows >= 4).sum()) == counts


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.7, 0.3), (0.1, 0.9)])
def test_no_image_is_shown_again_before_all_of_its_source_are_shown(shares):
    batches = mixed(shares)
    times = np.zeros(24, int)
    for epoch in range(1, 8):
        rows = drawn(batches, epoch)
        times += np.bincount(rows, minlength=24)
        for part in (times[:4], times[4:]):
            assert part.max() - part.min() <= 1
    assert times.min() >= 1


def test_a_mix_is_a_function_of_seed_and_epoch():
    first, again, later, other = mixed((1, 1)), mixed((1, 1)), mixed((1, 1)), mixed((1, 1), seed=8)
    list(again(1))  # whichever epochs came before
    np.testing.assert_array_equal(drawn(first, 2), drawn(again, 2))
    assert (drawn(first, 2) != drawn(later, 3)).any()
    assert (drawn(first, 2) != drawn(other, 2)).any()


def test_a_batch_has_images_of_both_sources_and_their_weights():
    weights = np.where(np.arange(24) < 4, 1.0, 0.25).astype(np.float32)
    batches = mixed((0.5, 0.5))
    batches.weights = weights
    found = list(batches(1))
    assert sum(len(set(batch["weights"].tolist())) == 2 for batch in found) >= 3
    for batch in found:
        np.testing.assert_array_equal(batch["weights"], weights[batch["features"]])
    assert "weights" not in next(mixed((0.5, 0.5))(1))
