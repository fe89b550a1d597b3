"""Files that are written whole or not at all."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from shared.system.cli import UserError


class FileError(UserError):
    """A file or folder that could not be written."""


def write_atomic(path: str | os.PathLike, writer: Callable[[Path], object]) -> None:
    """Writes a file so that at any moment either the old or the new one is there, whole.

    Args:
        path: the file to write.
        writer: writes the file whose path it is given: a temporary one in the same folder, with the same
            suffixes.

    Raises:
        FileError: the system refused (no space left, no permission, ...).

    Whatever is raised, also by `writer`, an existing file is untouched and no temporary file remains.

    Example:

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_atomic(folder / "greeting.txt", lambda file: file.write_text("hello"))
    >>> [file.name for file in folder.iterdir()]
    ['greeting.txt']
    """
    path = Path(path)
    temporary = path.with_name(f".partial-{os.getpid()}.{path.name}")
    try:
        writer(temporary)
        _flush_to_disk(temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise FileError(
            f"could not write {path}: {error.strerror or error}. "
            "The old file is unchanged; free some space or choose a folder that can be written."
        ) from error
    finally:
        # Its own failure must not hide the first one.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not every system can flush a folder
        _flush_to_disk(path.parent)


def write_text_atomic(path: str | os.PathLike, text: str, errors: str = "strict") -> None:
    """Writes a text file in UTF-8 with `write_atomic`; `errors` is that of `str.encode`.

    Raises:
        FileError: the system refused.
    """
    write_atomic(path, lambda file: file.write_text(text, encoding="utf-8", errors=errors))


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
