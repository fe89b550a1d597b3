"""Ctrl-C, SIGTERM and SIGHUP as a request to finish the current step, save and stop."""

import contextlib
import signal
import threading
from collections.abc import Iterator

from shared.system.cli import UserError

HANGUP = getattr(signal, "SIGHUP", None)  # sent when the terminal closes; not on Windows
STOP_SIGNALS = tuple(number for number in (signal.SIGINT, signal.SIGTERM, HANGUP) if number is not None)


class Interrupted(UserError):  # noqa: N818 - named like KeyboardInterrupt: a wish, not a fault
    """The run was stopped by a signal and saved; the message says how to resume it."""

    label = "stopped"

    def __init__(self, message: str, signal_number: int = signal.SIGINT):
        super().__init__(message)
        self.status = 128 + signal_number


class BrokenOff(BaseException):
    """A signal came inside `StopSignals.breaking_off`; passes through `except Exception` as Ctrl-C does."""


class StopSignals:
    """Notes the first signal to stop, so that the running step can finish; the second stops at once.

    A signal that the process was started to ignore, as `nohup` has it ignore SIGHUP, stays ignored.

    Outside the main thread, where Python allows no handlers, it never receives anything.

    Attributes:
        received: number of the signal, 0 if there was none.

    Example:

    >>> with StopSignals() as stop:
    ...     signal.raise_signal(signal.SIGTERM)
    ...     stop.received == signal.SIGTERM
    True
    """

    def __init__(self):
        self.received = 0
        self._breaks_off = False
        self._before = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            for number in STOP_SIGNALS:
                if number != HANGUP or signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def breaking_off(self) -> Iterator[None]:
        """Around work that can be done again: a signal ends it at once.

        Raises:
            BrokenOff: a signal came, before or inside.
        """
        if self.received:
            raise BrokenOff
        self._breaks_off = True
        try:
            yield
        finally:
            self._breaks_off = False

    def _note(self, number: int, frame: object) -> None:
        if self.received and number == HANGUP:
            return  # the terminal and its shell both send one
        if self.received:
            raise KeyboardInterrupt
        self.received = number
        if self._breaks_off:
            self._breaks_off = False
            raise BrokenOff
