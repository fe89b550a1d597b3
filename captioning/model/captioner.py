"""The captioner: an encoder, a decoder and their vocabulary in one Keras model that describes images."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from captioning.config import CALIBRATION_FILE, NETWORK, Calibration, CaptioningConfig, Search
from captioning.model.captions import Caption
from captioning.model.decoders import DECODERS
from captioning.model.encoder import Encoder
from captioning.model.search import CaptionSearch
from shared.runs.folder import RunFolder
from shared.runs.saving import SavedAsRun
from shared.text.vocabulary import Vocabulary


@keras.saving.register_keras_serializable("unrolled")
class Captioner(SavedAsRun, CaptionSearch, keras.Model):
    """Describes photographs: a recurrent decoder reads the grid features of a CNN and writes word by word.

    An ordinary Keras model: `compile`, `fit`, `predict`, `save` and `keras.models.load_model` work on it. Its
    vocabulary and the encoder's preprocessing are part of it. `predict` takes images, too, and gives their
    captions; `save` also writes a folder, which `captioning.load_model` reads.

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
        image_size, search_defaults, calibration: see `captioning.model.search.CaptionSearch`, which has the
            methods that caption images.

    Raises:
        ValueError: there is no such decoder, or a setting cannot be used.

    Example:

    ```python
    from captioning import load_model

    captioner = load_model("photos")
    print(captioner.caption("dog.jpg")[0].text)
    ```
    """

    application = "captioning"
    kept_files = ("history.csv", CALIBRATION_FILE)

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
        self.no_repeat_ngram = no_repeat_ngram
        self._searches = {}
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
        captioner = cls(
            vocabulary, encoder, **config.filled({"no_repeat_ngram": 3}).pick(NETWORK), dtype=policy
        )
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
        config = CaptioningConfig.from_run(run)
        captioner = cls.from_settings(config, vocabulary)
        captioner.search_defaults = Search(max_length=max(Search.max_length, config.max_length or 0))
        run.load_best_weights(captioner, len(vocabulary))
        captioner.calibration = Calibration.load(run.path)
        captioner.run_folder = run
        return captioner

    def run_settings(self) -> CaptioningConfig:
        """See `shared.runs.saving.SavedAsRun`; so is the next one."""
        return CaptioningConfig(
            encoder=self.encoder.architecture, image_size=self.image_size, **self.settings
        )

    def save_parts(self, run: RunFolder) -> None:
        self.vocabulary.save(run.vocabulary_file)

    def predict(self, x, *args, **options):
        """The captions of images; or as `keras.Model.predict`, logits.

        Args:
            x: an image or several, as `caption` takes them, or a `tf.data.Dataset` or column of images; a
                dict or a dataset of dicts, as `call` takes them, is for Keras.
            *args: for Keras.
            **options: for Keras, or of the search; see `caption`.

        Returns:
            The best caption of each image, as a list; for a single image, its caption.
        """
        if isinstance(x, dict) or isinstance(getattr(x, "element_spec", None), dict | tuple):
            return keras.Model.predict(self, x, *args, **options)
        return super().predict(x, **options)

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

    def caption_features(self, features: np.ndarray, **options) -> list[list[Caption]]:
        """As `caption`, for grid features `(images, cells, channels)` that the encoder gave before."""
        # Cached features are float16, about which TensorFlow logs an error on processors that are slow at it.
        features, shape = np.asarray(features, dtype=np.float32), (None, None, self.encoder.channels)
        return self._caption(features, tf.TensorSpec(shape, tf.float32), options)
