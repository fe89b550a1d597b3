import numpy as np
import pytest
from keras import ops

from shared.decoding import Trace, beam_search, greedy_search

# Row: last token. Token 0 ends a text.
TABLE = np.array(
    [[0.1, 0.5, 0.3, 0.1], [0.4, 0.1, 0.2, 0.3], [0.2, 0.3, 0.1, 0.4], [0.7, 0.1, 0.1, 0.1]], np.float32
)


def step(tokens, state):
    """The table, sharper with each step; the state counts them."""
    logits = np.log(TABLE)[np.asarray(tokens)] * (1 + np.asarray(state)[:, None])
    return ops.convert_to_tensor(logits), state + 1.0


def log_prob(tokens):
    total, last = 0.0, 0
    for index, token in enumerate(tokens):
        logits = np.log(TABLE)[last] * (1 + index)
        total += logits[token] - np.logaddexp.reduce(logits)
        last = token
    return total


def text_of(trace, index):
    tokens = []
    while trace.nodes[index].parent >= 0:
        tokens.append(trace.nodes[index].token)
        index = trace.nodes[index].parent
    return tokens[::-1]


@pytest.mark.parametrize(
    "options", [{}, {"n_best": 3, "diversity": 0.7}, {"must_tokens": (2,)}, {"prefix": (3,)}]
)
def test_the_tree_of_a_beam_search(options):
    trace = Trace(top=4)
    options = {"end_token": 0, "max_length": 5, "num_beams": 3, "length_penalty": 0.5, **options}
    watched = beam_search(*trace.watch(step, ops.zeros((1,))), [0], **options)
    alone = beam_search(step, ops.zeros((1,)), [0], **options)
    for one, other in zip(watched, alone, strict=True):
        np.testing.assert_allclose(one, other)
    texts = [text_of(trace, index) for index in range(len(trace.nodes))]
    assert len({tuple(text) for text in texts}) == len(texts) > 3  # each beginning once
    for text, node in zip(texts, trace.nodes, strict=True):
        assert node.log_prob == pytest.approx(log_prob(text), abs=1e-5)
        after = [log_prob([*text, token]) - node.log_prob for token in node.tokens]
        np.testing.assert_allclose(node.log_probs, after, atol=1e-5)
        assert (np.diff(node.log_probs) <= 0).all()
    # What the search returns was among what it tried.
    for row, length in zip(np.asarray(alone.tokens[0]), np.asarray(alone.lengths[0]), strict=True):
        words = row[:length].tolist()
        assert words[: words.index(0) if 0 in words else -1] in texts


def test_greedy_search_is_a_path():
    trace = Trace(top=1)
    tokens = greedy_search(*trace.watch(step, ops.zeros((1,))), [0], end_token=0, max_length=5).tokens
    assert [node.parent for node in trace.nodes] == list(range(-1, len(trace.nodes) - 1))
    assert text_of(trace, len(trace.nodes) - 1) == np.asarray(tokens[0, 0])[: len(trace.nodes) - 1].tolist()
