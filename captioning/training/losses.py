"""The losses of a captioner: cross entropy, and the reward of captions that it samples itself."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from keras import ops

from captioning.evaluation.cider import CiderD
from captioning.model.constraints import SPECIAL
from captioning.model.ensemble import mean_log_probs
from captioning.training.views import show
from shared.decoding import sample, tile_beams
from shared.text.tokens import Tokenize
from shared.text.vocabulary import Vocabulary, tokenize_words
from shared.training.losses import sequence_cross_entropy


class CaptionLoss:
    """Cross entropy of each next word, over all captions of a batch.

    With teachers, a part of it is the Kullback-Leibler divergence from the mean of their probabilities to
    those of the model. Source: Kim & Rush 2016, "Sequence-Level Knowledge Distillation", section 3.1.

    Args:
        label_smoothing: probability mass that the targets of the cross entropy spread over all words.
        teachers: captioners with the vocabulary of the one that is trained.
        teacher_weight: the share of the divergence in the loss, in (0, 1).

    Call arguments:
        captioner: a `captioning.model.Captioner`.
        batch: as of `CaptionBatches`; cached features come with `teacher_features`, those of each teacher.
    """

    def __init__(self, label_smoothing: float, teachers=(), teacher_weight: float = 0.0):
        self.label_smoothing = label_smoothing
        self.teachers, self.teacher_weight = teachers, teacher_weight

    def __call__(self, captioner, batch):
        batch = with_views(batch)
        return self.of_features(captioner, captioner.features_of(batch, training=True), batch)

    def of_features(self, captioner, features, batch):
        """The loss where the features of the batch are there already, `(images, cells, channels)`."""
        hidden, targets, is_word = hidden_words(captioner, features, batch["tokens"])
        weights = None
        if "weights" in batch:
            weights = tf.broadcast_to(batch["weights"][:, None, None], tf.shape(is_word))
            weights = tf.boolean_mask(weights, is_word)
        logits = captioner.decoder.logits(hidden, training=True)  # (words, vocabulary)
        loss = sequence_cross_entropy(
            targets, logits, None, label_smoothing=self.label_smoothing, weights=weights
        )
        if not self.teachers:
            return loss
        divergence = mean_divergence(self._teach(batch), logits, weights)
        return (1 - self.teacher_weight) * loss + self.teacher_weight * divergence

    def _teach(self, batch):
        """The logarithms of the teachers' mean probabilities of each word, `(words, vocabulary)`."""
        logits = []
        for number, teacher in enumerate(self.teachers):
            if "teacher_features" in batch:
                features = tf.cast(batch["teacher_features"][number], teacher.compute_dtype)
            else:
                features = teacher.encoder(batch["images"], training=False)
            hidden, _, _ = hidden_words(teacher, features, batch["tokens"], training=False)
            logits.append(teacher.decoder.logits(hidden))
        return tf.stop_gradient(mean_log_probs(logits))


class SelfCriticalLoss:
    """The reward that captions drawn from the model itself earn, as a loss.

    For each image captions are drawn from the model's distribution at a temperature T. The gradient is that
    of

        - sum over captions of (reward - mean reward of the image's other captions) * log p_T(caption)

    divided by the number of words, where p_T is that same distribution: the model learns the policy it is
    decoded with. The value is minus the mean reward, plus the weighted cross entropy, if any.

    Sources: Rennie et al. 2017, "Self-critical Sequence Training for Image Captioning"; Luo 2020, "A Better
    Variant of Self-Critical Sequence Training" (the baseline).

    Args:
        reward: `reward(rows, captions)`, a `CiderReward`.
        samples: captions of one image.
        temperature: T; below 1 the captions are more probable ones.
        max_length: longest caption in tokens, end token included.
        cross_entropy: loss of the captions of the batch, a `CaptionLoss`, and its weight; 0: without.

    Call arguments:
        captioner: a `captioning.model.Captioner`.
        batch: as of `CaptionBatches`, with `rows` `(images,)`, the images' numbers for the reward, and a
            scalar `seed` for the draws.
    """

    def __init__(self, reward, samples, temperature, max_length, cross_entropy: tuple[CaptionLoss, float]):
        self.reward, self.samples = reward, samples
        self.temperature, self.max_length = temperature, max_length
        self.cross_entropy, self.weight = cross_entropy

    def __call__(self, captioner, batch):
        batch = with_views(batch)
        features = captioner.features_of(batch, training=True)
        captions = self._draw(captioner, tf.stop_gradient(features), batch["seed"])
        rewards = tf.numpy_function(self.reward, [batch["rows"], captions], tf.float32, stateful=False)
        rewards = tf.ensure_shape(rewards, (None, self.samples))  # (images, samples)
        others = (tf.reduce_sum(rewards, axis=1, keepdims=True) - rewards) / (self.samples - 1)
        policy = self._policy_loss(captioner, features, captions, rewards - others)
        loss = policy - tf.stop_gradient(policy) - tf.reduce_mean(rewards)
        if self.weight:
            loss += self.weight * self.cross_entropy.of_features(captioner, features, batch)
        return loss

    def _draw(self, captioner, features, seed):
        """Captions `(images, samples, tokens)` int32, without the start token."""
        memory = captioner.decoder.read(features)
        tiled = tile_beams(memory, self.samples)
        drawn = sample(
            lambda tokens, states: captioner.decoder.step(tokens, states, tiled),
            tile_beams(captioner.decoder.start(memory), self.samples),
            ops.full((ops.shape(features)[0] * self.samples,), Vocabulary.START, dtype="int32"),
            end_token=Vocabulary.END,
            max_length=self.max_length,
            min_length=2,
            temperature=self.temperature,
            banned_tokens=SPECIAL,
            seed=seed,
        )
        return tf.reshape(drawn.tokens, (-1, self.samples, self.max_length))

    def _policy_loss(self, captioner, features, captions, advantages):
        start = tf.fill(tf.shape(captions[:, :, :1]), Vocabulary.START)
        hidden, targets, is_word = hidden_words(captioner, features, tf.concat([start, captions], axis=2))
        logits = tf.cast(captioner.decoder.logits(hidden, training=True), tf.float32) / self.temperature
        banned = tf.reduce_sum(tf.one_hot(SPECIAL, logits.shape[-1]), axis=0)  # (vocabulary,)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits - 1e9 * banned)  # (words,)
        advantages = tf.boolean_mask(tf.broadcast_to(advantages[:, :, None], tf.shape(is_word)), is_word)
        return tf.reduce_mean(advantages * losses)


class CiderReward:
    """CIDEr-D of sampled captions, with document frequencies of the training captions.

    The end token counts as a word, in captions and references: a caption that breaks off loses by it.

    Args:
        examples: the training images.
        vocabulary: of the captioner.
        tokenize: how captions are split.
    """

    def __init__(self, examples, vocabulary: Vocabulary, tokenize: Tokenize = tokenize_words):
        self._words = vocabulary.tokens
        end = self._words[Vocabulary.END]
        self._cider = CiderD(
            {
                row: [[*tokenize(caption), end] for caption in example.captions]
                for row, example in enumerate(examples)
            }
        )

    def __call__(self, rows, captions):
        """Rewards `(images, samples)` float32 of captions `(images, samples, tokens)`, padded at the end."""
        images, samples, _ = captions.shape
        words = [
            [self._words[token] for token in caption if token != Vocabulary.PAD]
            for caption in captions.reshape(images * samples, -1).tolist()
        ]
        scores = self._cider.score_each([row for row in rows.tolist() for _ in range(samples)], words)
        return scores.reshape(images, samples).astype("float32")


def mean_divergence(log_probs, logits, weights=None):
    """The mean Kullback-Leibler divergence, in nats, from distributions to those of `logits`.

    Args:
        log_probs, logits: `(words, vocabulary)`.
        weights: `(words,)`, how much each word counts; None: all alike.
    """
    own = tf.nn.log_softmax(tf.cast(logits, tf.float32))
    divergences = tf.reduce_sum(tf.exp(log_probs) * (log_probs - own), axis=-1)
    if weights is None:
        return tf.reduce_mean(divergences)
    return tf.math.divide_no_nan(tf.reduce_sum(weights * divergences), tf.reduce_sum(weights))


def count_words(batch: Mapping[str, np.ndarray]) -> float:
    """How much a batch counts in the mean over words that the cross entropy is."""
    words = np.sum(batch["tokens"][:, :, 1:] != Vocabulary.PAD, axis=(1, 2))  # (images,)
    return float(np.sum(words * batch.get("weights", 1.0)))


def with_views(batch):
    """The batch with views in place of its images, where it says what they show."""
    if "boxes" not in batch:
        return batch
    return {**batch, "images": show(batch["images"], batch["boxes"], batch["brightness"])}


def hidden_words(captioner, features, tokens, training=True):
    """What the output layer reads at each word of captions, without the padding.

    Returns:
        Its inputs `(words, width)`, the tokens that follow `(words,)`, and a mask `(images, captions, time)`
        of the steps that they are.
    """
    hidden = captioner.decoder.hidden(features, tokens[:, :, :-1], training=training)
    targets = tokens[:, :, 1:]
    is_word = tf.not_equal(targets, Vocabulary.PAD)
    return tf.boolean_mask(hidden, is_word), tf.boolean_mask(targets, is_word), is_word
