"""The calibration of a captioner's confidence, as its run folder has it."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

from shared.system.cli import UserError

CALIBRATION_FILE = "calibration.json"


@dataclass(frozen=True)
class Calibration:
    """Logistic regression on the logarithm of the confidence (Platt 1999, on another score).

    `python -m captioning.evaluate --calibrate` fits it: the result is the probability that a caption's CIDEr
    is above the median of the split.

    Args:
        slope: above 0, so that more confident captions stay more confident.
        intercept: any number.

    Raises:
        ValueError: a number is not finite, or the slope is not above 0.

    Example:

    >>> round(Calibration(slope=2.0, intercept=2.0).apply(0.5), 3)
    0.649
    """

    slope: float
    intercept: float

    def __post_init__(self):
        if not (0 < self.slope < math.inf and math.isfinite(self.intercept)):
            raise ValueError(f"slope must be above 0 and both finite, not {self.slope} and {self.intercept}")

    @classmethod
    def load(cls, folder: Path) -> "Calibration | None":
        """The calibration in a run folder or preset; None if it has none.

        Raises:
            UserError: the file cannot be read.
        """
        path = folder / CALIBRATION_FILE
        if not path.is_file():
            return None
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            return cls(float(record["slope"]), float(record["intercept"]))
        except (OSError, RecursionError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{path} is damaged ({error}). Write it again with captioning.evaluate --calibrate, or "
                "delete it."
            ) from error

    def apply(self, confidence: float) -> float:
        """The calibrated confidence, in [0, 1]."""
        if confidence <= 0:
            return 0.0
        logit = self.slope * math.log(confidence) + self.intercept
        return 1 / (1 + math.exp(-logit)) if logit > -700 else 0.0
