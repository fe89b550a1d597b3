"""A sentiment model that runs an exported SavedModel, behind the same calls as `SentimentClassifier`."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from sentiment.model.answers import labels_of
from sentiment.model.batching import batches_of_like_length, read_in_batches, softmax
from sentiment.text.graph import encode_texts
from sentiment.text.known import KnownWords
from sentiment.text.words import encode_words, split_words
from shared.data.objects import texts_of
from shared.export import ExportError, open_export
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
        vocabulary: the `shared.text.vocabulary.Vocabulary` that the SavedModel contains.
        settings: those of the exported model.
        temperature: the number by which logits are divided before the softmax.
        known_words: says which texts get no label.

    Raises:
        UserError: the folder was not written by `sentiment.export`, does not load, or its files were not
            written together.
    """

    has_gradients = False

    def __init__(self, path: Path):
        self.path = Path(path)
        self._export = open_export(self.path, SETTINGS_FILE, ("serving_default", "read"))
        self.vocabulary = Vocabulary.load(self.path / VOCABULARY_FILE)
        try:
            about = self._export.settings
            self.labels, expected = tuple(about["labels"]), about["vocabulary"]
            self.settings, self.temperature = dict(about["settings"]), float(about["temperature"])
        except (KeyError, TypeError, ValueError) as error:
            raise ExportError(
                f"{path}/{SETTINGS_FILE} is damaged ({error!r}). Export the model again."
            ) from error
        self.known_words = KnownWords(self.vocabulary, self.settings.get("most_surprise"))
        outputs = self._export.signatures["serving_default"].structured_outputs
        size = outputs["probabilities"].shape[-1]
        if checksum(self.vocabulary.tokens) != expected or len(self.labels) != size:
            raise ExportError(
                f"{path} has a model of {size} labels, the names of {len(self.labels)}, and a vocabulary of "
                f"{len(self.vocabulary)} tokens, which were not written together. Expected the files of one "
                "export; export the model again."
            )

    def encode(self, text: str) -> np.ndarray:
        """The ids `(tokens,)` int32 of a text: its start, its words and its end."""
        return encode_words(self.vocabulary, split_words(text))

    def probabilities(
        self, texts: str | Sequence[str], progress: Callable[[int], object] | None = None
    ) -> np.ndarray:
        """The probabilities of the labels, as from `SentimentClassifier`; the graph splits the texts."""
        if isinstance(texts, str):
            return self.probabilities([texts], progress)[0]
        probabilities = np.zeros((len(texts), len(self.labels)), np.float32)
        for indices in batches_of_like_length([len(text) // CHARACTERS_A_WORD + 1 for text in texts]):
            batch = encode_texts([texts[index] for index in indices])
            outputs = self._export.signatures["serving_default"](texts=batch)
            probabilities[indices] = outputs["probabilities"].numpy()
            if progress:
                progress(len(indices))
        return probabilities

    def predict(self, texts, force: bool = False) -> str | list[str | None] | None:
        """The most probable label of each text, as `SentimentClassifier.predict` gives it."""
        found = texts_of(texts)
        if found is None:
            raise TypeError(f"expected a text or several, got {type(texts).__name__}")
        return labels_of(self, found, force)

    def reasons(self, texts: Sequence[str]) -> list[str | None]:
        """Why each text gets no label, as from `SentimentClassifier`."""
        return [self.known_words.reason(split_words(text)) for text in texts]

    def probabilities_of_ids(
        self, sequences: Sequence[np.ndarray], progress: Callable[[int], object] | None = None
    ) -> np.ndarray:
        """Calibrated probabilities `(texts, labels)` float32 of ids `(tokens,)` from `encode`."""
        return softmax(self.logits(sequences, progress) / self.temperature)

    def logits(
        self, sequences: Sequence[np.ndarray], progress: Callable[[int], object] | None = None
    ) -> np.ndarray:
        """Logits `(texts, labels)` float32 of ids `(tokens,)` from `encode`."""

        def read(tokens, mask):
            return self._export.signatures["read"](tokens=tokens, mask=mask)["logits"]

        return read_in_batches(read, sequences, len(self.labels), progress)
