"""What a training run shows as it runs: a progress bar, one line an epoch, TensorBoard scalars."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from shared.runs.folder import RunError
from shared.system.progress import progress_bar


class Size(NamedTuple):
    """The unit of the progress bar: its name, how many a batch has, and the name of the loss."""

    unit: str
    of: Callable[[Any], int]
    loss: str = "loss"


EXAMPLES = Size("examples", lambda batch: len(tf.nest.flatten(batch)[0]))


class EpochBar:
    """A progress bar over the steps of one epoch, with loss, examples a second and time left.

    Shows nothing where standard error is not a terminal.

    Args:
        title: such as `"epoch 3/12"`.
        steps: steps of the epoch.
        size: what is counted.
        done: steps made by an earlier process.
    """

    def __init__(self, title: str, steps: int, size: Size = EXAMPLES, done: int = 0):
        self._bar = progress_bar(title=title, unit="step", total=steps, done=done)
        self._began = time.perf_counter()
        self._size, self._counted = size, 0

    def __enter__(self) -> "EpochBar":
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def advance(self, mean_loss: float, count: int) -> None:
        """Counts one step with the given number of units."""
        self._counted += count
        rate = f"{self.rate:.0f} {self._size.unit}/s"
        self._bar.set_postfix_str(f"{self._size.loss} {mean_loss:.4f}, {rate}", refresh=False)
        self._bar.update()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._began

    @property
    def rate(self) -> float:
        """Units a second."""
        return self._counted / max(self.seconds, 1e-9)


def print_epoch(
    row: Mapping[str, float], metrics: Iterable[str], title: str, seconds: float, left: float, best: bool
) -> None:
    """Prints the line that remains of an epoch: what matters of its row in `history.csv`.

    Args:
        row: the row.
        metrics: names of the validation metrics in it.
        title: such as `"epoch 3/12"`.
        seconds: time for training and validation.
        left: estimated seconds until the run is over.
        best: whether no epoch was better so far.
    """
    parts = [f"{name} {row[name]:.4g}" for name in ("loss", *metrics)]
    times = f"{seconds:.0f} s, {_duration(left)} left" if left >= 1 else f"{seconds:.0f} s"
    print(f"{title}: {', '.join(parts)} ({times}){' *' if best else ''}", flush=True)


def _duration(seconds: float) -> str:
    """Such as `"40 s"`, `"12 min"` or `"3.5 h"`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


class ScalarLog:
    """TensorBoard scalars, one event file for each process that worked on the run.

    Args:
        folder: where the files are; made where it is absent.

    Raises:
        RunError: the folder cannot be written.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        with self._explained():
            self._writer = tf.summary.create_file_writer(str(folder))

    def __enter__(self) -> "ScalarLog":
        return self

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(tf.errors.OpError):  # all of it was flushed, or its failure was raised
            self._writer.close()

    def write(self, epoch: int, values: Mapping[str, float], picture: np.ndarray | None = None) -> None:
        """Writes one number for each name.

        Args:
            epoch: number of the epoch.
            values: by name.
            picture: of the gradient by distance in time, `(measurements, distances)` in [0, 1].

        Raises:
            RunError: the disk is full, for example.
        """
        with self._explained():
            with self._writer.as_default(step=epoch):
                for name, value in values.items():
                    tf.summary.scalar(name, value)
                if picture is not None:
                    enlarged = np.kron(picture, np.ones((4, 32)))[None, :, :, None]
                    tf.summary.image("gradient_by_distance", enlarged)
            self._writer.flush()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except tf.errors.OpError as error:
            reason = " ".join(error.message.split())
            raise RunError(
                f"could not write {self._folder}: {reason}. What the run saved is unchanged; free "
                "some space or make the folder writable, and continue with --resume."
            ) from error
