"""The progress bar of everything that takes long."""

from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


def progress_bar(
    items: Iterable[Any] | None = None,
    *,
    title: str | None = None,
    unit: str,
    total: int | None = None,
    done: int = 0,
    least: int = 0,
    delay: float = 0.0,
) -> tqdm:
    """A bar on standard error that disappears when the work is done; hidden if that is not a terminal.

    Args:
        items: iterated by the bar; None: call `update(count)` instead.
        title: shown before the bar.
        unit: what is counted, in the singular.
        total: how many there are; by default the length of `items`.
        done: how many an earlier process did.
        least: with fewer than this in total there is no bar.
        delay: seconds before it appears.

    Returns:
        A `tqdm`, to be iterated or used in a `with`.

    Example:

    >>> [number * 2 for number in progress_bar(range(3), unit="number")]
    [0, 2, 4]
    """
    total = len(items) if total is None and hasattr(items, "__len__") else total
    is_short = total is not None and total < least
    return tqdm(
        items,
        desc=title,
        unit=unit,
        total=total,
        initial=done,
        delay=delay,
        leave=False,
        disable=True if is_short else None,  # None: shown on a terminal only
    )
