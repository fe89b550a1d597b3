"""When the state of a run is saved, and what must be the same when it resumes."""

import time
from collections.abc import Mapping
from typing import Any

from shared.runs.folder import RunError, RunFolder
from shared.runs.weights import describing_checksums
from shared.training.checkpoint import Groups, load_checkpoint, save_checkpoint


class Saver:
    """Writes the checkpoints of a run, and reads the last one.

    Args:
        run: its folder.
        groups: the variables of a checkpoint.
        steps_per_epoch: steps in each epoch.
        data: checksums of the training data by the name of the part.
        minutes: time between two checkpoints within an epoch; None: none are due.
    """

    def __init__(
        self,
        run: RunFolder,
        groups: Groups,
        steps_per_epoch: int,
        data: Mapping[str, str],
        minutes: float | None,
    ):
        self._run, self._groups, self._minutes = run, groups, minutes
        files = {
            name: value for name, value in describing_checksums(run.path).items() if name != "config.json"
        }
        self._fixed = {"steps_per_epoch": steps_per_epoch, "data": dict(data), "files": files}
        self._samples = run.samples_size
        self._saved = time.monotonic()

    @property
    def is_due(self) -> bool:
        """Whether the next checkpoint within an epoch is due."""
        return self._minutes is not None and time.monotonic() - self._saved >= 60 * self._minutes

    def keep_samples(self) -> None:
        """What `samples.txt` holds now belongs to the checkpoints from now on."""
        self._samples = self._run.samples_size

    def save(self, state: Mapping[str, Any]) -> None:
        """Writes a checkpoint; the one before stays.

        Raises:
            FileError: it cannot be written; the last one is unchanged.
        """
        state = {**self._fixed, "samples": self._samples, **state}
        save_checkpoint(self._run.last_checkpoint, self._groups, state, self._run.previous_checkpoint)
        self._saved = time.monotonic()

    def load(self) -> dict[str, Any]:
        """Reads the last checkpoint into the variables, and cuts `samples.txt` to what it was then.

        Returns:
            The state that was saved.

        Raises:
            RunError: there is no checkpoint, it is damaged, or the run was started with other data.
        """
        run = self._run
        state = load_checkpoint(run.last_checkpoint, self._groups, run.previous_checkpoint)
        self._check_same(state)
        self._samples = state.get("samples", self._samples)
        run.cut_samples(self._samples)
        return state

    def _check_same(self, state: Mapping[str, Any]) -> None:
        """Earlier versions wrote no checksums."""
        started = f"the run in {self._run.path} was started with"
        for kind, advice in (
            ("files", "copy the folder again, whole"),
            ("data", "continue it with the same data, or start a new run in another folder"),
        ):
            now, then = self._fixed[kind], state.get(kind, self._fixed[kind])
            if changed := [name for name in {**then, **now} if then.get(name) != now.get(name)]:
                raise RunError(f"{started} other content of: {', '.join(changed)}; {advice}")
        if state["steps_per_epoch"] != self._fixed["steps_per_epoch"]:
            raise RunError(
                f"{started} {state['steps_per_epoch']} steps an epoch and now there are "
                f"{self._fixed['steps_per_epoch']}; continue it with the same data and batch size"
            )
