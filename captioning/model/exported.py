"""An exported SavedModel behind the calls of `captioning.model.Captioner`; its search options are fixed."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from captioning.config import Search
from captioning.data.images import ImageSource
from captioning.model.captions import Caption, caption_any
from shared.export import ExportError, open_export
from shared.system.cli import UserError

SETTINGS_FILE = "captioner.json"


class ExportedCaptioner:
    """Captions images with a SavedModel folder that `captioning.export` wrote.

    Args:
        path: the SavedModel folder.

    Attributes:
        image_size: side in pixels of the squares that the model reads.
        search_defaults: a `captioning.config.Search`; no other options are possible.

    Raises:
        UserError: the folder was not written by `captioning.export`, or does not load.
    """

    def __init__(self, path: Path):
        self.path = Path(path)
        self._export = open_export(self.path, SETTINGS_FILE, ("pixels",))
        try:
            self.image_size = int(self._export.settings["image_size"])
            self.search_defaults = Search(**self._export.settings["search"])
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

    def caption_pixels(self, pixels: np.ndarray, **options) -> list[list[Caption]]:
        """As `caption`, for a batch `(images, height, width, 3)` uint8 in one call of the model."""
        self._check_options(options)
        outputs = self._export.signatures["pixels"](images=tf.constant(pixels))
        texts = np.char.decode(outputs["captions"].numpy().astype("S"), "utf-8").tolist()
        numbers = (outputs[name].numpy().tolist() for name in ("log_probs", "confidences"))
        return [
            [Caption(text, tuple(text.split()), *pair) for text, *pair in zip(*rows, strict=True)]
            for rows in zip(texts, *numbers, strict=True)
        ]

    def _check_options(self, options):
        search = dataclasses.asdict(self.search_defaults)
        for name, value in options.items():
            if name not in search or value != search[name]:
                fixed = ", ".join(f"{known}={setting}" for known, setting in search.items())
                raise UserError(
                    f"{self.path} was exported with {fixed}; {name}={value} is not possible. "
                    "Omit the option, or export the model again."
                )
