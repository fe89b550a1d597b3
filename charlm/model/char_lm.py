"""The character model: an embedding, a recurrent stack and an output layer in one Keras model."""

from collections.abc import Sequence

import keras

from charlm.config import NETWORK, CharLMConfig
from charlm.model.answers import Answers
from charlm.text.characters import CharacterVocabulary
from shared.data.objects import DATA
from shared.layers import RecurrentStack
from shared.runs.folder import RunFolder
from shared.runs.saving import SavedAsRun


@keras.saving.register_keras_serializable("unrolled")
class CharLM(SavedAsRun, Answers, keras.Model):
    """A language model over characters: the probability of each next character, given all before it.

    It is an ordinary Keras model: `compile`, `fit`, `predict`, `save` and `keras.models.load_model` work. Its
    vocabulary is part of it. `generate` writes text and `score` measures one; `save` also writes a folder,
    which `charlm.load_model` reads.

        e_t = E[x_t],  h_t = stack(e_t, h_{t-1}),  p(x_{t+1} | x_1 .. x_t) = softmax(W h_t + b)

    With tied embeddings e_t = sqrt(units) E[x_t] and W = E, without b.

    Source: Graves 2013, "Generating Sequences with Recurrent Neural Networks"; tied embeddings as in Press
    and Wolf 2017, "Using the Output Embedding to Improve Language Models".

    Args:
        vocabulary: a `charlm.text.characters.CharacterVocabulary`, or its list of characters.
        cell: `"lstm"`, `"gru"` or `"simple"`.
        units: width of each recurrent layer.
        depth: recurrent layers.
        embedding_size: width of the embedding; ignored with `tie_embeddings`, where it is `units`.
        tie_embeddings: whether embedding and output layer share one matrix.
        dropout: rate between recurrent layers. This and the next two draw one mask for all steps of a call.
        input_dropout: rate on embedded characters.
        output_dropout: rate before the output layer.
        recurrent_weight_dropout: rate on the weights of the recurrent kernels.
        seed: seed of all dropout; None: a random one.

    Call arguments:
        tokens: `(batch, time)` int, ids of the vocabulary.
        training: whether dropout is active.

    Returns:
        Logits `(batch, time, vocabulary)` of the token that follows each.

    Raises:
        ValueError: a setting is out of range.

    Example:

    >>> model = CharLM("helo", units=5, depth=1, embedding_size=3)
    >>> tokens = model.vocabulary.encode("hell")[None]
    >>> tuple(model(tokens).shape)
    (1, 4, 260)
    >>> logits, states = model.step(tokens[:, 0], model.get_initial_state(1))
    >>> tuple(logits.shape)
    (1, 260)
    """

    application = "charlm"

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
        settings = {setting: value for setting, value in locals().items() if setting in NETWORK}
        super().__init__(name=name, **kwargs)
        if not isinstance(vocabulary, CharacterVocabulary):
            vocabulary = CharacterVocabulary(vocabulary)
        self.vocabulary, self.settings = vocabulary, settings
        self._make_embedding(units, embedding_size, tie_embeddings)
        self.stack = RecurrentStack(
            units,
            cell=cell,
            depth=depth,
            dropout=dropout,
            recurrent_weight_dropout=recurrent_weight_dropout,
            seed=seed,
            dtype=self.dtype_policy,
            name="stack",
        )
        # The stack uses the seeds from `seed` up.
        self.drop_input = self._window_dropout(input_dropout, None if seed is None else seed - 1)
        self.drop_output = self._window_dropout(output_dropout, None if seed is None else seed - 2)
        self(keras.KerasTensor((None, None), dtype="int32"))  # builds all layers

    def _make_embedding(self, units, embedding_size, tie_embeddings):
        """Embedding and output layer; a tied embedding is both."""
        size, policy = len(self.vocabulary), self.dtype_policy
        # Embedded characters have unit variance: with Keras's default they are 35 times smaller, and so is
        # their effect on the recurrence at first. A tied matrix makes logits too, so there a factor does it.
        normal = keras.initializers.RandomNormal(stddev=units**-0.5 if tie_embeddings else 1.0)
        self.embedding_scale = units**0.5 if tie_embeddings else 1.0
        options = {"embeddings_initializer": normal, "dtype": policy, "name": "embedding"}
        if tie_embeddings:
            # By default Keras computes the product with the matrix in float32 under a mixed policy.
            options["reverse_dtype"] = policy.compute_dtype
            self.embedding = keras.layers.ReversibleEmbedding(size, units, **options)
            self.output_layer = None
        else:
            self.embedding = keras.layers.Embedding(size, embedding_size, **options)
            self.output_layer = keras.layers.Dense(size, dtype=policy, name="output")

    def _window_dropout(self, rate, seed):
        seed = seed if seed is None else seed % 2**31
        return keras.layers.Dropout(rate, noise_shape=(None, 1, None), seed=seed, dtype=self.dtype_policy)

    def get_config(self):
        return {**super().get_config(), **self.settings, "vocabulary": list(self.vocabulary.characters)}

    @classmethod
    def from_run(cls, run: RunFolder) -> "CharLM":
        """The best model of a run folder or preset, in float32.

        Raises:
            UserError: the run has no checkpoint yet, or its files do not belong together.
        """
        run.require_best_weights()  # without them, no other error matters
        vocabulary = CharacterVocabulary.load(run.vocabulary_file)
        model = cls(vocabulary, **CharLMConfig.from_run(run).pick(NETWORK), dtype="float32")
        run.load_best_weights(model, len(vocabulary))
        model.run_folder = run
        return model

    def run_settings(self) -> CharLMConfig:
        """See `shared.runs.saving.SavedAsRun`; so is the next one."""
        settings = {name: value for name, value in self.settings.items() if value is not None}
        return CharLMConfig(data=(DATA,), **settings)

    def save_parts(self, run: RunFolder) -> None:
        self.vocabulary.save(run.vocabulary_file)

    def call(self, tokens, training=False):
        return self.logits(tokens, training=training)[0]

    def logits(self, tokens, states=None, mask=None, training=False, keep_for_gradient=None):
        """Logits of the token that follows each, and the state after the last one.

        Args:
            tokens: `(batch, time)` int.
            states: from `get_initial_state` or the call before; None for zeros.
            mask: `(batch, time)` bool, False at tokens to skip; None: all are read.
            training: whether dropout is active.
            keep_for_gradient: whether the stack keeps what a fast gradient needs; None: as `training`.

        Returns:
            `(batch, time, vocabulary)`, and the states.
        """
        embedded = self.drop_input(self.embed(tokens), training=training)  # (batch, time, embedding)
        hidden, states = self.stack(
            embedded,
            initial_state=states,
            mask=mask,
            training=training,
            keep_for_gradient=keep_for_gradient,
        )
        return self.head(hidden, training=training), states

    def embed(self, tokens):
        """Vectors `(..., embedding)` of tokens `(...)`, the inputs of the recurrent stack."""
        return self.embedding(tokens) * self.embedding_scale

    def head(self, hidden, training=False):
        """Logits `(batch, time, vocabulary)` of the stack's outputs `(batch, time, units)`."""
        hidden = self.drop_output(hidden, training=training)
        if self.output_layer is None:
            return self.embedding(hidden, reverse=True)
        return self.output_layer(hidden)

    def get_initial_state(self, batch_size):
        """States of zeros, a list over layers of lists of `(batch, units)`."""
        return self.stack.get_initial_state(batch_size)

    def step(self, tokens, states):
        """Reads one more token: the step function of `shared.decoding`.

        Args:
            tokens: `(rows,)` int.
            states: in the structure of `get_initial_state`.

        Returns:
            Logits `(rows, vocabulary)` of the next token, and the new states.
        """
        output, states = self.stack.step(self.embed(tokens), states)
        return self.head(output[:, None])[:, 0], states

    def read(self, tokens, states):
        """Logits `(batch, vocabulary)` of the token after all of `tokens` `(batch, time)`, time at least 1,
        and the new states."""
        hidden, states = self.stack(self.embed(tokens), initial_state=states)
        return self.head(hidden[:, -1:])[:, 0], states
