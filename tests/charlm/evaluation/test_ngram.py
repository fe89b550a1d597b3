import functools
import itertools
import math
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from charlm.data.ids import encode_split
from charlm.data.load import load_text
from charlm.evaluation.ngram import USUAL_DISCOUNTS, NGramModel, _discounts, best_order
from charlm.text.characters import CharacterVocabulary


class Slow:
    """The model from its equations, with dictionaries, one probability at a time."""

    def __init__(self, ids, vocabulary_size, order):
        self.size, self.order = vocabulary_size, order
        padded = ["start"] * (order - 1) + list(ids)
        windows = [tuple(padded[i : i + order]) for i in range(len(ids))]
        self.counts = {order: Counter(windows)}
        for n in range(order - 1, 0, -1):
            # N1+(. w_1 .. w_n): how many different tokens stand before it.
            self.counts[n] = Counter(longer[1:] for longer in set(self.counts[n + 1]))
        self.discounts = {n: self.estimate(counts) for n, counts in self.counts.items()}

    @staticmethod
    def estimate(counts):
        n = [0, *(sum(1 for c in counts.values() if c == k) for k in (1, 2, 3, 4))]
        if 0 in n[1:4]:
            return 0.5, 1.0, 1.5
        y = n[1] / (n[1] + 2 * n[2])
        d = tuple(k - (k + 1) * y * n[k + 1] / n[k] for k in (1, 2, 3))
        return d if all(0 < d[k - 1] <= k for k in (1, 2, 3)) else (0.5, 1.0, 1.5)

    def discount(self, n, count):
        return 0.0 if count == 0 else self.discounts[n][min(count, 3) - 1]

    @functools.cache  # noqa: B019
    def probability(self, context, token):
        n = len(context) + 1
        shorter = self.probability(context[1:], token) if context else 1 / self.size
        following = {g: c for g, c in self.counts[n].items() if g[:-1] == context}
        total = sum(following.values())
        if not total:
            return shorter
        count = following.get((*context, token), 0)
        left = sum(self.discount(n, c) for c in following.values())
        return (count - self.discount(n, count) + left * shorter) / total

    def nats(self, ids):
        padded = ["start"] * (self.order - 1) + list(ids)
        return [
            -math.log(self.probability(tuple(padded[i : i + self.order - 1]), token))
            for i, token in enumerate(ids)
        ]


def chain(length, seed, tokens=5):
    """Tokens of which each depends on the one before, some far more frequent than others."""
    random = np.random.default_rng(seed)
    table = random.dirichlet(np.full(tokens, 0.4), size=tokens)
    ids = [0]
    while len(ids) < length:
        ids.append(int(random.choice(tokens, p=table[ids[-1]])))
    return ids


@pytest.mark.parametrize("order", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("length", [1, 2, 3, 41, 257])
def test_equals_the_equations(length, order):
    train, text = chain(length, seed=3), [*chain(31, seed=5), 6, 6, 0, 5, 1, 2]
    model, slow = NGramModel.fit(train, 7, order), Slow(train, 7, order)
    assert model.order == order
    for ids in (text, train):
        np.testing.assert_allclose(model.nats(ids), slow.nats(ids), rtol=1e-9)


def test_the_equations_are_tested_with_estimated_discounts():
    slow = Slow(chain(257, seed=3), 7, 4)
    assert {n for n, d in slow.discounts.items() if d != (0.5, 1.0, 1.5)} == {3, 4}


@pytest.mark.parametrize("order", [1, 3, 5])
def test_probabilities_sum_to_one(order):
    model = NGramModel.fit(chain(101, seed=7), 7, order)
    for context in [(), *itertools.product([0, 1, 4, 6], repeat=3)]:
        nats = [model.nats([*context, token])[-1] for token in range(7)]
        assert np.exp(-np.array(nats)).sum() == pytest.approx(1.0, abs=1e-12)


def test_by_hand():
    # a three times, b once, of a vocabulary of three; no counts of counts, so the usual discounts.
    nats = NGramModel.fit([0, 0, 0, 1], vocabulary_size=3, order=1).nats([0, 1, 2])
    left = (1.5 + 0.5) / 4
    np.testing.assert_allclose(np.exp(-nats), [1.5 / 4 + left / 3, 0.5 / 4 + left / 3, left / 3])


def test_discounts_by_hand():
    # Seven of 1, five of 2, three of 3, two of 4: Y = 7/17.
    counts = np.repeat([1, 2, 3, 4, 9], [7, 5, 3, 2, 4])
    y = 7 / 17
    expected = [0, 1 - 2 * y * 5 / 7, 2 - 3 * y * 3 / 5, 3 - 4 * y * 2 / 3]
    np.testing.assert_allclose(_discounts(counts), expected)


@pytest.mark.parametrize("numbers", [(0, 5, 3, 2), (7, 0, 3, 2), (7, 5, 0, 2), (7, 1, 7, 2), (7, 5, 1, 50)])
def test_discounts_that_make_no_sense_are_replaced(numbers):
    assert _discounts(np.repeat([1, 2, 3, 4], numbers)).tolist() == list(USUAL_DISCOUNTS)


def test_context_runs_over_the_whole_text():
    ids = [0, 1, 2, 0, 1, 3, 4, 1, 2] * 7
    model = NGramModel.fit(ids, 5, order=3)
    whole = model.nats(ids[:20])
    np.testing.assert_array_equal(model.nats(ids[:9]), whole[:9])
    # Later tokens need only the two before them.
    np.testing.assert_allclose(model.nats(ids[5:20])[2:], whole[7:])


def test_longer_contexts_tell_more():
    ids = np.tile([0, 1, 2, 0, 1, 3], 50)
    costs = [NGramModel.fit(ids, 4, order).nats(ids).mean() for order in (1, 2, 3, 4)]
    assert costs == sorted(costs, reverse=True)
    assert costs[3] < 0.03  # after 0 1 it takes the token before to know what comes


def test_best_order_is_that_of_the_end_of_the_training_text():
    ids = np.array(chain(1_700, seed=11))
    costs = {order: NGramModel.fit(ids[:1530], 7, order).nats(ids[1530:]).sum() for order in (1, 2, 3, 5)}
    assert best_order(ids, 7, (5, 3, 2, 1)) == min(costs, key=costs.get) == 2
    repeated = np.tile(chain(29, seed=13), 20)
    assert best_order(repeated, 7, range(1, 5)) == 4
    assert best_order([3], 7, (4, 3)) == 3


def test_numpy_integers_and_lists_are_the_same():
    ids = chain(50, seed=17)
    expected = NGramModel.fit(ids, 7, 3).nats(ids)
    for dtype in (np.uint16, np.int32):
        array = np.array(ids, dtype)
        np.testing.assert_array_equal(NGramModel.fit(array, 7, 3).nats(array), expected)
    assert NGramModel.fit(ids, 7, 3).nats([]).shape == (0,)


@pytest.mark.parametrize(
    ("ids", "order", "message"),
    [
        ([0, 1], 0, "order must be at least 1"),
        ([], 3, "at least one token"),
        ([0, 7], 3, r"from 0 to 7 are not in \[0, 7\)"),
        ([-1, 2], 3, r"from -1 to 2 are not"),
        (np.zeros((3, 5), int), 3, r"got the shape \(3, 5\)"),
    ],
)
def test_bad_input(ids, order, message):
    with pytest.raises(ValueError, match=message):
        NGramModel.fit(ids, 7, order)
    with pytest.raises(ValueError, match="not in"):
        NGramModel.fit([0, 1], 7, 3).nats([0, 9])
    with pytest.raises(ValueError, match="at least one order"):
        best_order([0, 1], 7, ())


def test_tiny_shakespeare():
    default = Path(__file__).parents[4] / "shared" / "data" / "text" / "tiny_shakespeare.txt"
    file = Path(os.environ.get("UNROLLED_TINY_SHAKESPEARE") or default)
    if not file.is_file():
        pytest.skip("tiny_shakespeare.txt is not here; name the file in UNROLLED_TINY_SHAKESPEARE")
    data = load_text(file)
    vocabulary = CharacterVocabulary.build(data.chunks("train"))
    train = encode_split(data, "train", vocabulary)
    assert best_order(train, len(vocabulary)) == 7
    nats = NGramModel.fit(train, len(vocabulary), 7).nats(encode_split(data, "validation", vocabulary))
    assert nats.mean() == pytest.approx(1.51705, abs=5e-6)
