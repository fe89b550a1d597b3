"""Texts are drawn from the model's own probabilities, however they are cut into pieces."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from charlm.model import generate as module
from charlm.model.char_lm import CharLM
from charlm.model.generate import Writer, generate, stream
from charlm.text.characters import CharacterVocabulary

CHARACTERS = "helo\n\u00e9"
ODD = "h\u00e9l\U0001f600\u20ac\0"  # with characters that the vocabulary lacks


def make_model(characters=CHARACTERS, seed=3, bytes_too=True, **options):
    keras.utils.set_random_seed(seed)
    model = CharLM(characters, **{"units": 7, "depth": 2, "embedding_size": 5, **options})
    # As it is, a new model is indifferent; like this, its last characters matter.
    model.output_layer.kernel.assign(model.output_layer.kernel * 9.0)
    if not bytes_too:
        model.output_layer.bias.assign(np.where(np.arange(len(model.vocabulary)) < 256, -99.0, 0.0))
    return model


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture(scope="module")
def letters():
    """A model that writes characters of its vocabulary only."""
    return make_model(bytes_too=False)


class Recital:
    """Stands in for a model: recites bytes, whatever it is told."""

    vocabulary = CharacterVocabulary("ab")

    def __init__(self, recited: bytes):
        self.table = tf.one_hot(list(recited), len(self.vocabulary), on_value=99.0)

    def get_initial_state(self, batch_size):
        return [[tf.zeros((batch_size,), tf.int32)]]

    def step(self, tokens, states):
        ((index,),) = states
        return tf.gather(self.table, index % len(self.table)), [[index + 1]]

    def read(self, tokens, states):
        return None, states


def write_in_numpy(model, prompts, count, seed, temperature):
    """Token by token from calls over the whole text so far, and the same random numbers."""
    texts = []
    for row, prompt in enumerate(prompts):
        ids = model.vocabulary.encode(prompt).tolist() or [model.vocabulary.start]
        written = []
        for index in range(count):
            logits = np.asarray(model(np.array([ids + written]))[0, -1], np.float64) / temperature
            cumulated = np.cumsum(np.exp(logits - logits.max()))
            chance = float(tf.random.stateless_uniform((len(prompts),), (seed, index))[row])
            written.append(int(np.searchsorted(cumulated, chance * cumulated[-1], side="right")))
        texts.append(written)
    return texts


@pytest.mark.parametrize("temperature", [0.7, 1.0])
def test_texts_are_drawn_from_the_probabilities_of_the_model(model, temperature):
    prompts = ["hello", "", ODD]
    tokens = write_in_numpy(model, prompts, 9, seed=5, temperature=temperature)
    found = Writer(model, prompts, temperature=temperature, seed=5)
    assert found.draw(9).tolist() == tokens
    assert len({token for row in tokens for token in row}) > 9, "the texts must be of some variety"


def test_generate_makes_characters_of_those_tokens(letters):
    prompts = ["hello", "", ODD]
    tokens = write_in_numpy(letters, prompts, 9, seed=5, temperature=1.0)
    texts = generate(letters, prompts, 9, temperature=1.0, seed=5)
    assert texts == [letters.vocabulary.decode(row) for row in tokens]


@pytest.mark.parametrize("options", [{}, {"top_k": 3}, {"top_p": 0.6, "temperature": 1.7}], ids=str)
def test_a_stream_is_the_text_however_it_is_cut(model, options, monkeypatch):
    whole = generate(model, [ODD], 50, seed=7, **options)[0]
    assert len(whole) == 50
    for chunk, piece in ((1, 1), (7, 3), (64, 512)):
        monkeypatch.setattr(module, "CHUNK", chunk)
        monkeypatch.setattr(module, "PROMPT_CHUNK", piece)
        pieces = list(stream(model, ODD, 50, seed=7, **options))
        assert "".join(pieces) == whole
        assert max(map(len, pieces)) <= chunk + 3, (
            "a piece has the characters of its tokens and of bytes before"
        )
        assert all(pieces)
        assert generate(model, [ODD], 50, seed=7, **options) == [whole]


def test_a_longer_text_begins_with_the_shorter_one(model):
    longer = generate(model, [ODD, "", "he"], 43, seed=8)
    for count in (0, 1, 29):
        shorter = generate(model, [ODD, "", "he"], count, seed=8)
        assert shorter == [text[:count] for text in longer]
        assert [len(text) for text in shorter] == [count] * 3, "bytes must not count as characters"


def test_samples_differ_and_the_first_is_that_of_one(letters):
    samples = generate(letters, ["he"] * 5, 30, seed=9)
    assert len(set(samples)) == 5
    assert generate(letters, ["he"], 30, seed=9) == samples[:1]
    assert generate(letters, ["he", "l", "he"], 30, seed=9)[0::2] == samples[0:3:2], (
        "prompts are their own rows"
    )


def test_limits_and_temperature_reach_the_draw(letters):
    assert generate(letters, ["h"], 30, seed=1, top_k=1) == generate(letters, ["h"], 30, seed=2, top_k=1)
    assert generate(letters, ["h"], 30, seed=1, top_k=1) == generate(letters, ["h"], 30, temperature=1e-9)
    assert generate(letters, ["h"], 30, seed=1, top_k=1) == generate(letters, ["h"], 30, top_p=1e-9)
    free = generate(letters, ["h"], 30, seed=1)
    assert generate(letters, ["h"], 30, seed=1, top_k=10**12) != free, "sorted, the same chance means another"
    assert generate(letters, ["h"], 30, seed=1, top_p=1.0) == free


def test_an_empty_prompt_begins_with_the_start(letters):
    assert generate(letters, [""], 30, seed=4) == generate(letters, ["\n"], 30, seed=4)
    without = make_model("ohel")
    assert generate(without, [""], 30, seed=4) == generate(without, ["o"], 30, seed=4)


def test_without_a_seed_one_is_drawn(model, monkeypatch):
    monkeypatch.setattr(module, "draw_seed", lambda: 5)
    assert generate(model, ["he"], 20) == generate(model, ["he"], 20, seed=5)
    monkeypatch.undo()
    assert len({module.draw_seed() for _ in range(9)}) > 1


def test_seeds_of_all_sizes(model):
    texts = [generate(model, [""], 20, seed=seed)[0] for seed in (0, 1, 2**31, 2**63 - 1, -1)]
    assert len(set(texts)) == 5


def test_a_character_of_several_bytes_appears_whole(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 1)
    recital = Recital("\u00e9\u20ac\U0001f600a".encode())
    assert list(stream(recital, "", 6, seed=1)) == ["\u00e9", "\u20ac", "\U0001f600", "a", "\u00e9", "\u20ac"]
    monkeypatch.setattr(module, "CHUNK", 64)
    assert generate(recital, ["", "a"], 3, seed=1) == ["\u00e9\u20ac\U0001f600"] * 2


def test_bytes_that_are_no_character_are_replaced():
    assert generate(Recital(b"a\xc3\xc3b"), [""], 5, seed=1) == ["a\ufffd\ufffdba"]


def test_texts_of_which_some_are_spelled_in_bytes_are_equally_long():
    class Mixed(Recital):
        def step(self, tokens, states):
            logits, states = super().step(tokens, states)
            in_bytes = tf.range(tf.shape(tokens)[0])[:, None] == 1
            return tf.where(in_bytes, logits, tf.one_hot(256, len(self.vocabulary), on_value=99.0)), states

    assert generate(Mixed("\U0001f600".encode()), ["", "", ""], 7, seed=1) == [
        "a" * 7,
        "\U0001f600" * 7,
        "a" * 7,
    ]


def test_the_weights_of_the_moment_write():
    changing = make_model()
    generate(changing, ["he"], 5, seed=1)
    size = len(changing.vocabulary)
    changing.output_layer.bias.assign(np.where(np.arange(size) == 258, 999.0, 0.0))
    assert generate(changing, ["he"], 5, seed=1) == ["lllll"]


@pytest.mark.parametrize("cell", ["gru", "simple"])
def test_other_cells_and_precisions(cell):
    half = make_model(cell=cell, dtype="mixed_bfloat16", bytes_too=False)
    (text,) = generate(half, [ODD], 20, seed=1)
    assert len(text) == 20
    assert set(text) <= set(CHARACTERS)


def test_a_prompt_is_read_chunk_by_chunk(model, monkeypatch):
    monkeypatch.setattr(module, "PROMPT_CHUNK", 4)
    read = []
    Writer(model, ["hello hello", "l", "hello hello"], seed=1, progress=read.append)
    assert read == [4, 4, 2], "a prompt that is there twice is read once, without its last token"


def test_no_prompts_no_texts(model):
    assert generate(model, [], 5, seed=1) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0}, "temperature must be above 0"),
        ({"temperature": -1.0}, "temperature must be above 0"),
        ({"top_k": 0}, "top_k must be at least 1"),
        ({"top_p": 1.5}, "top_p must be above 0"),
        ({"num_chars": -1}, "num_chars must be at least 0"),
    ],
    ids=str,
)
def test_options_out_of_range(model, options, message):
    options = {"num_chars": 3, **options}
    with pytest.raises(ValueError, match=message):
        generate(model, ["h"], **options)
    with pytest.raises(ValueError, match=message):
        stream(model, "h", **options)  # before a piece is asked for


def test_one_prompt_gives_one_text(model):
    assert generate(model, "hello", 5, seed=1) == generate(model, ["hello"], 5, seed=1)[0]
    assert generate(model, "", 5, seed=1) == generate(model, [""], 5, seed=1)[0]
