"""The captioner: an encoder, a decoder and their vocabulary in one Keras model that describes images."""

import dataclasses
from collections.abc import Sequence
from functools import partial

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from captioning.config import NETWORK, Calibration, CaptioningConfig, Constraints, Search
from captioning.data.images import ImageSource
from captioning.model.captions import Caption, caption_any
from captioning.model.constraints import SPECIAL, TokenConstraints, final_tokens
from captioning.model.decoders import DECODERS
from captioning.model.encoder import Encoder
from shared.decoding import Decoded, beam_rows, beam_search, tile_beams
from shared.runs.folder import RunFolder
from shared.system.cli import UserError
from shared.text.vocabulary import Vocabulary

SHORTEST = 2  # one word and the end


@keras.saving.register_keras_serializable("unrolled")
class Captioner(keras.Model):
    """Describes photographs: a recurrent decoder reads the grid features of a CNN and writes word by word.

    An ordinary Keras model: `compile`, `fit`, `predict`, `save` and `keras.models.load_model` work on it. Its
    vocabulary and the encoder's preprocessing are part of it.

    Args:
        vocabulary: a `shared.text.vocabulary.Vocabulary`, or its list of tokens.
        encoder: a `captioning.model.encoder.Encoder`.
        decoder: `"late_attention"`, `"soft_attention"` or `"show_and_tell"` (see `decoders`).
        no_repeat_ngram: captions repeat no sequence of this many words, unless a search says otherwise; 0:
            they may.
        name, trainable, dtype: of `keras.Model`.
        **settings: `cell`, `units`, `depth`, `num_heads`, `dropout` and `input_dropout` of the decoder, see
            `decoders.CaptionDecoder`.

    Call arguments:
        inputs: a dict of `tokens`, `(images, captions, time)` or `(images, time)` int, each row beginning
            with the start token, and either `images`, `(images, height, width, 3)` in [0, 255], or
            `features`, `(images, cells, channels)` as the encoder gives them.
        training: whether dropout is active.

    Returns:
        Logits `(..., time, vocabulary)` of the word that follows each token.

    Attributes:
        settings: the arguments that decide on the network, by name.
        image_size: side in pixels of the squares that `caption_pixels` reads.
        search_defaults: a `captioning.config.Search`, the options of a search where none are given.
        calibration: a `captioning.config.Calibration` of the confidence, or None.

    Raises:
        ValueError: there is no such decoder, or a setting cannot be used.

    Example:

    ```python
    from captioning import load_model

    captioner = load_model("photos")
    print(captioner.caption("dog.jpg")[0].text)
    ```
    """

    search_defaults = Search()
    calibration: Calibration | None = None

    def __init__(
        self,
        vocabulary: Vocabulary | Sequence[str],
        encoder: Encoder,
        decoder: str = "late_attention",
        no_repeat_ngram: int = 0,
        *,
        name: str = "captioner",
        trainable: bool = True,
        dtype=None,
        **settings,
    ):
        super().__init__(name=name, trainable=trainable, dtype=dtype)
        if decoder not in DECODERS:
            raise ValueError(f"Unknown decoder {decoder!r}. Expected one of {', '.join(DECODERS)}.")
        self.vocabulary = vocabulary if isinstance(vocabulary, Vocabulary) else Vocabulary(vocabulary)
        self.encoder, self.image_size = encoder, encoder.image_size
        self.decoder = DECODERS[decoder](
            len(self.vocabulary), **settings, dtype=self.dtype_policy, name="decoder"
        )
        own = {"decoder": decoder, "no_repeat_ngram": no_repeat_ngram}
        self.settings = {name: (own | self.decoder.settings)[name] for name in NETWORK}
        self._searches: dict[tuple, tf.types.experimental.PolymorphicFunction] = {}
        self._build_by_call()

    def _build_by_call(self):
        """All shapes are known, so the model is whole from the start, ready for `load_weights`."""
        images = keras.KerasTensor((None, self.image_size, self.image_size, 3), dtype="float32")
        self({"images": images, "tokens": keras.KerasTensor((None, None, None), dtype="int32")})

    def get_config(self):
        return {
            **super().get_config(),
            **self.settings,
            "vocabulary": list(self.vocabulary.tokens),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
        }

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "encoder": keras.saving.deserialize_keras_object(config["encoder"])})

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
            dtype="float32",  # the gradients of its convolutions are slower in bfloat16, and features exact
        )
        captioner = cls(vocabulary, encoder, **config.pick(NETWORK), dtype=policy)
        if config.train_encoder:
            encoder.train_last(config.encoder_blocks)
        return captioner

    @classmethod
    def from_run(cls, run: RunFolder) -> "Captioner":
        """The best model of a run folder or preset.

        Raises:
            UserError: the run has no checkpoint yet, or its files do not fit each other.
        """
        run.require_best_weights()  # without them, no other error matters
        vocabulary = Vocabulary.load(run.vocabulary_file)
        captioner = cls.from_settings(CaptioningConfig.from_run(run), vocabulary)
        run.load_best_weights(captioner, len(vocabulary))
        captioner.calibration = Calibration.load(run.path)
        return captioner

    def call(self, inputs, training=False):
        features, tokens = self.features_of(inputs, training=training), inputs["tokens"]
        if len(tokens.shape) == 3:
            return self.decoder(features, tokens, training=training)
        return self.decoder(features, tokens[:, None, :], training=training)[:, 0]

    def features_of(self, inputs, training=False):
        """Grid features `(images, cells, channels)` of a batch: its `features`, or those of its `images`."""
        if "features" in inputs:
            return ops.cast(inputs["features"], self.compute_dtype)
        return self.encoder(inputs["images"], training=training)

    def search(
        self,
        features,
        *,
        no_repeat_ngram: int | None = None,
        tokens: TokenConstraints | None = None,
        **options,
    ) -> Decoded:
        """Beam search over grid features, in the graph.

        Args:
            features: `(images, cells, channels)`.
            no_repeat_ngram: see `shared.decoding.beam_search`; by default that of the captioner.
            tokens: the constraints as ids; by default the words of `options`.
            **options: fields of `captioning.config.Search`, by default those of `search_defaults`.

        Returns:
            `shared.decoding.Decoded`, tokens `(images, n_best, max_length)`.

        Raises:
            UserError: `max_length` leaves no room for a word and the end, the constraints contradict each
                other, or have a word that the vocabulary lacks.
        """
        options = {**dataclasses.asdict(self.search_defaults), **options}
        if options["max_length"] < SHORTEST:
            raise UserError(
                f"A caption has a word and an end: max_length is at least 2, not {options['max_length']}."
            )
        words = [options.pop(name) for name in Constraints._fields]
        open_endings = options.pop("open_endings")
        tokens = tokens or self._tokens_of(words, options["max_length"], open_endings)
        rows = beam_rows(options["num_beams"], options["n_best"], tokens.must, options["diversity"])
        memory = self.decoder.read(features)
        repeat = self.settings["no_repeat_ngram"] if no_repeat_ngram is None else no_repeat_ngram
        return beam_search(
            partial(self.decoder.step, memory=tile_beams(memory, rows)),
            self.decoder.start(memory),
            ops.full((ops.shape(features)[0],), Vocabulary.START, dtype="int32"),
            end_token=Vocabulary.END,
            min_length=SHORTEST,
            no_repeat_ngram=repeat,
            banned_tokens=_banned(tokens.never),
            must_tokens=tokens.must,
            prefix=tokens.prefix,
            no_final_tokens=() if open_endings else final_tokens(self.vocabulary),
            **options,
        )

    def _tokens_of(self, words, max_length, open_endings):
        try:
            constraints = Constraints.of(*words)
            constraints.check(max_length, open_endings)
        except ValueError as error:
            raise UserError(f"{error}.") from error
        return TokenConstraints.of(constraints, self.vocabulary)

    def caption(
        self, images: "ImageSource | Sequence[ImageSource]", **options
    ) -> list[Caption] | list[list[Caption]]:
        """Describes one image or several.

        Args:
            images: a file's path, the bytes of one, a Pillow image, or an array `(height, width, 3)` uint8;
                or a list of them; or an array `(images, height, width, 3)` uint8. For many files see
                `captioning.prediction.stream.caption_images`, which reads them while the model works.
            **options: fields of `captioning.config.Search` and `no_repeat_ngram`, see `search`.

        Returns:
            The `n_best` captions of the image, best first; for several images a list of such lists.

        Raises:
            UserError: an image cannot be read, `max_length` is below 2, or no caption can meet the
                constraints.
        """
        return caption_any(self, images, **options)

    def caption_pixels(self, pixels: np.ndarray, **options) -> list[list[Caption]]:
        """As `caption`, for a batch `(images, height, width, 3)` uint8 in one call of the model."""
        return self._run("images", np.asarray(pixels), options)

    def caption_features(self, features: np.ndarray, **options) -> list[list[Caption]]:
        """As `caption`, for grid features `(images, cells, channels)` that the encoder gave before."""
        # Cached features are float16, about which TensorFlow logs an error on processors that are slow at it.
        return self._run("features", np.asarray(features, dtype=np.float32), options)

    def _run(self, kind, batch, options):
        options = {
            name: tuple(value) if isinstance(value, list) else value for name, value in options.items()
        }
        key = (kind, *sorted(options.items()))
        if key not in self._searches:
            self._searches[key] = self._compile(kind, options)
        tokens, lengths, log_probs, _ = (part.numpy() for part in self._searches[key](batch))
        return [self._captions(*rows) for rows in zip(tokens.tolist(), log_probs, lengths, strict=True)]

    def _compile(self, kind, options):
        shape = (None, None, None, 3) if kind == "images" else (None, None, self.encoder.channels)
        dtype = tf.uint8 if kind == "images" else tf.float32

        # AutoGraph has nothing to convert here; without it the first caption comes sooner.
        @tf.function(input_signature=[tf.TensorSpec(shape, dtype)], autograph=False)
        def run(batch):
            features = self.encoder(batch, training=False) if kind == "images" else batch
            return tuple(self.search(features, **options))

        return run

    def _captions(self, tokens, log_probs, lengths):
        """The captions of one image, from its rows."""
        return [
            Caption.of(self.vocabulary.decode(row), log_prob, length, self.calibration)
            for row, log_prob, length in zip(tokens, log_probs, lengths, strict=True)
        ]


def _banned(never):
    """Tokens that no caption has: `never`, ids or a tensor (tokens,) int32, and the special ones."""
    return tf.concat([SPECIAL, never], axis=0) if tf.is_tensor(never) else (*SPECIAL, *never)
