import itertools
import math

import numpy as np
import pytest

from charlm.model import scoring
from charlm.model.char_lm import CharLM
from charlm.model.scoring import Score, Scorer, count_characters, total_nats
from charlm.text.characters import CharacterVocabulary

TEXT = "abacabadabacabaeabacad\nba"  # 25 tokens, 24 of them predicted


def make_model(**settings) -> CharLM:
    """A small model whose weights are large enough that every one of them matters."""
    settings = {"units": 5, "depth": 2, "embedding_size": 3, "seed": 1, **settings}
    model = CharLM("abcde\n", **settings)
    random = np.random.default_rng(7)
    for weight in model.weights:
        weight.assign(random.normal(scale=0.7, size=weight.shape))
    return model


@pytest.fixture(scope="module")
def model() -> CharLM:
    return make_model()


def nats_by_steps(model, ids, window=None) -> list[float]:
    """What each token but the first costs, one step at a time, in float64."""
    nats = []
    for index, (token, target) in enumerate(itertools.pairwise(ids)):
        if index == 0 or (window and index % window == 0):
            states = model.get_initial_state(1)
        logits, states = model.step(np.array([token]), states)
        logits = np.asarray(logits, dtype=np.float64)[0]
        nats.append(float(np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[target]))
    return nats


# -- the two ways ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [1, 3, 7, 8, 23, 24, 25, 256])  # 3 and 8 divide 24
def test_windowed_is_the_sum_over_steps_with_a_cold_start_each_window(model, window):
    ids = model.vocabulary.encode(TEXT)
    score = Scorer(model, window=window, batch_size=3).windowed(ids)
    assert score.nats == pytest.approx(sum(nats_by_steps(model, ids, window)), rel=1e-5)
    assert (score.tokens, score.characters) == (24, 24)


@pytest.mark.parametrize("chunk", [1, 5, 8, 24, 1024])
def test_carried_is_the_sum_over_steps_of_one_stream(model, chunk):
    ids = model.vocabulary.encode(TEXT)
    score = Scorer(model).carried(ids, chunk=chunk)
    assert score.nats == pytest.approx(sum(nats_by_steps(model, ids)), rel=1e-5)
    assert (score.tokens, score.characters) == (24, 24)


@pytest.mark.parametrize(
    "settings", [{"cell": "gru"}, {"cell": "simple", "depth": 1}, {"tie_embeddings": True}], ids=str
)
def test_all_kinds_of_models_are_scored(settings):
    model = make_model(**settings)
    ids = model.vocabulary.encode(TEXT)
    scorer = Scorer(model, window=7, batch_size=2)
    assert scorer.windowed(ids).nats == pytest.approx(sum(nats_by_steps(model, ids, 7)), rel=1e-5)
    assert scorer.carried(ids, chunk=5).nats == pytest.approx(sum(nats_by_steps(model, ids)), rel=1e-5)


def test_the_kinds_differ_by_what_the_state_knows(model):
    ids = model.vocabulary.encode(TEXT)
    warm, cold = nats_by_steps(model, ids), nats_by_steps(model, ids, 7)
    assert warm[:7] == pytest.approx(cold[:7])
    assert abs(sum(warm) - sum(cold)) > 0.01


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 64])  # of three whole windows and a shorter one
def test_the_batch_size_does_not_matter(model, batch_size):
    ids = model.vocabulary.encode(TEXT)
    expected = sum(nats_by_steps(model, ids, 7))
    score = Scorer(model, window=7, batch_size=batch_size).windowed(ids)
    assert score.nats == pytest.approx(expected, rel=1e-5)


def test_two_characters_are_enough(model):
    ids = model.vocabulary.encode("ab")
    expected = Score(nats_by_steps(model, ids)[0], 1, 1)
    for score in (Scorer(model).windowed(ids), Scorer(model).carried(ids)):
        assert score.nats == pytest.approx(expected.nats, rel=1e-5)
        assert (score.tokens, score.characters) == (1, 1)


def test_progress_adds_up_to_the_predicted_tokens(model):
    seen = []
    Scorer(model).carried(model.vocabulary.encode(TEXT), chunk=7, progress=seen.append)
    assert seen == [7, 7, 7, 3]


# -- characters ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "tokens", "characters"),
    [
        ("ab", 1, 1),
        ("a\u00e9b", 3, 2),  # 1 + 2 + 1 tokens
        ("a\u20ac\U0001f600e", 8, 3),  # 1 + 3 + 4 + 1
        ("\U0001f600a", 4, 1),  # the first character is given, though its later bytes are predicted
        ("zz", 1, 1),  # outside the vocabulary, in one byte each
        ("a\x7f\x80", 3, 2),
    ],
)
def test_a_character_of_several_bytes_counts_once(model, text, tokens, characters):
    ids = model.vocabulary.encode(text)
    for score in (Scorer(model, window=3).windowed(ids), Scorer(model).carried(ids, chunk=3)):
        assert (score.tokens, score.characters) == (tokens, characters)
    assert Scorer(model).carried(ids).nats == pytest.approx(sum(nats_by_steps(model, ids)), rel=1e-5)


def test_characters_are_counted_in_pieces(monkeypatch):
    text = "a\u00e9\u20ac\U0001f600\n\x7f\u07ff\u0800\uffff\U00010000"
    ids = CharacterVocabulary("a").encode(text)
    monkeypatch.setattr(scoring, "COUNTED_AT_ONCE", 3)
    assert count_characters(ids) == len(text) == 10
    assert count_characters(CharacterVocabulary(text).encode(text)) == 10
    assert count_characters([]) == 0


def test_figures_are_per_character_and_not_per_token():
    score = Score(nats=12.0, tokens=9, characters=8)
    assert score.nats_per_character == 1.5
    assert score.bits_per_character == pytest.approx(1.5 / math.log(2))
    assert score.perplexity == pytest.approx(math.exp(1.5))
    assert Score(nats=5000.0, tokens=5, characters=5).perplexity == math.inf


# -- the model as it is ----------------------------------------------------------------------------------


def test_one_graph_serves_all_sizes_and_sees_new_weights(model):
    model = make_model()
    scorer = Scorer(model, window=7, batch_size=2)
    ids = model.vocabulary.encode(TEXT)
    before = scorer.windowed(ids)
    scorer.carried(ids[:13], chunk=4)
    scorer.windowed(ids[:5])
    for weight in model.weights:
        weight.assign(-weight.value)
    after = scorer.windowed(ids)
    assert after.nats == pytest.approx(sum(nats_by_steps(model, ids, 7)), rel=1e-5)
    assert abs(after.nats - before.nats) > 0.01
    assert scorer._graph.experimental_get_tracing_count() == 1


def test_scoring_draws_nothing_at_random():
    rates = dict.fromkeys(("dropout", "input_dropout", "output_dropout", "recurrent_weight_dropout"), 0.5)
    model, plain = make_model(**rates), make_model()
    ids = model.vocabulary.encode(TEXT)
    drawn = [np.array(variable) for variable in model.non_trainable_variables]
    assert drawn, "the model has no seed generators to watch"
    scorer, expected = (Scorer(one, window=7) for one in (model, plain))
    assert scorer.windowed(ids).nats == pytest.approx(expected.windowed(ids).nats)
    assert scorer.carried(ids).nats == pytest.approx(expected.carried(ids).nats)
    for before, now in zip(drawn, model.non_trainable_variables, strict=True):
        np.testing.assert_array_equal(before, np.array(now))


def test_a_memory_map_of_short_integers_is_scored_like_an_array(model, tmp_path):
    ids = model.vocabulary.encode(TEXT)
    ids.astype(np.uint16).tofile(tmp_path / "ids")
    mapped = np.memmap(tmp_path / "ids", np.uint16, mode="r")
    scorer = Scorer(model, window=7, batch_size=2)
    assert scorer.windowed(mapped) == scorer.windowed(ids) == scorer.windowed(ids.tolist())
    assert scorer.carried(mapped, chunk=5) == scorer.carried(ids, chunk=5)


def test_nats_of_half_precision_logits_are_computed_in_full():
    import tensorflow as tf

    logits = np.random.default_rng(3).normal(scale=3, size=(3, 4, 5))
    targets = np.array([[0, 1, 2, 3], [4, 3, 2, 1], [1, 0, 4, 2]], np.int32)
    half = tf.cast(logits, "bfloat16")
    rounded = tf.cast(half, "float64").numpy()
    expected = np.log(np.exp(rounded).sum(-1)) - np.take_along_axis(rounded, targets[..., None], -1)[..., 0]
    found = total_nats(half, targets)
    assert found.dtype == tf.float64
    assert float(found) == pytest.approx(expected.sum(), rel=1e-6)


def test_a_model_in_mixed_precision_is_close_to_one_in_full():
    model, full = make_model(dtype="mixed_bfloat16"), make_model()
    ids = model.vocabulary.encode(TEXT)
    scorer, expected = (Scorer(one, window=7) for one in (model, full))
    assert scorer.windowed(ids).nats == pytest.approx(expected.windowed(ids).nats, rel=0.02)
    assert scorer.carried(ids, chunk=5).nats == pytest.approx(expected.carried(ids).nats, rel=0.02)


# -- what cannot be scored -------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "a", "\U0001f600"])  # the last is one character of four tokens
@pytest.mark.parametrize("score", [Scorer.windowed, Scorer.carried])
def test_a_text_of_less_than_two_characters_has_no_score(model, score, text):
    with pytest.raises(ValueError, match="at least two characters"):
        score(Scorer(model), model.vocabulary.encode(text))


def test_ids_must_be_one_text(model):
    with pytest.raises(ValueError, match=r"\(tokens,\).*\(3, 4\)"):
        Scorer(model).carried(np.full((3, 4), 256))


@pytest.mark.parametrize("settings", [{"window": 0}, {"batch_size": 0}])
def test_sizes_must_be_at_least_one(model, settings):
    with pytest.raises(ValueError, match="at least 1"):
        Scorer(model, **settings)
    with pytest.raises(ValueError, match="at least 1"):
        Scorer(model).carried(model.vocabulary.encode(TEXT), chunk=0)
