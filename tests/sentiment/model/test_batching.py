"""Texts of all lengths on their way through one graph."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from sentiment.model import batching as reading
from sentiment.model.batching import (
    batches_of_like_length,
    graph_of_ids,
    pad,
    read_in_batches,
    softmax,
)
from sentiment.model.classifier import SentimentClassifier
from shared.text.vocabulary import Vocabulary

WORDS = Vocabulary((*Vocabulary.SPECIALS, *"abcdefg"))


@pytest.fixture(scope="module")
def model():
    model = SentimentClassifier(WORDS, ["x", "y", "z"], units=3, embedding_size=5, window=4, seed=1)
    random = np.random.default_rng(1)
    for weight in model.trainable_variables:
        weight.assign(random.normal(0, 0.7, weight.shape))
    return model


def some_sequences(lengths=(2, 19, 3, 1, 8, 5)):
    random = np.random.default_rng(2)
    return [random.integers(4, len(WORDS), length).astype(np.int32) for length in lengths]


@pytest.mark.parametrize(("tokens", "texts"), [(2**14, 64), (20, 64), (2**14, 1), (1, 1), (40, 3)])
def test_batches_change_neither_logits_nor_their_order(model, monkeypatch, tokens, texts):
    monkeypatch.setattr(reading, "TOKENS_AT_ONCE", tokens)
    monkeypatch.setattr(reading, "MOST_AT_ONCE", texts)
    singles = np.concatenate([model(ids[None]) for ids in some_sequences()])
    found = model.logits(some_sequences())
    assert (found.shape, found.dtype) == ((6, 3), np.float32)
    np.testing.assert_allclose(found, singles, rtol=1e-4, atol=1e-5)


def test_it_reads_with_the_weights_that_the_model_has_now(model):
    graph = graph_of_ids(lambda tokens, mask: model(tokens, mask=mask))
    before = model.output_layer.get_weights()
    first = read_in_batches(graph, some_sequences(), width=3)
    model.output_layer.set_weights([before[0], before[1] + 2.0])
    np.testing.assert_allclose(read_in_batches(graph, some_sequences(), width=3), first + 2.0, rtol=1e-5)
    model.output_layer.set_weights(before)


def test_it_gives_whatever_the_function_gives():
    lengths = graph_of_ids(
        lambda tokens, mask: tf.reduce_sum(tf.cast(mask, tf.float32), axis=1, keepdims=True)
    )
    found = read_in_batches(lengths, some_sequences(), width=1)
    assert found.ravel().tolist() == [2, 19, 3, 1, 8, 5]


def test_progress_is_told_text_by_text(model, monkeypatch):
    monkeypatch.setattr(reading, "MOST_AT_ONCE", 4)
    told = []
    model.logits(some_sequences(), told.append)
    assert told == [4, 2]


def test_no_texts_at_all(model):
    assert model.logits([]).shape == (0, 3)
    assert softmax(model.logits([])).shape == (0, 3)


def test_batches_have_each_text_once_the_longest_first():
    lengths = [7, 30_000, 0, 16_384, 300, 300, 2, *[9] * 200]
    batches = list(batches_of_like_length(lengths))
    assert sorted(itertools.chain(*batches)) == list(range(len(lengths)))
    assert batches[0] == [1]  # longer than all that is read at once, and read all the same
    assert batches[1] == [3]
    for batch in batches[1:]:
        assert len(batch) <= 64
        assert len(batch) * max(lengths[place] for place in batch) <= 2**14
    longest = [max(lengths[place] for place in batch) for batch in batches]
    assert longest == sorted(longest, reverse=True)
    assert list(batches_of_like_length([])) == []


def test_padding_by_hand():
    tokens, mask = pad([np.array([1, 7, 2]), np.array([5])])
    np.testing.assert_array_equal(tokens, [[1, 7, 2], [5, 0, 0]])
    np.testing.assert_array_equal(mask, [[1, 1, 1], [1, 0, 0]])
    assert (tokens.dtype, mask.dtype) == (np.int32, np.bool_)
    tokens, mask = pad([np.array([1, 7, 2])], length=5)
    np.testing.assert_array_equal(tokens, [[1, 7, 2, 0, 0]])
    np.testing.assert_array_equal(mask, [[1, 1, 1, 0, 0]])


def test_softmax_by_hand():
    found = softmax(np.array([[0.0, np.log(3)], [1e4, 1e4], [-1e4, 0.0]]))
    np.testing.assert_allclose(found, [[0.25, 0.75], [0.5, 0.5], [0.0, 1.0]], rtol=1e-6)
