"""A sentiment model that runs an exported SavedModel: what `SentimentClassifier` does without its weights."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from sentiment.model.batching import batches_of_like_length
from sentiment.text.graph import encode_texts
from shared.export import ExportError, read_settings
from shared.text.vocabulary import Vocabulary, checksum

SETTINGS_FILE = "sentiment.json"
VOCABULARY_FILE = "vocabulary.json"
CHARACTERS_A_WORD = 4  # at least, in most texts


class ExportedSentiment:
    """Reads texts with a SavedModel folder that `sentiment.export` wrote.

    Args:
        path: the SavedModel folder.

    Attributes:
        labels: names of the labels, in the order of the probabilities.
        vocabulary: the `shared.text.vocabulary.Vocabulary` that the SavedModel has inside.
        settings: those of the exported model.
        temperature: by what logits are divided before they become probabilities.

    Raises:
        UserError: the folder was not written by `sentiment.export`, does not load, or its vocabulary was
            changed.
    """

    def __init__(self, path: Path):
        self.path = Path(path)
        about = read_settings(self.path, SETTINGS_FILE)
        self.vocabulary = Vocabulary.load(self.path / VOCABULARY_FILE)
        try:
            self.labels = tuple(about["labels"])
            self.settings, self.temperature = dict(about["settings"]), float(about["temperature"])
            expected = about["vocabulary"]
            self._loaded = tf.saved_model.load(str(self.path))  # the functions live as long as it does
            self._read = self._loaded.signatures["serving_default"]
            size = self._read.structured_outputs["probabilities"].shape[-1]
        except (OSError, ValueError, KeyError, TypeError, tf.errors.OpError) as error:
            raise ExportError(
                f"{path} does not load as an exported sentiment model ({error}). Export the model again."
            ) from error
        if checksum(self.vocabulary.tokens) != expected or len(self.labels) != size:
            raise ExportError(
                f"{path} has a model of {size} labels, the names of {len(self.labels)}, and a vocabulary of "
                f"{len(self.vocabulary)} tokens, which were not written together. Expected the files of one "
                "export; export the model again."
            )

    def probabilities(
        self, texts: Sequence[str], progress: Callable[[int], object] | None = None
    ) -> np.ndarray:
        """What the model thinks of texts of any length.

        Args:
            texts: any number of them.
            progress: called with the number of texts done since it was last called.

        Returns:
            Probabilities `(texts, labels)` float32, calibrated by the temperature.
        """
        probabilities = np.zeros((len(texts), len(self.labels)), np.float32)
        for places in batches_of_like_length([len(text) // CHARACTERS_A_WORD + 1 for text in texts]):
            outputs = self._read(texts=encode_texts([texts[place] for place in places]))
            probabilities[places] = outputs["probabilities"].numpy()
            if progress:
                progress(len(places))
        return probabilities
