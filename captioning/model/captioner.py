"""The captioner: an encoder, a decoder and their vocabulary in one Keras model that captions pixels."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from captioning.config import CaptioningConfig
from captioning.model.decoders import DECODERS
from captioning.model.encoder import Encoder
from shared.decoding import Decoded, beam_search, tile_beams
from shared.runs.folder import RunFolder
from shared.runs.presets import find_model
from shared.system.cli import UserError
from shared.text.vocabulary import Vocabulary

PRESETS = Path(__file__).parents[1] / "presets"
SHORTEST = 2  # one word and the end


class Caption(NamedTuple):
    """One caption of one image.

    `log_prob` is the natural logarithm of the model's probability of the words and the end token;
    `confidence` is the geometric mean of their probabilities, in (0, 1].
    """

    text: str
    tokens: tuple[str, ...]
    log_prob: float
    confidence: float

    @classmethod
    def of(cls, tokens: Sequence[str], log_prob: float, length: int) -> "Caption":
        """The caption of `tokens`, whose `length` counts the end token too."""
        return cls(" ".join(tokens), tuple(tokens), float(log_prob), math.exp(log_prob / max(int(length), 1)))


@keras.saving.register_keras_serializable("unrolled")
class Captioner(keras.Model):
    """Describes photographs: a recurrent decoder reads the grid features of a CNN and writes word by word.

    An ordinary Keras model: `compile`, `fit`, `predict`, `save` and `keras.models.load_model` work on it. Its
    vocabulary and the encoder's preprocessing are part of it.

    Args:
        vocabulary: a `shared.text.vocabulary.Vocabulary`, or its list of tokens.
        encoder: a `captioning.model.encoder.Encoder`.
        decoder: `"late_attention"`, `"soft_attention"` or `"show_and_tell"` (see `decoders`).
        units, cell, depth, num_heads, dropout, input_dropout: settings of the decoder.
        no_repeat_ngram: captions repeat no run of words of this length, unless a search says otherwise; 0:
            they
            may.

    Call arguments:
        inputs: a dict of `tokens`, `(images, captions, time)` or `(images, time)` int, each row beginning
            with the start token, and either `images`, `(images, height, width, 3)` in [0, 255], or
            `features`, `(images, cells, channels)` as the encoder gives them.
        training: whether dropout is active.

    Returns:
        Logits `(..., time, vocabulary)` of the word that follows each token.

    Example:

    ```python
    captioner = Captioner.from_any("flickr8k")
    pixels = captioner.prepare(load_image("dog.jpg"))
    print(captioner.caption(pixels[None])[0][0].text)
    ```
    """

    def __init__(
        self,
        vocabulary: Vocabulary | Sequence[str],
        encoder: Encoder,
        decoder: str = "late_attention",
        units: int = 512,
        cell: str = "lstm",
        depth: int = 1,
        num_heads: int = 8,
        dropout: float = 0.5,
        input_dropout: float = 0.3,
        no_repeat_ngram: int = 0,
        name: str = "captioner",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        if decoder not in DECODERS:
            raise ValueError(f"Unknown decoder {decoder!r}. Expected one of {', '.join(DECODERS)}.")
        self.vocabulary = vocabulary if isinstance(vocabulary, Vocabulary) else Vocabulary(vocabulary)
        self.decoder_name, self.no_repeat_ngram = decoder, no_repeat_ngram
        self.settings = {
            "units": units,
            "cell": cell,
            "depth": depth,
            "num_heads": num_heads,
            "dropout": dropout,
            "input_dropout": input_dropout,
        }
        self.encoder = encoder
        self.decoder = DECODERS[decoder](
            len(self.vocabulary),
            **self.settings,
            dtype=self.dtype_policy,
            name="decoder",
        )
        self._decoders: dict[tuple, tf.types.experimental.PolymorphicFunction] = {}
        self._build_by_call()

    def _build_by_call(self):
        """All shapes are known, so the model is whole from the start, ready for `load_weights`."""
        images = keras.KerasTensor(
            (None, self.encoder.image_size, self.encoder.image_size, 3), dtype="float32"
        )
        self({"images": images, "tokens": keras.KerasTensor((None, None, None), dtype="int32")})

    def get_config(self):
        return {
            **super().get_config(),
            **self.settings,
            "decoder": self.decoder_name,
            "no_repeat_ngram": self.no_repeat_ngram,
            "vocabulary": list(self.vocabulary.tokens),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        config["encoder"] = keras.saving.deserialize_keras_object(config["encoder"])
        return cls(**config)

    @classmethod
    def from_settings(
        cls, config: CaptioningConfig, vocabulary: Vocabulary, encoder_weights=None
    ) -> "Captioner":
        """A new captioner with the settings of a run and, where named, pretrained encoder weights.

        Where the encoder starts from pretrained weights, its batch norms stay as they are.
        """
        policy = "mixed_bfloat16" if config.mixed_bfloat16 else "float32"
        encoder = Encoder(
            config.encoder,
            weights=encoder_weights,
            image_size=config.image_size or None,
            fixed_norms=config.pretrained_encoder,
            trainable=config.train_encoder,
            dtype=policy if config.train_encoder else "float32",  # cached features are exact
        )
        return cls(
            vocabulary,
            encoder,
            decoder=config.decoder,
            units=config.units,
            cell=config.cell,
            depth=config.depth,
            num_heads=config.num_heads,
            dropout=config.dropout,
            input_dropout=config.input_dropout,
            no_repeat_ngram=config.no_repeat_ngram,
            dtype=policy,
        )

    @classmethod
    def from_run(cls, run: RunFolder) -> "Captioner":
        """The best model of a run folder or preset."""
        run.require_best_weights()  # a run without has nothing else worth an error
        vocabulary = Vocabulary.load(run.vocabulary_file)
        captioner = cls.from_settings(CaptioningConfig.from_run(run), vocabulary)
        run.load_best_weights(captioner, len(vocabulary))
        return captioner

    @classmethod
    def from_any(cls, name: str | Path):
        """The captioner that `name` says: a preset, a run folder or an exported SavedModel folder.

        Raises:
            UserError: there is nothing of that name, or it holds no model.
        """
        path = find_model(name, PRESETS, app="captioning")
        if (path / "saved_model.pb").exists():
            from captioning.model.exported import ExportedCaptioner

            return ExportedCaptioner(path)
        return cls.from_run(RunFolder.open(path, "captioning"))

    def call(self, inputs, training=False):
        features, tokens = self.features_of(inputs, training=training), inputs["tokens"]
        if len(tokens.shape) == 3:
            return self.decoder(features, tokens, training=training)
        return self.decoder(features, tokens[:, None, :], training=training)[:, 0]

    def features_of(self, inputs, training=False):
        """Grid features `(images, cells, channels)` of `images`, or the `features` that a batch brings."""
        if "features" in inputs:
            return ops.cast(inputs["features"], self.compute_dtype)
        return self.encoder(inputs["images"], training=training)

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Pixels `(height, width, 3)` uint8 to the `(image_size, image_size, 3)` that the encoder reads."""
        return self.encoder.prepare(image)

    def search(
        self, features, *, num_beams=3, n_best=1, length_penalty=0.8, max_length=30, no_repeat_ngram=None
    ) -> Decoded:
        """Beam search over grid features, in the graph.

        Args:
            features: `(images, cells, channels)`.
            num_beams, n_best, length_penalty, max_length, no_repeat_ngram: see `shared.decoding.beam_search`;
                the
                last is by default that of the captioner.

        Returns:
            `shared.decoding.Decoded`, tokens `(images, n_best, max_length)`.

        Raises:
            UserError: `max_length` leaves no room for a word and the end.
        """
        if max_length < SHORTEST:
            raise UserError(f"A caption is a word and an end: max_length is at least 2, not {max_length}.")
        memory = self.decoder.read(features)
        states = self.decoder.start(memory)
        memory = tile_beams(memory, num_beams)
        images = ops.shape(features)[0]
        return beam_search(
            lambda tokens, states: self.decoder.step(tokens, states, memory),
            states,
            ops.full((images,), Vocabulary.START, dtype="int32"),
            end_token=Vocabulary.END,
            max_length=max_length,
            num_beams=num_beams,
            length_penalty=length_penalty,
            min_length=SHORTEST,
            no_repeat_ngram=self.no_repeat_ngram if no_repeat_ngram is None else no_repeat_ngram,
            banned_tokens=(Vocabulary.PAD, Vocabulary.START, Vocabulary.UNK),
            n_best=n_best,
        )

    def caption(self, images: np.ndarray, **options) -> list[list[Caption]]:
        """Describes prepared images.

        Args:
            images: `(images, image_size, image_size, 3)` uint8, each from `prepare`.
            **options: `num_beams`, `n_best`, `length_penalty`, `max_length`, `no_repeat_ngram` of the beam
                search.

        Returns:
            For each image a list of its `n_best` captions, best first.
        """
        return self._run("images", np.asarray(images), options)

    def caption_features(self, features: np.ndarray, **options) -> list[list[Caption]]:
        """As `caption`, from grid features `(images, cells, channels)` that the encoder gave before."""
        # Cached features are float16, about which TensorFlow logs an error on processors that are slow at it.
        return self._run("features", np.asarray(features, dtype=np.float32), options)

    def _run(self, kind, batch, options):
        key = (kind, *sorted(options.items()))
        if key not in self._decoders:
            self._decoders[key] = self._compile(kind, options)
        decoded = self._decoders[key](batch)
        return [self._captions(*rows) for rows in zip(*(part.numpy() for part in decoded), strict=True)]

    def _compile(self, kind, options):
        shape = (None, None, None, 3) if kind == "images" else (None, None, self.encoder.channels)
        dtype = tf.uint8 if kind == "images" else tf.float32

        # AutoGraph has nothing to convert here; without it the first caption comes sooner.
        @tf.function(input_signature=[tf.TensorSpec(shape, dtype)], autograph=False)
        def run(batch):
            features = self.encoder(batch, training=False) if kind == "images" else batch
            return tuple(self.search(features, **options))

        return run

    def _captions(self, tokens, lengths, log_probs, scores):
        return [
            Caption.of(self.vocabulary.decode(row), log_prob, length)
            for row, length, log_prob in zip(tokens.tolist(), lengths, log_probs, strict=True)
        ]
