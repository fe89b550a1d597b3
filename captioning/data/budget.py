"""How much memory the threads that read images may use together."""

import contextlib
import threading
from collections.abc import Iterator


class ByteBudget:
    """Bytes that threads share: who needs more than is left waits until others are done.

    Args:
        size: all of them. Who needs more than that gets all of them.
    """

    def __init__(self, size: int):
        self._size = self._left = size
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def hold(self, count: int) -> Iterator[None]:
        """Takes bytes from the budget, and gives them back at the end."""
        count = min(count, self._size)
        with self._changed:
            self._changed.wait_for(lambda: count <= self._left)
            self._left -= count
        try:
            yield
        finally:
            with self._changed:
                self._left += count
                self._changed.notify_all()
