"""Dynamic evaluation: the model learns from the text it has predicted, and so adapts to it.

Source: Krause, Kahembwe, Murray and Renals 2018, "Dynamic Evaluation of Neural Sequence Models", ICML: the
update with RMS-normalised gradients and a decay towards the trained weights.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from charlm.model.char_lm import CharLM
from charlm.model.scoring import Score, checked_text, read_targets, score_of, segment_signature, total_nats

# Chosen with a one-layer LSTM of 320 units, trained on the first 80 % of tiny Shakespeare, on the text that
# follows there: 1.607 nats per character became 1.552 with these, and 1.572 by plain SGD.
SEGMENT = 20  # tokens between two updates
RATE = 5e-5
SGD_RATE = 0.03
DECAY = 1e-3
# Added to the RMS of a gradient, as a share of the mean RMS: limits the steps of weights with tiny gradients.
EPSILON = 0.1


class _Rule(NamedTuple):
    """How one weight moves: `w += pull * (trained - w) - speed * gradient`, element by element."""

    trained: tf.Tensor
    speed: tf.Tensor
    pull: tf.Tensor


def dynamic(
    model: CharLM,
    ids: Sequence[int],
    *,
    rms: Sequence[np.ndarray] | None = None,
    segment: int = SEGMENT,
    learning_rate: float | None = None,
    decay: float = DECAY,
    progress: Callable[[int], object] | None = None,
) -> Score:
    """Scores a text in one stream, and learns from each segment after predicting it.

    With trained weights w_0, the gradient g of the segment's mean nats per token, learning rate e, decay d:

        w <- w + min(d r, 1) (w_0 - w) - e g / (RMS + 0.1 mean(RMS)),  r = RMS / mean(RMS)

    or without `rms`, plain SGD: w <- w + d (w_0 - w) - e g. The gradient goes back to the start of its
    segment; the state is carried through the whole text. A copy of the model learns, the model itself is
    never changed.

    Args:
        model: the model.
        ids: `(tokens,)` int, at least two characters; a memory map is read segment by segment.
        rms: the result of `gradient_rms` on training text, or None.
        segment: tokens predicted between two updates.
        learning_rate: by default 0.00005, without `rms` 0.03.
        decay: pull towards the trained weights, in [0, 1].
        progress: called with the number of tokens predicted since its last call.

    Returns:
        The score of the same characters that `Scorer.carried` scores. Each is predicted before the model
        learns from it.

    Raises:
        ValueError: a setting is out of range, or the text has less than two characters.

    Example:

    >>> from charlm.model.scoring import Scorer
    >>> model = CharLM("helo", units=5, depth=1, embedding_size=3)
    >>> ids = model.vocabulary.encode("hello" * 99)
    >>> learned = dynamic(model, ids, learning_rate=0.5)
    >>> learned.nats_per_character < Scorer(model).carried(ids).nats_per_character
    True
    """
    ids = checked_text(ids)
    if learning_rate is None:
        learning_rate = SGD_RATE if rms is None else RATE
    _check(model, rms, segment, learning_rate, decay)
    learner = _Learner(model)
    learner.set_rule(rms, learning_rate, decay)
    nats, states = 0.0, model.get_initial_state(1)
    for start in range(0, len(ids) - 1, segment):
        time = min(segment, len(ids) - 1 - start)
        segment_nats, states = learner.learn(*read_targets(ids, start, 1, time), states)
        nats += float(segment_nats)
        if progress:
            progress(time)
    return score_of(nats, ids)


def gradient_rms(
    model: CharLM, ids: Sequence[int], *, segment: int = SEGMENT, batch_size: int = 64, batches: int = 100
) -> list[np.ndarray]:
    """The root mean square of the gradient of each weight over training text.

    Args:
        model: the model.
        ids: `(tokens,)` int, the training text. Only as much as needed is read, in `batch_size` streams that
            begin at equal distances.
        segment: tokens that a gradient goes back.
        batch_size: segments averaged into one gradient; fewer for a short text.
        batches: gradients whose squares are averaged; fewer for a short text.

    Returns:
        An array for each weight of the model, in the order of `model.weights`.

    Raises:
        ValueError: a setting is below 1, or the text has less than two characters.
    """
    ids = checked_text(ids)
    if min(segment, batch_size, batches) < 1:
        raise ValueError(f"Expected numbers of at least 1, not {(segment, batch_size, batches)}.")
    time = min(segment, len(ids) - 1)
    rows = min(batch_size, (len(ids) - 1) // time)
    stream = (len(ids) - 1) // rows
    count = min(batches, stream // time)
    learner, states = _Learner(model), model.get_initial_state(rows)
    for number in range(count):
        pieces = [read_targets(ids, row * stream + number * time, 1, time) for row in range(rows)]
        tokens, targets = (np.concatenate(part) for part in zip(*pieces, strict=True))
        states = learner.observe(tokens, targets, states)
    return [np.sqrt(squares.numpy() / count) for squares in learner.squares]


class _Learner:
    """A copy of a model, whose weights move."""

    def __init__(self, model: CharLM):
        self.model = CharLM(model.vocabulary, **model.settings, dtype=model.dtype_policy)
        for weight, trained in zip(self.model.weights, model.weights, strict=True):
            weight.assign(trained)
        self.squares = [tf.Variable(tf.zeros_like(weight.value)) for weight in self.model.weights]
        signature = segment_signature(model)  # all sizes share one graph
        self.observe = tf.function(self._observe, input_signature=signature, autograph=False)
        self.learn = tf.function(self._learn, input_signature=signature, autograph=False)
        self._rules: list[_Rule] = []

    def set_rule(self, rms, learning_rate, decay):
        """Makes the rule of every weight, drawn to where it is now."""
        trained = [tf.identity(weight.value) for weight in self.model.weights]
        if rms is None:
            speeds, pulls = [learning_rate] * len(trained), [decay] * len(trained)
        else:
            mean = np.concatenate([np.ravel(one) for one in rms]).mean(dtype=np.float64)
            speeds = [learning_rate / (one + EPSILON * mean) for one in rms]
            pulls = [np.minimum(decay * one / mean, 1.0) for one in rms]
        self._rules = [
            _Rule(value, tf.constant(speed, value.dtype), tf.constant(pull, value.dtype))
            for value, speed, pull in zip(trained, speeds, pulls, strict=True)
        ]

    def _learn(self, tokens, targets, states):
        """The nats of a segment, the state after it, and the weights moved."""
        nats, gradients, states = self._gradients(tokens, targets, states)
        moved = _move([weight.value for weight in self.model.weights], gradients, self._rules)
        for weight, value in zip(self.model.weights, moved, strict=True):
            weight.assign(value)
        return nats, states

    def _observe(self, tokens, targets, states):
        """The state after a batch, and the squares of its gradients added to the others."""
        _, gradients, states = self._gradients(tokens, targets, states)
        for squares, gradient in zip(self.squares, gradients, strict=True):
            squares.assign_add(tf.square(gradient))
        return states

    def _gradients(self, tokens, targets, states):
        weights = [weight.value for weight in self.model.weights]
        with tf.GradientTape() as tape:
            logits, states = self.model.logits(tokens, states, keep_for_gradient=True)
            nats = total_nats(logits, targets)
            mean = nats / tf.cast(tf.size(targets), nats.dtype)
        # That of the embedding is sparse.
        gradients = [tf.convert_to_tensor(gradient) for gradient in tape.gradient(mean, weights)]
        return nats, gradients, states


@tf.function(jit_compile=True, autograph=False)  # one pass over the weights
def _move(weights, gradients, rules):
    return [
        weight + rule.pull * (rule.trained - weight) - rule.speed * gradient
        for weight, gradient, rule in zip(weights, gradients, rules, strict=True)
    ]


def _check(model, rms, segment, learning_rate, decay):
    if rms is not None and [one.shape for one in rms] != [tuple(weight.shape) for weight in model.weights]:
        raise ValueError("rms must hold as many arrays as the model has weights, each of its weight's shape.")
    if segment < 1:
        raise ValueError(f"segment must be at least 1, not {segment}.")
    if not 0 <= learning_rate < math.inf:
        raise ValueError(f"learning_rate must be a number of at least 0, not {learning_rate}.")
    if not 0 <= decay <= 1:
        raise ValueError(f"decay must lie in [0, 1], not {decay}.")
