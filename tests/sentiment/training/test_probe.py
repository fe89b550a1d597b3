import keras
import numpy as np
import pytest
import tensorflow as tf

from sentiment.model.classifier import SentimentClassifier
from sentiment.training.probe import gradient_by_distance, make_probe
from shared.text.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(4)
    words = Vocabulary((*Vocabulary.SPECIALS, *"abcdefg"))
    model = SentimentClassifier(words, ["no", "yes"], units=5, embedding_size=3, pooling="last")
    kernel, bias = model.output_layer.get_weights()
    model.output_layer.set_weights([np.random.default_rng(1).normal(size=kernel.shape), bias])
    return model


def test_norms_are_those_of_the_gradient(model):
    tokens = np.array([[4, 5, 6, 7], [8, 9, 4, 6]])
    expected = []
    for row in tokens:
        embedded = tf.convert_to_tensor(model.embed(row[None]))
        with tf.GradientTape() as tape:
            tape.watch(embedded)
            log_prob = tf.reduce_max(tf.nn.log_softmax(model.classify(embedded))[0])
        expected.append(np.linalg.norm(tape.gradient(log_prob, embedded)[0], axis=-1)[::-1])
    np.testing.assert_allclose(gradient_by_distance(model, tokens), np.mean(expected, axis=0), rtol=1e-3)


def test_a_run_measures_the_ends_of_its_longest_texts(model):
    random = np.random.default_rng(2)
    sequences = [random.integers(4, 11, size) for size in (5, 300, 200, *[150] * 14)]
    longest = [ids[-129:] for ids in sequences[1:]]
    np.testing.assert_allclose(
        make_probe(model, sequences)(), gradient_by_distance(model, np.array(longest)), rtol=1e-3
    )
    assert len(make_probe(model, sequences[:1])()) == 5
