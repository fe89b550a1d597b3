"""A captioner that runs an exported SavedModel: the calls of `captioning.model.Captioner`, fixed options."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from captioning.model.captioner import Caption
from shared.export import ExportError, read_settings
from shared.system.cli import UserError

SETTINGS_FILE = "captioner.json"


class ExportedCaptioner:
    """Captions images with a SavedModel folder that `captioning.export` wrote.

    Args:
        path: the SavedModel folder.

    Raises:
        UserError: the folder was not written by `captioning.export`, or does not load.
    """

    def __init__(self, path: Path):
        self.path = Path(path)
        self.settings = read_settings(self.path, SETTINGS_FILE)
        try:
            self._image_size, self._search = self.settings["image_size"], dict(self.settings["search"])
            self._loaded = tf.saved_model.load(str(self.path))  # the functions live as long as it does
            self._run = self._loaded.signatures["pixels"]
        except (OSError, ValueError, KeyError, TypeError, tf.errors.OpError) as error:
            raise ExportError(
                f"{path} does not load as an exported captioner ({error}). Export the model again."
            ) from error

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """`(height, width, 3)` uint8 pixels to the square of pixels that the model reads."""
        from captioning.model.encoder import resize

        return resize(image, self._image_size)

    def caption(self, images: np.ndarray, **options) -> list[list[Caption]]:
        """Describes prepared images, `(images, image_size, image_size, 3)` uint8; see `Captioner.caption`.

        Raises:
            UserError: `options` differ from those that the export was made with.
        """
        self._check_options(options)
        outputs = {name: value.numpy() for name, value in self._run(images=tf.constant(images)).items()}
        return [
            [
                Caption(text, tuple(text.split()), float(log_prob), float(confidence))
                for text, log_prob, confidence in zip(*row, strict=True)
            ]
            for row in zip(
                np.char.decode(outputs["captions"].astype("S"), "utf-8").tolist(),
                outputs["log_probs"],
                outputs["confidences"],
                strict=True,
            )
        ]

    def _check_options(self, options):
        for name, value in options.items():
            if name not in self._search or value != self._search[name]:
                fixed = ", ".join(f"{known}={setting}" for known, setting in self._search.items())
                raise UserError(
                    f"{self.path} was exported with {fixed}; {name}={value} is not possible any more. "
                    "Leave the option out, or export the model again."
                )
