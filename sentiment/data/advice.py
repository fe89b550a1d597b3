"""What to expect of so many reviews, and how to train on them, for `python -m sentiment.data`."""

import argparse
import math
import shlex
from collections.abc import Mapping

from sentiment.config import SentimentConfig
from shared.runs.names import run_name

# Of at least so many training reviews: what was measured, see docs/results/few-reviews and docs/results/imdb.
MEASURED = (
    (
        0,
        "With 20 film reviews, a model that starts from the preset has about 90 % right (it has seen film "
        "reviews before); with 60 short texts about products and three labels, 55 %, where a linear model of "
        "words has 43 %.",
    ),
    (
        200,
        "With 200 to 400 film reviews, a model that starts from the preset has about 91 % right (it has seen "
        "film reviews before); with 300 short texts about products and three labels, 66 %, where a linear "
        "model of words has 48 %.",
    ),
    (
        5000,
        "With 22,500 film reviews, a network from nothing has about 87 % right; after a language model of "
        "the same texts (--pretrain), 91 %, as has a linear model of words.",
    ),
)


def advice(splits: Mapping[str, Mapping], arguments: argparse.Namespace) -> str:
    """What to expect of the data and the command that trains on them.

    Args:
        splits: from `examine`: for each part, the number of its `reviews` among others.
        arguments: of `python -m sentiment.data`; settings of a run among them go into the command.
    """
    train, validation = splits["train"]["reviews"], splits.get("validation", {}).get("reviews", 0)
    lines = ["", next(text for least, text in reversed(MEASURED) if train >= least)]
    if validation:
        points = 100 * 1.96 * math.sqrt(0.25 / validation)
        lines.append(
            f"{validation:,} validation texts tell the accuracy to within {points:.0f} points at worst."
        )
    return "\n".join([*lines, f"To train: {command(arguments)}"])


def command(arguments: argparse.Namespace) -> str:
    """The command that trains on the data that these arguments name, read in the same way."""
    defaults = SentimentConfig()
    words = ["python", "-m", "sentiment.train", "--data", *arguments.source]
    for name, value in vars(arguments).items():
        if hasattr(defaults, name) and value != getattr(defaults, name):
            words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join([*words, "--out", f"runs/{run_name(arguments.source[0])}"])
