"""Endless sampling against plain NumPy, on hand-made probability tables."""

import math

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from shared.decoding import check_sampling, sample_stream

VOCABULARY = 7
ROWS = 5
# Of these, the cumulated shares from the most probable down are 0.35, 0.65, 0.85, 0.95 and 1.
PROBABILITIES = np.array([0.05, 0.3, 0.2, 0.0, 0.35, 0.1, 0.0])


class Model:
    """The next token depends on all tokens before it, through the state, which has two parts."""

    def __init__(self, seed=0, rows=ROWS):
        rng = np.random.default_rng(seed)
        self.embedding = rng.normal(size=(VOCABULARY, 3)).astype("float32")
        self.kernel = rng.normal(size=(3, 3)).astype("float32")
        self.output = 2 * rng.normal(size=(3, VOCABULARY)).astype("float32")
        self.hidden = rng.normal(size=(rows, 3)).astype("float32")
        self.tokens = rng.integers(0, VOCABULARY, rows).astype("int32")

    @property
    def state(self):
        return {"cell": [self.hidden], "step": np.zeros(len(self.tokens), "int32")}

    def step(self, tokens, state):
        hidden = ops.tanh(
            ops.matmul(state["cell"][0], self.kernel) + ops.take(self.embedding, tokens, axis=0)
        )
        return ops.matmul(hidden, self.output), {"cell": [hidden], "step": state["step"] + 1}

    def write_in_numpy(self, count, seed, position=0, temperature=1.0, top_k=VOCABULARY, top_p=1.0):
        """Token by token, row by row, from the same random numbers."""
        texts, places = [], range(position, position + count)
        chances = np.array([tf.random.stateless_uniform((len(self.tokens),), (seed, p)) for p in places])
        for row, token in enumerate(self.tokens):
            hidden, text = self.hidden[row], []
            for chance in chances[:, row]:
                hidden = np.tanh(hidden @ self.kernel + self.embedding[token])
                logits = hidden @ self.output / temperature
                token = draw_in_numpy(np.exp(logits) / np.exp(logits).sum(), chance, top_k, top_p)
                text.append(token)
            texts.append(text)
        return np.array(texts)


def draw_in_numpy(probabilities, chance, top_k, top_p):
    limited = top_k < VOCABULARY or top_p < 1
    order = np.argsort(-probabilities, kind="stable") if limited else np.arange(VOCABULARY)
    kept, total = [], 0.0
    for token in order[:top_k]:
        if limited and total >= top_p * probabilities[order[:top_k]].sum():
            break
        kept.append(token)
        total += probabilities[token]
    cumulated = np.cumsum(probabilities[kept])
    return kept[int(np.searchsorted(cumulated, chance * cumulated[-1], side="right"))]


def write(model, count, rows=slice(None), graph=True, **options):
    """Tokens that a model writes, in a graph with unknown rows and count, or eagerly."""
    state = tf.nest.map_structure(lambda part: tf.constant(part[rows]), model.state)
    tokens = tf.constant(model.tokens[rows])
    if not graph:
        return np.asarray(sample_stream(model.step, state, tokens, count=count, **options)[0])
    unknown = tf.nest.map_structure(lambda part: tf.TensorSpec((None, *part.shape[1:]), part.dtype), state)

    @tf.function(
        input_signature=[unknown, tf.TensorSpec((None,), "int32"), tf.TensorSpec((), "int32")],
        autograph=False,
    )
    def run(state, tokens, count):
        return sample_stream(model.step, state, tokens, count=count, **options)[0]

    return np.asarray(run(state, tokens, count))


LIMITS = [
    {},
    {"temperature": 0.6},
    {"temperature": 1.9, "top_k": 3},
    {"top_p": 0.7},
    {"top_k": 4, "top_p": 0.8},
    {"top_k": 1},
]


@pytest.mark.parametrize("options", LIMITS, ids=str)
def test_equals_plain_sampling_in_numpy(options):
    model = Model(seed=1)
    expected = model.write_in_numpy(31, seed=3, position=11, **options)
    assert len(np.unique(expected)) > 2, "a constant text proves little"
    np.testing.assert_array_equal(write(model, 31, seed=3, position=11, **options), expected)


@pytest.mark.parametrize("options", LIMITS, ids=str)
def test_eager_is_graph(options):
    model = Model(seed=2)
    found = write(model, 13, seed=4, **options)
    assert found.shape == (ROWS, 13)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, write(model, 13, graph=False, seed=4, **options))


@pytest.mark.parametrize("options", LIMITS, ids=str)
def test_options_may_be_tensors(options):
    model = Model(seed=3)
    expected = write(model, 29, seed=5, position=2**40 + 3, **options)
    names = {
        "temperature": "float32",
        "top_k": "int32",
        "top_p": "float32",
        "seed": "int64",
        "position": "int64",
    }
    nothing = {"temperature": 1.0, "top_k": 0, "top_p": 1.0}
    told = {**nothing, "seed": 5, "position": 2**40 + 3, **options}

    @tf.function(
        input_signature=[{n: tf.TensorSpec((), dtype) for n, dtype in names.items()}], autograph=False
    )
    def run(told):
        return sample_stream(model.step, model.state, model.tokens, count=29, **told)[0]

    found = run({name: tf.constant(value, names[name]) for name, value in told.items()})
    np.testing.assert_array_equal(found, expected)
    for name in ("top_k", "top_p"):  # one as a tensor, the other as a number
        mixed = {**options, name: tf.constant(told[name], names[name])}
        np.testing.assert_array_equal(write(model, 29, seed=5, position=2**40 + 3, **mixed), expected)


@pytest.mark.parametrize(("top_k", "top_p"), [(0, 1.0), (-1, 1.0), (0, 1.5)])
def test_tensors_without_a_limit_limit_nothing(top_k, top_p):
    model = Model(seed=4)
    found = write(model, 23, seed=6, top_k=tf.constant(top_k), top_p=tf.constant(top_p))
    np.testing.assert_array_equal(found, write(model, 23, seed=6))
    np.testing.assert_array_equal(found, write(model, 23, seed=6, top_p=1.0))


def test_more_places_than_tokens_are_all_of_them():
    model = Model(seed=4)
    expected = model.write_in_numpy(23, seed=6, top_k=VOCABULARY, top_p=0.999999)
    for top_k in (VOCABULARY, 99, tf.constant(99)):
        np.testing.assert_array_equal(write(model, 23, seed=6, top_k=top_k), expected)


def test_pieces_are_the_whole():
    model = Model(seed=5)
    options = {"seed": 7, "temperature": 1.3, "top_p": 0.95}
    whole = write(model, 19, position=100, **options)
    state, tokens, pieces = model.state, model.tokens, []
    for count in (1, 7, 0, 3, 8):
        place = 100 + sum(piece.shape[1] for piece in pieces)
        piece, tokens, state = sample_stream(
            model.step, state, tokens, count=count, position=place, **options
        )
        pieces.append(np.asarray(piece))
        np.testing.assert_array_equal(tokens, np.hstack([model.tokens[:, None], *pieces])[:, -1])
    np.testing.assert_array_equal(np.hstack(pieces), whole)
    assert np.asarray(state["step"]).tolist() == [19] * ROWS


def test_rows_do_not_depend_on_those_that_follow():
    model = Model(seed=6)
    together = write(model, 17, seed=8)
    for rows in (1, 3):
        np.testing.assert_array_equal(write(model, 17, rows=slice(0, rows), seed=8), together[:rows])
    model.tokens[:], model.hidden[:] = model.tokens[0], model.hidden[0]
    alike = write(model, 17, seed=8)
    assert len({tuple(row) for row in alike.tolist()}) == ROWS, "rows must not draw the same numbers"


def test_seed_and_position_decide():
    model = Model(seed=7)
    first = write(model, 23, seed=9, position=5)
    for other in ({"seed": 10, "position": 5}, {"seed": 9, "position": 6}, {"seed": 5, "position": 9}):
        assert np.any(first != write(model, 23, **other))
    np.testing.assert_array_equal(first, write(model, 23, seed=9, position=5))


def table(probabilities, rows):
    """A step that gives each token the same probability at all times."""
    with np.errstate(divide="ignore"):
        logits = np.log(probabilities).astype("float32")
    return lambda tokens, state: (ops.broadcast_to(logits, (rows, len(logits))), state)


def assert_frequencies(tokens, probabilities):
    frequencies = np.bincount(np.ravel(tokens), minlength=len(probabilities)) / np.size(tokens)
    deviation = np.sqrt(probabilities * (1 - probabilities) / np.size(tokens))
    assert np.all(np.abs(frequencies - probabilities) <= 4 * deviation + 1e-9)


@pytest.mark.parametrize(("rows", "count"), [(20011, 1), (3, 6701)])
def test_frequencies_over_rows_and_over_places(rows, count):
    step = tf.function(table(PROBABILITIES, rows), autograph=False)
    run = tf.function(
        lambda: sample_stream(step, (), np.zeros(rows, "int32"), count=count, seed=11)[0], autograph=False
    )
    assert_frequencies(run(), PROBABILITIES)


def test_neighbours_are_drawn_independently():
    """Pairs of tokens that follow each other, and pairs that stand in the same place, have their products."""
    step = table(PROBABILITIES, 2)
    run = tf.function(
        lambda: sample_stream(step, (), np.zeros(2, "int32"), count=20011, seed=12)[0], autograph=False
    )
    tokens = np.asarray(run())
    products = np.outer(PROBABILITIES, PROBABILITIES).ravel()
    assert_frequencies(tokens[0, :-1:2] * VOCABULARY + tokens[0, 1::2], products)
    assert_frequencies(tokens[0] * VOCABULARY + tokens[1], products)


@pytest.mark.parametrize("tensor", [False, True], ids=["number", "tensor"])
@pytest.mark.parametrize(
    ("options", "support"),
    [
        ({"top_k": 3}, [4, 1, 2]),
        ({"top_p": 0.36}, [4, 1]),
        ({"top_k": 3, "top_p": 0.75}, [4, 1]),
        ({"top_k": 3, "top_p": 0.8}, [4, 1, 2]),
        ({"top_p": 1.0}, [4, 1, 2, 5, 0]),
    ],
    ids=str,
)
def test_limits_keep_the_support_and_its_proportions(options, support, tensor):
    rows = 20011
    options = {name: tf.constant(value) if tensor else value for name, value in options.items()}
    tokens, _, _ = sample_stream(
        table(PROBABILITIES, rows), (), np.zeros(rows, "int32"), count=1, seed=13, **options
    )
    kept = np.zeros(VOCABULARY)
    kept[support] = PROBABILITIES[support]
    assert set(np.unique(tokens)) == set(support)
    assert_frequencies(tokens, kept / kept.sum())


@pytest.mark.parametrize("temperature", [1e-3, 1e-12, 1e-38, 1e-50])
def test_the_coldest_texts_are_the_most_probable(temperature):
    model = Model(seed=8)
    expected = write(model, 15, seed=1, top_k=1)
    np.testing.assert_array_equal(write(model, 15, seed=2, temperature=temperature), expected)
    np.testing.assert_array_equal(write(model, 15, seed=2, temperature=temperature, top_p=0.9), expected)


def test_nothing_is_a_text_too():
    model = Model()
    assert write(model, 0, seed=1).shape == (ROWS, 0)
    assert write(model, 3, rows=slice(0, 0), seed=1).shape == (0, 3)
    assert write(model, 0, graph=False, rows=slice(0, 0), seed=1).shape == (0, 0)


def test_saved_model(tmp_path):
    model = Model(seed=9)
    step = tf.function(model.step, autograph=False)

    @tf.function(input_signature=[tf.TensorSpec((), "int64"), tf.TensorSpec((), "int32")], autograph=False)
    def run(seed, count):
        return sample_stream(step, model.state, model.tokens, count=count, seed=seed, top_p=0.9)[0]

    module = tf.Module()
    module.run = run
    tf.saved_model.save(module, str(tmp_path))
    found = tf.saved_model.load(str(tmp_path)).run(tf.constant(3, "int64"), 11)
    np.testing.assert_array_equal(found, write(model, 11, seed=3, top_p=0.9))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0}, "temperature must be above 0, received 0; 0 would be greedy_search"),
        ({"temperature": -0.5}, "temperature must be above 0"),
        ({"temperature": math.nan}, "temperature must be above 0"),
        ({"temperature": math.inf}, "temperature must be above 0"),
        ({"temperature": np.float32(0)}, "temperature must be above 0"),
        ({"top_k": 0}, "top_k must be at least 1"),
        ({"top_k": np.int64(-2)}, "top_k must be at least 1"),
        ({"top_p": 0.0}, "top_p must be above 0 and at most 1"),
        ({"top_p": 1.01}, "top_p must be above 0 and at most 1"),
        ({"top_p": math.nan}, "top_p must be above 0 and at most 1"),
        ({"count": -1}, "count must be at least 0, received -1"),
    ],
    ids=str,
)
def test_numbers_out_of_range(options, message):
    model = Model()
    with pytest.raises(ValueError, match=message):
        sample_stream(model.step, model.state, model.tokens, **{"count": 3, "seed": 1, **options})


def test_numbers_can_be_checked_beforehand():
    check_sampling(0.5, 1, 1.0)
    with pytest.raises(ValueError, match="top_k must be at least 1"):
        check_sampling(top_k=0)


def test_a_step_that_loses_state_is_told():
    with pytest.raises(ValueError, match="given a state of 1 tensors and returned one of 0"):
        sample_stream(
            lambda tokens, state: (ops.zeros((2, 3)), ()),
            (np.zeros((2, 3), "float32"),),
            [0, 0],
            count=1,
            seed=1,
        )
