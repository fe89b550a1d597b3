"""One writer for a run folder: a lock of the operating system, which dies with the process that holds it."""

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from shared.runs.folder import LOCK_FILE, RunError
from shared.system.files import take_lock


@contextlib.contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Keeps other processes from writing in a run folder.

    Args:
        folder: an existing folder.

    Raises:
        RunError: another process holds the folder, or its lock cannot be written.
    """
    path = folder / LOCK_FILE
    try:
        file = path.open("ab+", buffering=0)
    except OSError as error:
        raise RunError(
            f"could not write {path}: {error.strerror or error}. Make the folder writable, or choose another."
        ) from error
    with file:
        # Whoever held the lock may just have removed the folder, and the lock with it.
        if not take_lock(file) or not path.exists():
            file.seek(0)
            holder = file.read().decode(errors="replace") or "another process"
            raise RunError(
                f"{folder} is in use: {holder} writes it. Wait until it has ended, or choose another folder."
            )
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        with contextlib.suppress(OSError):  # on a full disk, only the message lacks the name
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}, since {since},".encode())
        yield
