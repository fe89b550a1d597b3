"""Labelled texts that are in memory already; see `shared.data.objects`."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from sentiment.config import SentimentConfig
from sentiment.data.labels import label_names, rename_labels
from sentiment.data.load import make_parts, usable
from sentiment.data.reviews import ColumnNames, Review, ReviewData
from sentiment.data.tables import read_row
from shared.data.objects import DATA, class_names, column_values, plain, rows_of, splits_of
from shared.data.source import DataError, Problem
from shared.data.tables import Columns, Row

NO_CLASS = "-1"  # in Hugging Face columns of class labels


def reviews_in_memory(
    texts: Any,
    labels: Any,
    validation: Any,
    names: Mapping[Any, str],
    config: SentimentConfig,
) -> ReviewData:
    """Labelled texts and their parts, as `sentiment.fit` takes them.

    Args:
        texts: a column of texts; or where `labels` is None, a table or its splits.
        labels: a column of labels.
        validation: a pair of such columns, or a table; None: validation is cut from the texts.
        names: new names for labels.
        config: the names of columns, and how validation is cut.

    Raises:
        DataError: they cannot be used, or no model can learn from them.
    """
    columns = ColumnNames(config.text_column, config.label_column, config.split_column)
    tables = splits_of(texts) if labels is None else {"train": (texts, labels)}
    if validation is not None:
        tables["validation"] = validation
    parts: dict[str, list[Review]] = {}
    problems: list[Problem] = []
    for split in ("train", "validation"):  # nothing is learned from another split
        if split in tables:
            rows, bad = usable(f"{DATA} of {split}", _read(tables[split], split, columns, names))
            problems += bad
            for of_row, review in rows:
                parts.setdefault(of_row, []).append(review)
    return make_parts(DATA, parts, problems, config.validation_fraction, config.seed)


def _read(
    table: Any, split: str, columns: ColumnNames, names: Mapping[Any, str]
) -> Iterator[tuple[str, Review] | Problem]:
    rows, classes = _rows(table, columns)
    place = f"{DATA} of {split}"
    read = [read_row(place, Row(number, cells), columns) for number, cells in enumerate(rows, 1)]
    labels = {row[1].label for row in read if not isinstance(row, Problem)}
    full_names = label_names(classes.values())
    classes = {number: full_names[name] for number, name in classes.items()}
    new_names = {str(label): name for label, name in (names or classes).items()}
    if split != "train" or not names:
        new_names = {label: name for label, name in new_names.items() if label in labels}
    labels = rename_labels(labels, new_names)
    for number, row in enumerate(read, 1):
        if isinstance(row, Problem):
            yield row
        elif classes and row[1].label == NO_CLASS:
            yield Problem(place, number, "no label")
        else:
            of_row, review = row
            review = dataclasses.replace(review, label=labels[review.label])
            yield split if of_row == "train" else of_row, review


def _rows(table: Any, columns: ColumnNames) -> tuple[Iterator[dict[str, Any]], Mapping[int, str]]:
    """Rows of plain values, and the names of labels that the data bring along."""
    if isinstance(table, tuple) and len(table) == 2:
        texts, labels = table
        values = column_values(texts, "texts"), column_values(labels, "labels")
        if len(values[0]) != len(values[1]):
            raise DataError(
                f"There are {len(values[0]):,} texts and {len(values[1]):,} labels; expected as many."
            )
        rows = (dict(zip(columns.required[:2], pair, strict=True)) for pair in zip(*values, strict=True))
        classes = class_names(labels)
    else:
        hint = "Name others with text_column and label_column."
        rows = rows_of(table, Columns(columns.required, (columns.split,), hint))
        classes = class_names(table, columns.label)
    return ({name: plain(value) for name, value in row.items()} for row in rows), classes
