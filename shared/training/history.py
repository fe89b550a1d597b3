"""The history of a run: a row of metrics for each epoch, and which of them is the best."""

import math


class History:
    """One row for each epoch.

    Args:
        monitor: the metric by which epochs are compared.
        mode: `"max"` or `"min"`.
        patience: epochs without a better one after which the run is stale; None: never.

    Attributes:
        rows: numbers by name; `epoch` counts from 1.

    Raises:
        ValueError: the mode is unknown.

    Example:

    >>> history = History("val_loss", "min", patience=1)
    >>> history.append({"epoch": 1, "val_loss": 0.5})
    True
    >>> history.append({"epoch": 2, "val_loss": 0.7}), history.is_stale
    (False, True)
    """

    def __init__(self, monitor: str, mode: str, patience: int | None = None):
        if mode not in ("max", "min"):
            raise ValueError(f"mode must be 'max' or 'min'; it is {mode!r}")
        self.monitor, self._sign, self._patience = monitor, 1 if mode == "max" else -1, patience
        self.rows: list[dict[str, float]] = []

    def __len__(self) -> int:
        return len(self.rows)

    def append(self, row: dict[str, float]) -> bool:
        """Adds the row of an epoch; returns whether it is the best.

        Raises:
            ValueError: the row lacks the monitored metric.
        """
        if self.monitor not in row:
            raise ValueError(f"there is no metric {self.monitor!r} to monitor; there are {sorted(row)}")
        self.rows.append(row)
        return self.best is row

    @property
    def best(self) -> dict[str, float] | None:
        """The row of the best epoch, the first one where several are equal; NaN is never the best."""
        rows = [row for row in self.rows if math.isfinite(row[self.monitor])]
        return max(rows, key=lambda row: self._sign * row[self.monitor], default=None)

    @property
    def is_stale(self) -> bool:
        """Whether patience has run out."""
        waited = len(self.rows) - (self.best["epoch"] if self.best else 0)
        return self._patience is not None and waited >= self._patience > 0
