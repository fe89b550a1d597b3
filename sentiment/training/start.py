"""A run that starts from a trained model: its words, its weights, and what is added to them."""

from collections.abc import Sequence

import numpy as np

from sentiment.app import APP
from sentiment.config import SHAPE, SentimentConfig
from sentiment.model.classifier import SentimentClassifier
from sentiment.training.recipe import with_network_of_start
from shared.system.cli import UserError
from shared.text.vocabulary import Vocabulary

SHORTEST_PART = 3  # letters of a known word that a new one is made of
SHORTEST_STEM = 4  # letters of a known word that a new one begins with


def load_start(config: SentimentConfig) -> SentimentClassifier | None:
    """The model that a run starts from, in float32; None if it starts from nothing.

    Raises:
        UserError: there is no such model, or its network is another one.
    """
    if not config.init_from:
        return None
    with_network_of_start(config, given=SHAPE)
    return APP.load(config.init_from, trainable=True)


def extended_vocabulary(
    start: SentimentClassifier, words: Sequence[Sequence[str]], min_count: int
) -> Vocabulary:
    """The vocabulary of a model, and after it the frequent words of new reviews that it lacks.

    Args:
        start: the model.
        words: the words of each training review.
        min_count: words seen less often are left out.

    Raises:
        UserError: there are more new words than the model has.
    """
    known = start.vocabulary
    frequent = Vocabulary.build(words, min_count).tokens[len(Vocabulary.SPECIALS) :]
    new = [word for word in frequent if word not in known]
    if len(new) > len(known):
        raise UserError(
            f"The reviews have {len(new):,} frequent words that the model to start from does not know: more "
            f"than its own {len(known):,}. Raise --min-count, or start with --init-from none."
        )
    seen = len(frequent) - len(new)
    print(f"Frequent words: {seen:,} known to the model, {len(new):,} new.", flush=True)
    return Vocabulary((*known.tokens, *new))


def start_from(start: SentimentClassifier, model: SentimentClassifier, seed: int) -> None:
    """Copies the weights of a model into one of the same network, with more words and other labels.

    The vector of a new word is the mean of those of the known words in it (`parts_of`), or random. The output
    layer keeps the weights of labels of the same name, calibrated; those of new labels are zero.

    Args:
        start: the model to start from.
        model: the new model, whose vocabulary begins with that of `start`.
        seed: of the random vectors.
    """
    theirs = start.embedding.embeddings.numpy()
    new = model.vocabulary.tokens[len(theirs) :]
    model.embedding.embeddings.assign(np.concatenate([theirs, _vectors(new, start.vocabulary, theirs, seed)]))
    names = ["stack", "normalization"] + (["attention"] if model.pooling == "attention" else [])
    for name in names:
        for own, weight in zip(getattr(model, name).weights, getattr(start, name).weights, strict=True):
            own.assign(weight)
    kernel, bias = (weight.numpy() / start.temperature for weight in start.output_layer.weights)
    columns = [start.labels.index(label) if label in start.labels else -1 for label in model.labels]
    model.output_layer.kernel.assign(np.pad(kernel, ((0, 0), (0, 1)))[:, columns])
    model.output_layer.bias.assign(np.pad(bias, (0, 1))[columns])


def _vectors(words: Sequence[str], known: Vocabulary, vectors: np.ndarray, seed: int) -> np.ndarray:
    """Vectors `(words, embedding)` of new words."""
    made = np.random.default_rng(seed).normal(0.0, vectors.std(), (len(words), vectors.shape[1]))
    for row, word in enumerate(words):
        if parts := parts_of(word, known):
            made[row] = vectors[known.encode(parts)].mean(axis=0)
    return made.astype(np.float32)


def parts_of(word: str, known: Vocabulary) -> list[str]:
    """The known words that a new one is made of: two that together are the word, or else its stem.

    The stem is the longest known word that it begins with, of at least half its letters.

    Example:

    >>> words = Vocabulary((*Vocabulary.SPECIALS, "leak", "proof", "smooth"))
    >>> parts_of("leakproof", words), parts_of("smoothies", words), parts_of("smörgås", words)
    (['leak', 'proof'], ['smooth'], [])
    """
    for cut in range(len(word) - SHORTEST_PART, SHORTEST_PART - 1, -1):
        if word[:cut] in known and word[cut:] in known:
            return [word[:cut], word[cut:]]
    for end in range(len(word) - 1, max(SHORTEST_STEM, -(-len(word) // 2)) - 1, -1):
        if word[:end] in known:
            return [word[:end]]
    return []
