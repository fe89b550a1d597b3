"""Where text comes from: files, folders, standard input and tensorflow-datasets become documents of UTF-8."""

import codecs
import contextlib
import os
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path, PurePath
from typing import BinaryIO

import numpy as np

from shared.data.source import DataError, data_dir, find_dataset, prepare_dataset
from shared.system.quiet import import_tensorflow_quietly

# Files are read in blocks of so many bytes.
BLOCK = 2**20
# Splits in the suite's words, in the order in which they are joined.
SPLIT_NAMES = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}


class Document:
    """A stretch of UTF-8, in a file or in memory, which is read in blocks and never at once.

    Making one reads all of it, to count characters and to find bytes that are not UTF-8. A byte order mark at
    its beginning is left out; line ends stay as they are.

    Args:
        name: what messages call it.
        content: a regular file, or the bytes themselves.

    Raises:
        DataError: if it cannot be read, looks binary, or is not UTF-8.

    Example:

    >>> document = Document("greeting", "gr\\u00fc\\u00dfe".encode())
    >>> document.bytes, document.characters
    (7, 5)
    >>> list(document.chunks(1, 4, size=2))
    ['r', 'ü', 'ß']
    """

    def __init__(self, name: str, content: Path | bytes):
        self.name = name
        self._content = content
        with _explained(name):
            size = len(content) if isinstance(content, bytes) else content.stat().st_size
        self._first, self.bytes = 0, size
        mark = len(codecs.BOM_UTF8)
        if next(self._blocks(0, min(size, mark), mark), b"") == codecs.BOM_UTF8:
            self._first, self.bytes = mark, size - mark
        # How many characters begin before each block, and in all: where to look for the n-th one.
        self._marks = self._count()

    @property
    def characters(self) -> int:
        """How many characters (code points) it has."""
        return self._marks[-1]

    def chunks(self, start: int, stop: int, size: int = BLOCK) -> Iterator[str]:
        """The characters from `start` up to `stop`, in pieces of at most `size` characters.

        Raises:
            DataError: if it cannot be read, or is not what it was when it was counted.
        """
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            for block in self._blocks(self._offset(start), self._offset(stop), size):
                text = decoder.decode(block)
                if text:
                    yield text
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            raise self._changed() from error

    def _count(self) -> list[int]:
        """Looks at all bytes, and counts the characters that begin before each block and in all."""
        decoder = codecs.getincrementaldecoder("utf-8")()
        marks, offset, lines = [0], 0, 1
        for block in chain(self._blocks(0, self.bytes), [b""]):
            if offset == 0 and b"\0" in block:
                raise self._binary()
            pending = decoder.getstate()[0]
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                raise self._not_utf8(error, offset - len(pending), lines) from error
            if block:
                marks.append(marks[-1] + int(np.count_nonzero(_begins(block))))
            offset, lines = offset + len(block), lines + block.count(b"\n")
        return marks

    def _offset(self, character: int) -> int:
        """The byte at which a character begins; the end for the one after the last."""
        if character == self.characters:
            return self.bytes
        number = int(np.searchsorted(self._marks, character, side="right")) - 1
        block = next(self._blocks(number * BLOCK, min((number + 1) * BLOCK, self.bytes)))
        places = np.flatnonzero(_begins(block))
        if len(places) != self._marks[number + 1] - self._marks[number]:
            raise self._changed()
        return number * BLOCK + int(places[character - self._marks[number]])

    def _blocks(self, begin: int, end: int, size: int | None = None) -> Iterator[bytes]:
        """The bytes from `begin` up to `end`, counted without the byte order mark."""
        size = size or BLOCK
        begin, end = self._first + begin, self._first + end
        if isinstance(self._content, bytes):
            yield from (self._content[place : min(place + size, end)] for place in range(begin, end, size))
            return
        with _explained(self.name), self._content.open("rb") as file:
            file.seek(begin)
            for place in range(begin, end, size):
                block = file.read(min(size, end - place))
                if len(block) < min(size, end - place):
                    raise self._changed()
                yield block

    def _not_utf8(self, error: UnicodeDecodeError, offset: int, lines: int) -> DataError:
        """The error for bytes of which `offset` says where in the document the decoder's input began."""
        place = self._first + offset + error.start
        line = lines + error.object[: error.start].count(b"\n")
        return DataError(
            f"{self.name} is not UTF-8: at byte {place:,} (counted from 0), in line {line:,}, stands "
            f"0x{error.object[error.start]:02x} ({error.reason}). Expected text in UTF-8: convert it, for "
            "example with iconv -f WINDOWS-1252 -t UTF-8."
        )

    def _binary(self) -> DataError:
        return DataError(
            f"{self.name} looks binary: it has NUL bytes. Expected text in UTF-8: unpack it, or if it is "
            "UTF-16, convert it with iconv -f UTF-16 -t UTF-8."
        )

    def _changed(self) -> DataError:
        return DataError(
            f"{self.name} was changed while it was read. Wait until it is whole, and begin anew."
        )


def _begins(block: bytes) -> np.ndarray:
    """Which bytes are the first of a character: all but 0x80 to 0xBF."""
    return np.frombuffer(block, np.int8) >= -0x40


@contextlib.contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{name} cannot be read: {error.strerror or error}. Name a file that you may read."
        ) from error


def read_path(path: Path, pattern: str) -> list[Document]:
    """The documents of a file, or of a folder's files in the order of their names.

    Args:
        path: something that exists. A pipe is read into memory.
        pattern: which files of a folder, and of the folders in it.

    Raises:
        DataError: if there is no such file, or one of them cannot be read as text.
    """
    if path.is_dir():
        return [Document(str(file), file) for file in _matching(path, pattern)]
    if path.is_file():
        return [Document(str(path), path)]
    with _explained(str(path)):
        return [Document(str(path), path.read_bytes())]


def _matching(folder: Path, pattern: str) -> list[Path]:
    def refuse(error: OSError):
        raise DataError(
            f"The folder {error.filename} cannot be read: {error.strerror}. Give yourself the right to, or "
            "name another one."
        )

    files = [
        Path(root, name)
        for root, _, names in os.walk(folder, onerror=refuse)
        for name in names
        if _matches(Path(root, name).relative_to(folder), pattern)
    ]
    if not files:
        raise DataError(
            f"The folder {folder} holds no file that matches {pattern!r}. Name another pattern with "
            "--pattern."
        )
    return sorted(files, key=lambda file: file.relative_to(folder).parts)


def _matches(path: PurePath, pattern: str) -> bool:
    try:
        return path.match(pattern)
    except ValueError as error:
        raise DataError(f"The pattern {pattern!r} matches nothing. Expected one such as '*.txt'.") from error


def read_stdin(stdin: BinaryIO | None = None) -> Document:
    """All of standard input, which is kept in memory.

    Args:
        stdin: a stream of bytes, by default that of the process.
    """
    with _explained("standard input"):
        return Document("standard input", (sys.stdin.buffer if stdin is None else stdin).read())


def read_tfds(source: str) -> dict[str, Document]:
    """The texts of a dataset of tensorflow-datasets, which downloads and prepares it on first use.

    Args:
        source: `tfds:NAME`; the dataset must have a feature called `text`.

    Returns:
        A document for each of the splits train, validation and test that it has, in this order, kept in
        memory. A split's texts are joined by line breaks. Splits of other names are left out.

    Raises:
        DataError: if there is no such dataset, it cannot be prepared, or it has no texts.
    """
    name = source.partition(":")[2]
    if not name:
        raise DataError("tfds: wants a name, such as tfds:tiny_shakespeare.")
    import_tensorflow_quietly()
    import tensorflow_datasets as tfds

    def make_builder():
        return tfds.builder(name, data_dir=data_dir())

    builder = find_dataset(source, make_builder)
    _check_features(source, builder.info.features)
    builder = prepare_dataset(source, builder, make_builder)
    texts = {}
    # Mocked builders do not say which splits they have.
    for split in list(builder.info.splits) or ["train", "validation", "test"]:
        if split in SPLIT_NAMES:
            wanted = tfds.decode.PartialDecoding({"text": True})
            records = tfds.as_numpy(builder.as_dataset(split=split, decoders=wanted, shuffle_files=False))
            texts[SPLIT_NAMES[split]] = b"\n".join(record["text"] for record in records)
    order = [split for split in dict.fromkeys(SPLIT_NAMES.values()) if split in texts]
    return {split: Document(f"{source}, split {split}", texts[split]) for split in order}


def _check_features(source: str, features) -> None:
    import tensorflow_datasets as tfds

    found = dict(features) if hasattr(features, "items") else {}
    if not isinstance(found.get("text"), tfds.features.Text):
        raise DataError(
            f"{source} is not a dataset of texts: expected a feature called text; it has "
            f"{', '.join(found) or 'none'}."
        )
