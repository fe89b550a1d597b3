"""What a run makes of its reviews before training: words, labels, vocabulary and targets."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from sentiment.config import READING, SentimentConfig
from sentiment.data.labels import load_labels, save_labels
from sentiment.data.load import load_reviews
from sentiment.data.reviews import Review, ReviewData, print_problems
from sentiment.text.known import KnownWords
from sentiment.text.words import split_words
from shared.runs.checksums import items_checksum
from shared.runs.folder import RunFolder
from shared.start import settle
from shared.system.cli import UserError
from shared.system.progress import progress_bar
from shared.text.vocabulary import Vocabulary

LOOKED_AT = 2000  # reviews, to see how rare their words are
COLUMNS = ("text_column", "label_column", "split_column", "validation_fraction", "seed", *READING)


def load_data(config: SentimentConfig) -> ReviewData:
    """The reviews of a run; prints the rule of their splits, and the rows that were left out.

    Raises:
        DataError: they cannot be read, or nothing can be learned from them.
    """
    data = load_reviews(config.data, **config.pick(COLUMNS))
    print(f"{data.name}: {data.rule}.", flush=True)
    print_problems(data.problems)
    return data


def split_all(texts: Sequence[str]) -> list[list[str]]:
    """The words of each text, with a progress bar."""
    return [split_words(text) for text in progress_bar(texts, title="words", unit="text")]


def words_of_splits(config: SentimentConfig, data: ReviewData) -> dict[str, list[list[str]]]:
    """The words of each review of train and validation; of test, too, where other texts are learned from.

    None of those may be a review of validation or test.
    """
    splits = (
        ("train", "validation", "test") if config.pretrain or config.teachers else ("train", "validation")
    )
    return {split: split_all([review.text for review in data.splits.get(split, ())]) for split in splits}


def data_checksums(data: ReviewData, taught: Iterable[object]) -> dict[str, str]:
    """The checksums of the data of a run, by the name of the part: texts, labels and their order.

    Args:
        data: the labelled reviews.
        taught: the texts that teachers labelled, with their labels.
    """
    reviews = {
        f"{split} reviews": items_checksum([review.text, review.label] for review in data.split(split))
        for split in ("train", "validation")
    }
    return {**reviews, "texts labelled by teachers": items_checksum(taught)}


def run_labels(run: RunFolder, data: ReviewData, resume: bool) -> tuple[str, ...]:
    """The names of the labels: those of the data, saved in the run, or with `resume` those of the run."""
    if resume:
        return load_labels(run)
    save_labels(run, data.labels)
    return data.labels


def run_vocabulary(
    config: SentimentConfig,
    run: RunFolder,
    words: Sequence[Sequence[str]],
    given: Vocabulary | None,
    resume: bool,
) -> Vocabulary:
    """The vocabulary of a run.

    Args:
        config: settings of the run.
        run: its folder; the vocabulary is saved there.
        words: the words of the training reviews.
        given: the vocabulary of a language model to start from, if there is one.
        resume: whether to read the vocabulary that is in the folder.
    """
    if resume:
        return Vocabulary.load(run.vocabulary_file)
    vocabulary = given or Vocabulary.build(words, config.min_count, config.max_vocabulary)
    vocabulary.save(run.vocabulary_file)
    return vocabulary


def suit_surprise(
    config: SentimentConfig, run: RunFolder, vocabulary: Vocabulary, words: Sequence[Sequence[str]]
) -> SentimentConfig:
    """The settings, with a mean surprise above which texts get no label that suits the reviews.

    Reviews in another language than the model to start from consist of its rare and new words. The limit is
    raised where more than one review in a hundred would get no label; if it was given, it stays.

    Args:
        config: settings of the run.
        run: its folder; the limit is saved there.
        vocabulary: of the run.
        words: the words of the reviews, of which some are looked at.
    """
    known = KnownWords(vocabulary)
    sample = words[:: -(-len(words) // LOOKED_AT)]
    needed = np.quantile([known.mean_surprise(of_text) for of_text in sample], 0.99)
    if needed <= known.most_surprise:
        return config
    value = math.ceil(100 * needed) / 100
    return settle(run, config, {"most_surprise": value}, "the words of the reviews")


def label_indices(reviews: Sequence[Review], labels: Sequence[str]) -> np.ndarray:
    """The index `(reviews,)` int32 of each review's label.

    Raises:
        UserError: a review has another label.
    """
    indices = {label: index for index, label in enumerate(labels)}
    for review in reviews:
        if review.label not in indices:
            raise UserError(
                f"{review.place} has the label {review.label!r}, which the run did not start with. Continue "
                "it with the same data, or start a new run in another folder."
            )
    return np.array([indices[review.label] for review in reviews], np.int32)
