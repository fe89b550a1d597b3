"""The loss of a classifier, plain and adversarial, against NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from sentiment.config import SentimentConfig
from sentiment.model.classifier import SentimentClassifier
from sentiment.training.loss import Loss
from shared.text.vocabulary import Vocabulary


def a_model(**settings):
    words = (*Vocabulary.SPECIALS, *"abcdefg")
    settings = {"units": 4, "embedding_size": 5, "cell": "gru", "seed": 3, **settings}
    model = SentimentClassifier(words, ["x", "y", "z"], **settings)
    random = np.random.default_rng(1)
    for weight in model.trainable_variables:
        weight.assign(random.normal(0, 0.7, weight.shape))
    return model


def a_batch():
    random = np.random.default_rng(4)
    mask = np.arange(7) < np.array([[7], [4], [2]])
    tokens = np.where(mask, random.integers(4, 11, (3, 7)), 0).astype("int32")
    targets = np.array([[0.1, 0, 0.9], [1, 0, 0], [0.2, 0.5, 0.3]], "float32")
    return {"tokens": tokens, "mask": mask, "targets": targets}


def cross_entropies(logits, targets, smoothing=0.0):
    """Of each review, in NumPy."""
    logits = np.asarray(logits, "float64")
    targets = targets * (1 - smoothing) + smoothing / logits.shape[1]
    return np.log(np.exp(logits).sum(axis=1)) - (targets * logits).sum(axis=1)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_loss_is_the_mean_cross_entropy(smoothing):
    model, batch = a_model(), a_batch()
    loss = Loss(SentimentConfig(label_smoothing=smoothing))(model, batch)
    logits = model(batch["tokens"], mask=batch["mask"], training=True)  # nothing is dropped
    expected = cross_entropies(logits, batch["targets"], smoothing)
    assert float(loss) == pytest.approx(expected.mean(), rel=1e-5)


def adversary(model, batch, length):
    """The embedded words, and the change of each review that raises the loss the fastest."""
    embedded = model.embed(batch["tokens"])
    with tf.GradientTape() as tape:
        tape.watch(embedded)
        logits = model.classify(embedded, mask=batch["mask"], training=True)
        losses = keras.ops.categorical_crossentropy(batch["targets"], logits, from_logits=True)
    gradient = tape.gradient(losses, embedded).numpy()
    return embedded, length * gradient / np.sqrt((gradient**2).sum(axis=(1, 2), keepdims=True))


@pytest.mark.parametrize("length", [0.01, 2.0])
def test_the_adversary_changes_each_review_by_a_length_in_the_steepest_direction(monkeypatch, length):
    model, batch, seen = a_model(), a_batch(), []
    classify = model.classify
    monkeypatch.setattr(
        model, "classify", lambda embedded, **kwargs: seen.append(embedded) or classify(embedded, **kwargs)
    )
    loss = Loss(SentimentConfig(adversarial=length))(model, batch)
    plain, disguised = seen
    embedded, change = adversary(model, batch, length)
    found = disguised.numpy() - plain.numpy()
    np.testing.assert_array_equal(plain, embedded)
    np.testing.assert_allclose(np.sqrt((found**2).sum(axis=(1, 2))), length, rtol=1e-3)
    np.testing.assert_allclose(found, change, rtol=1e-2, atol=1e-3 * length)
    assert not np.any(found[~batch["mask"]])
    before, after = (
        cross_entropies(classify(words, mask=batch["mask"], training=True), batch["targets"])
        for words in (plain, disguised)
    )
    assert after.mean() > before.mean()
    assert float(loss) == pytest.approx((before.mean() + after.mean()) / 2, rel=1e-5)


def test_the_gradient_with_an_adversary_is_that_of_both_losses():
    model, batch = a_model(), a_batch()
    weights = [variable.value for variable in model.trainable_variables]
    _, change = adversary(model, batch, 0.5)
    with tf.GradientTape() as tape:
        embedded = model.embed(batch["tokens"])
        losses = [
            keras.ops.categorical_crossentropy(
                batch["targets"], model.classify(words, mask=batch["mask"], training=True), from_logits=True
            )
            for words in (embedded, embedded + tf.constant(change))
        ]
        expected_loss = tf.reduce_mean(losses)
    expected = tape.gradient(expected_loss, weights)
    with tf.GradientTape() as tape:
        loss = Loss(SentimentConfig(adversarial=0.5))(model, batch)
    found = tape.gradient(loss, weights)
    assert float(loss) == pytest.approx(float(expected_loss), rel=1e-5)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(
            tf.convert_to_tensor(one), tf.convert_to_tensor(other), rtol=1e-3, atol=1e-5
        )


def test_the_loss_drops_words_and_units():
    model, batch = a_model(output_dropout=0.5, seed=None), a_batch()
    losses = [float(Loss(SentimentConfig())(model, batch)) for _ in range(2)]
    assert losses[0] != losses[1]
