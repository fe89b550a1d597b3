"""Documents from files, folders and standard input."""

import os
import sys
from pathlib import Path, PurePath
from typing import BinaryIO

from charlm.data.documents import Document
from shared.data.source import DataError, reading


def read_path(path: Path, pattern: str) -> list[Document]:
    """The documents of a file, or of the files in a folder, sorted by name.

    Args:
        path: a file or folder that exists. A pipe is read into memory.
        pattern: which files in a folder and in the folders below it.

    Raises:
        DataError: if there is no such file, or one of them cannot be read as text.
    """
    if os.path.isdir(path):
        return [Document(str(file), file) for file in _matching(path, pattern)]
    if os.path.isfile(path):
        return [Document(str(path), path)]
    with reading(str(path)):
        return [Document(str(path), path.read_bytes())]


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


def read_stdin(stdin: BinaryIO | None = None) -> Document:
    """All of standard input, read into memory.

    Args:
        stdin: a stream of bytes; by default that of the process.
    """
    with reading("standard input"):
        return Document("standard input", (sys.stdin.buffer if stdin is None else stdin).read())
