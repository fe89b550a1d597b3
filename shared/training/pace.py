"""Training progress, in steps or by the clock, and the learning rate as a function of it."""

import math
import time
from collections.abc import Callable

import keras


class Pace:
    """When a run ends, and how far it has come.

    Progress goes from 0 to 1 over all steps of all epochs, or over the minutes if there are any.

    Args:
        epochs: the largest number of epochs, or None.
        steps_per_epoch: steps in each.
        minutes: time for training, or None.
        schedule: the learning rate as a function of progress, or None.

    Attributes:
        seconds: training time so far.
    """

    def __init__(
        self,
        epochs: int | None,
        steps_per_epoch: int,
        minutes: float | None = None,
        schedule: Callable[[float], float] | None = None,
    ):
        self.epochs, self.steps_per_epoch = epochs, steps_per_epoch
        self.seconds = 0.0
        self._budget = None if minutes is None else 60.0 * minutes
        self._schedule = schedule
        self._ticked = 0.0

    @property
    def is_out_of_time(self) -> bool:
        return self._budget is not None and self.seconds >= self._budget

    def is_over(self, epochs_done: int) -> bool:
        """Whether no further epoch starts."""
        return self.is_out_of_time or (self.epochs is not None and epochs_done >= self.epochs)

    def title(self, epoch: int) -> str:
        """The title of an epoch's progress bar."""
        return f"epoch {epoch}" if self.epochs is None else f"epoch {epoch}/{self.epochs}"

    @property
    def state(self) -> dict[str, float]:
        """The clock's part of a checkpoint; empty without a time budget."""
        return {} if self._budget is None else {"seconds": self.seconds}

    @property
    def columns(self) -> dict[str, float]:
        """The clock's columns in the history; empty without a time budget."""
        return {} if self._budget is None else {"minutes": round(self.seconds / 60, 4)}

    def start_clock(self) -> None:
        """Call before the first step of an epoch: the time since the last step does not count."""
        self._ticked = time.perf_counter()

    def tick(self) -> None:
        """Call after each step."""
        now = time.perf_counter()
        self.seconds, self._ticked = self.seconds + now - self._ticked, now

    def progress(self, steps_done: float) -> float:
        """From 0 to 1."""
        if self._budget is not None:
            return min(self.seconds / self._budget, 1.0)
        return min(steps_done / (self.epochs * self.steps_per_epoch), 1.0)

    def seconds_left(self, epochs_done: int, seconds_per_epoch: float) -> float:
        """Estimated time until the run is over; early stopping may end it sooner."""
        if self._budget is not None:
            return max(self._budget - self.seconds, 0.0)
        return (self.epochs - epochs_done) * seconds_per_epoch

    def set_rate(self, optimizer: keras.optimizers.Optimizer) -> None:
        """Gives the optimizer the learning rate of its next step: that of the middle of the step, so that
        neither the first nor the last step of a schedule from 0 to 0 is lost."""
        if self._schedule is not None:
            optimizer.learning_rate.assign(self._schedule(self.progress(int(optimizer.iterations) + 0.5)))


def cosine(base_rate: float, warmup: float = 0.0, final: float = 0.0) -> Callable[[float], float]:
    """A learning rate over the progress of a run: linear warm-up, then half a cosine.

    Source: Loshchilov and Hutter 2017, "SGDR", equation 5, without restarts; warm-up as in Goyal et al. 2017.

    Args:
        base_rate: the highest rate, reached at progress `warmup`.
        warmup: fraction of the run in which the rate climbs, in [0, 1).
        final: the rate at the end, as a fraction of `base_rate`.

    Returns:
        The rate as a function of progress in [0, 1].

    Example:

    >>> rate = cosine(1.0, warmup=0.2, final=0.1)
    >>> [round(rate(progress), 3) for progress in (0.0, 0.1, 0.2, 0.6, 1.0)]
    [0.0, 0.5, 1.0, 0.55, 0.1]
    """
    if not 0.0 <= warmup < 1.0:
        raise ValueError(f"warmup must lie in [0, 1); it is {warmup}")

    def rate(progress: float) -> float:
        if progress < warmup:
            return base_rate * progress / warmup
        falling = 0.5 + 0.5 * math.cos(math.pi * (progress - warmup) / (1.0 - warmup))
        return base_rate * (final + (1.0 - final) * falling)

    return rate
