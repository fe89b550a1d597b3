"""A rate and a first step for each part of a classifier, against steps by hand."""

import dataclasses

import numpy as np
import tensorflow as tf

from sentiment.config import SentimentConfig
from sentiment.model.classifier import SentimentClassifier
from sentiment.training.optimizer import make_optimizer
from shared.text.vocabulary import Vocabulary

RATE, DECAY = 0.1, 0.5
CONFIG = SentimentConfig(learning_rate=RATE, weight_decay=DECAY, depth=2, bidirectional=False)
WORDS = (*Vocabulary.SPECIALS, "a", "b", "c")


def make_model(depth=2, bidirectional=False):
    """A small classifier without a value of 0."""
    settings = {"pooling": "attention", "units": 3, "embedding_size": 5, "cell": "gru"}
    model = SentimentClassifier(WORDS, ["x", "y"], depth=depth, bidirectional=bidirectional, **settings)
    random = np.random.default_rng(1)
    for variable in model.trainable_variables:
        variable.assign(random.uniform(0.5, 1.0, variable.shape))
    return model


def some_gradients(variables, seed):
    random = np.random.default_rng(seed)
    numbers = [random.uniform(0.5, 2.0, variable.shape) for variable in variables]
    return [tf.constant(n * random.choice([-1, 1], n.shape), "float32") for n in numbers]


def values(variables):
    return [variable.numpy() for variable in variables]


def changes(optimizer, variables, gradients):
    before = values(variables)
    optimizer.apply(gradients, variables)
    return [new - old for new, old in zip(values(variables), before, strict=True)]


def part_of(variable):
    """0 the embedding, 1 and 2 the layers, 3 what is new."""
    for part, keyword in enumerate(("embedding", "forward_0", "forward_1")):
        if keyword in variable.path:
            return part
    return 3


def test_each_part_has_its_share_of_the_rate():
    model = make_model()
    variables = model.trainable_variables
    config = dataclasses.replace(CONFIG, layer_rate_decay=0.5, weight_decay=0.0)
    gradients = some_gradients(variables, 1)
    found = changes(make_optimizer(config, model, steps=100, pretrained=True), variables, gradients)
    shares = {0: 0.125, 1: 0.25, 2: 0.5, 3: 1.0}
    for variable, change, gradient in zip(variables, found, gradients, strict=True):
        # The first step of Adam is the sign of the gradient.
        expected = -RATE * shares[part_of(variable)] * np.sign(gradient)
        np.testing.assert_allclose(change, expected, rtol=1e-3, err_msg=variable.path)
    assert {part_of(variable) for variable in variables} == {0, 1, 2, 3}


def test_matrices_decay_at_the_rate_of_their_part():
    model = make_model()
    variables = model.trainable_variables
    before, nothing = values(variables), [tf.zeros(variable.shape) for variable in variables]
    config = dataclasses.replace(CONFIG, layer_rate_decay=0.5)
    found = changes(make_optimizer(config, model, steps=100, pretrained=True), variables, nothing)
    shares = {0: 0.0, 1: 0.25, 2: 0.5, 3: 1.0}  # the embedding is no matrix that wants to be small
    for variable, change, value in zip(variables, found, before, strict=True):
        share = shares[part_of(variable)] if "kernel" in variable.path else 0.0
        np.testing.assert_allclose(change, -RATE * DECAY * share * value, rtol=1e-4, err_msg=variable.path)


def test_parts_begin_to_learn_one_after_the_other_from_the_top():
    model = make_model()
    variables = model.trainable_variables
    config = dataclasses.replace(CONFIG, gradual_unfreezing=0.5)
    optimizer = make_optimizer(config, model, steps=12, pretrained=True)
    optimizer.build(variables)
    moved = []

    @tf.function
    def step(gradients):
        optimizer.apply(gradients, variables)

    for number in range(8):
        before = values(variables)
        step(some_gradients(variables, number))
        pairs = list(zip(variables, values(variables), before, strict=True))
        moved.append({part_of(variable) for variable, new, old in pairs if np.any(new != old)})
        for variable, new, old in pairs:  # all of a part or nothing, decay included
            assert np.all(new != old) or not np.any(new != old), variable.path
    assert moved == [{3}, {3}, {2, 3}, {2, 3}, {1, 2, 3}, {1, 2, 3}, {0, 1, 2, 3}, {0, 1, 2, 3}]


def test_both_directions_of_a_layer_are_one_part():
    config = dataclasses.replace(CONFIG, layer_rate_decay=0.5)
    model = make_model(depth=1, bidirectional=True)
    optimizer = make_optimizer(config, model, steps=100, pretrained=True)
    parts = {"forward_0": 0.5, "backward_0": 0.5, "/embedding/": 0.25}
    for variable in model.trainable_variables:
        share = next((share for keyword, share in parts.items() if keyword in variable.path), 1.0)
        assert optimizer.part_of(variable.path) == (share, 0), variable.path


def test_without_pretraining_all_parts_are_alike():
    config = dataclasses.replace(CONFIG, layer_rate_decay=0.5, gradual_unfreezing=0.5)
    assert make_optimizer(config, make_model(), steps=100, pretrained=False).parts == []
