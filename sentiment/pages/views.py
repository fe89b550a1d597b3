"""How the label of one text came about: weights, the text read part by part, and words taken out."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sentiment.model.classifier import SentimentClassifier
from sentiment.prediction.explain import Explainer, Explanation
from sentiment.text.words import encode_words

MOST_POINTS = (
    200  # words at which a text is measured; longer texts are measured at every second, third, ... word
)


class View(NamedTuple):
    """A text and what a model made of it. All probabilities are of the explained label.

    Attributes:
        explanation: the label, its probability, and the weight of each word.
        probabilities: of all labels, by name.
        stride: one point is measured for so many words.
        forward: `(points,)` probability of the text up to and including these words.
        backward: `(points,)` probability of the text from these words on.
        without: `(points,)` probability of the text without these words.
    """

    explanation: Explanation
    probabilities: dict[str, float]
    stride: int
    forward: np.ndarray
    backward: np.ndarray
    without: np.ndarray


def view(model: SentimentClassifier, explainer: Explainer, text: str, label: str | None = None) -> View:
    """Measures a text.

    Args:
        model: the model; an exported one has no gradients.
        explainer: of that model.
        text: at most `sentiment.prediction.explain.LONGEST` words.
        label: the label to explain; None: the likeliest one.

    Raises:
        UserError: the text is too long.
    """
    explanation = explainer.explain(text, label)
    words = explanation.words
    stride = max(1, math.ceil(len(words) / MOST_POINTS))
    starts = range(0, len(words), stride)
    parts = [
        [words[: start + stride] for start in starts],
        [words[start:] for start in starts],
        [(*words[:start], *words[start + stride :]) for start in starts],
    ]
    index = model.labels.index(explanation.label)
    forward, backward, without = (_probabilities(model, rows)[:, index] for rows in parts)
    everything = _probabilities(model, [words])[0].tolist()
    probabilities = dict(zip(model.labels, everything, strict=True))
    return View(explanation, probabilities, stride, forward, backward, without)


def _probabilities(model, rows: Sequence[Sequence[str]]) -> np.ndarray:
    """Probabilities `(rows, labels)` of lists of words."""
    if not rows:
        return np.zeros((0, len(model.labels)))
    return model.probabilities_of_ids([encode_words(model.vocabulary, row) for row in rows])
