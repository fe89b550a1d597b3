"""Self-critical training (what is drawn, what it earns, and the gradient that follows), and teachers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from captioning.data.examples import Example
from captioning.evaluation.cider import CiderD
from captioning.model.captioner import Captioner
from captioning.model.encoder import Encoder
from captioning.training.losses import CaptionLoss, CiderReward, SelfCriticalLoss, count_words
from captioning.training.views import show
from shared.text.vocabulary import Vocabulary

PAD, START, END, UNK = Vocabulary.PAD, Vocabulary.START, Vocabulary.END, Vocabulary.UNK
SAMPLES, MAX_LENGTH, TEMPERATURE = 3, 6, 0.6
VOCABULARY = Vocabulary([*Vocabulary.SPECIALS, "a", "dog", "cat", "runs", "red", "with"])


@pytest.fixture(scope="module")
def captioner():
    keras.utils.set_random_seed(4)
    encoder = Encoder("small_cnn", weights=None, image_size=32)
    return Captioner(VOCABULARY, encoder, units=8, num_heads=2, dropout=0.0, input_dropout=0.0)


@pytest.fixture(scope="module")
def batch(captioner):
    random = np.random.default_rng(1)
    features = random.normal(size=(2, captioner.encoder.grid[0] ** 2, captioner.encoder.channels))
    tokens = np.array([[[START, 4, 5, END, PAD]], [[START, 4, 8, 6, END]]], np.int32)
    return {
        "features": features.astype(np.float32),
        "tokens": tokens,
        "rows": np.array([7, 3], np.int32),
        "seed": np.int32(11),
    }


class Judge:
    """A reward that keeps what it was asked and answers from a table."""

    table = np.array([[2.0, 0.5, 0.0], [1.0, 1.0, 4.0]], np.float32)

    def __call__(self, rows, captions):
        self.rows, self.captions = np.asarray(rows), np.asarray(captions)
        return self.table


def loss_and_gradients(captioner, batch, reward, weight=0.0, **changes):
    loss = SelfCriticalLoss(reward, SAMPLES, TEMPERATURE, MAX_LENGTH, (CaptionLoss(0.0), weight))
    with tf.GradientTape() as tape:
        value = loss(captioner, {**batch, **changes})
    variables = [v.value for v in captioner.decoder.trainable_variables]
    return float(value), tape.gradient(value, variables), variables


def log_probs_of(captioner, features, captions):
    """log p_T of each caption `(images, samples)`, word by word from the logits of one call."""
    start = np.full((*captions.shape[:2], 1), START)
    tokens = np.concatenate([start, captions], axis=2).astype(np.int32)
    logits = captioner.decoder(features, tokens[:, :, :-1]) / TEMPERATURE
    allowed = np.ones(len(VOCABULARY), bool)
    allowed[[PAD, START, UNK]] = False
    log_probs = tf.nn.log_softmax(tf.where(allowed, logits, -np.inf))
    chosen = tf.gather(log_probs, captions, batch_dims=3)
    return tf.reduce_sum(tf.where(captions == PAD, 0.0, chosen), axis=2)


def test_the_gradient_is_that_of_the_advantage_times_the_log_probability(captioner, batch):
    judge = Judge()
    value, gradients, variables = loss_and_gradients(captioner, batch, judge)
    assert value == pytest.approx(-judge.table.mean(), abs=1e-5)
    np.testing.assert_array_equal(judge.rows, [7, 3])

    table = judge.table
    others = np.array([[np.delete(row, column).mean() for column in range(SAMPLES)] for row in table])
    with tf.GradientTape() as tape:
        log_probs = log_probs_of(captioner, batch["features"], judge.captions)
        expected = -tf.reduce_sum((table - others) * log_probs) / np.sum(judge.captions != PAD)
    for ours, theirs in zip(gradients, tape.gradient(expected, variables), strict=True):
        np.testing.assert_allclose(
            tf.convert_to_tensor(ours), tf.convert_to_tensor(theirs), rtol=2e-3, atol=1e-6
        )


def test_equal_rewards_teach_nothing(captioner, batch):
    judge = Judge()
    judge.table = np.full((2, SAMPLES), 1.5, np.float32)
    _, gradients, _ = loss_and_gradients(captioner, batch, judge)
    assert all(np.abs(tf.convert_to_tensor(gradient)).max() == 0 for gradient in gradients)


def test_cross_entropy_beside_is_added_by_its_weight(captioner, batch):
    alone, _, _ = loss_and_gradients(captioner, batch, Judge())
    both, _, _ = loss_and_gradients(captioner, batch, Judge(), weight=0.25)
    cross_entropy = float(CaptionLoss(0.0)(captioner, batch))
    assert both - alone == pytest.approx(0.25 * cross_entropy, abs=1e-5)


def test_draws_are_captions_and_follow_from_the_seed(captioner, batch):
    judges = [Judge() for _ in range(3)]
    for judge, seed in zip(judges, (11, 11, 12), strict=True):
        loss_and_gradients(captioner, batch, judge, seed=np.int32(seed))
    first, again, other = (judge.captions for judge in judges)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert first.shape == (2, SAMPLES, MAX_LENGTH)
    for caption in first.reshape(-1, MAX_LENGTH).tolist():
        end = caption.index(END) if END in caption else MAX_LENGTH
        assert end >= 1
        assert min(caption[:end]) > UNK
        assert set(caption[end + 1 :]) <= {PAD}


def test_draws_have_the_frequencies_of_the_sharpened_distribution(captioner, batch):
    judge, count = Judge(), 4000
    judge.table = np.zeros((2, count), np.float32)
    loss = SelfCriticalLoss(judge, count, TEMPERATURE, 2, (CaptionLoss(0.0), 0.0))
    loss(captioner, batch)
    words = range(UNK + 1, len(VOCABULARY))
    tokens = np.full((2, 1, 1), START, np.int32)
    logits = captioner.decoder(batch["features"], tokens).numpy()[:, 0, 0, UNK + 1 :] / TEMPERATURE
    expected = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    drawn = np.stack([(judge.captions[:, :, 0] == word).mean(axis=1) for word in words], axis=1)
    np.testing.assert_allclose(drawn, expected, atol=0.03)


def test_the_reward_is_the_score_of_the_caption_with_its_end():
    captions = [("a dog runs", "a red dog"), ("a cat",), ("a zebra with a cat", "cat")]
    examples = [Example(str(number), b"", several, "train") for number, several in enumerate(captions)]
    reward = CiderReward(examples, VOCABULARY)
    samples = np.array(
        [[[4, 5, 7, END, PAD], [4, 5, 7, 9, 4]], [[4, 6, END, PAD, PAD], [5, END, PAD, PAD, PAD]]], np.int32
    )
    ours = reward(np.array([0, 2]), samples)
    end = VOCABULARY.tokens[END]
    cider = CiderD({row: [[*text.split(), end] for text in several] for row, several in enumerate(captions)})
    words = [["a", "dog", "runs", end], ["a", "dog", "runs", "with", "a"], ["a", "cat", end], ["dog", end]]
    np.testing.assert_allclose(ours.ravel(), cider.score_each([0, 0, 2, 2], words), rtol=1e-6)
    assert ours.dtype == np.float32
    assert ours[0, 0] > ours[0, 1]


@pytest.mark.parametrize("weights", [{}, {"weights": np.array([1.0, 0.25], np.float32)}])
def test_the_losses_of_parts_of_a_batch_add_up_by_their_words(captioner, batch, weights):
    batch = {"features": batch["features"], "tokens": batch["tokens"], **weights}
    parts = [{name: array[row : row + 1] for name, array in batch.items()} for row in (0, 1)]
    words = [count_words(part) for part in parts]
    assert words == ([3, 4] if not weights else [3, 1])
    loss = CaptionLoss(label_smoothing=0.1)
    total = sum(count * float(loss(captioner, part)) for count, part in zip(words, parts, strict=True))
    assert total / sum(words) == pytest.approx(float(loss(captioner, batch)), abs=1e-6)


# -- teachers ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def teachers():
    models = []
    for seed in (5, 6):
        keras.utils.set_random_seed(seed)
        encoder = Encoder("small_cnn", weights=None, image_size=32)
        models.append(Captioner(VOCABULARY, encoder, units=4, num_heads=2))
    return models


def distribution(model, features, tokens):
    return keras.ops.convert_to_numpy(
        keras.ops.softmax(model({"features": features, "tokens": tokens[:, :, :-1]}))
    ).astype(np.float64)


def test_teachers_add_the_divergence_from_their_mean(captioner, batch, teachers):
    others = tuple(np.random.default_rng(n).normal(size=batch["features"].shape) for n in (2, 3))
    others = tuple(each.astype(np.float32) for each in others)
    mean = np.mean(
        [
            distribution(teacher, features, batch["tokens"])
            for teacher, features in zip(teachers, others, strict=True)
        ],
        axis=0,
    )
    own = distribution(captioner, batch["features"], batch["tokens"])
    is_word = batch["tokens"][:, :, 1:] != PAD
    divergence = np.mean(np.sum(mean * np.log(mean / own), axis=-1)[is_word])
    alone = float(CaptionLoss(0.1)(captioner, batch))
    loss = CaptionLoss(0.1, teachers, 0.3)
    taught = float(loss(captioner, {**batch, "teacher_features": others}))
    assert divergence > 0.001
    assert taught == pytest.approx(0.7 * alone + 0.3 * divergence, abs=1e-5)


def test_who_teaches_itself_has_nothing_to_learn(captioner, batch):
    loss = CaptionLoss(0.0, [captioner], 0.5)
    alone = float(CaptionLoss(0.0)(captioner, batch))
    taught = float(loss(captioner, {**batch, "teacher_features": (batch["features"],)}))
    assert taught == pytest.approx(0.5 * alone, abs=1e-5)


def test_weights_of_sources_hold_for_teachers_too(captioner, batch, teachers):
    """A source of weight 0 has no say in either part of the loss."""
    features = (batch["features"],) * 2
    loss = CaptionLoss(0.0, teachers, 0.5)
    first = {name: value[:1] for name, value in batch.items() if name in ("features", "tokens")}
    expected = float(loss(captioner, {**first, "teacher_features": tuple(each[:1] for each in features)}))
    weights = np.array([1.0, 0.0], np.float32)
    weighted = float(loss(captioner, {**batch, "teacher_features": features, "weights": weights}))
    assert weighted == pytest.approx(expected, abs=1e-5)


def test_teachers_see_the_same_views(captioner, teachers):
    random = np.random.default_rng(0)
    views = {
        "images": random.integers(0, 256, (2, 32, 32, 3)).astype(np.uint8),
        "boxes": np.array([[0.0, 1.0, 1.0, 0.0], [0.1, 0.0, 0.9, 0.8]], np.float32),
        "brightness": np.array([1.1, 0.9], np.float32),
        "tokens": np.array([[[START, 4, 5, END]], [[START, 6, 7, END]]], np.int32),
    }
    shown = show(views["images"], views["boxes"], views["brightness"])
    plain = {"images": shown, "tokens": views["tokens"]}
    loss = CaptionLoss(0.0, teachers, 0.5)
    assert float(loss(captioner, views)) == pytest.approx(float(loss(captioner, plain)), abs=1e-5)
