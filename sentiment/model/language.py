"""A language model over the words of reviews, whose embedding and recurrence a classifier starts with."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from sentiment.config import SentimentConfig
from sentiment.model.classifier import SentimentClassifier, make_embedding
from shared.layers import RecurrentStack
from shared.text.vocabulary import Vocabulary
from shared.training.losses import sequence_cross_entropy


@keras.saving.register_keras_serializable("unrolled")
class WordLM(keras.Model):
    """Predicts each word from those before it and, with `bidirectional`, also from those after it.

    The two directions share the embedding, which is the matrix of the output layer too, and nothing else:
    neither sees the word that it predicts.

        e_t = E[x_t],  h_t = stack(e_t, h_{t-1}),  p(x_{t+1} | x_1 .. x_t) = softmax(E (P h_t) + b)

    The backward direction does the same, reading the text in reverse.

    Sources: Dai and Le 2015, "Semi-supervised Sequence Learning" (a language model as the beginning of a
    classifier); Howard and Ruder 2018, "Universal Language Model Fine-tuning", section 3.3 (both directions);
    Press and Wolf 2017 (tied embeddings); Bengio and Senecal 2008, "Adaptive Importance Sampling", and Jean
    et al. 2015, "On Using Very Large Target Vocabulary", section 3 (the sampled loss).

    Args:
        vocabulary: a `shared.text.vocabulary.Vocabulary`, or its list of tokens.
        counts: how often each token of the vocabulary occurs in the training text: the frequencies by which
            `sampled_loss` draws words; None: all alike.
        samples: number of words that `sampled_loss` draws.
        cell, units, depth, bidirectional, embedding_size, dropout, seed: as in `SentimentClassifier`; two
            directions are possible at depth 1.

    Call arguments:
        tokens: `(batch, time)` int.

    Returns:
        Logits `(batch, time, vocabulary)` of the token that follows each.

    Raises:
        ValueError: two directions and more than one layer: the upper layers would see both directions.

    Example:

    >>> words = Vocabulary((*Vocabulary.SPECIALS, "a", "good", "film"))
    >>> model = WordLM(words, units=3, embedding_size=5)
    >>> tuple(model(np.array([[1, 4, 5, 6]])).shape)
    (1, 4, 7)
    """

    def __init__(
        self,
        vocabulary: Vocabulary | Sequence[str],
        counts: Sequence[int] | None = None,
        samples: int = 2048,
        cell: str = "lstm",
        units: int = 256,
        depth: int = 1,
        bidirectional: bool = True,
        embedding_size: int = 256,
        dropout: float = 0.0,
        seed: int | None = None,
        name: str = "word_lm",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        if bidirectional and depth > 1:
            raise ValueError(
                f"A language model of two directions has one layer, not {depth}: a second one would see the "
                "words that it predicts. Set --depth 1, or --no-bidirectional."
            )
        self.vocabulary = vocabulary if isinstance(vocabulary, Vocabulary) else Vocabulary(vocabulary)
        size, policy = len(self.vocabulary), self.dtype_policy
        self.samples, self.seed = samples, seed
        self.counts = np.ones(size) if counts is None else np.asarray(counts, np.float64)
        self.embedding = make_embedding(size, embedding_size, policy)
        self.stack = RecurrentStack(
            units,
            cell=cell,
            depth=depth,
            bidirectional=bidirectional,
            dropout=dropout,
            seed=seed,
            dtype=policy,
            name="stack",
        )
        self.drop_output = keras.layers.Dropout(
            dropout,
            noise_shape=(None, 1, None),
            seed=None if seed is None else (seed - 1) % 2**31,
            dtype=policy,
        )
        self.projections = [
            keras.layers.Dense(embedding_size, dtype=policy, name=f"projection_{name}")
            for name in ("forward", "backward")[: 2 if bidirectional else 1]
        ]
        chances = (self.counts + 1e-3) / (self.counts + 1e-3).sum()
        self.output_bias = self.add_weight(shape=(size,), initializer="zeros", name="bias")
        self.output_bias.assign(np.log(chances))  # from the start, frequent words are likely
        self._cumulative, self._log_chances = np.cumsum(chances).astype("float32"), np.log(chances)
        self._generator = keras.random.SeedGenerator(seed)
        self.stack.build((None, None, embedding_size))
        for direction in range(len(self.projections)):
            self.hidden(keras.ops.zeros((1, 2), "int32"), direction)
        self(keras.KerasTensor((None, None), dtype="int32"))

    @classmethod
    def from_settings(
        cls, config: SentimentConfig, vocabulary: Vocabulary, counts=None, dtype="float32"
    ) -> "WordLM":
        """A new model with the settings of a run, under a dtype policy."""
        names = ("samples", "cell", "units", "depth", "bidirectional", "embedding_size", "seed")
        settings = {name: getattr(config, name) for name in names}
        return cls(vocabulary, counts, dropout=config.pretrain_dropout, **settings, dtype=dtype)

    def get_config(self):
        stack = self.stack
        return {
            **super().get_config(),
            "vocabulary": list(self.vocabulary.tokens),
            "counts": self.counts.tolist(),
            "samples": self.samples,
            **{name: getattr(stack, name) for name in ("cell", "units", "depth", "bidirectional", "dropout")},
            "embedding_size": self.embedding.output_dim,
            "seed": self.seed,
        }

    def get_initial_state(self, batch_size):
        """States of zeros for each direction."""
        directions = range(len(self.projections))
        return [self.stack.get_initial_state(batch_size, direction) for direction in directions]

    def hidden(self, tokens, direction=0, states=None, training=False):
        """What predicts the next word in one direction, projected to the width of the embedding.

        Args:
            tokens: `(batch, time)` int, in the order in which the direction reads.
            direction: 0 forward, 1 backward.
            states: of this direction, from `get_initial_state` or the window before; None for zeros.
            training: whether dropout is active.

        Returns:
            `(batch, time, embedding)`, and the states.
        """
        embedded = self.embedding(tokens)
        outputs, states = self.stack.read_one_way(embedded, direction, states, training=training)
        outputs = self.drop_output(outputs, training=training)
        return self.projections[direction](outputs), states

    def call(self, tokens, training=False):
        hidden, _ = self.hidden(tokens, training=training)
        return self.score(hidden)

    def score(self, hidden):
        """Logits `(batch, time, vocabulary)` of what `hidden` returned."""
        matrix = ops.cast(self.embedding.embeddings, hidden.dtype)
        return ops.matmul(hidden, ops.transpose(matrix)) + ops.cast(self.output_bias, hidden.dtype)

    def full_loss(self, tokens, direction=0, states=None):
        """Nats per word of `tokens` `(batch, time + 1)` over the whole vocabulary, and the states."""
        hidden, states = self.hidden(tokens[:, :-1], direction, states)
        return sequence_cross_entropy(tokens[:, 1:], self.score(hidden)), states

    def sampled_loss(self, tokens, direction=0, states=None):
        """An estimate of the nats per word from a sample of the vocabulary, for training, and the states.

        Each call draws words by their frequency q and puts the right word among them. The loss is that of a
        softmax over z - log(q * samples), in which a word counts as often as it was drawn. It has its minimum
        at the same z as the softmax over all words, and approaches that as the samples grow.

        Args:
            tokens: `(batch, time + 1)` int, in the order in which the direction reads.
            direction: 0 forward, 1 backward.
            states: as in `hidden`.
        """
        hidden, states = self.hidden(tokens[:, :-1], direction, states, training=True)
        hidden = ops.reshape(hidden, (-1, hidden.shape[-1]))  # (words, embedding)
        right = ops.reshape(tokens[:, 1:], (-1,))
        drawn = keras.random.uniform((self.samples,), seed=self._generator)
        others = ops.minimum(ops.searchsorted(self._cumulative, drawn), len(self.counts) - 1)
        z_right = ops.sum(ops.cast(hidden * self.embedding(right), "float32"), axis=-1) + self._offset(right)
        z_others = ops.matmul(hidden, ops.transpose(self.embedding(others)))  # (words, samples)
        z_others = ops.cast(z_others, "float32") + self._offset(others)
        same = ops.equal(ops.expand_dims(right, 1), ops.cast(others, right.dtype))
        times = 1 + ops.sum(ops.cast(same, "float32"), axis=-1)  # how often the right word is there
        total = ops.logaddexp(z_right, ops.logsumexp(z_others, axis=-1))
        return ops.mean(total - z_right - ops.log(times)), states

    def _offset(self, tokens):
        expected = ops.convert_to_tensor(self._log_chances + np.log(self.samples), "float32")
        return ops.take(self.output_bias - expected, tokens)

    def start(self, classifier: SentimentClassifier) -> None:
        """Copies the embedding and the recurrent weights to a classifier.

        Raises:
            ValueError: the classifier has another vocabulary, embedding or stack.
        """
        for name in ("embedding", "stack"):
            getattr(classifier, name).set_weights(getattr(self, name).get_weights())
