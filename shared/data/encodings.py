"""Text files in any encoding: a byte order mark decides, then the encoding that was named, then UTF-8.

A file that is mostly not UTF-8 is refused with the option that would read it. Single bytes that are not
become lone surrogates, so that a reader can leave out their row alone.
"""

import argparse
import codecs
import contextlib
import encodings
import gzip
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, TextIO

from shared.data.source import DataError, reading

# The lone surrogates that Python puts in place of bytes that it cannot decode.
UNDECODED = re.compile("[\udc80-\udcff]")
# The bytes at the beginning of a file by which its encoding is judged.
SAMPLE = 2**20
ENCODING_HELP = (
    "encoding of text files without a byte order mark, such as latin-1 or utf-16-le; UTF-8 if not given"
)
DELIMITER_HELP = (
    "character between the columns of tables, or tab; if not given, the one of comma, semicolon, tab and | "
    "that separates the expected columns in the first line"
)
# UTF-32 comes first: its little-endian mark begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_HIGH_BYTES = re.compile(rb"[\x80-\xff]+")
# In Western languages, letters beyond ASCII come singly; in other scripts, they are words.
_LONGEST_WESTERN_RUN = 1.7


class Format(NamedTuple):
    """How text files and tables are read, where they do not say it themselves.

    Attributes:
        encoding: a name that Python knows; empty: UTF-8, or what a byte order mark says.
        delimiter: the character between the columns of a table, or `"tab"`; empty: see
            `shared.data.tables.read_table`.
    """

    encoding: str = ""
    delimiter: str = ""

    @property
    def separator(self) -> str:
        """The delimiter as one character, or an empty string.

        Raises:
            DataError: it is not one character.
        """
        separator = {"tab": "\t", "\\t": "\t"}.get(self.delimiter, self.delimiter)
        if len(separator) > 1 or separator in ("\r", "\n", '"'):
            raise DataError(
                f"--delimiter {self.delimiter!r} cannot separate columns. Expected one character, such "
                "as ';', or tab."
            )
        return separator


def add_format_options(parser: argparse.ArgumentParser, tables: bool = True) -> None:
    """Adds `--encoding`, and with `tables` `--delimiter`, to a script that has no settings of a run."""
    parser.add_argument("--encoding", default="", metavar="NAME", help=ENCODING_HELP)
    if tables:
        parser.add_argument("--delimiter", default="", metavar="CHARACTER", help=DELIMITER_HELP)


def format_of(arguments: argparse.Namespace) -> Format:
    """The `Format` that the options of `add_format_options` name."""
    return Format(arguments.encoding, arguments.delimiter)


def marked_encoding(head: bytes) -> str:
    """The encoding that a byte order mark at the beginning of a file names; empty if there is none.

    Example:

    >>> marked_encoding("text".encode("utf-16")), marked_encoding(b"text")
    ('utf-16', '')
    """
    return next((name for mark, name in _MARKS.items() if head.startswith(mark)), "")


@contextlib.contextmanager
def open_text(
    path: Path, encoding: str = "", header: bool = False, lines: bool = True, newline: str = ""
) -> Iterator[TextIO]:
    """Opens a text file, unpacking `.gz`. Line ends stay as they are.

    Args:
        path: the file.
        encoding: see `Format`.
        header: whether the first line is a header, in which every character must be right.
        lines: whether each line is read by itself, so that the file is refused if most are not UTF-8.
        newline: see `open`.

    Raises:
        DataError: it cannot be read, or needs another encoding, which the message offers.
    """
    is_packed = path.name.lower().endswith(".gz")
    with (
        reading(path),
        gzip.open(path) if is_packed else open(path, "rb", buffering=0) as file,
        io.BufferedReader(file, SAMPLE) as stream,
        decoded(stream, str(path), encoding, header, lines, newline) as text,
    ):
        yield text


@contextlib.contextmanager
def decoded(
    stream: BinaryIO,
    name: str,
    encoding: str = "",
    header: bool = False,
    lines: bool = True,
    newline: str = "",
) -> Iterator[TextIO]:
    """A stream of bytes as text, which is read as the bytes come.

    Args:
        stream: the bytes. It is not closed.
        name: what messages call it.
        encoding, header, lines, newline: see `open_text`.

    Raises:
        DataError: see `open_text`.
    """
    check_encoding(encoding)
    stream = stream if hasattr(stream, "peek") else io.BufferedReader(stream, SAMPLE)
    with reading(name):
        sample = stream.peek(SAMPLE)[:SAMPLE]
    mark = marked_encoding(sample)
    if lines and not mark and not encoding:
        _check_utf8(name, sample, header)
    text = io.TextIOWrapper(stream, mark or encoding or "utf-8", "surrogateescape", newline)
    try:
        yield text
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name} is not text in {mark or encoding} ({error.reason}). Name another --encoding, or get a "
            "complete copy of the file."
        ) from error
    finally:
        with contextlib.suppress(ValueError):  # it is closed already
            text.detach()


def decode(content: bytes, encoding: str = "") -> str:
    """The text of a whole file.

    Args:
        content: its bytes.
        encoding: see `Format`.

    Raises:
        DataError: there is no such encoding.
        UnicodeDecodeError: the bytes are in another one.
    """
    check_encoding(encoding)
    return content.decode(marked_encoding(content) or encoding or "utf-8")


def undecoded(encoding: str) -> str:
    """What is wrong with bytes that cannot be decoded.

    Example:

    >>> undecoded(""), undecoded("cp1251")
    ('not UTF-8', 'not cp1251')
    """
    return f"not {encoding or 'UTF-8'}"


def check_encoding(encoding: str) -> None:
    """Checks that Python knows an encoding.

    Raises:
        DataError: it does not.
    """
    if encoding and not _is_known(encoding):
        raise DataError(
            f"Unknown encoding {encoding!r}. Expected one that Python knows, such as utf-8, utf-16, latin-1, "
            "windows-1252, cp1251, gb18030 or shift_jis."
        )


def _is_known(encoding: str) -> bool:
    """Whether Python itself has an encoding of texts; some packages register one for every unknown name."""
    try:
        codec = encodings.search_function(encoding.lower())
        "a".encode(encoding)
    except (LookupError, ValueError):
        return False
    return codec is not None


def _check_utf8(name: str, sample: bytes, header: bool) -> None:
    """Refuses a file whose header or most of whose lines are not UTF-8."""
    *lines, last = [line for line in sample.splitlines() if line.strip(b"\0 \t")] or [b""]
    bad = [not _is_utf8(line) for line in lines] + [not _is_utf8(last, complete=len(sample) < SAMPLE)]
    rows = bad[1:] if header else bad
    if _guess_wide(sample) or (header and bad[0]) or 2 * sum(rows) > len(rows):
        raise DataError(f"{name} is not UTF-8 text. {encoding_advice(sample)}")


def _is_utf8(line: bytes, complete: bool = True) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(line, final=complete)
    except UnicodeDecodeError:
        return False
    return True


def encoding_advice(sample: bytes) -> str:
    """The option that would read bytes that are not UTF-8, and a piece of what it would read.

    Example:

    >>> print(encoding_advice("C'était très bon".encode("latin-1")))
    Give --encoding latin-1, which reads "C'était très bon"; if that looks wrong, name another encoding.
    """
    guess = _guess(sample)
    if not guess:
        return (
            "Give its encoding, such as --encoding cp1251 (Cyrillic), gb18030 (Chinese), shift_jis "
            "(Japanese), euc_kr (Korean), cp1256 (Arabic) or utf-16."
        )
    return (
        f'Give --encoding {guess}, which reads "{_piece(sample, guess)}"; if that looks wrong, name another '
        "encoding."
    )


def _guess(sample: bytes) -> str:
    if wide := _guess_wide(sample):
        return wide
    runs = _HIGH_BYTES.findall(sample)
    if not runs or sum(map(len, runs)) / len(runs) > _LONGEST_WESTERN_RUN:
        return ""
    if not re.search(rb"[\x80-\x9f]", sample):  # control characters in Latin-1
        return "latin-1"
    return "" if re.search(rb"[\x81\x8d\x8f\x90\x9d]", sample) else "windows-1252"


def is_wide(sample: bytes) -> bool:
    """Whether bytes look like UTF-16 or UTF-32 without a byte order mark.

    Example:

    >>> is_wide("text".encode("utf-16-le")), is_wide(b"t\\0ext")
    (True, False)
    """
    return bool(_guess_wide(sample))


def _guess_wide(sample: bytes) -> str:
    """UTF-16 or UTF-32 without a byte order mark: every other byte of English, or three of four, is zero."""
    if sample.count(0) * 3 <= len(sample):
        return ""
    name = "utf-32" if sample.count(0) * 3 > 2 * len(sample) else "utf-16"
    return f"{name}-be" if sample[:1] == b"\0" else f"{name}-le"


def _piece(sample: bytes, encoding: str) -> str:
    """Some 40 characters around the first that is not ASCII, from one line."""
    text = sample[: len(sample) // 4 * 4].decode(encoding, "replace") or sample.decode(encoding, "replace")
    first = next((index for index, character in enumerate(text) if character > "\x7f"), 0)
    before, after = text[max(0, first - 20) : first], text[first : first + 20]
    return (re.split(r"[\r\n]", before)[-1] + re.split(r"[\r\n]", after)[0]).strip()
