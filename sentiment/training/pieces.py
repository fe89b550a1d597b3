"""Pieces of reviews to learn from, so that a model reads short texts as well as long ones.

A piece is a run of sentences. It has the label of its review, which is right more often than not: what the
model learns of a sentence is the probability that a review with it has the label. Source of the method, for
reviews cut into words: Kotzias et al. 2015, "From Group to Individual Labels using Deep Features".
"""

from collections.abc import Sequence

import numpy as np

from shared.text.vocabulary import Vocabulary

# Words that end a sentence, as `sentiment.text.words.split_words` gives them, and one that may follow.
ENDS, AFTER = (".", "!", "?", "\u2026", "\u203c", "\u2047", "\u3002"), (")",)
LENGTHS = (1, 1, 1, 1, 1, 2, 2, 3, 4)  # sentences of a piece, as likely as they are often here
VERDICTS = 0.3  # share of pieces from the beginning or the end of a review, where the verdict is


class Pieces:
    """Draws pieces of reviews: runs of one to four sentences, more often single and short ones.

    Args:
        sequences: the ids `(tokens,)` of each review, with start and end.
        vocabulary: of the ids.

    Example:

    >>> vocabulary = Vocabulary((*Vocabulary.SPECIALS, ".", "good", "bad"))
    >>> pieces = Pieces([np.array([1, 5, 4, 6, 6, 4, 2])], vocabulary)
    >>> rng = np.random.default_rng(1)
    >>> sorted({tuple(pieces.draw(0, rng).tolist()) for _ in range(9)})
    [(1, 5, 4, 2), (1, 5, 4, 6, 6, 4, 2), (1, 6, 6, 4, 2)]
    """

    def __init__(self, sequences: Sequence[np.ndarray], vocabulary: Vocabulary):
        ends, after = (_table(vocabulary, words) for words in (ENDS, AFTER))
        self._sequences = sequences
        self._borders = [sentence_borders(ids, ends, after) for ids in sequences]

    def draw(self, index: int, rng: np.random.Generator) -> np.ndarray:
        """The ids `(tokens,)` of a piece of the review `index`, with start and end: the shorter of two."""
        ids = self._sequences[index]
        runs = [self._run(self._borders[index], rng) for _ in range(2)]
        first, last = min(runs, key=lambda run: run[1] - run[0])
        return np.concatenate([ids[:1], ids[first:last], ids[-1:]])

    def _run(self, borders: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
        """Where a run of sentences begins and ends."""
        sentences = len(borders) - 1
        length = min(rng.choice(LENGTHS), sentences)
        if rng.random() < VERDICTS:
            first = rng.choice([0, sentences - length])
        else:
            first = rng.integers(sentences - length + 1)
        return borders[first], borders[first + length]


def _table(vocabulary: Vocabulary, words: Sequence[str]) -> np.ndarray:
    """Which ids `(vocabulary,)` are of these words."""
    table = np.zeros(len(vocabulary), bool)
    table[vocabulary.encode(words)] = True
    table[Vocabulary.UNK] = False
    return table


def sentence_borders(ids: np.ndarray, ends: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Where sentences begin and end.

    Args:
        ids: `(tokens,)` of a text, with start and end.
        ends: `(vocabulary,)` bool, whether a word ends a sentence.
        after: `(vocabulary,)` bool, whether a word still belongs to a sentence that has ended.

    Returns:
        `(sentences + 1,)` int: sentence i is `ids[borders[i]:borders[i + 1]]`. There is at least one.

    Example:

    >>> ends, after = np.arange(9) == 4, np.arange(9) == 5
    >>> sentence_borders(np.array([1, 7, 4, 4, 5, 8, 4, 7, 2]), ends, after).tolist()
    [1, 5, 7, 8]
    """
    words = ids[1:-1]
    is_end = ends[words]
    continues = np.append(is_end[1:] | after[words[1:]], False)
    borders = np.flatnonzero(is_end | (np.append(False, is_end[:-1]) & after[words])) + 1
    borders = borders[~continues[borders - 1]] + 1
    return np.unique(np.concatenate([[1], borders, [len(ids) - 1]]))
