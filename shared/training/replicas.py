"""The devices and machines that share the work of each training step, by `tf.distribute`.

Every process makes the same batches and holds all weights. In a step, each replica computes the gradient of
its rows of the batch. The gradients are summed over all replicas, of all processes, and every process then
makes the same update of its own weights. So a step gives what it gives in one process, up to rounding, and
models, evaluation and checkpoints know nothing of replicas.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from shared.system.cli import UserError
from shared.system.cluster import Task

# What TensorFlow raises where another process ended, or does not answer.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
)


class WorkerLostError(UserError):
    """Another worker of the run ended or cannot be reached. The status is EX_TEMPFAIL: try again."""

    status = 75


class Replicas:
    """The replicas of a run; by default there is one, and nothing is distributed.

    Args:
        strategy: a `tf.distribute.Strategy`; None: the default one.
        task: this process among several; None: it is the only one.

    Attributes:
        count: replicas of all processes.
        local: indices of this process's replicas.

    Example:

    >>> replicas = Replicas()
    >>> replicas.count, replicas.gather([2.5, 0.0]).tolist()
    (1, [[2.5, 0.0]])
    """

    def __init__(self, strategy: tf.distribute.Strategy | None = None, task: Task | None = None):
        self._strategy = strategy or tf.distribute.get_strategy()
        self._index, self._processes = (task.index, len(task.addresses)) if task else (0, 1)
        self.count = self._strategy.num_replicas_in_sync
        here = self.count // self._processes
        self.local = range(self._index * here, (self._index + 1) * here)
        self._gathering = tf.function(self._rows, autograph=False)

    @classmethod
    def mirrored(cls, devices: int | None = None) -> "Replicas":
        """One replica for each GPU; on a computer without, for each of some logical CPU devices.

        Args:
            devices: how many; None: all GPUs.

        Raises:
            UserError: there are not so many, or TensorFlow has been used already.
        """
        gpus = tf.config.list_physical_devices("GPU")
        if not gpus and devices:
            _divide_cpu(devices)
        names = [device.name for device in tf.config.list_logical_devices("GPU" if gpus else "CPU")]
        if devices and devices > len(names):
            raise UserError(f"--replicas {devices} is more than the {len(names)} GPUs that there are")
        return cls(tf.distribute.MirroredStrategy(names[:devices]))

    @classmethod
    def multi_worker(cls, task: Task) -> "Replicas":
        """One replica for each GPU of every worker, or for its processor; waits until all workers are there.

        Must be made before TensorFlow runs its first operation.
        """
        return cls(tf.distribute.MultiWorkerMirroredStrategy(), task)

    def slices(self, rows: int) -> list[slice]:
        """The rows of a batch for each replica, of all processes; sizes differ by one at most.

        Raises:
            UserError: a replica would have none.
        """
        if rows < self.count:
            raise UserError(
                f"A batch has {rows} rows, and there are {self.count} replicas. Expected a row for each: "
                "give a larger --batch-size, or fewer devices and workers."
            )
        ends = [rows * number // self.count for number in range(self.count + 1)]
        return [slice(*pair) for pair in itertools.pairwise(ends)]

    def sum(self, function: Callable[[int], Any]) -> Any:
        """Runs a function on each replica, inside a graph; the sum of what it returns over all replicas.

        Args:
            function: `function(index)` of a replica returns a nested structure of tensors, in which None
                stays None. Its dtypes are those that devices can add up; bfloat16 is added as float32.
        """
        here = self._strategy.run(self._sum_of, args=(function,))
        return tf.nest.map_structure(lambda value: self._strategy.experimental_local_results(value)[0], here)

    def _sum_of(self, function):
        context = tf.distribute.get_replica_context()
        values = function(int(tf.get_static_value(tf.convert_to_tensor(context.replica_id_in_sync_group))))
        leaves = tf.nest.flatten(values)
        kinds: dict[tf.DType, list[int]] = {}  # tensors of one dtype are added up together
        for number, leaf in enumerate(leaves):
            if leaf is not None:
                kinds.setdefault(_addable(leaf.dtype), []).append(number)
        for dtype, numbers in kinds.items():
            some = [tf.cast(leaves[number], dtype) for number in numbers]
            totals = context.all_reduce(tf.distribute.ReduceOp.SUM, some)
            for number, total in zip(numbers, totals, strict=True):
                leaves[number] = tf.cast(total, leaves[number].dtype)
        return tf.nest.pack_sequence_as(values, leaves)

    def gather(self, numbers: Sequence[float]) -> np.ndarray:
        """The numbers of every process, `(processes, numbers)`, the chief's first.

        Raises:
            WorkerLostError: another process is gone.
        """
        own = np.asarray(numbers, np.float64)
        if self._processes == 1:
            return own[None]
        with self.watched():
            return self._gathering(tf.constant(own)).numpy()

    def _rows(self, own):
        """All processes' numbers: each adds its row to a table of zeros."""
        table = tf.pad(own[None], [[self._index, self._processes - 1 - self._index], [0, 0]])
        return self.sum(lambda index: table + 0 if index == self.local.start else tf.zeros_like(table))

    def check_alike(self, numbers: Mapping[str, float]) -> None:
        """Checks that numbers are the same in all processes.

        Raises:
            UserError: one is not.
            WorkerLostError: another process is gone.
        """
        gathered = self.gather(list(numbers.values()))
        for name, column in zip(numbers, gathered.T, strict=True):
            if (column != column[0]).any():
                values = ", ".join(f"{value:.17g}" for value in column)
                raise UserError(
                    f"The workers differ in {name}: {values}. Expected the same run folder, data, settings "
                    "and versions for all of them."
                )

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Around work with other processes: says so where one of them is gone.

        Raises:
            WorkerLostError: another process is gone.
        """
        try:
            yield
        except _LOST as error:
            if self._processes == 1:
                raise
            lines = error.message.strip().splitlines()
            reason = next((line for line in lines if "aborted" in line), lines[0]).rstrip(".")
            raise WorkerLostError(
                f"worker {self._index} of {self._processes} lost another one: {reason}. What the run saved "
                "is unchanged. Start all workers again, with --resume."
            ) from error


def _addable(dtype: tf.DType) -> tf.DType:
    return tf.float32 if dtype in (tf.bfloat16, tf.float16) else dtype


def _divide_cpu(devices: int) -> None:
    """Makes logical devices of the processor."""
    (cpu,) = tf.config.list_physical_devices("CPU")
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)
    except RuntimeError as error:
        raise UserError(f"The processor cannot be divided into --replicas {devices}: {error}.") from error
