"""A stream of texts through a model, batch by batch."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sentiment.prediction.inputs import Item
from sentiment.prediction.results import Result
from sentiment.text.words import encode_words, split_words
from shared.system.cli import UserError

if TYPE_CHECKING:
    from sentiment.model.classifier import SentimentClassifier
    from sentiment.prediction.explain import Explainer


def classify_texts(
    model: "SentimentClassifier",
    items: Iterable[Item],
    *,
    batch_size: int = 64,
    abstain_below: float = 0.0,
    force: bool = False,
    explainer: "Explainer | None" = None,
) -> Iterator[Result]:
    """Classifies a stream of texts, batch by batch. Each text is split into words once.

    Args:
        model: a `sentiment.model.SentimentClassifier` or `sentiment.model.exported.ExportedSentiment`.
        items: the texts, taken as needed. Those with an error become results with that error.
        batch_size: number of texts read by the model at a time.
        abstain_below: no label is given where the highest probability is below this.
        force: gives a label also where the model does not know enough of the words.
        explainer: explains each text that has a label; None: no explanations.

    Yields:
        A `sentiment.prediction.results.Result` for each item, in their order.
    """
    items = iter(items)
    while batch := list(islice(items, batch_size)):
        readings = iter(_read(model, [item.text for item in batch if item.error is None]))
        for item in batch:
            if item.error is not None:
                yield Result(item, {}, None)
                continue
            reading = next(readings)
            result = _result(model, item, reading, abstain_below, force)
            explains = explainer is not None and not result.is_withheld
            yield _explained(result, reading.words, explainer) if explains else result


class _Reading(NamedTuple):
    """The words of a text, and the probabilities `(labels,)`."""

    words: list[str]
    probabilities: np.ndarray


def _read(model, texts: Sequence[str]) -> list[_Reading]:
    words = [split_words(text) for text in texts]
    ids = [encode_words(model.vocabulary, words_of_text) for words_of_text in words]
    probabilities = model.probabilities_of_ids(ids) if ids else ()
    return [_Reading(*reading) for reading in zip(words, probabilities, strict=True)]


def _result(model, item: Item, reading: _Reading, abstain_below: float, force: bool) -> Result:
    probabilities = dict(zip(model.labels, map(float, reading.probabilities), strict=True))
    likeliest = max(probabilities, key=probabilities.get)
    unknown = model.known_words.reason(reading.words)
    if unknown and not force:
        return Result(item, probabilities, likeliest, unknown, is_withheld=True)
    reason = None
    if probabilities[likeliest] < abstain_below:
        reason = f"{likeliest} is likeliest, but below {abstain_below:g}"
    return Result(item, probabilities, likeliest, reason, unknown)


def _explained(result: Result, words: Sequence[str], explainer: "Explainer") -> Result:
    try:
        explanation = explainer.explain(result.item.text, result.likeliest, words=words)
    except UserError as error:  # the text is too long; its label holds all the same
        note = "; ".join(filter(None, (result.note, f"not explained: {error}")))
        return result._replace(note=note)
    return result._replace(explanation=explanation, deletion=explainer.deletion_curve(explanation))
