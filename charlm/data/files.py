"""Documents from files, folders and standard input."""

import os
import sys
from pathlib import Path, PurePath
from typing import BinaryIO

from charlm.data.documents import Document
from shared.data.encodings import check_encoding, decode, marked_encoding
from shared.data.source import DataError, reading


def read_path(path: Path, pattern: str, encoding: str = "") -> list[Document]:
    """The documents of a file, or of the files in a folder, sorted by name.

    Args:
        path: a file or folder that exists. A pipe is read into memory.
        pattern: which files in a folder and in the folders below it.
        encoding: see `shared.data.encodings.Format`.

    Raises:
        DataError: if there is no such file, or one of them cannot be read as text.
    """
    if os.path.isdir(path):
        return [_document(str(file), file, encoding) for file in _matching(path, pattern)]
    if os.path.isfile(path):
        return [_document(str(path), path, encoding)]
    with reading(str(path)):
        content = path.read_bytes()
    return [_document(str(path), content, encoding)]


def _document(name: str, content: Path | bytes, encoding: str) -> Document:
    """A document; one that is not UTF-8 is read into memory."""
    check_encoding(encoding)
    if isinstance(content, Path):
        with reading(name), content.open("rb") as file:
            head = file.read(4)
    else:
        head = content[:4]
    mark = marked_encoding(head)
    if mark == "utf-8-sig" or not (mark or encoding):
        return Document(name, content)
    if isinstance(content, Path):
        with reading(name):
            content = content.read_bytes()
    try:
        return Document(name, decode(content, encoding).encode())
    except UnicodeError as error:
        raise DataError(
            f"{name} is not text in {mark or encoding} ({error}). Name another --encoding, or get a complete "
            "copy of the file."
        ) from error


def _matching(folder: Path, pattern: str) -> list[Path]:
    def refuse(error: OSError):
        raise DataError(
            f"The folder {error.filename} cannot be read: {error.strerror}. Change its permissions, or name "
            "another folder."
        )

    files = [
        Path(root, name)
        for root, _, names in os.walk(folder, onerror=refuse)
        for name in names
        if _matches(Path(root, name).relative_to(folder), pattern)
    ]
    if not files:
        raise DataError(
            f"The folder {folder} holds no file that matches {pattern!r}. Give another one with --pattern."
        )
    return sorted(files, key=lambda file: file.relative_to(folder).parts)


def _matches(path: PurePath, pattern: str) -> bool:
    try:
        return path.match(pattern)
    except ValueError as error:
        raise DataError(f"The pattern {pattern!r} matches nothing. Expected one such as '*.txt'.") from error


def read_stdin(stdin: BinaryIO | None = None, encoding: str = "") -> Document:
    """All of standard input, read into memory.

    Args:
        stdin: a stream of bytes; by default that of the process.
        encoding: see `shared.data.encodings.Format`.
    """
    with reading("standard input"):
        content = (sys.stdin.buffer if stdin is None else stdin).read()
    return _document("standard input", content, encoding)
