"""The command line of every script: one parser, errors a user can act on, exit statuses.

Imports neither Keras nor TensorFlow, so that `--help` and a mistyped option answer at once.
"""

import argparse
import contextlib
import difflib
import errno
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn

from shared.system.escapes import VisibleStream, visible

FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)  # no space left on the disk, or for this user


class UserError(Exception):
    """An error the user can fix; the message says what happened, what was expected and what to do.

    Scripts print `label: message` on the standard error stream and exit with `status`; subclasses may change
    both.
    """

    label = "error"
    status = 2


class NothingLearned(UserError):  # noqa: N818 - a result rather than an error
    """A training run is saved, but learned nothing; the message says how that is known and what to do."""

    label = "nothing learned"
    status = 3


class Parser(argparse.ArgumentParser):
    """The parser of a script: options are written in full, and a mistake is answered in one line.

    Args:
        module: what follows `python -m`.
        **kwargs: see `argparse.ArgumentParser`.

    Example:

    >>> parser = Parser("charlm.generate", description="Write text.")
    >>> _ = parser.add_argument("--seed", type=int)
    >>> parser.parse_args(["--seed", "7"]).seed
    7
    """

    def __init__(self, module: str, **kwargs):
        super().__init__(prog=f"python -m {module}", allow_abbrev=False, **kwargs)

    @property
    def options(self) -> list[str]:
        """The options that the parser knows, such as `--seed`."""
        return list(self._option_string_actions)

    def error(self, message: str) -> NoReturn:
        """Prints one line on standard error and exits with status 2."""
        hint = ""
        _, is_unknown, arguments = message.partition("unrecognized arguments: ")
        if is_unknown:
            options = [word.partition("=")[0] for word in arguments.split() if word.startswith("-")]
            hint = "".join(did_you_mean(option, self.options) for option in options[:1])
        self.exit(UserError.status, f"error: {visible(message)}.{hint} See {self.prog} --help.\n")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question to end an error message with; empty where no known name is close.

    Example:

    >>> did_you_mean("--sed", ["--seed", "--out"])
    ' Did you mean --seed?'
    >>> did_you_mean("--colour", ["--seed", "--out"])
    ''
    """
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.7)
    return f" Did you mean {close[0]}?" if close else ""


def run_script(main: Callable[[Sequence[str]], int | None], argv: Sequence[str] | None = None) -> int:
    """Runs a script's `main` and turns what ends it into an exit status.

    Characters that standard output cannot show are written as escapes, as on standard error. So are those
    that would control a terminal, but for colours.

    Args:
        main: takes the arguments, returns the exit status or `None` for 0.
        argv: the arguments without the program's name; by default those of the process.

    Returns:
        What `main` returned; 2 for a `UserError` (or the status its subclass names: 3 for `NothingLearned`)
        and a full disk, 130 for Ctrl-C, and 141 where the reader of the output went away.

    Example:

    >>> run_script(lambda argv: len(argv), ["a", "b", "c"])
    3
    """
    # TensorFlow reads this when it is first imported; what a user chose stays.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if hasattr(sys.stdout, "reconfigure"):
        # A terminal need not know every character, and names of files need not be valid Unicode.
        sys.stdout.reconfigure(errors="backslashreplace")
    terminal = VisibleStream(sys.stdout) if sys.stdout.isatty() else sys.stdout
    with contextlib.redirect_stdout(terminal):
        return _run(main, sys.argv[1:] if argv is None else list(argv))


def _run(main: Callable[[Sequence[str]], int | None], argv: Sequence[str]) -> int:
    try:
        status = main(argv)
        sys.stdout.flush()
        return int(status or 0)
    except UserError as error:
        with contextlib.suppress(OSError):  # the terminal may have been closed
            print(f"{error.label}: {visible(error)}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        print("stopped by Ctrl-C", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # `... | head` closes the pipe early; the interpreter would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            name = visible(str(error.filename)[:60])
            print(f"error: {name}... is too long for the name of a file.", file=sys.stderr)
            return UserError.status
        if error.errno not in FULL:
            raise
        # What could not be written may be the output itself, which is flushed again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        with contextlib.suppress(OSError):
            print(f"error: {visible(error)}. Free some space, then give the command again.", file=sys.stderr)
        return UserError.status
