"""Sentences made by rules, which teach what a negation and a contrast do to a word of praise or blame.

    It was not TEDIOUS.    Far from TEDIOUS.    The music is TEDIOUS, but the end is GRIPPING.

Such words are those that reviewers put after "very" or "so" and that an NB-SVM of sentences finds telling. A
negation speaks for the other label, after "but" counts what follows. The rules are for English texts with
two labels. Their subjects come with praise as often as with blame, so that nothing is learned of them.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from sentiment.text.words import encode_words, split_words
from shared.system.cli import UserError
from shared.text.vocabulary import Vocabulary

DEGREES = ("very", "so", "really", "too", "quite")  # what they precede has degrees
LEAST, LEAST_SHARE = 5, 0.01  # times that a word follows one of them, and as a share of all times
TELLING = 0.58  # probability of a label, at least, in a sentence of the word alone
FEWEST = 5  # words of each label that the rules need

SUBJECTS = (
    *("it", "this", "that", "the film", "this movie", "the food", "the staff", "the room", "the service"),
    *("the book", "her voice", "my phone", "the shop", "the weather", "the music", "the new one", "our trip"),
)
VERBS = ("is", "was")
# A sentence, and how sure it is of the label: that of the word where positive, the other where negative.
SIMPLE = (
    ("{subject} {verb} {word}.", 0.9),
    ("{subject} {verb} really {word}!", 0.9),
    ("{subject} {verb} not {word}.", -0.75),
    ("{subject} {verb} not {word} at all.", -0.8),
    ("{subject} {verb}n't {word}.", -0.75),
    ("{subject} {verb}n't very {word}.", -0.7),
    ("{subject} {verb} never {word}.", -0.75),
    ("{subject} {verb} far from {word}.", -0.8),
    ("{subject} {verb} hardly {word}.", -0.7),
    ("I don't think {subject} {verb} {word}.", -0.75),
    ("nothing about {subject} {verb} {word}.", -0.75),
    ("nobody would call {subject} {word}.", -0.75),
)
# The second word is of the other label, which is that of the sentence.
CONTRASTS = (
    ("{subject} {verb} {word}, but {other} {verb} {opposite}.", 0.75),
    ("{subject} may be {word}, yet {other} {verb} {opposite}.", 0.75),
    ("although {subject} {verb} {word}, {other} {verb} {opposite}.", 0.75),
    ("{subject} {verb} {word}; still, I found {other} {opposite}.", 0.75),
)


class NegationRules:
    """Makes sentences with words of praise and blame.

    Args:
        sequences: the ids `(tokens,)` of the reviews that the words are from.
        vocabulary: of the ids.
        probabilities: gives the probabilities `(texts, 2)` of the labels of sentences of ids.

    Attributes:
        words: of each label, as text.

    Raises:
        UserError: there are too few such words, or other than two labels.
    """

    def __init__(
        self,
        sequences: Sequence[np.ndarray],
        vocabulary: Vocabulary,
        probabilities: Callable[[Sequence[np.ndarray]], np.ndarray],
    ):
        self._vocabulary = vocabulary
        ids = _words_of_degree(sequences, vocabulary)
        likely = probabilities([np.array([Vocabulary.START, one, Vocabulary.END]) for one in ids])
        self.words = [
            [vocabulary.tokens[one] for one, row in zip(ids, likely, strict=True) if row[label] > TELLING]
            for label in range(likely.shape[1])
        ]
        if len(self.words) != 2 or min(map(len, self.words)) < FEWEST:
            raise UserError(
                "--rules makes English sentences of praise and blame, for which it needs more texts, in "
                "English and with two labels. Omit the option."
            )

    def draw(self, count: int, rng: np.random.Generator) -> tuple[list[np.ndarray], np.ndarray]:
        """Sentences, each as ids `(tokens,)` with start and end, and their probabilities `(count, 2)`."""
        made = [self._sentence(rng) for _ in range(count)]
        texts = [encode_words(self._vocabulary, split_words(text)) for text, _ in made]
        return texts, np.array([row for _, row in made], np.float32).reshape(-1, 2)

    def _sentence(self, rng: np.random.Generator) -> tuple[str, list[float]]:
        label = int(rng.integers(2))
        templates = CONTRASTS if rng.random() < 1 / 3 else SIMPLE
        template, sure = templates[rng.integers(len(templates))]
        subject, other = rng.choice(SUBJECTS, 2, replace=False)
        word, opposite = (rng.choice(self.words[one]) for one in (label, 1 - label))
        text = template.format(
            subject=subject, other=other, verb=rng.choice(VERBS), word=word, opposite=opposite
        )
        stays = templates is SIMPLE and sure > 0
        right = label if stays else 1 - label
        row = [1 - abs(sure)] * 2
        row[right] = abs(sure)
        return text, row


def _words_of_degree(sequences: Sequence[np.ndarray], vocabulary: Vocabulary) -> list[int]:
    """The ids of known words that often follow one that gives a degree."""
    degrees = {one for one in vocabulary.encode(DEGREES) if one != Vocabulary.UNK}
    counts, after = Counter(), Counter()
    for ids in sequences:
        words = ids.tolist()
        counts.update(words)
        after.update(word for first, word in pairwise(words) if first in degrees)
    return sorted(
        word
        for word, times in after.items()
        if times >= max(LEAST, LEAST_SHARE * counts[word]) and vocabulary.tokens[word].isalpha()
    )
