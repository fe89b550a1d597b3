"""Training from Python: `sentiment.fit`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sentiment.app import APP
from sentiment.config import SentimentConfig
from sentiment.data.memory import reviews_in_memory
from sentiment.data.reviews import print_problems
from sentiment.training.recipe import suit, with_network_of_start
from shared.data.objects import DATA
from shared.fitting import fit_model, fit_settings
from shared.runs.folder import RunFolder


def fit(
    texts: Any,
    labels: Any,
    validation: Any,
    names: Mapping[Any, str] | None,
    start: str | Path | None,
    out: str | Path | None,
    verbose: int,
    settings: dict,
) -> Any:
    """See `sentiment.fit`."""
    config = fit_settings(APP, SentimentConfig(data=(DATA,)), start, settings)
    config = with_network_of_start(config, given=settings)
    data = reviews_in_memory(texts, labels, validation, names or {}, config)

    def train(config: SentimentConfig, run: RunFolder) -> None:
        print(f"{data.name}: {data.rule}.", flush=True)
        print_problems(data.problems)
        config = suit(run, config, data, given=settings)
        from sentiment.training.run import train_sentiment

        train_sentiment(config, run, data)

    return fit_model(APP, config, train, out, verbose)
