"""A document: a stretch of UTF-8 that is counted and checked once, and then read in blocks."""

import codecs
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from shared.data.encodings import encoding_advice, is_wide
from shared.data.source import DataError, reading

# Files are read in blocks of this many bytes.
BLOCK = 2**20


class Document:
    """A stretch of UTF-8, in a file or in memory, that is read in blocks and never all at once.

    The constructor reads all of it once, to count characters and to find bytes that are not UTF-8. A byte
    order mark at the beginning is skipped; line ends are not changed.

    Args:
        name: what messages call it.
        content: a regular file, or the bytes themselves.

    Raises:
        DataError: if it cannot be read, looks binary, or is not UTF-8; the message offers the encoding.

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
        with reading(name):
            size = len(content) if isinstance(content, bytes) else content.stat().st_size
        self._first, self.bytes = 0, size
        mark = len(codecs.BOM_UTF8)
        if next(self._blocks(0, min(size, mark), mark), b"") == codecs.BOM_UTF8:
            self._first, self.bytes = mark, size - mark
        # The number of characters that begin before each block, and in total: where to look for the n-th one.
        self._marks = self._count()

    @property
    def characters(self) -> int:
        """The number of characters (code points)."""
        return self._marks[-1]

    def chunks(self, start: int, stop: int, size: int = BLOCK) -> Iterator[str]:
        """The characters from `start` up to `stop`, in pieces of at most `size` characters.

        Raises:
            DataError: if it cannot be read, or has changed since it was counted.
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
        """Checks all bytes, and counts the characters that begin before each block and in total."""
        decoder = codecs.getincrementaldecoder("utf-8")()
        marks, offset, lines = [0], 0, 1
        for block in chain(self._blocks(0, self.bytes), [b""]):
            if offset == 0 and b"\0" in block:
                raise self._binary(block)
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
        starts = np.flatnonzero(_begins(block))
        if len(starts) != self._marks[number + 1] - self._marks[number]:
            raise self._changed()
        return number * BLOCK + int(starts[character - self._marks[number]])

    def _blocks(self, begin: int, end: int, size: int | None = None) -> Iterator[bytes]:
        """The bytes from `begin` up to `end`, counted without the byte order mark."""
        size = size or BLOCK
        begin, end = self._first + begin, self._first + end
        if isinstance(self._content, bytes):
            yield from (self._content[i : min(i + size, end)] for i in range(begin, end, size))
            return
        with reading(self.name), self._content.open("rb") as file:
            file.seek(begin)
            for position in range(begin, end, size):
                wanted = min(size, end - position)
                block = file.read(wanted)
                if len(block) < wanted:
                    raise self._changed()
                yield block

    def _not_utf8(self, error: UnicodeDecodeError, offset: int, lines: int) -> DataError:
        """The error for bytes that are not UTF-8; `offset` is where the decoder's input begins."""
        position = self._first + offset + error.start
        line = lines + error.object[: error.start].count(b"\n")
        return DataError(
            f"{self.name} is not UTF-8: at byte {position:,} (counted from 0), in line {line:,}, found "
            f"0x{error.object[error.start]:02x} ({error.reason}). "
            f"{encoding_advice(error.object)}"
        )

    def _binary(self, block: bytes) -> DataError:
        if is_wide(block):
            return DataError(f"{self.name} is not UTF-8. {encoding_advice(block)}")
        return DataError(f"{self.name} looks binary: it contains NUL bytes. Expected text; unpack it first.")

    def _changed(self) -> DataError:
        return DataError(
            f"{self.name} changed while it was being read. Wait until it is complete, and start again."
        )


def _begins(block: bytes) -> np.ndarray:
    """Which bytes are the first of a character: all but 0x80 to 0xBF."""
    return np.frombuffer(block, np.int8) >= -0x40
