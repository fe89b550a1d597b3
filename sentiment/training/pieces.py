"""Pieces of reviews to learn from, so that a model reads short texts as well as long ones.

A piece is a run of sentences. What is learned of it is how likely a review with it has each label. The review
it is from has one, which is a noisy sign. That is half of the target, and the other half is the answer of an
NB-SVM that is fitted to all single sentences of the reviews, each with the label of its review, in which much
of that noise is averaged out.

Sources: Kotzias et al. 2015, "From Group to Individual Labels using Deep Features" (sentences that have the
label of their review); Hinton, Vinyals and Dean 2015, "Distilling the Knowledge in a Neural Network".
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from sentiment.evaluation.baseline import NBSVM
from sentiment.training.rules import NegationRules
from shared.text.vocabulary import Vocabulary

# Words that end a sentence, as `sentiment.text.words.split_words` gives them, and one that may follow.
ENDS, AFTER = (".", "!", "?", "\u2026", "\u203c", "\u2047", "\u3002"), (")",)
LENGTHS = (1, 1, 1, 1, 1, 2, 2, 3, 4)  # sentences of a piece, as likely as they are often here
MOST_SENTENCES = 400_000  # that the teacher is fitted to
OF_REVIEW = 0.5  # share of the review's label in what is learned of a piece; the rest is the teacher's
VERDICTS = 0.3  # share of pieces from the beginning or the end of a review, where the verdict is


class Pieces:
    """Draws pieces of reviews: runs of one to four sentences, more often single and short ones.

    Args:
        sequences: the ids `(tokens,)` of each review, with start and end.
        vocabulary: of the ids.

    Example:

    >>> vocabulary = Vocabulary((*Vocabulary.SPECIALS, ".", "good", "bad"))
    >>> pieces = Pieces([np.array([1, 5, 4, 6, 6, 4, 2])], vocabulary)
    >>> drawn = pieces.draw([0] * 9, np.random.default_rng(1))
    >>> sorted({tuple(ids.tolist()) for ids in drawn})
    [(1, 5, 4, 2), (1, 5, 4, 6, 6, 4, 2), (1, 6, 6, 4, 2)]
    """

    def __init__(self, sequences: Sequence[np.ndarray], vocabulary: Vocabulary):
        ends, after = (_table(vocabulary, words) for words in (ENDS, AFTER))
        self._sequences = sequences
        self._borders = [sentence_borders(ids, ends, after) for ids in sequences]

    def draw(self, indices: Sequence[int], rng: np.random.Generator) -> list[np.ndarray]:
        """The ids `(tokens,)` of a piece of each of these reviews, with start and end: the shorter of two."""
        return [self._piece(index, rng) for index in indices]

    def sentences(self) -> tuple[list[np.ndarray], np.ndarray]:
        """The ids `(tokens,)` of all sentences, and the index `(sentences,)` of the review of each."""
        texts, sources = [], []
        for index, (ids, borders) in enumerate(zip(self._sequences, self._borders, strict=True)):
            texts += [ids[first:last] for first, last in pairwise(borders)]
            sources += [index] * (len(borders) - 1)
        return texts, np.array(sources)

    def _piece(self, index, rng):
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


class SentenceTeacher:
    """An NB-SVM of the sentences of reviews, which softens what is learned of a piece.

    Args:
        pieces: of the reviews.
        targets: `(reviews, labels)` the probability of each label; a sentence has the likeliest one.
        vocabulary: of their ids.
    """

    def __init__(self, pieces: Pieces, targets: np.ndarray, vocabulary: Vocabulary):
        texts, sources = pieces.sentences()
        labels = targets.argmax(axis=1)[sources]
        step = -(-len(texts) // MOST_SENTENCES)
        self._width = targets.shape[1]
        self._model = NBSVM(split=lambda ids: [vocabulary.tokens[one] for one in ids])
        self._model.fit([_Sentence(*pair) for pair in zip(texts[::step], labels[::step], strict=True)])

    def probabilities(self, pieces: Sequence[np.ndarray]) -> np.ndarray:
        """The probabilities `(pieces, labels)` of pieces, which have start and end."""
        taught = np.zeros((len(pieces), self._width))
        taught[:, list(self._model.labels)] = self._model.probabilities([ids[1:-1] for ids in pieces])
        return taught


class TaughtPieces:
    """Pieces to learn from, with what is to be learned of them.

    Args:
        sequences: the ids `(tokens,)` of each review, with start and end.
        targets: `(reviews, labels)` the probability of each label.
        vocabulary: of the ids.
        rules: share of the pieces that are made by `sentiment.training.rules` instead.

    Raises:
        UserError: there are rules, and the reviews are not of the kind that they are for.
    """

    def __init__(
        self, sequences: Sequence[np.ndarray], targets: np.ndarray, vocabulary: Vocabulary, rules: float = 0.0
    ):
        self._pieces, self._targets, self._share = Pieces(sequences, vocabulary), targets, rules
        self._teacher = SentenceTeacher(self._pieces, targets, vocabulary)
        if rules:
            self._rules = NegationRules(sequences, vocabulary, self._teacher.probabilities)

    def draw(self, indices: Sequence[int], rng: np.random.Generator) -> tuple[list[np.ndarray], np.ndarray]:
        """A piece for each of these reviews, and the probabilities `(pieces, labels)` to learn."""
        made = round(self._share * len(indices))
        drawn = self._pieces.draw(indices[made:], rng)
        taught = self._teacher.probabilities(drawn)
        targets = OF_REVIEW * self._targets[indices[made:]] + (1 - OF_REVIEW) * taught
        if not made:
            return drawn, targets
        texts, of_texts = self._rules.draw(made, rng)
        return texts + drawn, np.concatenate([of_texts, targets])


class _Sentence(NamedTuple):
    text: np.ndarray
    label: int


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
