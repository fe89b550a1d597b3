"""The three decoders: one step at a time gives what one call gives, and no caption sees another image."""

import keras
import numpy as np
import pytest
from keras import ops

from captioning.model.decoders import DECODERS

IMAGES, CAPTIONS, TIME, CELLS, CHANNELS, UNITS, VOCABULARY = 3, 2, 5, 7, 4, 6, 11

pytestmark = pytest.mark.parametrize("name", sorted(DECODERS))


def make_decoder(name, **options):
    keras.utils.set_random_seed(3)
    return DECODERS[name](VOCABULARY, units=UNITS, num_heads=2, **options)


@pytest.fixture
def inputs():
    random = np.random.default_rng(5)
    features = random.normal(size=(IMAGES, CELLS, CHANNELS)).astype("float32")
    return features, random.integers(1, VOCABULARY, (IMAGES, CAPTIONS, TIME)).astype("int32")


@pytest.mark.parametrize("options", [{}, {"cell": "gru", "depth": 2}, {"cell": "simple"}], ids=str)
def test_step_over_the_words_gives_the_logits_of_the_call(name, options, inputs):
    features, tokens = inputs
    decoder = make_decoder(name, **options)
    logits = ops.convert_to_numpy(decoder(features, tokens))
    assert logits.shape == (IMAGES, CAPTIONS, TIME, VOCABULARY)
    for caption in range(CAPTIONS):
        memory = decoder.read(features)
        states = decoder.start(memory)
        for time in range(TIME):
            step, states = decoder.step(tokens[:, caption, time], states, memory)
            np.testing.assert_allclose(step, logits[:, caption, time], atol=1e-5)


def test_a_batch_equals_its_single_images(name, inputs):
    features, tokens = inputs
    decoder = make_decoder(name)
    together = decoder(features, tokens)
    for image in range(IMAGES):
        alone = decoder(features[image : image + 1], tokens[image : image + 1])
        np.testing.assert_allclose(alone[0], together[image], atol=1e-5)


def test_logits_depend_on_the_image_and_on_earlier_words_only(name, inputs):
    features, tokens = inputs
    decoder = make_decoder(name)
    logits = ops.convert_to_numpy(decoder(features, tokens))
    other_image = ops.convert_to_numpy(decoder(features[::-1].copy(), tokens))
    assert np.abs(other_image - logits)[0].min(axis=-1).max() > 0
    changed = tokens.copy()
    changed[:, :, 3] = (changed[:, :, 3] % (VOCABULARY - 1)) + 1
    after = ops.convert_to_numpy(decoder(features, changed))
    np.testing.assert_allclose(after[:, :, :3], logits[:, :, :3], atol=1e-6)
    assert np.abs(after - logits)[:, :, 3:].max(axis=(2, 3)).min() > 1e-4


def test_gradients_reach_every_weight(name, inputs):
    import tensorflow as tf

    features, tokens = inputs
    decoder = make_decoder(name)
    decoder(features, tokens)
    with tf.GradientTape() as tape:
        logits = decoder(features, tokens, training=True)
        loss = ops.mean(ops.logsumexp(logits, axis=-1) - logits[..., 0])
    gradients = tape.gradient(loss, [weight.value for weight in decoder.trainable_weights])
    for weight, gradient in zip(decoder.trainable_weights, gradients, strict=True):
        assert gradient is not None, weight.path
        assert np.abs(ops.convert_to_numpy(tf.convert_to_tensor(gradient))).max() > 0, weight.path


def test_config_round_trip_keeps_the_logits(name, inputs):
    features, tokens = inputs
    decoder = make_decoder(name, cell="gru", depth=2)
    expected = decoder(features, tokens)
    copy = type(decoder).from_config(decoder.get_config())
    copy(features, tokens)
    copy.set_weights(decoder.get_weights())
    np.testing.assert_allclose(copy(features, tokens), expected, atol=1e-6)
