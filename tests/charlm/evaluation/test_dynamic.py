import keras
import numpy as np
import pytest
import tensorflow as tf

from charlm.evaluation.dynamic import dynamic, gradient_rms
from charlm.model.char_lm import CharLM
from charlm.model.scoring import Scorer
from charlm.text.characters import CharacterVocabulary

TEXT = "abcabdacebdcaebdaceb"  # 20 tokens, 19 of them predicted
SENTENCE = "a bad cab faced a deaf bee. "


def make_model(**settings) -> CharLM:
    """A small model whose weights are large enough that every one of them matters."""
    settings = {"units": 5, "depth": 2, "embedding_size": 3, "seed": 1, **settings}
    model = CharLM("abcde", **settings)
    random = np.random.default_rng(7)
    for weight in model.weights:
        weight.assign(random.normal(scale=0.5, size=weight.shape))
    return model


@pytest.fixture(scope="module")
def model() -> CharLM:
    return make_model()


def values(model) -> list[np.ndarray]:
    return [np.array(weight) for weight in model.weights]


def some_rms(model) -> list[np.ndarray]:
    random = np.random.default_rng(3)
    return [random.uniform(0.01, 0.3, size=weight.shape).astype(np.float32) for weight in model.weights]


def segment_by_steps(model, tokens, targets, states):
    """Nats of each row's targets together, gradients of their mean, and states; by single steps.

    tokens and targets are `(rows, time)`.
    """
    weights = [weight.value for weight in model.weights]
    nats = 0.0
    with tf.GradientTape() as tape:
        tape.watch(weights)
        for token, target in zip(tokens.T, targets.T, strict=True):
            logits, states = model.step(token, states)
            nats -= tf.reduce_sum(tf.gather(tf.nn.log_softmax(logits), target, batch_dims=1))
        mean = nats / targets.size
    gradients = [tf.convert_to_tensor(gradient).numpy() for gradient in tape.gradient(mean, weights)]
    return float(nats), gradients, states


# -- the update ------------------------------------------------------------------------------------------


def dynamic_in_numpy(model, ids, rms, segment, rate, decay) -> float:
    """Dynamic evaluation as its equations have it, weights updated in NumPy."""
    trained, present = values(model), values(model)
    mean = None if rms is None else np.concatenate([one.ravel() for one in rms]).mean()
    nats, states = 0.0, model.get_initial_state(1)
    for start in range(0, len(ids) - 1, segment):
        tokens, targets = ids[start : start + segment], ids[start + 1 : start + segment + 1]
        for weight, value in zip(model.weights, present, strict=True):
            weight.assign(value)
        found, gradients, states = segment_by_steps(
            model, tokens[: len(targets)][None], targets[None], states
        )
        nats += found
        for index, gradient in enumerate(gradients):
            pull, speed = decay, rate
            if rms is not None:
                pull = np.minimum(decay * rms[index] / mean, 1.0)
                speed = rate / (rms[index] + 0.1 * mean)
            present[index] = present[index] + pull * (trained[index] - present[index]) - speed * gradient
    for weight, value in zip(model.weights, trained, strict=True):
        weight.assign(value)
    return nats


@pytest.mark.parametrize("segment", [4, 7, 19])  # 19 tokens: with a shorter end, and without
@pytest.mark.parametrize(
    "decay", [0.0, 0.1, 0.8]
)  # with 0.8 some weights are pulled back whole, and no further
def test_scores_are_those_of_the_equations(model, segment, decay):
    ids, rms = model.vocabulary.encode(TEXT), some_rms(model)
    found = dynamic(model, ids, rms=rms, segment=segment, learning_rate=0.02, decay=decay)
    expected = dynamic_in_numpy(model, ids, rms, segment, 0.02, decay)
    assert found.nats == pytest.approx(expected, rel=1e-4)
    assert (found.tokens, found.characters) == (19, 19)
    if segment < 19:
        assert abs(expected - Scorer(model).carried(ids).nats) > 0.1


@pytest.mark.parametrize(
    "settings",
    [{}, {"cell": "gru", "depth": 1}, {"cell": "simple", "depth": 1}, {"tie_embeddings": True, "depth": 1}],
    ids=str,
)
def test_without_statistics_it_is_plain_gradient_descent(settings):
    model = make_model(**settings)
    ids = model.vocabulary.encode(TEXT)
    found = dynamic(model, ids, segment=4, learning_rate=0.5, decay=0.1)
    expected = dynamic_in_numpy(model, ids, None, 4, 0.5, 0.1)
    assert found.nats == pytest.approx(expected, rel=1e-4)
    assert abs(expected - Scorer(model).carried(ids).nats) > 0.1


@pytest.mark.parametrize("with_rms", [True, False])
def test_a_learning_rate_of_zero_is_the_carried_score(model, with_rms):
    ids = model.vocabulary.encode(TEXT)
    score = dynamic(model, ids, rms=some_rms(model) if with_rms else None, segment=4, learning_rate=0.0)
    assert score.nats == pytest.approx(Scorer(model).carried(ids).nats, rel=1e-5)


def test_a_decay_of_one_without_statistics_forgets_all_but_the_last_segment(model):
    ids = model.vocabulary.encode(TEXT)
    found = dynamic(model, ids, segment=4, learning_rate=0.5, decay=1.0)
    assert found.nats == pytest.approx(dynamic_in_numpy(model, ids, None, 4, 0.5, 1.0), rel=1e-4)


# -- what it is for --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reader() -> CharLM:
    """An untrained model for sentences, with the same weights whatever tests ran before."""
    keras.utils.set_random_seed(2)
    return CharLM(CharacterVocabulary.build([SENTENCE]), units=16, depth=1, embedding_size=7, seed=1)


@pytest.mark.parametrize(("with_rms", "rate"), [(True, 0.001), (False, 2.0)])
def test_a_text_that_repeats_itself_becomes_cheap(reader, with_rms, rate):
    ids = reader.vocabulary.encode(SENTENCE * 40)
    rms = gradient_rms(reader, ids[: 10 * len(SENTENCE)]) if with_rms else None
    learned = dynamic(reader, ids, rms=rms, learning_rate=rate, decay=0.02)
    assert learned.nats < 0.65 * Scorer(reader).carried(ids).nats


# -- the model stays -------------------------------------------------------------------------------------


def test_the_model_has_its_weights_afterwards_bit_for_bit(model):
    before = values(model)
    ids = model.vocabulary.encode(TEXT)
    gradient_rms(model, ids, segment=4)
    dynamic(model, ids, rms=some_rms(model), segment=4, learning_rate=0.1)
    for old, now in zip(before, values(model), strict=True):
        np.testing.assert_array_equal(old, now)


def test_the_model_has_its_weights_after_an_interruption(model):
    before, seen = values(model), []

    def stop(tokens):
        seen.append(tokens)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dynamic(model, model.vocabulary.encode(TEXT), segment=4, learning_rate=0.1, progress=stop)
    assert seen == [4, 4]
    for old, now in zip(before, values(model), strict=True):
        np.testing.assert_array_equal(old, now)


def test_dropout_has_no_part_in_it():
    rates = dict.fromkeys(("dropout", "input_dropout", "output_dropout", "recurrent_weight_dropout"), 0.5)
    model, plain = make_model(**rates), make_model()
    ids = model.vocabulary.encode(TEXT)
    for one, other in zip(
        gradient_rms(model, ids, segment=4), gradient_rms(plain, ids, segment=4), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-8)
    found = dynamic(model, ids, segment=4, learning_rate=0.5)
    assert found.nats == pytest.approx(dynamic(plain, ids, segment=4, learning_rate=0.5).nats, rel=1e-6)
    assert model.settings["dropout"] == 0.5


def test_progress_and_characters(model):
    seen = []
    ids = model.vocabulary.encode("ab\u00e9c\U0001f600")  # 1 + 1 + 2 + 1 + 4 tokens
    score = dynamic(model, ids, segment=3, progress=seen.append)
    assert (score.tokens, score.characters, seen) == (8, 4, [3, 3, 2])


# -- gradient statistics ---------------------------------------------------------------------------------


def test_statistics_are_root_mean_squares_over_batches_of_streams(model):
    ids = model.vocabulary.encode((TEXT * 4)[:63])  # 62 predicted: 3 streams of 20, 5 segments of 4 each
    squares = [np.zeros(weight.shape) for weight in model.weights]
    states = model.get_initial_state(3)
    for number in range(5):
        starts = [row * 20 + number * 4 for row in range(3)]
        tokens = np.stack([ids[start : start + 4] for start in starts])
        targets = np.stack([ids[start + 1 : start + 5] for start in starts])
        _, gradients, states = segment_by_steps(model, tokens, targets, states)
        squares = [total + gradient**2 for total, gradient in zip(squares, gradients, strict=True)]
    found = gradient_rms(model, ids, segment=4, batch_size=3)
    for one, total in zip(found, squares, strict=True):
        np.testing.assert_allclose(one, np.sqrt(total / 5), rtol=2e-3, atol=1e-6)
    assert max(one.max() for one in found) > 0.01


def test_statistics_read_no_more_batches_than_asked_for(model):
    ids = model.vocabulary.encode((TEXT * 4)[:63])
    two = gradient_rms(model, ids, segment=4, batch_size=1, batches=2)
    short = gradient_rms(model, ids[:9], segment=4, batch_size=1)
    all_of_them = gradient_rms(model, ids, segment=4, batch_size=1)
    for one, other in zip(two, short, strict=True):
        np.testing.assert_array_equal(one, other)
    assert any(not np.allclose(one, other) for one, other in zip(two, all_of_them, strict=True))


@pytest.mark.parametrize("text", ["ab", "abc"])
def test_the_shortest_texts_have_statistics(model, text):
    ids = model.vocabulary.encode(text)
    _, gradients, _ = segment_by_steps(model, ids[None, :-1], ids[None, 1:], model.get_initial_state(1))
    for one, gradient in zip(gradient_rms(model, ids), gradients, strict=True):
        np.testing.assert_allclose(one, np.abs(gradient), rtol=2e-3, atol=1e-6)


# -- what cannot be used ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"segment": 0}, "segment must be at least 1, not 0"),
        ({"learning_rate": -0.1}, "learning_rate must be a number of at least 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be a number of at least 0"),
        ({"decay": 1.5}, r"decay must lie in \[0, 1\], not 1.5"),
        ({"rms": [np.ones(3)]}, "as many arrays as the model has weights"),
    ],
)
def test_settings_out_of_range_are_refused(model, options, message):
    with pytest.raises(ValueError, match=message):
        dynamic(model, model.vocabulary.encode(TEXT), **options)


def test_texts_of_one_character_are_refused(model):
    with pytest.raises(ValueError, match="at least two characters"):
        dynamic(model, model.vocabulary.encode("a"))
    with pytest.raises(ValueError, match="at least two characters"):
        gradient_rms(model, model.vocabulary.encode("a"))


@pytest.mark.parametrize("options", [{"segment": 0}, {"batch_size": 0}, {"batches": 0}])
def test_statistics_want_numbers_of_at_least_one(model, options):
    with pytest.raises(ValueError, match="at least 1"):
        gradient_rms(model, model.vocabulary.encode(TEXT), **options)
