"""The searches against exhaustive enumeration and a plain Python beam search, on hand-made tables."""

import functools
import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from shared.decoding import Decoded, beam_rows, beam_search, greedy_search, sample, tile_beams

END = 1
VOCABULARY = 4


def log_softmax(logits):
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


class BigramModel:
    """The next token depends on the last one only."""

    def __init__(self, seed, batch, vocabulary=VOCABULARY):
        rng = np.random.default_rng(seed)
        self.table = log_softmax(rng.normal(size=(vocabulary, vocabulary)) * 2).astype("float32")
        self.starts = rng.integers(0, vocabulary, batch).astype("int32")

    @property
    def state(self):
        return ()

    def step(self, tokens, state):
        return ops.take(ops.convert_to_tensor(self.table), tokens, axis=0), state

    def next_log_probs(self, example, text):
        return self.table[text[-1] if text else self.starts[example]]


class HistoryModel:
    """The next token depends on all tokens before it, their number and the example, through the state."""

    def __init__(self, seed, batch, vocabulary=VOCABULARY, units=5):
        rng = np.random.default_rng(seed)
        self.embedding = rng.normal(size=(vocabulary, units)).astype("float32")
        self.kernel = rng.normal(size=(units, units)).astype("float32")
        self.output = rng.normal(size=(units, vocabulary)).astype("float32") * 1.5
        self.start_state = rng.normal(size=(batch, units)).astype("float32")
        self.starts = rng.integers(0, vocabulary, batch).astype("int32")
        self.next_log_probs = functools.cache(self.next_log_probs)

    @property
    def state(self):
        return {"cell": [self.start_state], "position": np.zeros(len(self.starts), "int32")}

    def step(self, tokens, state):
        hidden = ops.tanh(
            ops.matmul(state["cell"][0], self.kernel) + ops.take(self.embedding, tokens, axis=0)
        )
        position = state["position"] + 1
        logits = ops.matmul(hidden, self.output) / ops.cast(position, "float32")[:, None] ** 0.5
        return logits, {"cell": [hidden], "position": position}

    def next_log_probs(self, example, text):
        hidden = self.start_state[example]
        for token in (self.starts[example], *text):
            hidden = np.tanh(hidden @ self.kernel + self.embedding[token])
        return log_softmax(hidden @ self.output / (len(text) + 1) ** 0.5)


MODELS = [BigramModel, HistoryModel]


def is_allowed(
    text,
    token,
    *,
    max_length=math.inf,
    min_length=0,
    no_repeat_ngram=0,
    banned_tokens=(),
    prefix=(),
    must_tokens=(),
    no_final_tokens=(),
):
    if len(text) < len(prefix):
        return token == prefix[len(text)]
    missing = {*must_tokens} - {*text, token}
    if missing and (token == END or len(text) + 1 + len(missing) > max_length):
        return False
    if no_final_tokens:
        last = text[-1] if token == END and text else token
        if last in no_final_tokens and (token == END or len(text) + 1 == max_length):
            return False
    text = (*text, token)
    if token in banned_tokens or (token == END and len(text) < min_length):
        return False
    if no_repeat_ngram:
        grams = [text[i : i + no_repeat_ngram] for i in range(len(text) - no_repeat_ngram + 1)]
        return not grams or grams[-1] not in grams[:-1]
    return True


def continuations(model, example, text, log_prob, **rules):
    row = model.next_log_probs(example, text)
    tokens = [token for token in range(len(row)) if is_allowed(text, token, **rules)]
    return [((*text, token), log_prob + row[token]) for token in tokens]


def score(text, log_prob, length_penalty):
    return log_prob / len(text) ** length_penalty


def all_texts(model, example, *, max_length, length_penalty=1.0, **rules):
    """Every text the rules allow, ended or max_length long, as (text, log_prob), the best one first."""
    texts, beginnings = [], [((), 0.0)]
    while beginnings:
        further = [
            new
            for old in beginnings
            for new in continuations(model, example, *old, max_length=max_length, **rules)
        ]
        done = [new for new in further if new[0][-1] == END or len(new[0]) == max_length]
        texts += done
        beginnings = [new for new in further if new not in done]
    return sorted(texts, key=lambda text: -score(*text, length_penalty))


def plain_beam_search(
    model, example, *, max_length, num_beams, length_penalty=1.0, n_best=1, patience=1.0, **rules
):
    """One example after the other, no early stop but patience."""
    hypotheses, beams = [], [((), 0.0)]
    for _ in range(max_length):
        further = [
            new
            for old in beams
            for new in continuations(model, example, *old, max_length=max_length, **rules)
        ]
        further.sort(key=lambda text: -text[1])
        hypotheses += [new for new in further[:num_beams] if new[0][-1] == END]
        beams = [new for new in further if new[0][-1] != END][:num_beams]
        if len(hypotheses) >= num_beams * patience:
            beams = []
            break
    return sorted(hypotheses + beams, key=lambda text: -score(*text, length_penalty))[:n_best]


def search(function, model, graph=True, rows=slice(None), **options):
    """Runs a search over a model, in a graph of unknown batch size or eagerly; NumPy arrays."""
    state = tf.nest.map_structure(lambda part: tf.constant(part[rows]), model.state)
    starts = tf.constant(model.starts[rows])

    def run(state, starts):
        return function(model.step, state, starts, end_token=END, **options)

    if graph:
        unknown_batch = tf.nest.map_structure(
            lambda part: tf.TensorSpec((None, *part.shape[1:]), part.dtype), state
        )
        signature = [unknown_batch, tf.TensorSpec((None,), "int32")]
        run = tf.function(run, input_signature=signature, autograph=False)
    return Decoded(*(np.asarray(part) for part in run(state, starts)))


def texts_of(decoded, example):
    return [
        tuple(tokens[:length].tolist())
        for tokens, length in zip(decoded.tokens[example], decoded.lengths[example], strict=True)
        if length
    ]


def assert_same(one, other, rtol=1e-5):
    np.testing.assert_array_equal(one.tokens, other.tokens)
    np.testing.assert_array_equal(one.lengths, other.lengths)
    np.testing.assert_allclose(one.log_probs, other.log_probs, rtol=rtol, atol=1e-6)
    np.testing.assert_allclose(one.scores, other.scores, rtol=rtol, atol=1e-6)


def assert_are_best(decoded, example, oracle, length_penalty=1.0):
    """The texts of an example are the first of the sorted `oracle`, but texts of equal score in any order."""
    texts = texts_of(decoded, example)
    n_best = decoded.scores.shape[1]
    assert len(set(texts)) == len(texts) == min(n_best, len(oracle))
    log_probs = dict(oracle)
    assert_is(decoded, example, [(text, log_probs[text]) for text in texts], length_penalty)
    best = [score(*text, length_penalty) for text in oracle[: len(texts)]]
    np.testing.assert_allclose(decoded.scores[example, : len(texts)], best, rtol=1e-4, atol=1e-5)


def assert_is(decoded, example, expected, length_penalty=1.0):
    """The texts of an example are the `expected` (text, log_prob), in order, and nothing else."""
    assert texts_of(decoded, example) == [text for text, _ in expected]
    count = len(expected)
    log_probs = [log_prob for _, log_prob in expected]
    scores = [score(*text, length_penalty) for text in expected]
    np.testing.assert_allclose(decoded.log_probs[example, :count], log_probs, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(decoded.scores[example, :count], scores, rtol=1e-4, atol=1e-5)
    assert np.all(decoded.log_probs[example, count:] == -np.inf)
    assert np.all(decoded.scores[example, count:] == -np.inf)


RULES = [
    {"min_length": 3},
    {"no_repeat_ngram": 1},
    {"no_repeat_ngram": 2, "min_length": 4},
    {"banned_tokens": (0, 3)},
    {"banned_tokens": (END,)},
]


class TestBeamSearch:
    @pytest.mark.parametrize("length_penalty", [0.0, 0.7, 1.0])
    @pytest.mark.parametrize("model_class", MODELS)
    def test_wide_beam_is_exhaustive_search(self, model_class, length_penalty):
        options = {"max_length": 4, "length_penalty": length_penalty}
        for seed in range(2):
            model = model_class(seed, batch=3)
            found = search(beam_search, model, num_beams=150, n_best=7, **options)
            for example in range(3):
                assert_are_best(found, example, all_texts(model, example, **options), length_penalty)

    @pytest.mark.parametrize("rules", RULES, ids=str)
    def test_wide_beam_is_exhaustive_search_under_rules(self, rules):
        model = HistoryModel(seed=11, batch=3)
        found = search(beam_search, model, num_beams=420, n_best=9, max_length=5, **rules)
        for example in range(3):
            assert_are_best(found, example, all_texts(model, example, max_length=5, **rules))

    @pytest.mark.parametrize(("num_beams", "n_best"), [(1, 1), (2, 2), (3, 1), (5, 3)])
    def test_narrow_beam_is_plain_beam_search(self, num_beams, n_best):
        model = HistoryModel(seed=num_beams, batch=23, vocabulary=5)
        for length_penalty, patience in [(0, math.inf), (0.7, 1), (1, math.inf), (2, 1.5)]:
            options = {"max_length": 7, "length_penalty": length_penalty, "patience": patience}
            found = search(beam_search, model, num_beams=num_beams, n_best=n_best, **options)
            for example in range(23):
                expected = plain_beam_search(model, example, num_beams=num_beams, n_best=n_best, **options)
                assert_is(found, example, expected, length_penalty)

    @pytest.mark.parametrize("rules", RULES, ids=str)
    def test_narrow_beam_is_plain_beam_search_under_rules(self, rules):
        model = HistoryModel(seed=17, batch=13)
        found = search(beam_search, model, num_beams=3, n_best=2, max_length=6, **rules)
        for example in range(13):
            expected = plain_beam_search(model, example, num_beams=3, n_best=2, max_length=6, **rules)
            assert_is(found, example, expected)

    @pytest.mark.parametrize("rules", RULES, ids=str)
    @pytest.mark.parametrize("model_class", MODELS)
    def test_one_beam_is_greedy_search(self, model_class, rules):
        model = model_class(seed=5, batch=19)
        one_beam = search(beam_search, model, num_beams=1, max_length=7, **rules)
        assert_same(one_beam, search(greedy_search, model, max_length=7, **rules))

    def test_batch_is_its_singles(self):
        model = HistoryModel(seed=3, batch=5, vocabulary=7)
        options = {"num_beams": 3, "n_best": 2, "max_length": 9, "no_repeat_ngram": 2, "min_length": 2}
        together = search(beam_search, model, **options)
        assert len(set(together.lengths[:, 0])) > 1, "a batch that stops at once proves nothing"
        singles = [search(beam_search, model, False, slice(i, i + 1), **options) for i in range(5)]
        assert_same(together, Decoded(*(np.concatenate(parts) for parts in zip(*singles, strict=True))))

    def test_n_best_are_ordered_distinct_and_rescore_to_their_log_probs(self):
        model = HistoryModel(seed=29, batch=7)
        found = search(beam_search, model, num_beams=5, n_best=5, max_length=6, length_penalty=0.7)
        assert np.all(np.diff(found.scores, axis=1) <= 0)
        for example in range(7):
            texts = texts_of(found, example)
            assert len(set(texts)) == 5
            for text, log_prob in zip(texts, found.log_probs[example], strict=True):
                steps = [model.next_log_probs(example, text[:i])[token] for i, token in enumerate(text)]
                assert log_prob == pytest.approx(sum(steps), abs=1e-4)

    def test_a_wider_beam_finds_what_greedy_search_misses(self):
        table = np.log(
            [[0.1, 0.1, 0.45, 0.35], [1, 1, 1, 1], [0.3, 0.25, 0.25, 0.2], [0.02, 0.94, 0.02, 0.02]]
        )
        model = BigramModel(seed=0, batch=1)
        model.table, model.starts = table.astype("float32"), np.array([0], "int32")
        greedy = search(greedy_search, model, max_length=3)
        beam = search(beam_search, model, max_length=3, num_beams=2)
        assert texts_of(greedy, 0)[0][0] == 2
        assert texts_of(beam, 0) == [(3, END)]
        assert beam.log_probs[0, 0] == pytest.approx(math.log(0.35 * 0.94), abs=1e-5)

    def test_length_penalty_favours_longer_texts(self):
        # Two ways: end at once with 0.4, or two likely tokens and then the end.
        table = np.log([[0.1, 0.4, 0.5], [1, 1, 1], [0.1, 0.55, 0.35]])
        model = BigramModel(seed=0, batch=1, vocabulary=3)
        model.table, model.starts = table.astype("float32"), np.array([0], "int32")
        options = {"max_length": 3, "num_beams": 9}
        assert texts_of(search(beam_search, model, length_penalty=0.0, **options), 0) == [(END,)]
        assert texts_of(search(beam_search, model, length_penalty=1.0, **options), 0) == [(2, END)]

    def test_without_an_end_the_live_beams_compete(self):
        model = HistoryModel(seed=7, batch=3)
        found = search(beam_search, model, num_beams=3, n_best=3, max_length=5, banned_tokens=(END,))
        assert np.all(found.lengths == 5)
        assert np.all(np.isfinite(found.scores))
        assert not np.any(found.tokens == END)

    def test_fewer_texts_than_asked_for(self):
        model = BigramModel(seed=1, batch=2)
        found = search(beam_search, model, num_beams=5, n_best=5, max_length=1, banned_tokens=(0,))
        for example in range(2):
            assert_are_best(found, example, all_texts(model, example, max_length=1, banned_tokens=(0,)))
        assert found.lengths.tolist() == [[1, 1, 1, 0, 0]] * 2
        assert np.all(found.tokens[:, 3:] == 0)

    @pytest.mark.parametrize(("end_log_odds", "most_steps"), [(9.0, 3), (-9.0, 11)])
    def test_stops_as_soon_as_nothing_can_change(self, end_log_odds, most_steps):
        model = BigramModel(seed=2, batch=3)
        model.table = np.random.default_rng(0).normal(size=(VOCABULARY, VOCABULARY)).astype("float32")
        model.table[:, END] += end_log_odds
        calls = []
        step = model.step
        model.step = lambda tokens, state: calls.append(len(tokens)) or step(tokens, state)
        search(beam_search, model, graph=False, num_beams=3, max_length=11)
        assert calls[0] == 3 * 3
        assert len(calls) <= most_steps
        assert end_log_odds > 0 or len(calls) == most_steps

    def test_exact_stop_comes_before_patience(self):
        # Under penalty 0 nothing beats an end of probability 0.9 at once.
        model = BigramModel(seed=2, batch=1)
        model.table = np.log(np.tile([[0.04, 0.9, 0.03, 0.03]], (4, 1))).astype("float32")
        calls = []
        step = model.step
        model.step = lambda tokens, state: calls.append(0) or step(tokens, state)
        search(
            beam_search, model, graph=False, num_beams=3, max_length=9, length_penalty=0.0, patience=math.inf
        )
        assert len(calls) == 1

    def test_memory_beside_the_state_belongs_to_its_example(self):
        batch, beams, units = 3, 5, 7
        rng = np.random.default_rng(4)
        memory = rng.normal(size=(batch, units)).astype("float32")
        embedding = rng.normal(size=(VOCABULARY, units)).astype("float32")
        kernel = rng.normal(size=(units, VOCABULARY)).astype("float32")
        starts = np.array([0, 2, 3], "int32")
        options = {"end_token": END, "max_length": 6, "num_beams": beams, "n_best": 3}

        def in_state(tokens, state):
            return ops.matmul(ops.take(embedding, tokens, axis=0) * state, kernel), state

        tiled = tile_beams(memory, beams)

        def closed_over(tokens, state):
            return ops.matmul(ops.take(embedding, tokens, axis=0) * tiled, kernel), state

        def folded(tokens, state):
            query = ops.reshape(ops.take(embedding, tokens, axis=0), (-1, beams, units))
            return ops.reshape(ops.matmul(query * memory[:, None], kernel), (-1, VOCABULARY)), state

        expected = beam_search(in_state, memory, starts, **options)
        assert_same(beam_search(closed_over, (), starts, **options), expected)
        assert_same(beam_search(folded, (), starts, **options), expected)


class TestGreedySearch:
    @pytest.mark.parametrize("rules", RULES, ids=str)
    @pytest.mark.parametrize("model_class", MODELS)
    def test_takes_the_best_token_each_time(self, model_class, rules):
        model = model_class(seed=23, batch=7)
        found = search(greedy_search, model, max_length=5, **rules)
        for example in range(7):
            text, log_prob = (), 0.0
            while len(text) < 5 and text[-1:] != (END,):
                further = continuations(model, example, text, log_prob, **rules)
                if not further:
                    break
                text, log_prob = max(further, key=lambda new: new[1])
            is_dead_end = len(text) < 5 and text[-1:] != (END,)
            assert_is(found, example, [] if is_dead_end else [(text, log_prob)])

    def test_places_after_the_end_are_padded(self):
        model = BigramModel(seed=0, batch=2)
        model.table[:] = -9.0
        model.table[:, END] = 0.0
        found = search(greedy_search, model, max_length=3, pad_token=-1)
        assert found.tokens.tolist() == [[[END, -1, -1]]] * 2
        assert found.tokens.dtype == found.lengths.dtype == np.int32
        assert found.log_probs.dtype == found.scores.dtype == np.float32

    def test_stops_when_all_rows_have_ended(self):
        model = BigramModel(seed=0, batch=2)
        model.table[:, END] = 9.0
        calls = []
        step = model.step
        model.step = lambda tokens, state: calls.append(0) or step(tokens, state)
        search(greedy_search, model, graph=False, max_length=9)
        assert len(calls) == 1

    def test_half_precision_logits_are_scored_in_float32(self):
        model = BigramModel(seed=6, batch=3)
        model.table = model.table.astype("float16")
        found = search(greedy_search, model, max_length=5)
        assert found.log_probs.dtype == np.float32
        model.table = log_softmax(model.table.astype("float32"))
        for example in range(3):
            (text,) = texts_of(found, example)
            expected = sum(model.next_log_probs(example, text[:i])[token] for i, token in enumerate(text))
            assert found.log_probs[example, 0] == pytest.approx(expected, abs=1e-5)


def dead_end_options():
    """Two tokens are left, none may come twice, and no end before the fifth: no text obeys."""
    return {"max_length": 5, "min_length": 5, "no_repeat_ngram": 1, "banned_tokens": (0,)}


@pytest.mark.parametrize(
    "function",
    [greedy_search, beam_search, lambda *args, **options: sample(*args, seed=1, **options)],
    ids=["greedy", "beam", "sample"],
)
def test_rules_that_no_text_obeys_give_no_text(function):
    found = search(function, BigramModel(seed=0, batch=3), **dead_end_options())
    assert np.all(found.tokens == 0)
    assert np.all(found.lengths == 0)
    assert np.all(found.log_probs == -np.inf)
    assert np.all(found.scores == -np.inf)


def draw_first_tokens(log_probs, count=20011, **options):
    """Frequencies of the first sampled token, where each has the given log-probability."""

    def step(tokens, state):
        return ops.broadcast_to(np.asarray(log_probs, "float32"), (count, len(log_probs))), state

    starts = np.zeros(count, "int32")
    found = sample(step, (), starts, end_token=END, max_length=1, **options)
    return np.bincount(np.asarray(found.tokens).ravel(), minlength=len(log_probs)) / count


def assert_frequencies(frequencies, probabilities, count=20011):
    probabilities = np.asarray(probabilities) / np.sum(probabilities)
    deviation = np.sqrt(probabilities * (1 - probabilities) / count)
    assert np.all(np.abs(frequencies - probabilities) <= 4 * deviation + 1e-9)


class TestSample:
    probabilities = np.array([0.05, 0.3, 0.2, 0.0, 0.35, 0.1])

    def logits(self):
        with np.errstate(divide="ignore"):
            return np.log(self.probabilities)

    @pytest.mark.parametrize("seed", [0, 3, 2**40 + 7])
    def test_frequencies_are_the_probabilities(self, seed):
        assert_frequencies(draw_first_tokens(self.logits(), seed=seed), self.probabilities)

    @pytest.mark.parametrize("temperature", [0.5, 2.0])
    def test_temperature(self, temperature):
        frequencies = draw_first_tokens(self.logits(), seed=3, temperature=temperature)
        assert_frequencies(frequencies, self.probabilities ** (1 / temperature))

    @pytest.mark.parametrize(
        ("options", "support"),
        [
            ({"top_k": 1}, [4]),
            ({"top_k": 3}, [4, 1, 2]),
            ({"top_k": 99}, [4, 1, 2, 5, 0]),
            ({"top_p": 0.3}, [4]),
            ({"top_p": 0.36}, [4, 1]),
            ({"top_p": 0.8}, [4, 1, 2]),
            ({"top_p": 1.0}, [4, 1, 2, 5, 0]),
            # Of 0.35, 0.3, 0.2 the first two make 0.76, so 0.8 takes all three and 0.75 two.
            ({"top_k": 3, "top_p": 0.75}, [4, 1]),
            ({"top_k": 3, "top_p": 0.8}, [4, 1, 2]),
            # The temperature comes first: it sharpens to 0.41, 0.30, 0.13 and so on.
            ({"temperature": 0.5, "top_p": 0.4}, [4]),
            ({"banned_tokens": (4,), "top_k": 2}, [1, 2]),
            ({"banned_tokens": (1, 4)}, [0, 2, 5]),
        ],
        ids=str,
    )
    def test_truncation_keeps_the_support_and_its_proportions(self, options, support):
        frequencies = draw_first_tokens(self.logits(), seed=5, **options)
        kept = np.zeros(6)
        kept[support] = self.probabilities[support] ** (1 / options.get("temperature", 1.0))
        assert set(np.flatnonzero(frequencies)) == set(support)
        assert_frequencies(frequencies, kept)

    def test_whole_texts_come_with_their_probabilities(self):
        count = 20011
        model = HistoryModel(seed=13, batch=1)
        model.starts = np.repeat(model.starts, count)
        model.start_state = np.repeat(model.start_state, count, axis=0)
        found = search(sample, model, max_length=3, seed=31)
        texts = [text for row in range(count) for text in texts_of(found, row)]
        expected = all_texts(model, 0, max_length=3)
        frequencies = np.array([texts.count(text) for text, _ in expected]) / count
        assert frequencies.sum() == pytest.approx(1.0)
        assert_frequencies(frequencies, np.exp([log_prob for _, log_prob in expected]))

    def test_log_probs_are_the_models_whatever_the_temperature(self):
        model = HistoryModel(seed=8, batch=5)
        found = search(sample, model, max_length=6, seed=2, temperature=1.7, top_k=3, top_p=0.9)
        for example in range(5):
            (text,) = texts_of(found, example)
            steps = [model.next_log_probs(example, text[:i])[token] for i, token in enumerate(text)]
            assert found.log_probs[example, 0] == pytest.approx(sum(steps), abs=1e-4)
            assert found.scores[example, 0] == pytest.approx(sum(steps) / len(text), abs=1e-4)

    def test_seed_decides(self):
        model = HistoryModel(seed=8, batch=7)
        first = search(sample, model, max_length=9, seed=2)
        assert_same(first, search(sample, model, max_length=9, seed=2))
        assert_same(first, search(sample, model, max_length=9, seed=tf.constant(2)))
        assert np.any(first.tokens != search(sample, model, max_length=9, seed=3).tokens)

    def test_rows_are_drawn_independently(self):
        model = HistoryModel(seed=8, batch=7)
        options = {"max_length": 9, "seed": 2, "top_p": 0.95}
        together = search(sample, model, **options)
        fewer = search(sample, model, rows=slice(0, 3), **options)
        assert_same(Decoded(*(part[:3] for part in together)), fewer)
        # Rows that are alike do not all get the same text.
        model.starts[:], model.start_state[:] = model.starts[0], model.start_state[0]
        alike = search(sample, model, **options)
        assert len({texts_of(alike, row)[0] for row in range(7)}) > 1

    @pytest.mark.parametrize("rules", [rule for rule in RULES if "no_repeat_ngram" not in rule], ids=str)
    def test_obeys_the_rules(self, rules):
        model = BigramModel(seed=9, batch=41)
        found = search(sample, model, max_length=6, seed=4, **rules)
        for example in range(41):
            (text,) = texts_of(found, example)
            assert all(is_allowed(text[:i], token, **rules) for i, token in enumerate(text))

    def test_repeats_no_ngram(self):
        model = BigramModel(seed=9, batch=41, vocabulary=5)
        options = {"max_length": 12, "seed": 4, "banned_tokens": (END,)}
        found = search(sample, model, no_repeat_ngram=3, **options)
        texts = list(itertools.chain.from_iterable(texts_of(found, row) for row in range(41)))
        assert len(texts) == 41
        for text in texts:
            assert all(is_allowed(text[:i], token, no_repeat_ngram=3) for i, token in enumerate(text))
        free = search(sample, model, **options)
        assert np.any(free.tokens != found.tokens), "the rule must have had something to do"


SEARCHES = {
    "greedy": (greedy_search, {"no_repeat_ngram": 2}),
    "sample": (sample, {"seed": 5, "temperature": 0.9, "top_k": 3, "top_p": 0.9, "min_length": 2}),
    "beam": (beam_search, {"num_beams": 3, "n_best": 2, "no_repeat_ngram": 3, "banned_tokens": (0,)}),
}


@pytest.mark.parametrize("name", SEARCHES)
class TestWhereItRuns:
    def test_eager_is_graph(self, name):
        function, options = SEARCHES[name]
        model = HistoryModel(seed=14, batch=5)
        eager = search(function, model, graph=False, max_length=7, **options)
        assert_same(eager, search(function, model, max_length=7, **options))

    @pytest.mark.parametrize("autograph", [True, False])
    def test_graph_of_known_batch_size(self, name, autograph):
        function, options = SEARCHES[name]
        model = HistoryModel(seed=14, batch=5)
        state = tf.nest.map_structure(tf.constant, model.state)

        @tf.function(autograph=autograph)
        def run(state, starts):
            return function(model.step, state, starts, end_token=END, max_length=7, **options)

        found = run(state, tf.constant(model.starts))
        assert found.tokens.shape == (5, options.get("n_best", 1), 7)
        assert_same(
            Decoded(*(np.asarray(part) for part in found)), search(function, model, max_length=7, **options)
        )

    def test_saved_model(self, name, tmp_path):
        function, options = SEARCHES[name]
        model = HistoryModel(seed=14, batch=5)

        class Exported(tf.Module):
            @tf.function(input_signature=[tf.TensorSpec((None, 5)), tf.TensorSpec((None,), "int32")])
            def decode(self, hidden, starts):
                state = {"cell": [hidden], "position": tf.zeros_like(starts)}
                found = function(model.step, state, starts, end_token=END, max_length=7, **options)
                return found._asdict()

        exported = Exported()
        tf.saved_model.save(exported, str(tmp_path))
        loaded = tf.saved_model.load(str(tmp_path))
        for count in (5, 2):
            found = loaded.decode(model.start_state[:count], model.starts[:count])
            found = Decoded(**{key: value.numpy() for key, value in found.items()})
            assert_same(found, search(function, model, rows=slice(0, count), max_length=7, **options))
        graph = exported.decode.get_concrete_function().graph.as_graph_def()
        kinds = {node.op for function in graph.library.function for node in function.node_def}
        assert not [kind for kind in kinds if "Py" in kind or "Xla" in kind]

    def test_empty_batch(self, name):
        function, options = SEARCHES[name]
        found = search(function, HistoryModel(seed=14, batch=5), rows=slice(0, 0), max_length=7, **options)
        assert found.tokens.shape == (0, options.get("n_best", 1), 7)
        assert found.scores.shape == (0, options.get("n_best", 1))

    def test_step_that_forgets_static_shapes(self, name):
        function, options = SEARCHES[name]
        model = HistoryModel(seed=14, batch=5)
        expected = search(function, model, max_length=7, **options)
        step = model.step

        def vague_step(tokens, state):
            logits, state = step(tokens, state)
            hidden = tf.reshape(state["cell"][0], tf.shape(state["cell"][0]) + 0)
            return logits, {"cell": (hidden,), "position": state["position"]}

        model.step = vague_step
        assert_same(search(function, model, max_length=7, **options), expected)


def test_tile_beams_keeps_structure_and_order():
    tiled = tile_beams({"a": [np.arange(3)], "b": np.arange(12).reshape(3, 2, 2)}, 4)
    assert tiled["a"][0].numpy().tolist() == [0] * 4 + [1] * 4 + [2] * 4
    np.testing.assert_array_equal(tiled["b"], np.repeat(np.arange(12).reshape(3, 2, 2), 4, axis=0))


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (greedy_search, {"max_length": 0}, "max_length must be at least 1"),
        (greedy_search, {"min_length": 6}, "min_length must lie between 0 and max_length=5"),
        (greedy_search, {"min_length": -1}, "min_length must lie between"),
        (greedy_search, {"no_repeat_ngram": -1}, "no_repeat_ngram must be at least 0"),
        (greedy_search, {"banned_tokens": (4,)}, "Token 4 is not in the vocabulary: expected 0 to 3"),
        (greedy_search, {"end_token": 9}, "Token 9 is not in the vocabulary"),
        (sample, {"temperature": 0}, "temperature must be above 0, received 0; 0 would be greedy_search"),
        (sample, {"temperature": math.nan}, "temperature must be above 0"),
        (sample, {"top_k": 0}, "top_k must be at least 1"),
        (sample, {"top_p": 0.0}, "top_p must be above 0 and at most 1"),
        (sample, {"top_p": 1.1}, "top_p must be above 0 and at most 1"),
        (beam_search, {"num_beams": 0}, "num_beams must be at least 1"),
        (beam_search, {"num_beams": 3, "n_best": 4}, "n_best must be between 1 and num_beams=3, received 4"),
        (beam_search, {"n_best": 0}, "n_best must be between 1"),
        (beam_search, {"length_penalty": -0.5}, "length_penalty must be 0 or a finite number above"),
        (beam_search, {"patience": 0}, "patience must be above 0"),
    ],
)
def test_options_out_of_range(function, options, message):
    model = BigramModel(seed=0, batch=2)
    seed = {"seed": 1} if function is sample else {}
    options = {"end_token": END, "max_length": 5, **seed, **options}
    with pytest.raises(ValueError, match=message):
        function(model.step, (), model.starts, **options)


@pytest.mark.parametrize("function", [greedy_search, beam_search])
class TestBrokenSteps:
    state = (np.zeros((2, 3), "float32"), np.zeros((2, 5), "float32"))

    def run(self, function, step, starts=(0, 0)):
        function(step, self.state, starts, end_token=END, max_length=3)

    def test_lost_state(self, function):
        with pytest.raises(ValueError, match="given a state of 2 tensors and returned one of 1"):
            self.run(function, lambda tokens, state: (ops.zeros((len(tokens), 4)), state[0]))

    def test_changed_dtype(self, function):
        with pytest.raises(ValueError, match=r"given .* float32, returned .* float16"):
            self.run(
                function,
                lambda tokens, state: (
                    ops.zeros((len(tokens), 4)),
                    (ops.cast(state[0], "float16"), state[1]),
                ),
            )

    def test_starts_of_wrong_rank(self, function):
        with pytest.raises(
            ValueError, match=r"start_tokens must have the shape \(batch,\), received \(2, 1\)"
        ):
            self.run(function, lambda tokens, state: (ops.zeros((len(tokens), 4)), state), starts=[[0], [0]])

    def test_vocabulary_of_unknown_size(self, function):
        @tf.function(input_signature=[tf.TensorSpec((None, None))])
        def run(table):
            step = lambda tokens, state: (ops.take(table, tokens, axis=0), state)  # noqa: E731
            return function(step, (), [0, 0], end_token=END, max_length=3)

        with pytest.raises(ValueError, match="known when the graph is built"):
            run(tf.zeros((4, 4)))


# -- constraints and diversity -----------------------------------------------------------------------------

CONSTRAINTS = [
    {"must_tokens": (3,)},
    {"must_tokens": (3, 2)},
    {"must_tokens": (2, 3, 4)},
    {"prefix": (2, 2, 0)},
    {"prefix": (3,), "must_tokens": (2, 4)},
    {"prefix": (3, 2), "must_tokens": (3,)},
    {"prefix": (3, 3), "no_repeat_ngram": 1, "min_length": 4},
    {"no_final_tokens": (2, 4)},
    {"no_final_tokens": (0, 3, 4), "must_tokens": (3,)},
    {"must_tokens": (2,), "banned_tokens": (0, 3), "no_repeat_ngram": 2, "min_length": 3},
    {"prefix": (3, 2, 0, 4), "must_tokens": (2,), "no_final_tokens": (4,)},
]


@pytest.mark.parametrize("constraints", CONSTRAINTS, ids=str)
def test_a_wide_beam_is_exhaustive_search(constraints):
    model = HistoryModel(seed=11, batch=3, vocabulary=5)
    options = {"max_length": 5, "length_penalty": 0.7, **constraints}
    result = search(beam_search, model, num_beams=650, n_best=7, **options)
    for example in range(3):
        oracle = all_texts(model, example, **options)
        assert_are_best(result, example, oracle, length_penalty=0.7)
        for text in texts_of(result, example):
            assert {*constraints.get("must_tokens", ())} <= {*text}


@pytest.mark.parametrize("constraints", [c for c in CONSTRAINTS if "must_tokens" not in c], ids=str)
def test_a_narrow_beam_is_plain_beam_search(constraints):
    model = HistoryModel(seed=17, batch=13, vocabulary=5)
    options = {"num_beams": 3, "n_best": 2, "max_length": 7, **constraints}
    result = search(beam_search, model, **options)
    for example in range(13):
        assert_is(result, example, plain_beam_search(model, example, **options))


@pytest.mark.parametrize("num_beams", [1, 2, 3])
def test_a_narrow_beam_meets_every_constraint(num_beams):
    model = HistoryModel(seed=3, batch=17, vocabulary=9)
    options = {"max_length": 7, "must_tokens": (3, 5, 8), "prefix": (4, 2), "no_final_tokens": (5, 6)}
    result = search(beam_search, model, num_beams=num_beams, **options)
    for example in range(17):
        (text,) = texts_of(result, example)
        assert text[:2] == (4, 2)
        assert {3, 5, 8} <= {*text}
        words = [token for token in text if token != END]
        assert words[-1] not in (5, 6)
        assert result.log_probs[example, 0] == pytest.approx(
            dict(all_of(model, example, text))[text], abs=1e-4
        )


def all_of(model, example, text):
    steps = [model.next_log_probs(example, text[:i])[token] for i, token in enumerate(text)]
    return [(text, sum(steps))]


def test_constraints_from_tensors_are_those_from_tuples():
    model = HistoryModel(seed=5, batch=5, vocabulary=7)
    options = {"num_beams": 3, "n_best": 2, "max_length": 6}
    signature = [tf.TensorSpec((None, 5)), tf.TensorSpec((None,), "int32")]
    signature += [tf.TensorSpec((None,), "int32", name=name) for name in ("prefix", "must", "never")]

    @tf.function(input_signature=signature, autograph=False)
    def run(cell, starts, prefix, must, never):
        state = {"cell": [cell], "position": tf.zeros_like(starts)}
        constraints = {"prefix": prefix, "must_tokens": must, "banned_tokens": never}
        return beam_search(model.step, state, starts, end_token=END, **options, **constraints)

    for prefix, must, never in [((), (), ()), ((2,), (), (3,)), ((), (4, 5), ()), ((3, 2), (6,), (0, 5))]:
        result = run(
            model.start_state, model.starts, *(tf.constant(ids, "int32") for ids in (prefix, must, never))
        )
        constraints = {"prefix": prefix, "must_tokens": must, "banned_tokens": never}
        assert_same(
            type(result)(*map(np.asarray, result)), search(beam_search, model, **options, **constraints)
        )


def test_the_step_sees_as_many_rows_as_stated():
    model = BigramModel(seed=2, batch=2, vocabulary=6)
    for options in ({}, {"must_tokens": (2, 3)}, {"n_best": 3, "diversity": 0.5}):
        options = {"num_beams": 3, **options}
        rows, step = [], model.step

        def counted(tokens, state, rows=rows, step=step):
            rows.append(len(tokens))
            return step(tokens, state)

        beam_search(counted, (), model.starts, end_token=END, max_length=4, **options)
        assert {*rows} == {2 * beam_rows(**options)}


def plain_diverse_search(model, example, *, max_length, num_beams, n_best, diversity):
    """The groups of one example, each with its beams and hypotheses, step by step."""
    groups = [([((), 0.0)], []) for _ in range(n_best)]
    for _ in range(max_length):
        taken = np.zeros(len(model.next_log_probs(example, ())))
        for number, (beams, hypotheses) in enumerate(groups):
            further = [
                ((*text, token), log_prob + row[token])
                for text, log_prob in beams
                for row in [model.next_log_probs(example, text)]
                for token in range(len(row))
            ]
            further.sort(key=lambda new: -(new[1] - diversity * taken[new[0][-1]]))
            hypotheses += [new for new in further[:num_beams] if new[0][-1] == END]
            beams = [new for new in further if new[0][-1] != END][:num_beams]
            for text, _ in beams:
                taken[text[-1]] += 1
            groups[number] = ([] if len(hypotheses) >= num_beams else beams, hypotheses)
    chosen = []
    for beams, hypotheses in groups:
        ranked = sorted(hypotheses + beams, key=lambda new: -new[1] / len(new[0]))[:n_best]
        chosen.append(next(new for new in ranked if new not in chosen))
    return sorted(chosen, key=lambda new: -new[1] / len(new[0]))


@pytest.mark.parametrize("diversity", [0.3, 1.5])
def test_diverse_search_is_plain_diverse_search(diversity):
    model = HistoryModel(seed=7, batch=11, vocabulary=7)
    options = {"max_length": 6, "num_beams": 3, "n_best": 3, "diversity": diversity}
    result = search(beam_search, model, **options)
    for example in range(11):
        assert_is(result, example, plain_diverse_search(model, example, **options))


def test_diverse_texts_differ_more_and_are_distinct():
    model = HistoryModel(seed=23, batch=19, vocabulary=9)

    def shared_tokens(diversity):
        options = {"max_length": 7, "num_beams": 3, "n_best": 3, "no_final_tokens": (4,)}
        result = search(beam_search, model, diversity=diversity, **options)
        texts = [texts_of(result, example) for example in range(19)]
        assert all(len({*of_one}) == 3 for of_one in texts)
        pairs = [pair for of_one in texts for pair in itertools.combinations(of_one, 2)]
        return np.mean([one == other for pair in pairs for one, other in zip(*pair, strict=False)])

    assert shared_tokens(2.0) < 0.7 * shared_tokens(0.0)


def test_diverse_texts_keep_constraints():
    model = HistoryModel(seed=29, batch=7, vocabulary=8)
    options = {"must_tokens": (5, 6), "prefix": (3,), "num_beams": 2, "n_best": 2, "max_length": 6}
    result = search(beam_search, model, diversity=0.5, **options)
    for example in range(7):
        texts = texts_of(result, example)
        assert len({*texts}) == 2
        assert all({5, 6} <= {*text} and text[0] == 3 for text in texts)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"diversity": -0.1}, "diversity must be 0 or a finite number above"),
        ({"must_tokens": (2, END)}, r"must occur can not: \[1\]"),
        ({"must_tokens": (2, 3), "banned_tokens": (3,)}, r"must occur can not: \[3\]"),
        ({"must_tokens": (2, 2)}, "must be distinct"),
        ({"must_tokens": (2, 3), "max_length": 1}, "at most max_length=1"),
        ({"prefix": (2, 3), "max_length": 1}, "prefix of 2 tokens exceeds max_length=1"),
        ({"prefix": (2, END)}, "has the end token 1"),
        ({"prefix": (4,)}, "Token 4 is not in the vocabulary"),
        ({"no_final_tokens": (9,)}, "Token 9 is not in the vocabulary"),
    ],
)
def test_constraints_out_of_range(options, message):
    model = BigramModel(seed=0, batch=2)
    with pytest.raises(ValueError, match=message):
        beam_search(model.step, (), model.starts, **{"end_token": END, "max_length": 5, **options})
