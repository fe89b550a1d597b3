"""Labelled texts of tensorflow-datasets."""

from collections.abc import Iterable, Iterator

from sentiment.data.labels import label_names
from sentiment.data.reviews import ColumnNames, Review
from shared.data.source import SPLITS, DataError, Problem, split_name
from shared.data.tfds import open_dataset, read_split

# What the text is usually called; the first of these names that a dataset has is used.
TEXT_KEYS = ("text", "review", "review_body", "sentence", "content", "description", "body", "document")


def read_tfds(source: str, names: ColumnNames) -> Iterator[tuple[str, Review] | Problem]:
    """The texts of a dataset, which is downloaded and prepared on first use.

    Splits other than train, validation and test, such as unlabelled texts, are left out.

    Args:
        source: `tfds:NAME`; the name may have a config and a version, as in `tfds:glue/sst2`.
        names: the features of text and label. If they have the default names and the dataset has no such
            feature, a usual name of a text is tried, and the only `ClassLabel`.

    Yields:
        Split and review, or what is wrong with a record.

    Raises:
        DataError: if there is no such dataset, it cannot be prepared, or it has no text with one label.
    """
    builder, (text, label, classes) = open_dataset(
        source, lambda features: _keys(source, features, names), "imdb_reviews"
    )
    # Mocked builders do not say which splits they have.
    for split in list(builder.info.splits) or SPLITS:
        records = read_split(builder, split, (text, label)) if split_name(split) in SPLITS else ()
        for number, record in enumerate(records, 1):
            yield _row(f"{source}, {split}", number, split_name(split), record[text], record[label], classes)


def _keys(source: str, features: dict, names: ColumnNames) -> tuple[str, str, list[str]]:
    """The features of text and label, and the names of the labels."""
    text, label = _text_key(source, features, names.text), _label_key(source, features, names.label)
    classes = [features[label].int2str(number) for number in range(features[label].num_classes)]
    return text, label, list(label_names(classes).values())


def _text_key(source: str, features: dict, asked: str) -> str:
    import tensorflow_datasets as tfds

    texts = [key for key, feature in features.items() if isinstance(feature, tfds.features.Text)]
    usual = [key for key in TEXT_KEYS if key in texts] or texts[: len(texts) == 1]
    if asked in texts:
        return asked
    if asked != ColumnNames().text or not usual:
        raise DataError(
            f"{source} has no text called {asked}: its features are {_listed(features)}; its texts: "
            f"{_listed(texts)}. Name one with --text-column."
        )
    return usual[0]


def _label_key(source: str, features: dict, asked: str) -> str:
    import tensorflow_datasets as tfds

    labels = [key for key, feature in features.items() if isinstance(feature, tfds.features.ClassLabel)]
    if asked in labels:
        return asked
    if asked != ColumnNames().label or len(labels) != 1:
        raise DataError(
            f"{source} has no class label called {asked}: its features are {_listed(features)}; its "
            f"labels: {_listed(labels)}. Name one with --label-column."
        )
    return labels[0]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _row(file: str, number: int, split: str, text, label, classes: list[str]):
    try:
        return split, Review(_text(text), _label(label, classes), f"{file}:{number}")
    except ValueError as error:
        return Problem(file, number, str(error))


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


def _label(number: int, classes: list[str]) -> str:
    """The name of a label; -1 means none."""
    if not 0 <= number < len(classes):
        raise ValueError(f"the label {number} is not one of {len(classes)} classes")
    return classes[number]
