"""The character model: an embedding, a recurrent stack and an output layer in one Keras model."""

from collections.abc import Sequence
from pathlib import Path

import keras

from charlm.config import CharLMConfig
from charlm.text.characters import CharacterVocabulary
from shared.layers import RecurrentStack
from shared.runs.folder import RunFolder
from shared.runs.presets import find_model

PRESETS = Path(__file__).parents[1] / "presets"


@keras.saving.register_keras_serializable("unrolled")
class CharLM(keras.Model):
    """A language model over characters: the probability of each next one, given all before.

    An ordinary Keras model: `compile`, `fit`, `predict`, `save` and `keras.models.load_model` work on it. Its
    vocabulary is part of it.

        e_t = E[x_t],  h_t = stack(e_t, h_{t-1}),  p(x_{t+1} | x_1 .. x_t) = softmax(W h_t + b)

    With tied embeddings e_t = sqrt(units) E[x_t] and W = E, without b.

    Source: Graves 2013, "Generating Sequences with Recurrent Neural Networks"; tied embeddings as in Press
    and Wolf 2017, "Using the Output Embedding to Improve Language Models".

    Args:
        vocabulary: a `charlm.text.characters.CharacterVocabulary`, or its list of characters.
        cell: `"lstm"`, `"gru"` or `"simple"`.
        units: width of each recurrent layer.
        depth: recurrent layers.
        embedding_size: width of an embedded character; with `tie_embeddings` it is `units`.
        tie_embeddings: whether the embedding is the output layer's matrix too.
        dropout: rate between recurrent layers. This and the next two draw one mask for all steps of a call.
        input_dropout: rate on embedded characters.
        output_dropout: rate before the output layer.
        recurrent_weight_dropout: rate on the weights of the recurrent kernels.
        seed: seed of all dropout; None draws one.

    Call arguments:
        tokens: `(batch, time)` int, ids of the vocabulary.
        training: whether dropout is active.

    Returns:
        Logits `(batch, time, vocabulary)` of the token that follows each.

    Raises:
        ValueError: a setting cannot be used.

    Example:

    >>> model = CharLM("helo", units=5, depth=1, embedding_size=3)
    >>> tokens = model.vocabulary.encode("hell")[None]
    >>> tuple(model(tokens).shape)
    (1, 4, 260)
    >>> logits, states = model.step(tokens[:, 0], model.get_initial_state(1))
    >>> tuple(logits.shape)
    (1, 260)
    """

    def __init__(
        self,
        vocabulary: CharacterVocabulary | Sequence[str],
        cell: str = "lstm",
        units: int = 512,
        depth: int = 2,
        embedding_size: int = 128,
        tie_embeddings: bool = False,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        output_dropout: float = 0.0,
        recurrent_weight_dropout: float = 0.0,
        seed: int | None = None,
        name: str = "charlm",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        if not isinstance(vocabulary, CharacterVocabulary):
            vocabulary = CharacterVocabulary(vocabulary)
        self.vocabulary = vocabulary
        self.settings = {
            "cell": cell,
            "units": units,
            "depth": depth,
            "embedding_size": embedding_size,
            "tie_embeddings": tie_embeddings,
            "dropout": dropout,
            "input_dropout": input_dropout,
            "output_dropout": output_dropout,
            "recurrent_weight_dropout": recurrent_weight_dropout,
            "seed": seed,
        }
        size, policy = len(vocabulary), self.dtype_policy
        # Embedded characters of unit variance: those of Keras's default are 35 times smaller, and so, at
        # first, is what the recurrence hears of them. A tied matrix makes logits too: there a factor does it.
        normal = keras.initializers.RandomNormal(stddev=units**-0.5 if tie_embeddings else 1.0)
        self.embedding_scale = units**0.5 if tie_embeddings else 1.0
        options = {"embeddings_initializer": normal, "dtype": policy, "name": "embedding"}
        if tie_embeddings:
            # Keras would leave the product with the matrix in float32 under a mixed policy.
            self.embedding = keras.layers.ReversibleEmbedding(
                size, units, reverse_dtype=policy.compute_dtype, **options
            )
            self.output_layer = None
        else:
            self.embedding = keras.layers.Embedding(size, embedding_size, **options)
            self.output_layer = keras.layers.Dense(size, dtype=policy, name="output")
        self.stack = RecurrentStack(
            units,
            cell=cell,
            depth=depth,
            dropout=dropout,
            recurrent_weight_dropout=recurrent_weight_dropout,
            seed=seed,
            dtype=policy,
            name="stack",
        )
        # Seeds of the stack are those from `seed` up.
        self.drop_input = self._window_dropout(input_dropout, None if seed is None else seed - 1)
        self.drop_output = self._window_dropout(output_dropout, None if seed is None else seed - 2)
        self(keras.KerasTensor((None, None), dtype="int32"))  # all shapes are known: whole from the start

    def _window_dropout(self, rate, seed):
        seed = seed if seed is None else seed % 2**31
        return keras.layers.Dropout(rate, noise_shape=(None, 1, None), seed=seed, dtype=self.dtype_policy)

    def get_config(self):
        return {**super().get_config(), **self.settings, "vocabulary": list(self.vocabulary.characters)}

    @classmethod
    def from_settings(
        cls, config: CharLMConfig, vocabulary: CharacterVocabulary, dtype="float32"
    ) -> "CharLM":
        """A new model with the settings of a run, under a dtype policy."""
        return cls(
            vocabulary,
            cell=config.cell,
            units=config.units,
            depth=config.depth,
            embedding_size=config.embedding_size,
            tie_embeddings=config.tie_embeddings,
            dropout=config.dropout,
            input_dropout=config.input_dropout,
            output_dropout=config.output_dropout,
            recurrent_weight_dropout=config.recurrent_weight_dropout,
            seed=config.seed,
            dtype=dtype,
        )

    @classmethod
    def from_run(cls, run: RunFolder) -> "CharLM":
        """The best model of a run folder or preset, in float32.

        Raises:
            UserError: the run has no checkpoint yet, or its files do not fit each other.
        """
        run.require_best_weights()  # a run without has nothing else worth an error
        vocabulary = CharacterVocabulary.load(run.vocabulary_file)
        model = cls.from_settings(CharLMConfig.from_run(run), vocabulary)
        run.load_best_weights(model, len(vocabulary))
        return model

    @classmethod
    def from_any(cls, name: str | Path):
        """The model that `name` says: a preset, a run folder or an exported SavedModel folder.

        Raises:
            UserError: there is nothing of that name, or it holds no character model.
        """
        path = find_model(name, PRESETS, app="charlm")
        if (path / "saved_model.pb").exists():
            from charlm.model.exported import ExportedCharLM

            return ExportedCharLM(path)
        return cls.from_run(RunFolder.open(path, "charlm"))

    def call(self, tokens, training=False):
        hidden, _ = self.hidden(tokens, training=training)
        return self.score(hidden, training=training)

    def hidden(self, tokens, states=None, training=False, keep_for_gradient=None):
        """Outputs of the recurrent stack, and its state after the last token.

        Args:
            tokens: `(batch, time)` int.
            states: from `get_initial_state` or the call before; None for zeros.
            training: whether dropout is active.
            keep_for_gradient: whether the stack keeps what a fast gradient needs; None: as `training`.

        Returns:
            `(batch, time, units)`, and the states.
        """
        embedded = self.drop_input(self.embed(tokens), training=training)  # (batch, time, embedding)
        return self.stack(
            embedded, initial_state=states, training=training, keep_for_gradient=keep_for_gradient
        )

    def embed(self, tokens):
        """Vectors `(..., embedding)` of tokens `(...)`, as the recurrent stack reads them."""
        return self.embedding(tokens) * self.embedding_scale

    def score(self, hidden, training=False):
        """Logits `(batch, time, vocabulary)` of outputs `(batch, time, units)`."""
        hidden = self.drop_output(hidden, training=training)
        if self.output_layer is None:
            return self.embedding(hidden, reverse=True)
        return self.output_layer(hidden)

    def get_initial_state(self, batch_size):
        """States of zeros, a list over layers of lists of `(batch, units)`."""
        return self.stack.get_initial_state(batch_size)

    def step(self, tokens, states):
        """One token further: the step function of `shared.decoding`.

        Args:
            tokens: `(rows,)` int.
            states: as `get_initial_state` makes them.

        Returns:
            Logits `(rows, vocabulary)` of the next token, and the new states.
        """
        output, states = self.stack.step(self.embed(tokens), states)
        return self.score(output[:, None])[:, 0], states

    def read(self, tokens, states):
        """The logits of what follows `tokens` `(batch, time)`, time at least 1, and the state after them."""
        hidden, states = self.hidden(tokens, states)
        return self.score(hidden[:, -1:])[:, 0], states
