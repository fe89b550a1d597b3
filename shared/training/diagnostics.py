"""What a run shows of itself while it trains: curves, gradients over time, and the recurrent matrices.

    curves.svg         loss, metric and gradient norm of each epoch
    diagnostics.jsonl  a record every few hundred steps and after each epoch

Nothing here changes the training: the same weights come out with and without it.
"""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from shared.runs.folder import RunFolder
from shared.system.files import write_text_atomic
from shared.training.matrices import largest_singular_value, recurrent_matrices, spectral_radius
from shared.visual.charts import line_chart, stack

DISTANCES = (1, 2, 4, 8, 16, 32, 64, 128)  # steps back at which a gradient is recorded
SHARE = 0.02  # of the training time
VANISHED, EXPLODED = 1e-5, 100.0  # a gradient so many steps back, as a share of that one step back
FAR = 32  # steps back, at which it should not have vanished

Probe = Callable[[], np.ndarray]


class Diagnostics:
    """Records a run.

    Args:
        run: its folder.
        model: the model that is trained.
        probe: gives the mean norm `(steps,)` of the gradient of a fixed batch's last loss by the input 0, 1,
            2, ... steps before; None: it is not measured.
        every: steps between two measurements.
        clip_norm: the norm to which gradients are cut, or None.
    """

    def __init__(
        self,
        run: RunFolder,
        model: keras.Model,
        probe: Probe | None,
        every: int = 300,
        clip_norm: float | None = None,
    ):
        self._run, self._model, self._probe, self._every, self._clip_norm = (
            run,
            model,
            probe,
            every,
            clip_norm,
        )
        self._file = run.path / "diagnostics.jsonl"
        self._records: list[dict[str, Any]] = []
        self._began, self._spent, self._longest = time.perf_counter(), 0.0, 0.0
        self._told: set[str] = set()

    def load(self, step: int) -> None:
        """Reads the records of the steps up to a checkpoint; a damaged line and all after it are dropped."""
        self._records = [record for record in read_records(self._run) if record["step"] <= step]

    def after_step(self, step: int) -> bool:
        """Measures the gradient over time, if that is due and affordable; returns whether it did."""
        if self._probe is None or step % self._every or not self._has_time():
            return False
        began = time.perf_counter()
        self._records.append({"step": step, **self._gradient()})
        self._took(began)
        return True

    def _gradient(self) -> dict[str, dict[str, float]]:
        """The gradient by distance, as it is in a record; empty without a probe."""
        if self._probe is None:
            return {}
        norms = np.asarray(self._probe(), np.float64)
        distances = [distance for distance in DISTANCES if distance < len(norms)]
        return {"gradient_by_distance": {str(k): float(norms[k]) for k in distances}}

    def after_epoch(self, step: int, rows: Sequence[Mapping[str, float]], monitor: str) -> dict[str, float]:
        """Measures the matrices and writes the files, if that is affordable, and says what is wrong.

        Args:
            step: steps of the run so far.
            rows: the history.
            monitor: the metric that decides which epoch is best.

        Returns:
            The numbers for TensorBoard, by name.
        """
        began, values = time.perf_counter(), {}
        if self._has_time():
            for path, matrices in recurrent_matrices(self._model).items():
                values[f"largest_singular_value/{path}"] = max(map(largest_singular_value, matrices))
                values[f"spectral_radius/{path}"] = max(map(spectral_radius, matrices))
            self._records.append({"step": step, "epoch": len(rows), **values, **self._gradient()})
            self.write(rows, monitor)
        self._took(began)
        for sentence in self._sentences(rows[-1]):
            if sentence not in self._told:
                print(sentence, flush=True)
                self._told.add(sentence)
        return values

    def write(self, rows: Sequence[Mapping[str, float]], monitor: str) -> None:
        """Writes the files; does nothing before the first epoch.

        Args:
            rows: the history.
            monitor: the metric that decides which epoch is best.

        Raises:
            FileError: a file could not be written.
        """
        if rows:
            lines = "".join(json.dumps(record) + "\n" for record in self._records)
            write_text_atomic(self._file, lines)
            write_text_atomic(self._run.path / "curves.svg", curves(rows, monitor))

    def picture(self) -> np.ndarray | None:
        """The gradient by distance `(measurements, distances)`, on a log scale in [0, 1], if measured."""
        measured = [
            record["gradient_by_distance"] for record in self._records if "gradient_by_distance" in record
        ]
        if not measured:
            return None
        norms = np.array([list(norms.values()) for norms in measured])
        logs = np.log10(np.maximum(norms / np.maximum(norms[:, :1], 1e-30), 1e-6))
        return np.clip(1 + logs / 6, 0, 1)

    def _has_time(self) -> bool:
        """Whether a measurement as long as the longest yet stays within the share; the first one is free."""
        elapsed = time.perf_counter() - self._began
        return self._spent + self._longest <= SHARE * elapsed

    def _took(self, began: float) -> None:
        seconds = time.perf_counter() - began
        self._spent, self._longest = self._spent + seconds, max(self._longest, seconds)

    def _sentences(self, row: Mapping[str, float]) -> list[str]:
        sentences = []
        if self._clip_norm and row["gradient_norm"] > 10 * self._clip_norm:
            sentences.append(
                f"The gradients are more than 10 times as large as --clip-norm {self._clip_norm:g}. Try a "
                "lower learning rate, or a longer warm-up."
            )
        # The gradients of a network that knows nothing yet say little.
        known = [r for r in self._records if "gradient_by_distance" in r and r["step"] >= self._every]
        norms = known[-1]["gradient_by_distance"] if known else {}
        shares = {int(k): norm / norms["1"] for k, norm in norms.items() if norms.get("1")}
        far = max((k for k in shares if k <= FAR), default=0)
        if far >= 8 and shares[far] < VANISHED:
            sentences.append(
                f"The gradient vanishes: {far} steps back it is {shares[far]:.0e} of that one step back, so "
                "nothing is learned over such distances. Try --cell lstm or gru, or a shorter --window."
            )
        if shares and max(shares.values()) > EXPLODED:
            k = max(shares, key=shares.get)
            sentences.append(
                f"The gradient explodes: {k} steps back it is {shares[k]:.0f} times that one step back. Try "
                "a lower --clip-norm, a lower learning rate, or --cell lstm or gru."
            )
        return sentences


def read_records(run: RunFolder) -> list[dict[str, Any]]:
    """The records of `diagnostics.jsonl`, up to the first damaged line; none where there is no file."""
    file = run.path / "diagnostics.jsonl"
    records = []
    if file.is_file():
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                record = json.loads(line)
                records.append({**record, "step": int(record["step"])})
            except (ValueError, TypeError, KeyError):
                break
    return records


def curves(rows: Sequence[Mapping[str, float]], monitor: str) -> str:
    """Loss, metric and gradient norm of each epoch, one chart above the other, as SVG."""
    epochs = [row["epoch"] for row in rows]
    if monitor == "epoch":  # the last one counts
        monitor = next((name for name in rows[0] if name.startswith("val_")), "loss")
    charts = []
    for names, log in ((["loss"], False), ([monitor], False), (["gradient_norm", "learning_rate"], True)):
        lines = {name: (epochs, [row[name] for row in rows]) for name in names if name in rows[0]}
        values = [value for _, line in lines.values() for value in line]
        if names == ["loss"] == [monitor] and charts:
            continue
        if any(math.isfinite(value) and (value > 0 or not log) for value in values):
            title = " and ".join(name.replace("_", " ") for name in lines)
            charts.append(line_chart(lines, title=title, x_label="epoch", log_y=log, size=(760, 260)))
    return stack(charts)


class Climb:
    """Notices a run whose loss has been worse than at its start for a long time.

    Args:
        patience: steps for which that must last.

    Attributes:
        state: goes into the checkpoint, and comes from it.

    Example:

    >>> climb = Climb(patience=3)
    >>> [climb.is_lost(loss) for loss in [2.0] * 50 + [1.0, 2.5, 4.0, 4.0]][-4:]
    [False, False, False, False]
    """

    FIRST = 50  # steps whose mean is the loss of the start
    MARGIN = 0.1  # by which a loss is worse, as a share of the loss of the start

    def __init__(self, patience: int = 500):
        self._patience = patience
        self.state = {"steps": 0, "start": 0.0, "mean": 0.0, "worse": 0}

    def is_lost(self, loss: float) -> bool:
        """Counts the loss of one more step; whether the run has climbed for too long."""
        state = self.state
        state["steps"] += 1
        if state["steps"] <= self.FIRST:
            state["start"] += (loss - state["start"]) / state["steps"]
            state["mean"] = state["start"]
            return False
        state["mean"] += (loss - state["mean"]) / self.FIRST
        is_worse = state["mean"] > state["start"] + self.MARGIN * abs(state["start"])
        state["worse"] = state["worse"] + 1 if is_worse else 0
        return state["worse"] >= self._patience
