"""Training from Python: `charlm.fit`."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from charlm.app import APP
from charlm.config import CharLMConfig, recipe
from charlm.data.memory import text_in_memory
from charlm.training.start import settle_for
from shared.data.objects import DATA
from shared.fitting import fit_model, fit_settings
from shared.runs.folder import RunFolder


def fit(text: Any, start: str | Path | None, out: str | Path | None, verbose: int, settings: dict) -> Any:
    """See `charlm.fit`."""
    config = fit_settings(APP, recipe((DATA,)), start, settings)
    data = text_in_memory(text, config)

    def train(config: CharLMConfig, run: RunFolder) -> None:
        from charlm.training.run import train_charlm

        config = settle_for(data, config, run, Namespace(**settings))
        train_charlm(config, run, data)

    return fit_model(APP, config, train, out, verbose)
