"""A Kneser-Ney n-gram model of characters, the baseline to compare networks with.

Source of the method: Chen and Goodman, "An empirical study of smoothing techniques for language modeling",
Computer Speech and Language 13, 1999, after Kneser and Ney, "Improved backing-off for m-gram language
modeling", ICASSP 1995.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

# Discounts of counts 0, 1, 2, and 3 or more, for when they cannot be estimated from the counts of counts.
USUAL_DISCOUNTS = (0.0, 0.5, 1.0, 1.5)
# The share of the training text that `best_order` fits models to; it compares them on the rest.
FITTED_SHARE = 0.9


class _Level(NamedTuple):
    """The n-grams of one length.

    Attributes:
        contexts: `(contexts,)` keys of the contexts, sorted; a context's index here is its number.
        backoff: `(contexts,)` the probability that a context leaves to shorter ones.
        ngrams: `(n-grams,)` keys of the n-grams, sorted.
        masses: `(n-grams,)` discounted relative frequency.
    """

    contexts: np.ndarray
    backoff: np.ndarray
    ngrams: np.ndarray
    masses: np.ndarray


class NGramModel:
    """An interpolated, modified Kneser-Ney model of a sequence of tokens.

    With the context `h` of n - 1 tokens, `h'` the same without its first one, and counts `c`:

        p(w | h) = (c(hw) - D(c(hw))) / sum_w c(hw) + backoff(h) p(w | h')
        backoff(h) = sum_w D(c(hw)) / sum_w c(hw)

    `c` counts occurrences of the longest n-grams; for shorter ones, it counts the different tokens that
    precede them in the training text. `D` is one of three discounts, for counts of 1, 2, and 3 or more,
    estimated for each length from the counts of counts (Chen and Goodman, equation 26). If a context is not
    in the training text, the shorter one is used. The shortest backs off to the uniform distribution over the
    vocabulary, so no token has probability 0. A text is preceded by start tokens, which have no other use.

    Example:

    >>> model = NGramModel.fit([0, 1, 0, 1, 0, 1, 2], vocabulary_size=5, order=3)
    >>> nats = model.nats([0, 1, 0, 1, 4])
    >>> nats.shape, bool(nats[3] < nats[4])
    ((5,), True)
    """

    def __init__(self, vocabulary_size: int, alphabet: np.ndarray, levels: Sequence[_Level]):
        self.vocabulary_size = vocabulary_size
        self._alphabet = alphabet
        self._levels = tuple(levels)

    @property
    def order(self) -> int:
        """The length of the longest n-grams."""
        return len(self._levels)

    @classmethod
    def fit(cls, ids: Iterable[int], vocabulary_size: int, order: int) -> "NGramModel":
        """Counts a training text.

        Args:
            ids: `(tokens,)` integers in `[0, vocabulary_size)`, at least one. Memory is up to 50 bytes a
                token and order.
            vocabulary_size: number of tokens in the vocabulary.
            order: the length of the longest n-grams; 1: single tokens, without context.

        Returns:
            The model.

        Raises:
            ValueError: if `order` is below 1, there are no tokens, or one is outside the vocabulary.
        """
        if order < 1:
            raise ValueError(f"order must be at least 1, not {order}.")
        ids = _checked(ids, vocabulary_size)
        if not len(ids):
            raise ValueError("An n-gram model needs at least one token to count.")
        alphabet = np.unique(ids)
        contexts, numbers = _contexts(_symbols(ids, alphabet), order, _base(alphabet))
        levels = _count(contexts, numbers, _symbols(ids, alphabet), _base(alphabet))
        return cls(vocabulary_size, alphabet, levels)

    def nats(self, ids: Iterable[int]) -> np.ndarray:
        """The nats of each token.

        Args:
            ids: `(tokens,)` integers in `[0, vocabulary_size)`.

        Returns:
            `(tokens,)` float64: the negative log-probability of each token in nats, given those before.

        Raises:
            ValueError: if a token is outside the vocabulary.
        """
        symbols = _symbols(_checked(ids, self.vocabulary_size), self._alphabet)
        base = _base(self._alphabet)
        probability = np.full(len(symbols), 1.0 / self.vocabulary_size)
        context = np.zeros(len(symbols), dtype=np.int64)  # its number; -1: unseen
        for length, level in enumerate(self._levels):
            if length:
                context = _find(level.contexts, context * base + _shifted(symbols, length, base))
            index = _find(level.ngrams, context * base + symbols)
            mass = np.where(index >= 0, level.masses[index], 0.0)
            seen = context >= 0
            probability[seen] = (mass + level.backoff[context] * probability)[seen]
        return -np.log(probability)


def best_order(ids: Iterable[int], vocabulary_size: int, orders: Iterable[int] = range(3, 10)) -> int:
    """Chooses an order on the end of the training text, so that the validation text is not used.

    Args:
        ids: `(tokens,)` the training text: models are fitted to its first 90 % and compared on the rest.
        vocabulary_size: see `NGramModel.fit`.
        orders: the orders to choose from.

    Returns:
        The order with the fewest nats; the smallest one if the text is too short to compare.

    Raises:
        ValueError: if there is no order to choose from, or as for `NGramModel.fit`.
    """
    ids = _checked(ids, vocabulary_size)
    orders = sorted(orders)
    if not orders:
        raise ValueError("best_order needs at least one order to choose from.")
    fitted, held_out = np.split(ids, [int(FITTED_SHARE * len(ids))])
    if not len(fitted):
        return orders[0]
    costs = [NGramModel.fit(fitted, vocabulary_size, order).nats(held_out).sum() for order in orders]
    return orders[int(np.argmin(costs))]


def _checked(ids: Iterable[int], vocabulary_size: int) -> np.ndarray:
    ids = np.asarray(ids if isinstance(ids, np.ndarray) else list(ids), dtype=np.int64)
    if ids.ndim != 1:
        raise ValueError(f"Expected the ids of one text, (tokens,), got the shape {ids.shape}.")
    if len(ids) and not (ids.min() >= 0 and ids.max() < vocabulary_size):
        raise ValueError(f"Token ids from {ids.min()} to {ids.max()} are not in [0, {vocabulary_size}).")
    return ids


def _base(alphabet: np.ndarray) -> int:
    """The number of symbols: the tokens in the training text, one for all others, and the start."""
    return len(alphabet) + 2


def _symbols(ids: np.ndarray, alphabet: np.ndarray) -> np.ndarray:
    """The index of each token in the alphabet; `len(alphabet)` for tokens not in the training text."""
    index = _find(alphabet, ids)
    return np.where(index >= 0, index, len(alphabet))


def _find(keys: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The indices of wanted numbers among sorted keys; -1 if absent."""
    index = np.searchsorted(keys, wanted)
    index[index == len(keys)] = 0
    return np.where(keys[index] == wanted, index, -1)


def _shifted(symbols: np.ndarray, distance: int, base: int) -> np.ndarray:
    """For each token the one `distance` before it, which may be a start."""
    start = np.full(min(distance, len(symbols)), base - 1)
    return np.concatenate([start, symbols[: len(symbols) - len(start)]])


def _contexts(symbols: np.ndarray, order: int, base: int) -> tuple[list[np.ndarray], np.ndarray]:
    """The contexts of each length below `order`, and for each token the number of its longest context.

    The key of a context is the number of the one without its first token, times `base`, plus that token.
    """
    keys, numbers = [np.zeros(1, dtype=np.int64)], np.zeros(len(symbols), dtype=np.int64)
    for length in range(1, order):
        contexts, numbers = np.unique(numbers * base + _shifted(symbols, length, base), return_inverse=True)
        keys.append(contexts)
    return keys, numbers


def _count(contexts: list[np.ndarray], numbers: np.ndarray, symbols: np.ndarray, base: int) -> list[_Level]:
    """The levels, shortest first. An n-gram's key is its context's number, times `base`, plus its token."""
    ngrams, counts = np.unique(numbers * base + symbols, return_counts=True)
    levels = []
    for keys in reversed(contexts):
        levels.append(_level(keys, ngrams, counts, base))
        # Each n-gram adds one to the tokens that precede the n-gram without its first token.
        shorter = keys[ngrams // base] // base
        ngrams, counts = np.unique(shorter * base + ngrams % base, return_counts=True)
    return levels[::-1]


def _level(contexts: np.ndarray, ngrams: np.ndarray, counts: np.ndarray, base: int) -> _Level:
    context = ngrams // base
    discount = _discounts(counts)[np.minimum(counts, 3)]
    total = np.bincount(context, weights=counts)
    backoff = np.bincount(context, weights=discount) / total
    return _Level(contexts, backoff, ngrams, (counts - discount) / total[context])


def _discounts(counts: np.ndarray) -> np.ndarray:
    """The discounts of counts 0, 1, 2, and 3 or more, `(4,)`, from the numbers of n-grams by count."""
    _, one, two, three, four = np.bincount(np.minimum(counts, 5), minlength=6)[:5].tolist()
    if not (one and two and three):
        return np.array(USUAL_DISCOUNTS)
    share = one / (one + 2 * two)
    discounts = [0.0, 1 - 2 * share * two / one, 2 - 3 * share * three / two, 3 - 4 * share * four / three]
    fits = all(0 < discount <= count for count, discount in enumerate(discounts) if count)
    return np.array(discounts if fits else USUAL_DISCOUNTS)
