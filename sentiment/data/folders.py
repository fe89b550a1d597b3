"""Labelled texts of folders by class and of tensorflow-datasets, and what these readers share with others.

A row that cannot be used becomes a problem, a line of text that begins with its file and line; it is left out
and never stops the reading. What makes a whole source unusable is a `DataError`.
"""

import contextlib
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from shared.data.source import DataError, data_dir, find_dataset, prepare_dataset
from shared.system.quiet import import_tensorflow_quietly

SPLITS = ("train", "validation", "test")
# Folders of texts without a label, beside those of the classes.
UNLABELLED = ("unsup", "unsupervised")
# From so many files on, reading takes long enough for a progress bar.
MANY = 5_000

# What the text is usually called; the first of them that a dataset has is taken.
TEXT_KEYS = ("text", "review", "review_body", "sentence", "content", "description", "body", "document")

_SPLIT_NAMES = {
    "training": "train",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "testing": "test",
}
_LABEL_NAMES = {"neg": "negative", "pos": "positive"}


class Row(NamedTuple):
    """A labelled text; `split` None: the source does not say. `place` is where it stands, for messages."""

    text: str
    label: str
    split: str | None
    place: str


class Columns(NamedTuple):
    """The names of a table's columns; those that are None are not looked at."""

    text: str = "text"
    label: str | None = "label"
    split: str | None = "split"

    @property
    def required(self) -> list[str]:
        """Those that must be there: all that are wanted, but the split only where it was given a name."""
        split = None if self.split == "split" else self.split
        return [column for column in (self.text, self.label, split) if column is not None]


def split_name(name: str) -> str:
    """The suite's word for a split.

    Example:

    >>> split_name("dev"), split_name("Train"), split_name("extra")
    ('validation', 'train', 'extra')
    """
    name = name.strip().lower()
    return _SPLIT_NAMES.get(name, name)


def label_names(found: Iterable[str]) -> dict[str, str]:
    """What the labels of folders and datasets are called: `neg` and `pos` in full where there are no others.

    So a model that was trained on one form of the reviews of IMDB can be evaluated on another.

    Example:

    >>> label_names(["neg", "pos"]), label_names(["neg", "neutral"])
    ({'neg': 'negative', 'pos': 'positive'}, {'neg': 'neg', 'neutral': 'neutral'})
    """
    found = list(found)
    names = _LABEL_NAMES if set(found) <= set(_LABEL_NAMES) else {}
    return {name: names.get(name, name) for name in found}


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns what goes wrong while a file or folder is read into a `DataError`."""
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error).rstrip(".")
        raise DataError(
            f"{path} cannot be read: {reason}. Name a file that is whole and that you may read."
        ) from error


def read_folder(path: Path) -> tuple[list[Row], list[str]]:
    """The texts of a folder by class, one a file, and its problems.

    Either the folder holds one folder for each class with files `*.txt`, or it holds folders called train,
    validation and test, and those hold the classes. Folders of unlabelled texts are passed over.

    Args:
        path: the folder.

    Raises:
        DataError: if it cannot be read, or a folder that should hold classes does not.
    """
    below = _folders(path)
    parts = [(split_name(f.name), f) for f in below if split_name(f.name) in SPLITS] or [(None, path)]
    problems = []
    if len(parts) < len(below) and parts[0][0] is not None:
        others = (f for f in below if split_name(f.name) not in SPLITS and f.name not in UNLABELLED)
        problems += [f"{folder}: left out, for it is not one of {', '.join(SPLITS)}" for folder in others]
    files = []
    for split, folder in parts:
        classes = {found.name: found for found in _folders(folder) if found.name not in UNLABELLED}
        names = label_names(classes)
        for name, found in classes.items():
            texts = text_files(found)
            problems += [] if texts else [f"{found}: holds no file *.txt"]
            files += [(file, names[name], split) for file in texts]
        if not classes:
            raise DataError(
                f"The folder {folder} has no classes. Expected a folder for each, with files *.txt, such as "
                "pos/1.txt and neg/1.txt, or train/pos/1.txt and test/pos/1.txt."
            )
    rows = []
    for file, label, split in tqdm(files, desc=str(path), unit="file", disable=len(files) < MANY or None):
        text = read_text(file, problems)
        rows += [] if text is None else [Row(text, label, split, str(file))]
    return rows, problems


def _folders(path: Path) -> list[Path]:
    with explained(path):
        return sorted(f for f in path.iterdir() if f.is_dir() and not f.name.startswith((".", "__")))


def text_files(folder: Path) -> list[Path]:
    """The files `*.txt` of a folder, in the order of their names, without those of folders in it.

    Raises:
        DataError: if the folder cannot be read.
    """
    with explained(folder):
        return sorted(f for f in folder.iterdir() if f.suffix == ".txt" and not f.name.startswith("."))


def read_text(path: Path, problems: list[str]) -> str | None:
    """A file as one text; None, and one more problem, where it is empty or not UTF-8.

    Raises:
        DataError: if it cannot be read.
    """
    with explained(path):
        content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problems.append(f"{path}:{1 + error.object[: error.start].count(bytes([10]))}: not UTF-8")
        return None
    if not text.strip():
        problems.append(f"{path}:1: the text is empty")
        return None
    return text


def read_tfds(source: str, columns: Columns) -> tuple[list[Row], list[str]]:
    """The texts of a dataset, which is downloaded and prepared on first use, and its problems.

    Splits that are none of train, validation and test, such as unlabelled texts, are left out.

    Args:
        source: `tfds:NAME`; the name may have a config and a version, as in `tfds:glue/sst2`.
        columns: the features of text and label. Where a dataset has none of the first name, what is usually a
            text is taken; where it has none of the second, its only `ClassLabel`.

    Returns:
        The rows, split by split, with the names of the labels.

    Raises:
        DataError: if there is no such dataset, it cannot be prepared, or it has no text with one label.
    """
    name = source.partition(":")[2]
    if not name:
        raise DataError("tfds: wants a name, such as tfds:imdb_reviews.")
    import_tensorflow_quietly()
    import tensorflow_datasets as tfds

    def make_builder():
        return tfds.builder(name, data_dir=data_dir())

    builder = find_dataset(source, make_builder)
    features = dict(builder.info.features) if hasattr(builder.info.features, "items") else {}
    text, label = _text_key(source, features, columns.text), _label_key(source, features, columns.label)
    builder = prepare_dataset(source, builder, make_builder)
    classes = [features[label].int2str(number) for number in range(features[label].num_classes)]
    names = list(label_names(classes).values())
    rows: list[Row] = []
    problems: list[str] = []
    for split, number, record in _records(builder, (text, label)):
        place = f"{source}, {split}:{number}"
        try:
            rows.append(Row(_text(record[text]), _label(record[label], names), split_name(split), place))
        except ValueError as error:
            problems.append(f"{place}: {error}")
    return rows, problems


def _records(builder, keys: Iterable[str]) -> Iterator[tuple[str, int, dict]]:
    """Split, number from 1 and features of each record."""
    import tensorflow_datasets as tfds

    wanted = tfds.decode.PartialDecoding(dict.fromkeys(keys, True))
    # Mocked builders do not say which splits they have.
    for split in list(builder.info.splits) or SPLITS:
        if split_name(split) in SPLITS:
            records = builder.as_dataset(split=split, decoders=wanted, shuffle_files=False)
            for number, record in enumerate(tfds.as_numpy(records), 1):
                yield split, number, record


def _text_key(source: str, features: dict, asked: str) -> str:
    import tensorflow_datasets as tfds

    texts = [key for key, feature in features.items() if isinstance(feature, tfds.features.Text)]
    usual = [key for key in TEXT_KEYS if key in texts] or texts[: len(texts) == 1]
    if asked in texts:
        return asked
    if asked != Columns().text or not usual:
        raise DataError(
            f"{source} has no text called {asked}: its features are {_listed(features)}, of which texts: "
            f"{_listed(texts)}. Name one with --text-column."
        )
    return usual[0]


def _label_key(source: str, features: dict, asked: str) -> str:
    import tensorflow_datasets as tfds

    labels = [key for key, feature in features.items() if isinstance(feature, tfds.features.ClassLabel)]
    if asked in labels:
        return asked
    if asked != Columns().label or len(labels) != 1:
        raise DataError(
            f"{source} has no label of classes called {asked}: its features are {_listed(features)}, of "
            f"which such labels: {_listed(labels)}. Name one with --label-column."
        )
    return labels[0]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _text(value: object) -> str:
    if not isinstance(value, bytes):
        raise ValueError("the text is not a string")
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise ValueError("not UTF-8") from error
    if not text.strip():
        raise ValueError("the text is empty")
    return text


def _label(number: int, names: list[str]) -> str:
    """The name of a label; -1 stands for none."""
    if not 0 <= number < len(names):
        raise ValueError(f"the label {number} is not one of {len(names)} classes")
    return names[number]
