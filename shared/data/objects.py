"""Data in memory as Python values: lists, NumPy, pandas, `tf.data` and Hugging Face `datasets`.

None of these libraries is imported here: an object is known by what it can do.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from shared.data.source import DataError, split_name
from shared.data.tables import Columns

DATA = "the data"  # what messages call data in memory


def is_tf_dataset(data: object) -> bool:
    """Whether it is a `tf.data.Dataset`."""
    return hasattr(data, "element_spec") and hasattr(data, "as_numpy_iterator")


def plain(value: Any) -> Any:
    """A single value as Python has it; None where one is missing.

    Args:
        value: a Python value, a NumPy scalar, a tensor, or what pandas writes for missing values.

    Example:

    >>> import numpy as np
    >>> plain(np.int64(3)), plain(np.str_("a")), plain(b"caf\\xc3\\xa9"), plain(float("nan"))
    (3, 'a', 'café', None)
    """
    if hasattr(value, "numpy"):
        value = value.numpy()
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    is_missing = type(value).__name__ in ("NAType", "NaTType") or (
        isinstance(value, float) and value != value
    )
    return None if is_missing else value


def column_values(column: Iterable[Any], what: str) -> list[Any]:
    """The values of a column.

    Args:
        column: a list, tuple or other sequence, an array, a pandas or Hugging Face column, or a
            `tf.data.Dataset`, batched or not.
        what: what the values are, for messages: `"texts"`.

    Raises:
        DataError: it is a single value or a table.

    Example:

    >>> column_values(("good", "bad"), "labels")
    ['good', 'bad']
    """
    if is_tf_dataset(column):
        return list(_unbatched(column).as_numpy_iterator())
    if isinstance(column, str | bytes | Mapping) or hasattr(column, "columns") or not _is_iterable(column):
        raise DataError(
            f"Expected {what} as a list, an array or a column, got one {type(column).__name__}. Put a single "
            "value in a list; of a table, give one column."
        )
    return list(column)


def _is_iterable(data: object) -> bool:
    try:
        iter(data)
    except TypeError:
        return False
    return True


def _unbatched(dataset):
    """The examples of a `tf.data.Dataset`, one by one: of batches of texts, or of images."""
    spec = dataset.element_spec
    while isinstance(spec, tuple | list | Mapping):
        spec = next(iter(spec.values() if isinstance(spec, Mapping) else spec))
    batched = 1 if spec.dtype.name == "string" else 4
    return dataset.unbatch() if spec.shape.rank == batched else dataset


def texts_of(data: object) -> str | list[str] | None:
    """The texts in a text, or in a column of texts; None for anything else, such as ids.

    Example:

    >>> texts_of("a"), texts_of(("a", b"b")), texts_of([]), texts_of([[1, 2]])
    ('a', ['a', 'b'], [], None)
    """
    if isinstance(data, str):
        return data
    return [_text(value) for value in column_values(data, "texts")] if _holds_texts(data) else None


def _holds_texts(data: Any) -> bool:
    if is_tf_dataset(data):
        return getattr(getattr(data.element_spec, "dtype", None), "name", "") == "string"
    if isinstance(data, Mapping) or hasattr(data, "columns") or not hasattr(data, "__len__"):
        return False
    if hasattr(data, "dtype") and getattr(data, "ndim", 1) != 1:
        return False
    return not len(data) or isinstance(plain(next(iter(data))), str)


def _text(value: Any) -> str:
    value = plain(value)
    if not isinstance(value, str):
        raise DataError(f"Expected texts, but one of them is {value!r}. Leave it out, or give an empty text.")
    return value


def class_names(column: object, name: str = "") -> Mapping[int, str]:
    """The names that a Hugging Face column of class labels has for its numbers; none for other columns.

    Args:
        column: a column, or with `name` its table.
        name: the column's name in the table.
    """
    table, name = (
        (column, name) if name else (getattr(column, "source", None), getattr(column, "column_name", ""))
    )
    features = getattr(table, "features", None)
    feature = features.get(name) if isinstance(features, Mapping) else None
    return dict(enumerate(getattr(feature, "names", None) or ()))


def splits_of(table: object) -> dict[str, Any]:
    """The tables of a Hugging Face `DatasetDict`, or of a dict like it, by this project's names of splits.

    Any other table is the split train.
    """
    if isinstance(table, Mapping) and table and all(map(_is_table, table.values())):
        return {split_name(str(name)): part for name, part in table.items()}
    return {"train": table}


def _is_table(data: object) -> bool:
    return is_tf_dataset(data) or hasattr(data, "column_names") or hasattr(data, "columns")


def column_names(table: Any) -> list[str]:
    """The names of a table's columns; none where its rows have no names.

    Example:

    >>> column_names([{"a": 1, "b": 2}]), column_names([(1, 2)])
    (['a', 'b'], [])
    """
    if is_tf_dataset(table):
        names = table.element_spec if isinstance(table.element_spec, Mapping) else ()
    elif isinstance(table, Mapping):
        names = table
    else:
        names = getattr(table, "column_names", None)
        names = getattr(table, "columns", None) if names is None else names
    if names is None and hasattr(table, "__len__") and len(table):
        first = next(iter(table))
        names = first if isinstance(first, Mapping) else ()
    return [str(name) for name in (() if names is None else names)]


def rows_of(table: Any, columns: Columns) -> Iterator[dict[str, Any]]:
    """The rows of a table by the names of columns.

    Args:
        table: a pandas `DataFrame`, a Hugging Face `Dataset`, a `tf.data.Dataset`, a dict of columns, or a
            list of rows; a row is a dict, or a tuple of the required columns in their order.
        columns: those to look for; names may differ in case.

    Raises:
        DataError: it is nothing of the kind, or a row lacks a required column.

    Example:

    >>> list(rows_of({"Text": ["a", "b"], "id": [7, 8]}, Columns(["text"])))
    [{'text': 'a', 'id': 7}, {'text': 'b', 'id': 8}]
    >>> list(rows_of([("a", 1)], Columns(["text", "label"])))
    [{'text': 'a', 'label': 1}]
    """
    if is_tf_dataset(table):
        rows = _unbatched(table).as_numpy_iterator()
    elif isinstance(table, Mapping) or hasattr(table, "columns"):
        rows = _rows_of_columns({str(name): table[name] for name in (getattr(table, "columns", table))})
    elif isinstance(table, str | bytes) or not _is_iterable(table):
        raise _no_table(table, columns)
    else:
        rows = table
    for row in rows:
        yield _row(row, columns)


def _rows_of_columns(columns: Mapping[str, Iterable]) -> Iterator[dict[str, Any]]:
    values = {name: column_values(column, name) for name, column in columns.items()}
    lengths = {name: len(column) for name, column in values.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"The columns have different lengths: {_listed(lengths)}. Expected equal ones.")
    for cells in zip(*values.values(), strict=True):
        yield dict(zip(values, cells, strict=True))


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _row(row: Any, columns: Columns) -> dict[str, Any]:
    if isinstance(row, Mapping):
        cells = dict(zip(columns.rename(list(map(str, row))), row.values(), strict=True))
        if set(columns.required) <= cells.keys():
            return cells
        raise DataError(
            f"The data have the columns {', '.join(cells) or 'nothing'}; expected "
            f"{' and '.join(columns.required)}. {columns.hint}".rstrip()
        )
    if isinstance(row, tuple | list) and len(row) == len(columns.required):
        return dict(zip(columns.required, row, strict=True))
    raise _no_table(row, columns)


def _no_table(data: object, columns: Columns) -> DataError:
    return DataError(
        f"Expected {' and '.join(columns.required)} as two columns, as a table or as pairs, got "
        f"{type(data).__name__}."
    )
