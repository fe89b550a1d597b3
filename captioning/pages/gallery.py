"""The photographs of a data set, from the caption that agrees best with those of people to the worst."""

from collections.abc import Sequence
from typing import NamedTuple

from captioning.data.examples import Example
from captioning.evaluation.cider import CiderD
from captioning.model.captions import Caption
from shared.text.vocabulary import tokenize_words


class Judged(NamedTuple):
    """An image with references, its caption, and the CIDEr-D of that, 1 for perfect agreement with one
    reference's words at their weights in this data set."""

    example: Example
    caption: Caption
    cider: float


def judge(examples: Sequence[Example], captions: Sequence[Caption]) -> list[Judged]:
    """Examples with their captions, best first. Document frequencies are those of all their references."""
    references = {
        number: [tokenize_words(caption) for caption in example.captions]
        for number, example in enumerate(examples)
    }
    candidates = {number: list(caption.tokens) for number, caption in enumerate(captions)}
    _, scores = CiderD(references).score(candidates)
    judged = map(Judged, examples, captions, (scores / 10).tolist())
    return sorted(judged, key=lambda one: -one.cider)


def spread(judged: Sequence[Judged], count: int) -> list[Judged]:
    """At most `count` of them, evenly spread from the first to the last.

    Example:

    >>> spread("abcdefg", 3)
    ['a', 'd', 'g']
    """
    if len(judged) <= count:
        return list(judged)
    return [judged[round(index * (len(judged) - 1) / (count - 1))] for index in range(count)]
