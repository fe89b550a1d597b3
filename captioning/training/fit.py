"""Training from Python: `captioning.fit`."""

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from captioning.app import APP
from captioning.config import CaptioningConfig, recipe
from captioning.data.memory import captions_in_memory
from captioning.training.start import settle_for
from shared.data.objects import DATA
from shared.data.report import SHOWN
from shared.fitting import fit_model, fit_settings
from shared.runs.folder import RunFolder


def fit(
    images: Any,
    captions: Any,
    validation: Any,
    start: str | Path | None,
    out: str | Path | None,
    verbose: int,
    settings: dict,
) -> Any:
    """See `captioning.fit`."""
    config = fit_settings(APP, recipe((DATA,)), start, settings)
    data = captions_in_memory(images, captions, validation, config.max_pixels)

    def train(config: CaptioningConfig, run: RunFolder) -> None:
        from captioning.training.run import train_captioner

        for problem in data.problems[:SHOWN]:
            print(f"left out: {problem}", file=sys.stderr)
        config = settle_for(data, config, run, Namespace(**settings))
        train_captioner(config, run, data)

    return fit_model(APP, config, train, out, verbose)
