"""From images to captions: what a captioner and an ensemble of them do with their encoder and decoder."""

import dataclasses
import threading
from collections.abc import Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from captioning.config import Calibration, Constraints, Search
from captioning.data.images import ImageSource
from captioning.model.captions import Caption, caption_any, predict_captions
from captioning.model.constraints import SPECIAL, TokenConstraints, final_tokens
from shared.decoding import Decoded, Trace, beam_rows, beam_search, tile_beams
from shared.system.cli import UserError
from shared.text.vocabulary import Vocabulary

SHORTEST = 2  # one word and the end
_compiling = threading.Lock()


class CaptionSearch:
    """Captions images by beam search, with the encoder and the decoder of the class that inherits it.

    Attributes:
        encoder: gives the features of images `(images, height, width, 3)`.
        decoder: with `read`, `start` and `step` of `captioning.model.decoders.CaptionDecoder`.
        vocabulary: a `shared.text.vocabulary.Vocabulary`.
        image_size: side in pixels of the squares that `caption_pixels` reads.
        no_repeat_ngram: captions repeat no sequence of this many words, unless a search says otherwise.
        search_defaults: a `captioning.config.Search`, the options of a search where none are given.
        calibration: a `captioning.config.Calibration` of the confidence, or None.
    """

    encoder: Any
    decoder: Any
    vocabulary: Vocabulary
    image_size: int
    no_repeat_ngram: int
    search_defaults = Search()
    calibration: Calibration | None = None
    _searches: dict[tuple, tf.types.experimental.PolymorphicFunction]

    def search(
        self,
        features,
        *,
        no_repeat_ngram: int | None = None,
        tokens: TokenConstraints | None = None,
        trace: Trace | None = None,
        **options,
    ) -> Decoded:
        """Beam search over grid features, in the graph.

        Args:
            features: `(images, cells, channels)`.
            no_repeat_ngram: see `shared.decoding.beam_search`; by default that of the captioner.
            tokens: the constraints as ids; by default the words of `options`.
            trace: records what the search of one image tries; the call must be eager then.
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
        images = ops.shape(keras.tree.flatten(features)[0])[0]
        step, state = partial(self.decoder.step, memory=tile_beams(memory, rows)), self.decoder.start(memory)
        if trace:
            step, state = trace.watch(step, state)
        return beam_search(
            step,
            state,
            ops.full((images,), Vocabulary.START, dtype="int32"),
            end_token=Vocabulary.END,
            min_length=SHORTEST,
            no_repeat_ngram=self.no_repeat_ngram if no_repeat_ngram is None else no_repeat_ngram,
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

    def predict(self, images, **options) -> str | list[str]:
        """The best caption of each image, as a list; of a single image, its caption.

        Args:
            images: as for `caption`, or a column of them, or a `tf.data.Dataset` of images.
            **options: see `caption`.

        Raises:
            UserError: see `caption`.
        """
        return predict_captions(self, images, **options)

    def caption_pixels(self, pixels: np.ndarray, **options) -> list[list[Caption]]:
        """As `caption`, for a batch `(images, height, width, 3)` uint8 in one call of the model."""
        return self._caption(np.asarray(pixels), tf.TensorSpec((None, None, None, 3), tf.uint8), options)

    def _caption(self, batch, spec, options):
        """The captions of a batch of pixels, or of features, which have a spec of three axes."""
        options = {
            name: tuple(value) if isinstance(value, list) else value for name, value in options.items()
        }
        key = (spec, *sorted(options.items()))
        with _compiling:  # not by several threads
            if key not in self._searches:
                self._searches[key] = self._compile(spec, options)
        tokens, lengths, log_probs, _ = (part.numpy() for part in self._searches[key](batch))
        return [self._captions(*rows) for rows in zip(tokens.tolist(), log_probs, lengths, strict=True)]

    def _compile(self, spec, options):
        # AutoGraph has nothing to convert here; without it the first caption comes sooner.
        @tf.function(input_signature=[spec], autograph=False)
        def run(batch):
            features = self.encoder(batch, training=False) if spec.shape.rank == 4 else batch
            return tuple(self.search(features, **options))

        return run.get_concrete_function()

    def _captions(self, tokens, log_probs, lengths):
        """The captions of one image, from its rows."""
        return [
            Caption.of(self.vocabulary.decode(row), log_prob, length, self.calibration)
            for row, log_prob, length in zip(tokens, log_probs, lengths, strict=True)
        ]


def _banned(never):
    """Tokens that no caption has: `never`, ids or a tensor (tokens,) int32, and the special ones."""
    return tf.concat([SPECIAL, never], axis=0) if tf.is_tensor(never) else (*SPECIAL, *never)
