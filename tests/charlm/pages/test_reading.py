import keras
import numpy as np
import pytest
import tensorflow as tf

from charlm.model.char_lm import CharLM
from charlm.pages.reading import read

TEXT = "hello, hole"


def make_model(cell, depth=1, **settings):
    keras.utils.set_random_seed(3)
    return CharLM("helo,", cell=cell, units=7, depth=depth, embedding_size=5, **settings)


def stepped(model, ids):
    """Logits before each token and states after it, one step at a time."""
    states = model.get_initial_state(1)
    logits, states = model.step(np.array([model.vocabulary.start]), states)
    rows, after = [], []
    for token in ids:
        rows.append(np.asarray(logits[0]))
        logits, states = model.step(np.array([token]), states)
        after.append([np.asarray(state[0]) for layer in states for state in layer])
    return np.array(rows), after


@pytest.mark.parametrize("cell", ["lstm", "gru", "simple"])
@pytest.mark.parametrize("settings", [{"depth": 2}, {"tie_embeddings": True}])
def test_surprise_and_cells_are_those_of_single_steps(cell, settings):
    model = make_model(cell, **settings)
    ids = model.vocabulary.encode(TEXT)
    reading = read(model, ids, top=3, distances=4)
    logits, states = stepped(model, ids)
    log_probs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    np.testing.assert_allclose(reading.bits, -log_probs[np.arange(11), ids] / np.log(2), rtol=1e-4)
    np.testing.assert_allclose(reading.probabilities, np.sort(np.exp(log_probs))[:, ::-1][:, :3], rtol=1e-4)
    assert (reading.expected[:, 0] == logits.argmax(axis=-1)).all()
    each = {"lstm": 2, "gru": 1, "simple": 1}[cell]
    cells = [np.concatenate(row[each - 1 :: each]) for row in states]
    cells = np.tanh(cells) if cell == "lstm" else np.array(cells)
    np.testing.assert_allclose(reading.cells, cells, rtol=1e-4, atol=1e-6)


def test_gates_of_an_lstm_carry_its_state():
    model = make_model("lstm")
    reading = read(model, model.vocabulary.encode(TEXT), distances=2)
    before, after = np.arctanh(reading.cells[:-1]), np.arctanh(reading.cells[1:])
    added = after - reading.gates["f"][1:] * before
    # What is added is the input gate times a number between -1 and 1.
    assert (np.abs(added) <= reading.gates["i"][1:] + 1e-6).all()
    assert set(reading.gates) == {"i", "f", "o"}


def test_gates_of_a_gru_carry_its_state():
    model = make_model("gru")
    reading = read(model, model.vocabulary.encode(TEXT), distances=2)
    z = reading.gates["z"][1:]
    candidate = (reading.cells[1:] - z * reading.cells[:-1]) / (1 - z)
    assert (np.abs(candidate) <= 1 + 1e-5).all()


@pytest.mark.parametrize("cell", ["lstm", "gru", "simple"])
def test_memory_is_the_gradient_of_the_log_probability(cell):
    model = make_model(cell, depth=2)
    ids = model.vocabulary.encode(TEXT)
    counts = []
    reading = read(model, ids, distances=20, progress=counts.append)
    tokens = np.concatenate([[model.vocabulary.start], ids])[None]
    for t in (0, 3, 10):
        embedded = tf.Variable(model.embed(tokens[:, : t + 1]))
        with tf.GradientTape() as tape:
            hidden, _ = model.stack(embedded)
            log_prob = tf.nn.log_softmax(model.head(hidden[:, -1:])[0, 0])[ids[t]]
        norms = np.linalg.norm(tape.gradient(log_prob, embedded)[0], axis=-1)
        np.testing.assert_allclose(reading.memory[t, : t + 1], norms[::-1], rtol=1e-3, atol=1e-7)
        assert not reading.memory[t, t + 1 :].any()
    assert sum(counts) == 11


def test_a_window_of_the_memory_starts_from_the_state_before_it():
    model = make_model("lstm", depth=2)
    ids = model.vocabulary.encode(TEXT * 12)  # more than the windows of one batch
    short, long = read(model, ids, distances=3).memory, read(model, ids, distances=6).memory
    np.testing.assert_allclose(short, long[:, :3], rtol=1e-3, atol=1e-7)
