"""Files that are written whole or not at all, and locks that die with their process."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from shared.system.cli import UserError

PARTIAL = ".partial-"  # how the names of temporary files begin


class FileError(UserError):
    """A file or folder that could not be written."""


def write_atomic(
    path: str | os.PathLike, writer: Callable[[Path], object], previous: Path | None = None
) -> None:
    """Writes a file so that at any moment either the old or the new one is there, whole.

    Args:
        path: the file to write.
        writer: writes the file whose path it is given: a temporary one in the same folder, with the same
            suffixes.
        previous: a path in the same folder under which the old file stays. A process that is killed between
            the two renames leaves it there, and no file at `path`.

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
    temporary = path.with_name(f"{PARTIAL}{os.getpid()}.{path.name}")
    try:
        writer(temporary)
        _flush_to_disk(temporary)
        _replace(path, temporary, previous)
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


def _replace(path: Path, new: Path, previous: Path | None) -> None:
    if previous is None or not path.exists():
        os.replace(new, path)
        return
    os.replace(path, previous)
    try:
        os.replace(new, path)
    except OSError:
        os.replace(previous, path)
        raise


def append_text(path: Path, text: str) -> None:
    """Adds text to a file in UTF-8, which is on the disk when the call returns.

    Raises:
        FileError: the system refused.
    """
    with _open_to_change(path, "a") as file:
        file.write(text)


def cut_file(path: Path, size: int) -> None:
    """Shortens a file to a number of bytes.

    Raises:
        FileError: the system refused.
    """
    with _open_to_change(path, "r+") as file:
        file.truncate(size)


@contextlib.contextmanager
def _open_to_change(path: Path, mode: str) -> Iterator[IO]:
    try:
        with path.open(mode, encoding="utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise FileError(
            f"could not write {path}: {error.strerror or error}. "
            "Free some space, or make the folder writable."
        ) from error


def remove_partial_files(folder: Path) -> None:
    """Removes what `write_atomic` left in a folder and the folders inside where its process was killed.

    Nobody else may be writing in the folder: hold its lock.
    """
    for file in folder.rglob(f"{PARTIAL}*"):
        with contextlib.suppress(OSError):
            file.unlink()


def take_lock(file: IO) -> bool:
    """Locks an open file until it is closed or the process ends, however it ends.

    Returns:
        Whether the lock was free. Windows and file systems without locks do not prevent two processes at
        once.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # the file system has no locks
        return True
    return True


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
