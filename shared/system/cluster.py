"""The worker processes of a training run on several machines, as `TF_CONFIG` describes them.

Imports neither Keras nor TensorFlow.
"""

import json
from collections.abc import Mapping
from typing import NamedTuple

from shared.system.cli import UserError

EXAMPLE = (
    '\'{"cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]}, "task": {"type": "worker", "index": 0}}\''
)


class Task(NamedTuple):
    """This process among the workers.

    Attributes:
        index: its number; 0 is the chief, which alone writes the run folder.
        addresses: `host:port` of each worker, the chief first.

    Example:

    >>> task = Task.of({"TF_CONFIG": '{"cluster": {"worker": ["a:1", "b:1"]}, '
    ...                              '"task": {"type": "worker", "index": 1}}'})
    >>> task.index, task.is_chief, task.addresses
    (1, False, ('a:1', 'b:1'))
    """

    index: int
    addresses: tuple[str, ...]

    @property
    def is_chief(self) -> bool:
        return self.index == 0

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Task":
        """The task that `TF_CONFIG` names: a `chief`, if the cluster has one, or a `worker`.

        Raises:
            UserError: there is no `TF_CONFIG`, or it does not describe a task of a cluster.
        """
        text = environment.get("TF_CONFIG", "")
        if not text:
            raise UserError(f"--strategy multi-worker needs the environment variable TF_CONFIG={EXAMPLE}.")
        try:
            record = json.loads(text)
            cluster, task = record["cluster"], record["task"]
            tasks = [
                (job, index) for job in ("chief", "worker") for index in range(len(cluster.get(job, [])))
            ]
            addresses = tuple(str(cluster[job][index]) for job, index in tasks)
            return cls(tasks.index((task["type"], int(task["index"]))), addresses)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"TF_CONFIG names no task of its cluster ({error}). Expected a task of type chief or worker, "
                f"such as {EXAMPLE}; it is {text!r}."
            ) from error
