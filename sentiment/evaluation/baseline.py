"""NB-SVM: a linear model of words and pairs of words, to compare networks with.

Source of the method: Wang and Manning, "Baselines and Bigrams: Simple, Good Sentiment and Topic
Classification", ACL 2012.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import log_expit, softmax
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from sentiment.text.words import split_words
from shared.data.source import DataError

if TYPE_CHECKING:
    from sentiment.data.reviews import Review

# The strength of the fit, shared among all texts.
SHARED = 2250.0


class NBSVM:
    """A linear classifier of the n-grams in a text, each scaled by how much it tells alone.

    For one label against the others, with `f` the n-grams (0 or 1) of a text, and sums over the texts with
    the label and over those without:

        p = smoothing + sum f+,   q = smoothing + sum f-,   r = log((p / |p|) / (q / |q|))
        score = (beta w + (1 - beta) mean|w|) . (r f) + b

    where `w` and `b` are fitted to `r f`. Two labels need one such score; with more, each has one against the
    rest, and the probabilities are scaled to sum to 1.

    Logistic regression replaces the paper's support vector machine, as in Mesnil et al., "Ensemble of
    generative and discriminative techniques for sentiment analysis of movie reviews", 2014: its scores give
    probabilities without a further fit. The default settings are the best of those tried on the validation
    split of `imdb`, where the model has an accuracy of about 90.8 % (the best support vector machine: 90.6 %;
    with n-grams of three words: 90.9 %, in twice the memory). Fewer texts need less regularization for each:
    fitted to 500 or 8,000 of the reviews, the default is close to the smallest log loss, too.

    Args:
        longest: words of the longest n-grams.
        strength: weight of the fit relative to the regularization; scikit-learn's `C`. None: `SHARED` divided
            by the number of texts, and at most 1.
        beta: 1: the fitted weights; 0: naive Bayes.
        smoothing: added to all counts.
        split: gives the words of a text; a text may be whatever it takes.

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
        self,
        longest: int = 2,
        strength: float | None = None,
        beta: float = 1.0,
        smoothing: float = 1.0,
        split: Callable[[Any], Sequence[str]] = split_words,
    ):
        if longest < 1 or (strength is not None and strength <= 0) or not 0 <= beta <= 1 or smoothing <= 0:
            raise ValueError(
                "Expected longest of at least 1, strength and smoothing above 0 and beta from 0 to 1, "
                f"got {longest}, {strength}, {smoothing} and {beta}."
            )
        self.longest, self.beta, self.smoothing, self._split = longest, beta, smoothing, split
        self.strength = self._strength = strength
        self.labels: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its name in tables."""
        return "NB-SVM of words" if self.longest == 1 else f"NB-SVM of 1 to {self.longest} words"

    def fit(self, reviews: Sequence["Review"], progress: Callable[[int], object] | None = None) -> "NBSVM":
        """Counts the n-grams of reviews and fits the weights. Nothing is random.

        Args:
            reviews: anything with `text` and `label`; at least two different labels.
            progress: called with the number of texts read since the last call.

        Returns:
            Itself.

        Raises:
            DataError: there is nothing to learn from.
        """
        counter = CountVectorizer(
            tokenizer=self._split,
            preprocessor=_unchanged,
            token_pattern=None,
            lowercase=False,
            ngram_range=(1, self.longest),
            binary=True,
            dtype=np.float64,
        )
        shared = min(1.0, SHARED / max(1, len(reviews)))
        self.strength = shared if self._strength is None else self._strength
        self.labels = tuple(sorted({review.label for review in reviews}))
        if len(self.labels) < 2:
            raise DataError(
                f"The texts to learn from have {len(self.labels)} different labels. Expected at least two."
            )
        try:
            counts = counter.fit_transform(_counted((review.text for review in reviews), progress))
        except ValueError as error:  # the only reason it has
            raise DataError("No text to learn from has a word. Name another source.") from error
        self._counter = counter
        indices = np.array([self.labels.index(review.label) for review in reviews])
        scored = [1] if len(self.labels) == 2 else range(len(self.labels))
        fitted = [self._fit_one(counts, indices == label) for label in scored]
        self._weights = np.stack([weights for weights, _ in fitted], axis=1)  # (n-grams, scores)
        self._biases = np.array([bias for _, bias in fitted])
        return self

    def _fit_one(self, counts, positive: np.ndarray) -> tuple[np.ndarray, float]:
        """Weights of the n-grams `(n-grams,)` and the bias of one label against the others."""
        ratios = log_count_ratios(counts, positive, self.smoothing)
        scaled = counts.copy()
        scaled.data *= ratios[scaled.indices]
        # The dual problem has a variable for each text; there are fewer texts than n-grams.
        fit = LogisticRegression(
            C=self.strength, solver="liblinear", dual=True, max_iter=10_000, random_state=0
        ).fit(scaled, positive)
        weights = fit.coef_[0]
        weights = self.beta * weights + (1.0 - self.beta) * np.abs(weights).mean()
        return ratios * weights, float(fit.intercept_[0])

    def probabilities(
        self, texts: Sequence[str], progress: Callable[[int], object] | None = None
    ) -> np.ndarray:
        """The probabilities of the labels.

        Args:
            texts: any number of texts.
            progress: called with the number of texts done since the last call.

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
        # Sigmoids, scaled to sum to 1; those of two labels do already.
        return softmax(log_expit(scores), axis=1)


def log_count_ratios(counts, positive: np.ndarray, smoothing: float = 1.0) -> np.ndarray:
    """How much more frequent n-grams are in positive texts than in others.

    Args:
        counts: `(texts, n-grams)`, an array or a sparse matrix of SciPy.
        positive: `(texts,)` bool.
        smoothing: added to all counts.

    Returns:
        `(n-grams,)` the logarithms of the ratios of their frequencies.

    Example:

    >>> log_count_ratios(np.array([[1, 1, 0], [0, 1, 1]]), np.array([True, False])).round(3).tolist()
    [0.693, 0.0, -0.693]
    """
    having, lacking = (
        smoothing + np.asarray(counts[mask].sum(axis=0), dtype=np.float64).reshape(-1)
        for mask in (positive, ~positive)
    )
    return np.log(having / having.sum()) - np.log(lacking / lacking.sum())


def _unchanged(text):
    return text


def _counted(texts, progress) -> Iterator[str]:
    for text in texts:
        yield text
        if progress:
            progress(1)
