"""Whether a model knows enough of a text's words to label it, or has to say that it does not know.

A word counts if the vocabulary has it and it has a letter or digit, or if it is unknown and has a letter:
punctuation and unknown numbers say nothing about the language. No label is given

- to a text without such words;
- where fewer than a third of them are known;
- where they are too rare in the texts that the vocabulary was made of, as those of another language are: a
  few of its words are in every large vocabulary, as names and in titles.

How rare words are is their mean surprise in nats. Vocabularies are sorted by frequency, so by Zipf's law the
word with id r has a probability of about 1 / r, a surprise of log r; an unknown word has log 2V in a
vocabulary of V. Two average words are added to the text, so that one rare word alone is no reason.

`sentiment.text.graph` does the same inside a graph. This module imports neither Keras nor TensorFlow.
"""

from collections.abc import Sequence

import numpy as np

from shared.text.vocabulary import Vocabulary

LEAST_KNOWN = 1 / 3  # of the words
# In nats. With 7, the preset `imdb` withholds labels from 0.7 % of the sentences of validation reviews, from
# none of the reviews and from 98 % of sentences in four other languages.
MOST_SURPRISE = 7.0
ADDED, ADDED_SURPRISE = 2, 5.0  # average words added to a text; 5 nats are usual in English, Spanish, German

NO_WORDS = "no words"
ONLY_SYMBOLS = "no words, only symbols or unknown numbers"
NONE_KNOWN = "the model knows none of the words"
FEW_KNOWN, WORDS = "the model knows only ", " words"  # with "2 of 7" in between
RARE = "almost all words are rare or unknown in what the model learned from"


class KnownWords:
    """Says why a text gets no label: what a vocabulary knows of its words.

    Args:
        vocabulary: sorted by falling frequency.
        most_surprise: the highest mean surprise of a text's words that still allows a label, in nats.

    Attributes:
        counts: `(vocabulary,)` bool, whether a token counts as a word; `UNK` does, if it has a letter.
        surprise: `(vocabulary,)` float32, in nats.

    Example:

    >>> known = KnownWords(Vocabulary((*Vocabulary.SPECIALS, "a", "good", "film", ".")))
    >>> known.reason(["a", "good", "film", "."])
    >>> known.reason(["ein", "guter", "film", "!"])
    >>> known.reason(["gar", "kein", "guter", "film", "!"])
    'the model knows only 1 of 4 words'
    >>> known.reason(["tr\\u00e8s", "bon"]), known.reason(["!", "?"]), known.reason([])
    ('the model knows none of the words', 'no words, only symbols or unknown numbers', 'no words')
    """

    def __init__(self, vocabulary: Vocabulary, most_surprise: float | None = None):
        self.vocabulary = vocabulary
        self.most_surprise = MOST_SURPRISE if most_surprise is None else most_surprise
        size = len(vocabulary)
        self.counts = np.array([any(map(str.isalnum, token)) for token in vocabulary.tokens])
        self.counts[: len(vocabulary.SPECIALS)] = False
        self.counts[vocabulary.UNK] = True
        self.surprise = np.log(np.maximum(np.arange(size), 1), dtype=np.float32)
        self.surprise[vocabulary.UNK] = np.log(2 * size)

    def reason(self, words: Sequence[str]) -> str | None:
        """Why a text of these words, from `split_words`, gets no label; None: it gets one."""
        ids = np.array(self.vocabulary.encode(words), np.int32)
        counted = self._counted(words, ids)
        if not counted.size:
            return ONLY_SYMBOLS if words else NO_WORDS
        known = np.count_nonzero(counted != self.vocabulary.UNK)
        if not known:
            return NONE_KNOWN
        if known < LEAST_KNOWN * len(counted):
            return f"{FEW_KNOWN}{known} of {len(counted)}{WORDS}"
        return RARE if self._mean_surprise(counted) > self.most_surprise else None

    def mean_surprise(self, words: Sequence[str]) -> float:
        """The mean surprise of words, in nats, with that of the added words."""
        return self._mean_surprise(self._counted(words, np.array(self.vocabulary.encode(words), np.int32)))

    def _mean_surprise(self, counted: np.ndarray) -> float:
        total = self.surprise[counted].sum(dtype=np.float64) + ADDED * ADDED_SURPRISE
        return float(total / (len(counted) + ADDED))

    def _counted(self, words: Sequence[str], ids: np.ndarray) -> np.ndarray:
        """The ids `(counted,)` of the words that count."""
        is_unknown = ids == self.vocabulary.UNK
        has_letter = np.array([any(map(str.isalpha, word)) for word in words], bool)
        return ids[self.counts[ids] & (has_letter | ~is_unknown)]
