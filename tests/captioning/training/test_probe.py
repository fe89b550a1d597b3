import keras
import numpy as np
import pytest
import tensorflow as tf

from captioning.model.captioner import Captioner
from captioning.model.encoder import Encoder
from captioning.training.probe import gradient_by_distance
from shared.text.vocabulary import Vocabulary

WORDS = ("a", "red", "dog", "cat", "runs")


@pytest.mark.parametrize("decoder", ["late_attention", "soft_attention", "show_and_tell"])
def test_norms_are_those_of_the_gradient_from_the_end_of_each_caption(decoder):
    keras.utils.set_random_seed(3)
    encoder = Encoder("small_cnn", weights=None, image_size=32)
    captioner = Captioner(Vocabulary.build([WORDS]), encoder, decoder=decoder, units=6, num_heads=2)
    features = np.random.default_rng(1).normal(size=(2, 16, captioner.encoder.channels)).astype(np.float32)
    captions = [[4, 5], [6, 7, 8, 4]]
    each = []
    for image, words in zip(features, captions, strict=True):
        memory = captioner.decoder.read(image[None])
        embedded = tf.convert_to_tensor(captioner.decoder.embedding(np.array([[[Vocabulary.START, *words]]])))
        with tf.GradientTape() as tape:
            tape.watch(embedded)
            logits = captioner.decoder.logits(captioner.decoder.sequence(embedded, memory))[0, 0, -1]
            log_prob = tf.nn.log_softmax(logits)[Vocabulary.END]
        each.append(np.linalg.norm(tape.gradient(log_prob, embedded)[0, 0], axis=-1)[::-1])
    expected = [*np.mean([each[0], each[1][:3]], axis=0), *each[1][3:]]
    np.testing.assert_allclose(gradient_by_distance(captioner, features, captions), expected, rtol=1e-3)
