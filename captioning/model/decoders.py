"""Three decoders: recurrent networks that write about an image word by word.

All three read words with the same embedding, run the same recurrent stack (`shared.layers.RecurrentStack`)
and give the logits of the next word with the same, tied, output layer. They differ only in how the image
enters:

| name             | the image enters                                          | source              |
|------------------|-----------------------------------------------------------|---------------------|
| `show_and_tell`  | as the first input of the recurrence, before any word     | Vinyals et al. 2015 |
| `soft_attention` | by attention from h_{t-1} in every step of the recurrence | Xu et al. 2015      |
| `late_attention` | by attention from every h_t, after the recurrence         | Luong et al. 2015   |

Legend of shapes: images = photographs in a batch, captions = captions of one photograph, rows = images *
captions, time = words, cells = squares of the feature grid, channels = features of one cell, units = width of
the decoder.
"""

import keras
from keras import ops

from shared.layers import AdditiveAttention, DotProductAttention, RecurrentStack


class CaptionDecoder(keras.layers.Layer):
    """What the three decoders share: words in, the recurrence, and logits of the next word out.

    A subclass defines how the image enters: `read` turns grid features into a memory, `start` gives the first
    state of the recurrence, `sequence` runs over all words of a caption at once, `advance` over one word.
    Running `step` over the words of a caption gives the logits of one `call`.

    Args:
        vocabulary_size: number of tokens, specials included.
        units: width of the embedding, the recurrence and the projected image.
        cell: `"lstm"`, `"gru"` or `"simple"`.
        depth: layers of the recurrent stack.
        num_heads: attention heads (`late_attention` only).
        dropout: rate on what the output layer reads, and between recurrent layers.
        input_dropout: rate on the projected image and on embedded words.

    Call arguments:
        features: `(images, cells, channels)` grid features.
        tokens: `(images, captions, time)` int, each row beginning with the start token.
        training: whether dropout is active.

    Returns:
        Logits `(images, captions, time, vocabulary)` of the word that follows each token.

    Attributes:
        settings: the arguments above by name.
    """

    def __init__(
        self,
        vocabulary_size: int,
        units: int = 512,
        cell: str = "lstm",
        depth: int = 1,
        num_heads: int = 8,
        dropout: float = 0.5,
        input_dropout: float = 0.3,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.settings = {
            "vocabulary_size": vocabulary_size,
            "units": units,
            "cell": cell,
            "depth": depth,
            "num_heads": num_heads,
            "dropout": dropout,
            "input_dropout": input_dropout,
        }
        self.units = units
        policy = {"dtype": self.dtype_policy}
        self.embedding = keras.layers.ReversibleEmbedding(
            vocabulary_size,
            units,
            embeddings_initializer=keras.initializers.RandomNormal(stddev=units**-0.5),
            name="embedding",
            **policy,
        )
        self.recurrence = RecurrentStack(
            units, cell=cell, depth=depth, dropout=dropout, name="recurrence", **policy
        )
        self.image_projection = keras.layers.Dense(
            units, activation="relu", name="image_projection", **policy
        )
        self.image_dropout = keras.layers.Dropout(input_dropout, name="image_dropout", **policy)
        self.word_dropout = keras.layers.Dropout(input_dropout, name="word_dropout", **policy)
        self.output_projection = keras.layers.Dense(
            units, activation="tanh", name="output_projection", **policy
        )
        self.output_dropout = keras.layers.Dropout(dropout, name="output_dropout", **policy)

    def get_config(self):
        return {**super().get_config(), **self.settings}

    # What a subclass defines.

    def read(self, features, training=False):
        """Grid features `(images, cells, channels)` to a memory: nested tensors with images as first axis."""
        raise NotImplementedError

    def start(self, memory):
        """The state of the recurrence before the first word, for each image of the memory."""
        raise NotImplementedError

    def sequence(self, words, memory, training=False):
        """Embedded words `(images, captions, time, units)` to what the output layer reads."""
        raise NotImplementedError

    def advance(self, words, states, memory):
        """One embedded word `(rows, units)` and states to what the output layer reads, and new states."""
        raise NotImplementedError

    # What they share.

    def build(self, input_shape=None):
        # Sub-layers are built by the first call, which Captioner makes when it is constructed.
        self.built = True

    def call(self, features, tokens, training=False):
        return self.logits(self.hidden(features, tokens, training=training), training=training)

    def hidden(self, features, tokens, training=False):
        """The input of `logits` at every step of the captions, `(images, captions, time, width)`.

        Captions are padded to the longest of a batch, and the output layer is most of the work: a loss that
        needs no logits of padding calls `hidden`, drops the padded steps, and calls `logits` on the others.
        """
        memory = self.read(features, training=training)
        words = self.word_dropout(self.embedding(tokens), training=training)
        return self.sequence(words, memory, training=training)

    def step(self, tokens, states, memory):
        """One word of decoding: the step function of `shared.decoding`, once `memory` is bound.

        Args:
            tokens: `(rows,)` int, the words written last.
            states: as `start` made them, one for each row.
            memory: as `read` made it, one for each row.

        Returns:
            Logits `(rows, vocabulary)` of the next word, and the new states.
        """
        outputs, states = self.advance(self.embedding(tokens), states, memory)
        return self.logits(outputs), states

    def attended(self, features, tokens):
        """Where in the image each next word looked.

        Args:
            features: `(images, cells, channels)` grid features.
            tokens: `(images, time)` int, each row beginning with the start token.

        Returns:
            Weights `(images, time, cells)` that sum to 1 over the cells.

        Raises:
            NotImplementedError: the decoder has no attention.
        """
        raise NotImplementedError(f"{type(self).__name__} has no attention")

    def logits(self, outputs, training=False):
        """Outputs of `sequence` or `advance` `(..., width)` to logits `(..., vocabulary)`."""
        outputs = self.output_dropout(self.output_projection(outputs), training=training)
        return self.embedding(outputs, reverse=True)

    def project_image(self, features, training=False):
        """Grid features to `(images, cells, units)`."""
        return self.image_dropout(self.image_projection(features), training=training)


class StateFromImage(keras.layers.Layer):
    """The mean of the grid to the first state of every recurrent layer, by dense layers (Xu et al. 2015)."""

    def __init__(self, recurrence, **kwargs):
        super().__init__(**kwargs)
        self.projections = [
            [self._projection(tensor.shape[-1], layer, index) for index, tensor in enumerate(states)]
            for layer, states in enumerate(recurrence.get_initial_state(1))
        ]

    def _projection(self, units, layer, index):
        name = f"layer{layer}_state{index}"
        return keras.layers.Dense(units, activation="tanh", name=name, dtype=self.dtype_policy)

    def call(self, mean):  # (images, units)
        return [[project(mean) for project in layer] for layer in self.projections]


@keras.saving.register_keras_serializable("unrolled")
class ShowAndTell(CaptionDecoder):
    """The image is the first input of the recurrence.

    Source: Vinyals et al. 2015, "Show and Tell", equations 10 to 12.
    """

    def read(self, features, training=False):
        return self.project_image(ops.mean(features, axis=1), training=training)  # (images, units)

    def start(self, memory):
        zeros = self.recurrence.get_initial_state(ops.shape(memory)[0])
        return self.recurrence.step(memory, zeros)[1]

    def sequence(self, words, memory, training=False):
        captions, time = ops.shape(words)[1], ops.shape(words)[2]
        states = _repeat(self.start(memory), captions)
        outputs, _ = self.recurrence(_fold(words), initial_state=states, training=training)
        return ops.reshape(outputs, (-1, captions, time, self.units))

    def advance(self, words, states, memory):
        return self.recurrence.step(words, states)


class AttentionDecoder(CaptionDecoder):
    """A decoder whose first state comes from the mean of the image; a subclass has the `attention`."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.first_state = StateFromImage(self.recurrence, name="first_state", dtype=self.dtype_policy)

    def read(self, features, training=False):
        image = self.project_image(features, training=training)
        return {"keys": self.attention.project(image), "mean": ops.mean(image, axis=1)}

    def start(self, memory):
        return self.first_state(memory["mean"])


@keras.saving.register_keras_serializable("unrolled")
class SoftAttention(AttentionDecoder):
    """Attention from the previous state, gated, inside the recurrence (Xu et al. 2015, equations 4 to 13)."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        policy = {"dtype": self.dtype_policy}
        self.attention = AdditiveAttention(self.units // 2, name="attention", **policy)
        self.gate = keras.layers.Dense(1, activation="sigmoid", name="gate", **policy)

    def sequence(self, words, memory, training=False):
        captions, time = ops.shape(words)[1], ops.shape(words)[2]
        states = _repeat(self.start(memory), captions)
        memory = _repeat(memory, captions)
        words = _fold(words)  # (rows, time, units)

        def one(carry, word):
            carry = self._glimpse(word, carry[0], memory)
            return carry, carry  # the scan wants the same structure of both

        carry = (states, ops.zeros_like(words[:, 0]))
        # (time, rows, units) each
        _, (states, contexts) = ops.scan(one, carry, ops.transpose(words, (1, 0, 2)))
        outputs = ops.transpose(ops.concatenate([states[-1][0], contexts], axis=-1), (1, 0, 2))
        outputs = ops.concatenate([outputs, words], axis=-1)
        return ops.reshape(outputs, (-1, captions, time, 3 * self.units))

    def advance(self, words, states, memory):
        states, context = self._glimpse(words, states, memory)
        return ops.concatenate([states[-1][0], context, words], axis=-1), states

    def attended(self, features, tokens):
        memory = self.read(features)
        states, weights = self.start(memory), []
        for index in range(tokens.shape[1]):
            weights.append(self.attention(states[-1][0][:, None, :], memory["keys"])[1])
            states, _ = self._glimpse(self.embedding(tokens[:, index]), states, memory)
        return ops.concatenate(weights, axis=1)

    def _glimpse(self, words, states, memory):
        """One step: the last state attends to the image; the result, gated, joins the word."""
        query = states[-1][0]  # (rows, units), h_{t-1} of the last layer
        context, _ = self.attention(query[:, None, :], memory["keys"])
        context = self.gate(query) * context[:, 0]
        _, states = self.recurrence.step(ops.concatenate([words, context], axis=-1), states)
        return states, context


@keras.saving.register_keras_serializable("unrolled")
class LateAttention(AttentionDecoder):
    """Attention from the recurrence's output over the grid (Luong et al. 2015, section 3.1, on an image).

    As no state depends on the attended image, the attention of all steps and captions is one product.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        policy = {"dtype": self.dtype_policy}
        self.attention = DotProductAttention(
            self.units, num_heads=self.settings["num_heads"], name="attention", **policy
        )

    def sequence(self, words, memory, training=False):
        captions, time = ops.shape(words)[1], ops.shape(words)[2]
        states = _repeat(self.start(memory), captions)
        outputs, _ = self.recurrence(_fold(words), initial_state=states, training=training)
        queries = ops.reshape(outputs, (-1, captions * time, self.units))
        context, _ = self.attention(queries, memory["keys"])  # (images, captions * time, units)
        outputs = ops.concatenate([queries, context], axis=-1)
        return ops.reshape(outputs, (-1, captions, time, 2 * self.units))

    def attended(self, features, tokens):
        memory = self.read(features)
        queries, _ = self.recurrence(self.embedding(tokens), initial_state=self.start(memory))
        return self.attention(queries, memory["keys"])[1]

    def advance(self, words, states, memory):
        outputs, states = self.recurrence.step(words, states)
        context, _ = self.attention(outputs[:, None, :], memory["keys"])
        return ops.concatenate([outputs, context[:, 0]], axis=-1), states


DECODERS = {
    "show_and_tell": ShowAndTell,
    "soft_attention": SoftAttention,
    "late_attention": LateAttention,
}


def _fold(words):
    """`(images, captions, time, units)` to `(rows, time, units)`."""
    return ops.reshape(words, (-1, ops.shape(words)[2], words.shape[3]))


def _repeat(nested, captions):
    """Every tensor `(images, ...)` to `(rows, ...)`: each image once for each of its captions."""
    return keras.tree.map_structure(lambda tensor: ops.repeat(tensor, captions, axis=0), nested)
