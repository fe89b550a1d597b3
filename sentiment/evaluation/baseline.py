"""NB-SVM: what counting words and pairs of words reaches, to compare networks with.

Source of the method: Wang and Manning, "Baselines and Bigrams: Simple, Good Sentiment and Topic
Classification", ACL 2012. It needs scikit-learn, which the extra `unrolled[baseline]` installs.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sentiment.text.words import split_words
from shared.data.source import DataError
from shared.system.cli import UserError

if TYPE_CHECKING:
    from sentiment.data.reviews import Review

# What all texts together count against small weights.
SHARED = 2250.0


class NBSVM:
    """A linear classifier of the n-grams that a text has, each weighed by how much it tells by itself.

    Of one label against the others, with `f` the n-grams (0 or 1) of a text, and sums over the texts that
    have the label and over those that have not:

        p = smoothing + sum f+,   q = smoothing + sum f-,   r = log((p / |p|) / (q / |q|))
        score = (beta w + (1 - beta) mean|w|) . (r f) + b

    where `w` and `b` are fitted to `r f`. Two labels need one such score; of more, each has its own against
    the rest, and the probabilities are scaled to the sum 1.

    In place of the paper's support vector machine stands logistic regression, as in Mesnil et al., "Ensemble
    of generative and discriminative techniques for sentiment analysis of movie reviews", 2014: its scores
    make probabilities without a further fit. The default settings are the best of those tried on the
    validation part of `imdb`, where the model is right about 90.8 % (the best support vector machine: 90.6 %;
    with n-grams of three words, too: 90.9 %, in twice the memory). Fewer texts want weaker shrinkage: fitted
    to 500 or 8,000 of the reviews, too, the default gives nearly the smallest log loss.

    Args:
        longest: words of the longest n-grams.
        strength: how much the fit of a text counts against small weights; scikit-learn's `C`. None: `SHARED`
            divided among the texts, and at most 1.
        beta: 1: the fitted weights; 0: naive Bayes.
        smoothing: what is added to all counts.

    Raises:
        ValueError: a setting cannot be used.

    Example:

    >>> from sentiment.data.reviews import Review
    >>> reviews = [Review("good", "+", ""), Review("not good", "-", ""), Review("bad", "-", "")]
    >>> model = NBSVM(strength=100.0).fit(reviews)
    >>> model.labels, model.probabilities(["good", "not bad"]).argmax(axis=1).tolist()
    (('+', '-'), [0, 1])
    """

    def __init__(
        self, longest: int = 2, strength: float | None = None, beta: float = 1.0, smoothing: float = 1.0
    ):
        if longest < 1 or (strength is not None and strength <= 0) or not 0 <= beta <= 1 or smoothing <= 0:
            raise ValueError(
                "Expected longest of at least 1, strength and smoothing above 0 and beta from 0 to 1, "
                f"got {longest}, {strength}, {smoothing} and {beta}."
            )
        self.longest, self.beta, self.smoothing = longest, beta, smoothing
        self.strength = self._strength = strength
        self.labels: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What a table calls it."""
        return "NB-SVM of words" if self.longest == 1 else f"NB-SVM of 1 to {self.longest} words"

    def fit(self, reviews: Sequence["Review"], progress: Callable[[int], object] | None = None) -> "NBSVM":
        """Counts the n-grams of reviews and fits the weights. Nothing is left to chance.

        Args:
            reviews: anything with `text` and `label`; at least two different labels.
            progress: called with the number of texts that were read since it was last called.

        Returns:
            Itself.

        Raises:
            UserError: scikit-learn is not installed, or there is nothing to learn from.
        """
        counter = _counter_class()(analyzer=self._ngrams, binary=True, dtype=np.float64)
        shared = min(1.0, SHARED / max(1, len(reviews)))
        self.strength = shared if self._strength is None else self._strength
        self.labels = tuple(sorted({review.label for review in reviews}))
        if len(self.labels) < 2:
            raise DataError(
                f"The texts to learn from have {len(self.labels)} different labels. Expected at least two."
            )
        try:
            counts = counter.fit_transform(_counted((review.text for review in reviews), progress))
        except ValueError as error:  # all it can object to
            raise DataError("No text to learn from has a word. Name another source.") from error
        self._counter = counter
        own = np.array([self.labels.index(review.label) for review in reviews])
        asked = [1] if len(self.labels) == 2 else range(len(self.labels))
        fitted = [self._fit_one(counts, own == label) for label in asked]
        self._weights = np.stack([weights for weights, _ in fitted], axis=1)  # (n-grams, scores)
        self._biases = np.array([bias for _, bias in fitted])
        return self

    def _fit_one(self, counts, positive: np.ndarray) -> tuple[np.ndarray, float]:
        """Weights of the n-grams `(n-grams,)` and the bias of one label against the others."""
        from sklearn.linear_model import LogisticRegression

        ratios = log_count_ratios(counts, positive, self.smoothing)
        scaled = counts.copy()
        scaled.data *= ratios[scaled.indices]
        # The dual problem has one variable for each text, of which there are fewer than n-grams.
        fit = LogisticRegression(
            C=self.strength, solver="liblinear", dual=True, max_iter=10_000, random_state=0
        ).fit(scaled, positive)
        weights = fit.coef_[0]
        weights = self.beta * weights + (1.0 - self.beta) * np.abs(weights).mean()
        return ratios * weights, float(fit.intercept_[0])

    def probabilities(
        self, texts: Sequence[str], progress: Callable[[int], object] | None = None
    ) -> np.ndarray:
        """What the fitted model thinks of texts.

        Args:
            texts: any number of them.
            progress: called with the number of texts done since it was last called.

        Returns:
            Probabilities `(texts, labels)`, in the order of `labels`.

        Raises:
            ValueError: it was not fitted.
        """
        if not self.labels:
            raise ValueError("Call fit first.")
        if not len(texts):
            return np.zeros((0, len(self.labels)))
        scores = self._counter.transform(_counted(texts, progress)) @ self._weights + self._biases
        if scores.shape[1] == 1:
            scores = np.concatenate([-scores, scores], axis=1)
        logs = -np.logaddexp(0.0, -scores)  # of sigmoids; those of two labels have the sum 1 already
        likely = np.exp(logs - logs.max(axis=1, keepdims=True))
        return likely / likely.sum(axis=1, keepdims=True)

    def _ngrams(self, text: str) -> list[str]:
        return ngrams(split_words(text), self.longest)


def ngrams(words: Sequence[str], longest: int) -> list[str]:
    """The n-grams of one to so many words, shortest first.

    Example:

    >>> ngrams(["not", "so", "bad"], 2)
    ['not', 'so', 'bad', 'not so', 'so bad']
    """
    return [
        " ".join(words[start : start + length])
        for length in range(1, longest + 1)
        for start in range(len(words) - length + 1)
    ]


def log_count_ratios(counts, positive: np.ndarray, smoothing: float = 1.0) -> np.ndarray:
    """How much more often n-grams stand in positive texts than in others.

    Args:
        counts: `(texts, n-grams)`, an array or a sparse matrix of SciPy.
        positive: `(texts,)` bool.
        smoothing: what is added to all counts.

    Returns:
        `(n-grams,)` the logarithms of the ratios of their shares.

    Example:

    >>> log_count_ratios(np.array([[1, 1, 0], [0, 1, 1]]), np.array([True, False])).round(3).tolist()
    [0.693, 0.0, -0.693]
    """
    having, lacking = (
        smoothing + np.asarray(counts[mask].sum(axis=0), dtype=np.float64).reshape(-1)
        for mask in (positive, ~positive)
    )
    return np.log(having / having.sum()) - np.log(lacking / lacking.sum())


def _counter_class():
    try:
        from sklearn.feature_extraction.text import CountVectorizer
    except ImportError:
        raise UserError(
            "The NB-SVM baseline needs the package scikit-learn, which is not installed. "
            "Install it by `pip install 'unrolled[baseline]'`."
        ) from None
    return CountVectorizer


def _counted(texts, progress) -> Iterator[str]:
    for text in texts:
        yield text
        if progress:
            progress(1)
