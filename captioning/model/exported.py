"""An exported SavedModel behind the calls of `captioning.model.Captioner`; most search options are fixed."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from captioning.config import Constraints, Search
from captioning.data.images import ImageSource
from captioning.model.captions import Caption, caption_any, predict_captions
from shared.export import ExportError, open_export
from shared.system.cli import UserError

SETTINGS_FILE = "captioner.json"


class ExportedCaptioner:
    """Captions images with a SavedModel folder that `captioning.export` wrote.

    Args:
        path: the SavedModel folder.

    Attributes:
        image_size: side in pixels of the squares that the model reads.
        search_defaults: a `captioning.config.Search`; other options than `prefix`, `must` and `never` are
            fixed.

        abstain_below: the confidence below which the export withholds captions, which are empty then.

    Raises:
        UserError: the folder was not written by `captioning.export`, or does not load.
    """

    def __init__(self, path: Path):
        self.path = Path(path)
        self._export = open_export(self.path, SETTINGS_FILE, ("pixels",))
        try:
            self.image_size = int(self._export.settings["image_size"])
            self.search_defaults = Search(**self._export.settings["search"])
            self.abstain_below = float(self._export.settings.get("abstain_below", 0.0))
        except (KeyError, TypeError, ValueError) as error:
            raise ExportError(
                f"{self.path / SETTINGS_FILE} is damaged: wrong image_size or search ({error}). "
                "Export the model again."
            ) from error

    def caption(
        self, images: "ImageSource | Sequence[ImageSource]", **options
    ) -> list[Caption] | list[list[Caption]]:
        """Describes one image or several, as `Captioner.caption` does.

        Raises:
            UserError: an image cannot be read, or `options` are not those of the export.
        """
        return caption_any(self, images, **options)

    def predict(self, images, **options) -> str | list[str]:
        """The best caption of each image, as `Captioner.predict` gives it."""
        return predict_captions(self, images, **options)

    def caption_pixels(self, pixels: np.ndarray, **options) -> list[list[Caption]]:
        """As `caption`, for a batch `(images, height, width, 3)` uint8 in one call of the model."""
        search = self._search(options)
        if search.constraints == self.search_defaults.constraints:
            outputs = self._export.signatures["pixels"](images=tf.constant(pixels))
        else:
            outputs = self._constrained(pixels, search)
        texts = np.char.decode(outputs["captions"].numpy().astype("S"), "utf-8").tolist()
        numbers = (outputs[name].numpy().tolist() for name in ("log_probs", "confidences"))
        return [
            [Caption(text, tuple(text.split()), *pair) for text, *pair in zip(*rows, strict=True)]
            for rows in zip(texts, *numbers, strict=True)
        ]

    def _constrained(self, pixels, search):
        """The outputs under other constraints than those of the export."""
        signatures = self._export.loaded.signatures
        if "constrained" not in signatures:
            raise UserError(
                f"{self.path} was exported before exports took prefix, must and never. Export the model "
                "again."
            )
        outputs = signatures["constrained"](
            images=tf.map_fn(tf.io.encode_png, tf.constant(pixels), fn_output_signature=tf.string),
            prefix=tf.constant(search.prefix),
            **{name: tf.constant(getattr(search, name), tf.string) for name in ("must", "never")},
        )
        if errors := [error for error in outputs["errors"].numpy() if error]:
            raise UserError(errors[0].decode("utf-8"))
        return outputs

    def _search(self, options):
        """The options of a search; those that the export has fixed must be its own."""
        fixed = dataclasses.asdict(self.search_defaults)
        for name in Constraints._fields:
            fixed.pop(name)
        for name, value in options.items():
            if name not in Constraints._fields and (name not in fixed or value != fixed[name]):
                known = ", ".join(f"{known}={setting}" for known, setting in fixed.items())
                raise UserError(
                    f"{self.path} was exported with {known}; {name}={value} is not possible. "
                    "Omit the option, or export the model again."
                )
        try:
            return dataclasses.replace(self.search_defaults, **options)
        except ValueError as error:
            raise UserError(f"{error}.") from error
