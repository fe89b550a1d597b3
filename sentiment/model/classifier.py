"""The classifier: an embedding, a recurrent stack, pooling and an output layer in one Keras model."""

from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import ops

from sentiment.config import NETWORK, POOLINGS, STACK, SentimentConfig
from sentiment.data.labels import load_labels, save_labels
from sentiment.model.answers import labels_of
from sentiment.model.batching import graph_of_ids, read_in_batches, softmax
from sentiment.text.known import KnownWords
from sentiment.text.words import encode_words, split_words
from shared.data.objects import DATA, texts_of
from shared.layers import AttentionPooling, RecurrentStack, masked_max, masked_mean
from shared.runs.folder import RunFolder
from shared.runs.saving import SavedAsRun
from shared.text.vocabulary import Vocabulary

USUAL_TOKENS = 250.0  # of a review in IMDB


@keras.saving.register_keras_serializable("unrolled")
class SentimentClassifier(SavedAsRun, keras.Model):
    """Reads a text word by word, in one or both directions, and predicts its label.

        e_t = E[x_t],  h = stack(e),  y = (W norm(pool(h)) + b) (n / 250)^q,  p = softmax(y / temperature)

    with n tokens in the text. With a power q above 0, the model is less sure of shorter texts.

    An ordinary Keras model: `compile`, `fit`, `predict`, `save` and `keras.models.load_model` work on it. Its
    vocabulary, its labels and its temperature are part of it. `predict` takes texts, too, and gives their
    labels; `save` also writes a folder, which `sentiment.load_model` reads.

    Sources: Graves and Schmidhuber 2005, "Framewise Phoneme Classification with Bidirectional LSTM"; Howard
    and Ruder 2018, "Universal Language Model Fine-tuning", section 3.3 (pooling by concatenation, batch
    normalization of the pooled vector); Guo et al. 2017, "On Calibration of Modern Neural Networks".

    Args:
        vocabulary: a `shared.text.vocabulary.Vocabulary`, or its list of tokens.
        labels: names of the labels.
        cell: `"lstm"`, `"gru"` or `"simple"`.
        units: width of each recurrence.
        depth: recurrent layers.
        bidirectional: whether each layer reads the text from its end, too.
        pooling: `"last"` (the state after the last word, of each direction), `"mean"`, `"max"`,
            `"attention"`, or `"concat"`: the first three side by side.
        embedding_size: width of an embedded word.
        dropout: rate between recurrent layers, one mask for all steps.
        word_dropout: rate at which whole embedded words are zeroed.
        input_dropout: rate on embedded words, one mask for all steps.
        output_dropout: rate on the pooled vector.
        recurrent_weight_dropout: rate on the weights of the recurrent kernels.
        window: steps of truncated backpropagation; longer texts carry their state on.
        length_power: the power q.
        most_surprise: see `sentiment.text.known.KnownWords`, which says which texts get no label.
        seed: of all dropout; None: a random one.

    Call arguments:
        tokens: `(batch, time)` int, ids of the vocabulary.
        mask: `(batch, time)` bool, False at padding; None: there is no padding.
        training: whether dropout is active.

    Returns:
        Logits `(batch, labels)` float32, not yet divided by the temperature.

    Raises:
        ValueError: a setting cannot be used.

    Example:

    >>> words = Vocabulary((*Vocabulary.SPECIALS, "a", "good", "film"))
    >>> model = SentimentClassifier(words, ["negative", "positive"], units=3, embedding_size=5)
    >>> tuple(model(model.encode("A good film")[None]).shape)
    (1, 2)
    >>> model.probabilities(["A good film", ""]).shape, model.probabilities("A good film").shape
    ((2, 2), (2,))
    """

    has_gradients = True  # an exported model has none
    application = "sentiment"

    def __init__(
        self,
        vocabulary: Vocabulary | Sequence[str],
        labels: Sequence[str],
        cell: str = "lstm",
        units: int = 256,
        depth: int = 1,
        bidirectional: bool = True,
        pooling: str = "concat",
        embedding_size: int = 256,
        dropout: float = 0.0,
        word_dropout: float = 0.0,
        input_dropout: float = 0.0,
        output_dropout: float = 0.0,
        recurrent_weight_dropout: float = 0.0,
        window: int = 512,
        length_power: float = 0.0,
        most_surprise: float | None = None,
        seed: int | None = None,
        name: str = "sentiment",
        **kwargs,
    ):
        given = locals()
        super().__init__(name=name, **kwargs)
        self.supports_masking = True
        self.vocabulary = vocabulary if isinstance(vocabulary, Vocabulary) else Vocabulary(vocabulary)
        self.known_words = KnownWords(self.vocabulary, most_surprise)
        self.labels = tuple(labels)
        self.settings = {key: given[key] for key in NETWORK}
        _check(self.labels, pooling, window)
        self.window, self.pooling, self.length_power = window, pooling, length_power
        policy = self.dtype_policy
        self.embedding = make_embedding(len(self.vocabulary), embedding_size, policy)
        self.stack = RecurrentStack(**{key: given[key] for key in STACK}, dtype=policy, name="stack")
        self.drop_words = self._dropout(word_dropout, (None, None, 1), 1)
        self.drop_input = self._dropout(input_dropout, (None, 1, None), 2)
        self.drop_output = self._dropout(output_dropout, None, 3)
        if pooling == "attention":
            self.attention = AttentionPooling(units, dtype=policy, name="attention")
        self.normalization = keras.layers.BatchNormalization(
            momentum=0.9, dtype="float32", name="normalization"
        )
        # From zeros: a random layer would send random gradients into a recurrence that may be pretrained.
        self.output_layer = keras.layers.Dense(
            len(self.labels), kernel_initializer="zeros", dtype="float32", name="output"
        )
        self._temperature = self.add_weight(
            shape=(), initializer="ones", dtype="float32", trainable=False, name="temperature"
        )
        self._logits_graph = graph_of_ids(lambda tokens, mask: self(tokens, mask=mask))
        self._pooled_graph = graph_of_ids(lambda tokens, mask: self.pool(self.embed(tokens), mask))
        self(keras.KerasTensor((None, None), dtype="int32"))  # builds all weights

    def _dropout(self, rate, noise_shape, number):
        seed = self.settings["seed"]
        seed = seed if seed is None else (seed - number) % 2**31  # the stack has those from `seed` up
        return keras.layers.Dropout(rate, noise_shape=noise_shape, seed=seed, dtype=self.dtype_policy)

    def get_config(self):
        own = {"vocabulary": list(self.vocabulary.tokens), "labels": list(self.labels)}
        return {**super().get_config(), **self.settings, **own}

    @classmethod
    def from_settings(
        cls, config: SentimentConfig, vocabulary: Vocabulary, labels: Sequence[str], dtype="float32"
    ) -> "SentimentClassifier":
        """A new model with the settings of a run, under a dtype policy."""
        return cls(vocabulary, labels, **config.pick(NETWORK), dtype=dtype)

    @classmethod
    def from_run(cls, run: RunFolder) -> "SentimentClassifier":
        """The best model of a run folder or preset, in float32.

        Raises:
            UserError: the run has no checkpoint yet, or its files do not fit each other.
        """
        run.require_best_weights()  # if there are none, nothing else is worth an error
        vocabulary = Vocabulary.load(run.vocabulary_file)
        model = cls.from_settings(SentimentConfig.from_run(run), vocabulary, load_labels(run))
        run.load_best_weights(model, len(vocabulary))
        model.run_folder = run
        return model

    def run_settings(self) -> SentimentConfig:
        """See `shared.runs.saving.SavedAsRun`; so is the next one."""
        settings = {name: value for name, value in self.settings.items() if value is not None}
        return SentimentConfig(data=(DATA,), **settings)

    def save_parts(self, run: RunFolder) -> None:
        self.vocabulary.save(run.vocabulary_file)
        save_labels(run, self.labels)

    @property
    def temperature(self) -> float:
        """The number by which logits are divided before the softmax; fitted in training."""
        return float(self._temperature)

    @temperature.setter
    def temperature(self, value: float) -> None:
        self._temperature.assign(value)

    def encode(self, text: str) -> np.ndarray:
        """The ids `(tokens,)` int32 of a text: its start, its words and its end."""
        return encode_words(self.vocabulary, split_words(text))

    def call(self, tokens, mask=None, training=False):
        return self.classify(self.embed(tokens), mask=mask, training=training)

    def compute_mask(self, inputs, previous_mask):
        # Masks are passed by the caller, never implied.
        return None

    def embed(self, tokens):
        """Vectors `(batch, time, embedding)` of tokens `(batch, time)`, as the recurrent stack reads them."""
        return self.embedding(tokens)

    def classify(self, embedded, mask=None, training=False, whole_gradient=False):
        """Logits `(batch, labels)` float32 of embedded words `(batch, time, embedding)`.

        Args:
            embedded: from `embed`.
            mask: `(batch, time)` bool, False at padding; None: all words count.
            training: whether dropout is active.
            whole_gradient: whether a gradient is wanted that passes the borders of windows.
        """
        pooled = self.pool(embedded, mask=mask, training=training, whole_gradient=whole_gradient)
        # Averages over many words differ little between texts, and an output layer would hear little of it.
        pooled = self.normalization(pooled, training=training)
        logits = self.output_layer(self.drop_output(pooled, training=training))
        return self._less_sure_of_short_texts(logits, embedded, mask) if self.length_power else logits

    def _less_sure_of_short_texts(self, logits, embedded, mask):
        if mask is None:
            tokens = ops.cast(ops.shape(embedded)[1], "float32")
        else:
            tokens = ops.sum(ops.cast(mask, "float32"), axis=1, keepdims=True)
        return logits * (tokens / USUAL_TOKENS) ** self.length_power

    def pool(self, embedded, mask=None, training=False, whole_gradient=False):
        """The vector `(batch, features)` float32 that the stack makes of embedded words, not normalized."""
        embedded = self.drop_words(embedded, training=training)
        embedded = self.drop_input(embedded, training=training)
        outputs, states = self.stack(
            embedded,
            mask=mask,
            training=training,
            window=None if whole_gradient else self.window,
            keep_for_gradient=True if whole_gradient else None,
        )
        return ops.cast(self._pool(outputs, states[-1], mask), "float32")

    def _pool(self, outputs, states, mask):
        # Of each direction, the first state is the output after all words.
        size = len(states) // (2 if self.stack.bidirectional else 1)
        last = ops.concatenate(states[::size], axis=-1)
        if self.pooling == "last":
            return last
        if self.pooling == "attention":
            return self.attention(outputs, mask=mask)
        pools = {"mean": masked_mean, "max": masked_max}
        if self.pooling in pools:
            return pools[self.pooling](outputs, mask)
        return ops.concatenate([last, masked_mean(outputs, mask), masked_max(outputs, mask)], axis=-1)

    def predict(self, x, *args, force: bool = False, **options):
        """The labels of texts; or as `keras.Model.predict`, the logits of ids.

        Args:
            x: a text, or a list, array, pandas or Hugging Face column or `tf.data.Dataset` of texts; anything
                else is for Keras.
            *args, **options: for Keras; texts need none.
            force: whether texts get a label of which the model does not know enough words.

        Returns:
            The most probable label of each text, as a list, or None where it is withheld; for a single text,
            its label.
        """
        texts = texts_of(x)
        return super().predict(x, *args, **options) if texts is None else labels_of(self, texts, force)

    def probabilities(
        self, texts: str | Sequence[str], progress: Callable[[int], object] | None = None
    ) -> np.ndarray:
        """The probabilities of the labels, calibrated by the temperature, for texts of any length.

        Args:
            texts: any number of texts, or a single one.
            progress: called with the number of texts done since the last call.

        Returns:
            `(texts, labels)` float32; `(labels,)` for a single text that is not in a list.
        """
        if isinstance(texts, str):
            return self.probabilities([texts], progress)[0]
        return self.probabilities_of_ids([self.encode(text) for text in texts], progress)

    def reasons(self, texts: Sequence[str]) -> list[str | None]:
        """Why each text gets no label: the model does not know enough of its words. None: it gets one."""
        return [self.known_words.reason(split_words(text)) for text in texts]

    def probabilities_of_ids(
        self, sequences: Sequence[np.ndarray], progress: Callable[[int], object] | None = None
    ) -> np.ndarray:
        """Calibrated probabilities `(texts, labels)` float32 of ids `(tokens,)` from `encode`."""
        return softmax(self.logits(sequences, progress) / self.temperature)

    def logits(
        self, sequences: Sequence[np.ndarray], progress: Callable[[int], object] | None = None
    ) -> np.ndarray:
        """Logits `(texts, labels)` float32 of ids `(tokens,)` from `encode`."""
        return read_in_batches(self._logits_graph, sequences, len(self.labels), progress)

    def normalize_by(self, sequences: Sequence[np.ndarray]) -> None:
        """Sets the moments of the normalization to those of the pooled vectors of these texts.

        Those from training belong to earlier weights, or to the weights before averaging (Izmailov et al.
        2018, "Averaging Weights Leads to Wider Optima", section 3.2).
        """
        width = self.normalization.moving_mean.shape[0]
        pooled = read_in_batches(self._pooled_graph, sequences, width)
        self.normalization.moving_mean.assign(pooled.mean(axis=0))
        self.normalization.moving_variance.assign(pooled.var(axis=0))


def make_embedding(size: int, width: int, policy) -> keras.layers.Embedding:
    """An embedding that starts with small vectors, so that rare words move soon, too."""
    normal = keras.initializers.RandomNormal(stddev=0.1)
    return keras.layers.Embedding(size, width, embeddings_initializer=normal, dtype=policy, name="embedding")


def _check(labels, pooling, window):
    if len(labels) < 2 or len(set(labels)) < len(labels):
        raise ValueError(f"The labels are {list(labels)}. Expected at least two, all different.")
    if pooling not in POOLINGS:
        raise ValueError(
            f"Unknown pooling {pooling!r}. Expected {', '.join(POOLINGS[:-1])} or {POOLINGS[-1]}."
        )
    if window < 1:
        raise ValueError(f"window is {window}. Expected at least one step.")
