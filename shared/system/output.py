"""The output of scripts: standard output or a file, checked before any work is done."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from tqdm import tqdm

from shared.system.cli import UserError
from shared.system.escapes import visible
from shared.system.files import write_text_atomic


def check_output(path: Path, inputs: Iterable[Path] = ()) -> None:
    """Checks, before any work, that a file can be written. Its content is not changed.

    Args:
        path: the file to write.
        inputs: files that are read and must not be overwritten; those that do not exist are ignored.

    Raises:
        UserError: it cannot be written, or is one of the inputs.
    """
    existed = path.exists()
    if path.is_file() and any(os.path.exists(source) and source.samefile(path) for source in inputs):
        raise UserError(f"{path} is one of the inputs; writing would destroy it. Name another file.")
    if _is_special(path):
        return  # opening would disturb it
    with _explained(path):
        path.open("a").close()
        if not existed:
            path.unlink()


def check_outputs(outputs: Mapping[str, Path | None], inputs: Iterable[Path] = ()) -> None:
    """Checks the files that a script writes, each as `check_output` does, and that no two are the same.

    Args:
        outputs: the files by the names of their options; those that are None are passed over.
        inputs: files that are read and may not be lost.

    Raises:
        UserError: a file cannot be written, is one of the inputs, or is named twice.
    """
    inputs, checked = list(inputs), {}
    for option, path in outputs.items():
        if path is None:
            continue
        check_output(path, inputs)
        first, name = checked.setdefault(path.resolve(), (option, path))
        if first != option and not path.is_char_device():
            raise UserError(f"{first} and {option} both name {name}. Name two files.")


def check_free(path: Path) -> None:
    """Checks that a folder can be made.

    Raises:
        UserError: there is a file of that name, a folder that is not empty, or a file on the way.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"{path} exists already. Name a new folder with --out, or remove it first.")
    parent = next(parent for parent in path.absolute().parents if parent.exists())
    if not parent.is_dir():
        raise UserError(f"{path} cannot be made: {parent} is a file. Name another folder with --out.")


@contextlib.contextmanager
def open_output(path: Path | None) -> Iterator[Callable[[str], None]]:
    """Gives a function that writes text and flushes it at once.

    A progress bar on the same terminal is moved out of the way. Characters that are not valid Unicode, as in
    names of files, are written as escapes (on standard output by `run_script`).

    Args:
        path: the file to write, or None for standard output.

    Raises:
        UserError: it cannot be written.

    Example:

    >>> with open_output(None) as write:
    ...     write("one\\n")
    ...     write("two\\n")
    one
    two
    """
    if path is None:
        stream = sys.stdout
    else:
        with _explained(path):
            stream = path.open("w", encoding="utf-8", errors="backslashreplace", newline="")

    def write(text: str) -> None:
        with tqdm.external_write_mode(file=stream), _explained(path or "standard output"):
            print(text, end="", file=stream, flush=True)

    try:
        yield write
    finally:
        if path is not None:
            with contextlib.suppress(OSError):  # all of it was flushed, or its failure was raised
                stream.close()


def print_error(text: str) -> None:
    """Prints a line on standard error; a progress bar there makes way for it.

    Characters that would control a terminal are written as escapes.
    """
    with tqdm.external_write_mode(file=sys.stderr):
        print(visible(text), file=sys.stderr, flush=True)


def write_whole(path: Path, text: str) -> None:
    """Writes a file whole or not at all; characters that are not valid Unicode become escapes.

    Args:
        path: the file. An existing file is replaced; a pipe or device receives the text.
        text: all of its content.

    Raises:
        UserError: it cannot be written.
    """
    if _is_special(path):
        with open_output(path) as write:
            write(text)
    else:
        write_text_atomic(path, text, errors="backslashreplace")


def _is_special(path: Path) -> bool:
    """Whether it is a pipe or a device, which can be written to but not replaced."""
    return path.exists() and not path.is_file() and not path.is_dir()


@contextlib.contextmanager
def _explained(path: Path | str) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise  # the reader has enough; no error of the user's
    except OSError as error:
        raise UserError(
            f"Cannot write {path}: {error.strerror or error}. "
            "Name a file in an existing folder that may be written and has space."
        ) from error
