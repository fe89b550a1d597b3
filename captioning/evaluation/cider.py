"""CIDEr-D: how well captions agree with those of several people, fast enough to be called after every epoch.

Source of the method: Vedantam, Zitnick and Parikh, "CIDEr: Consensus-based Image Description Evaluation",
CVPR 2015, with the clipping and the length penalty of CIDEr-D. The numbers are those of the authors' code.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence

import numpy as np

MAX_WORDS = 4  # n-grams of one to four words
SIGMA = 6.0  # width of the Gaussian length penalty, in words


class CiderD:
    """Scores captions against references whose statistics are counted once.

    An n-gram weighs its count times log(images / images whose references have it). For each n from 1 to 4 a
    caption is compared with each reference by the cosine of their weights, in which a weight above the
    reference's is clipped, times a Gaussian of the difference in length; ten times the mean over n and over
    references is the score.

    All images are scored in one pass of NumPy over (caption, reference, n-gram) triples, so that the class
    serves validation after each epoch and, by `score_each`, as the reward of self-critical training.

    Args:
        references: for each image its reference captions, each a list of tokens. Document frequencies are
            counted in exactly these references, so they should be those of the whole split.

    Raises:
        ValueError: there are no references, or none for one of the images.
        TypeError: a reference is a string in place of a list of tokens.

    Example:

    >>> references = {"a": [["a", "red", "square"]], "b": [["two", "blue", "circles"], ["blue", "dots"]]}
    >>> cider = CiderD(references)
    >>> mean, scores = cider.score({"a": ["a", "red", "square"], "b": ["a", "dog"]})
    >>> float(mean), scores.tolist()
    (3.75, [7.5, 0.0])
    """

    def __init__(self, references: Mapping[Hashable, Sequence[Sequence[str]]]):
        _check_references(references)
        self._rows = {image: row for row, image in enumerate(references)}
        self._log_images = np.log(float(len(references)))
        captions_of = np.array([len(captions) for captions in references.values()])
        # (images + 1,) an image's first reference
        self._first = np.concatenate([[0], np.cumsum(captions_of)])
        self._ngrams: dict[tuple[str, ...], int] = {}
        captions = [caption for several in references.values() for caption in several]
        self._index_references(captions, image_of=np.repeat(np.arange(len(references)), captions_of))

    def _index_references(self, captions, image_of):
        """Weights of all n-grams of all references, sorted by (reference, n-gram) for look-ups."""
        owner, ngram, count, order = _count_ngrams(captions, self._ngrams, grow=True)
        pairs = np.unique(image_of[owner] * len(self._ngrams) + ngram)
        frequency = np.bincount(pairs % max(len(self._ngrams), 1), minlength=len(self._ngrams))
        self._idf = self._log_images - np.log(np.maximum(frequency, 1.0))  # (n-grams,)
        weights = count * self._idf[ngram]
        keys = owner * len(self._ngrams) + ngram
        sequence = np.argsort(keys)
        # A last key that no n-gram has: a look-up beyond the end finds a weight of zero there.
        self._keys = np.append(keys[sequence], np.iinfo(np.int64).max)
        self._weights = np.append(weights[sequence], 0.0)
        self._norms = _norms(owner, order, weights, len(captions))  # (references, MAX_WORDS)
        self._lengths = np.array([_length(caption) for caption in captions])

    def score(self, candidates: Mapping[Hashable, Sequence[str]]) -> tuple[float, np.ndarray]:
        """Scores one caption of each image.

        Args:
            candidates: the tokens of one caption for each image; any images that have references.

        Returns:
            The mean over images, and the scores `(images,)` float64 in the order of `candidates`.

        Raises:
            ValueError: there are no candidates, or one is of an image without references.
            TypeError: a candidate is a string in place of a list of tokens.
        """
        if not candidates:
            raise ValueError("CIDEr-D of no captions is not defined. Expected at least one candidate.")
        scores = self.score_each(list(candidates), list(candidates.values()))
        return float(scores.mean()), scores

    def score_each(self, images: Sequence[Hashable], captions: Sequence[Sequence[str]]) -> np.ndarray:
        """Scores captions, several of which may be of one image (samples of self-critical training).

        Args:
            images: for each caption its image.
            captions: for each caption its tokens.

        Returns:
            Scores `(captions,)` float64.

        Raises:
            ValueError: the two differ in length, or an image has no references.
            TypeError: a caption is a string in place of a list of tokens.
        """
        if len(images) != len(captions):
            raise ValueError(f"Expected as many images as captions, got {len(images)} and {len(captions)}.")
        unknown = [image for image in images if image not in self._rows]
        if unknown:
            raise ValueError(
                f"{len(unknown)} captions are of images without references, the first of {unknown[0]!r}."
            )
        _check_tokens(captions)
        rows = np.array([self._rows[image] for image in images], dtype=np.int64)
        similarity, caption_of = self._similarities(rows, captions)
        references = np.diff(self._first)[rows]
        totals = np.bincount(caption_of, weights=similarity.mean(axis=1), minlength=len(captions))
        return 10.0 * totals / references

    def _similarities(self, rows, captions):
        """Each caption with each reference: similarity `(pairs, MAX_WORDS)`, and the pairs' captions."""
        owner, ngram, count, order = _count_ngrams(captions, self._ngrams, grow=False)
        # An n-gram that no reference has counts as one of a single image, as in the authors' code.
        weights = count * np.append(self._idf, self._log_images)[ngram]
        norms = _norms(owner, order, weights, len(captions))
        caption_of, reference = _expand(self._first, rows)

        known = ngram >= 0
        entry, entry_reference = _expand(self._first, rows[owner[known]])
        owner, ngram, order, weights = (part[known][entry] for part in (owner, ngram, order, weights))
        matched = self._look_up(entry_reference, ngram)
        products = np.minimum(weights, matched) * matched
        first_pair = np.concatenate([[0], np.cumsum(np.diff(self._first)[rows])])
        pair = first_pair[owner] + entry_reference - self._first[rows[owner]]

        dots = _sum_by_order(pair, order, products, len(caption_of))
        scale = norms[caption_of] * self._norms[reference]
        cosines = np.divide(dots, scale, out=np.zeros_like(dots), where=scale > 0)
        lengths = np.array([_length(caption) for caption in captions])
        difference = lengths[caption_of] - self._lengths[reference]
        return cosines * np.exp(-(difference**2) / (2 * SIGMA**2))[:, None], caption_of

    def _look_up(self, reference, ngram):
        """The weight of an n-gram in a reference, zero where it does not occur."""
        key = reference * len(self._ngrams) + ngram
        index = np.searchsorted(self._keys, key)
        return np.where(self._keys[index] == key, self._weights[index], 0.0)


def _check_references(references):
    if not references:
        raise ValueError(
            "CIDEr-D needs references. Expected a dict from each image to its captions, got none."
        )
    empty = [image for image, captions in references.items() if len(captions) == 0]
    if empty:
        raise ValueError(f"{len(empty)} images have no reference captions, the first is {empty[0]!r}.")
    for captions in references.values():
        _check_tokens(captions)


def _check_tokens(captions: Iterable):
    for caption in captions:
        if isinstance(caption, str):
            raise TypeError(
                f"Expected captions as lists of tokens, got the string {caption!r}. Split it first."
            )


def _count_ngrams(captions, index, grow):
    """Each distinct n-gram of each caption: the caption, its number (-1: not in the index), count, n - 1."""
    owner, ngram, count, order = [], [], [], []
    for row, caption in enumerate(captions):
        words = tuple(caption)
        for length in range(1, MAX_WORDS + 1):
            grams = Counter(words[start : start + length] for start in range(len(words) - length + 1))
            numbers = [index.setdefault(gram, len(index)) if grow else index.get(gram, -1) for gram in grams]
            ngram += numbers
            count += grams.values()
            owner += [row] * len(numbers)
            order += [length - 1] * len(numbers)
    return tuple(np.array(part, dtype=np.int64) for part in (owner, ngram, count, order))


def _norms(owner, order, weights, captions):
    return np.sqrt(_sum_by_order(owner, order, weights**2, captions))


def _sum_by_order(row, order, values, rows):
    """Sums of values for each row and n, `(rows, MAX_WORDS)`."""
    flat = np.bincount(row * MAX_WORDS + order, weights=values, minlength=rows * MAX_WORDS)
    return flat.reshape(rows, MAX_WORDS).astype(np.float64)  # bincount of nothing counts in integers


def _expand(first, rows):
    """Each row with each of its references: the position in `rows`, and the reference, both `(pairs,)`."""
    number = np.diff(first)[rows]
    position = np.repeat(np.arange(len(rows)), number)
    start = np.repeat(first[rows] - np.concatenate([[0], np.cumsum(number)[:-1]]), number)
    return position, start + np.arange(len(position))


def _length(caption):
    # The authors' code takes the number of two-word n-grams as length: no and one word are both of length 0.
    return max(len(caption) - 1, 0)
