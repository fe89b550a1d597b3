"""The name of a run."""

import re
from pathlib import Path


def run_name(source: str) -> str:
    """What to call a run on a source of data: the file or folder without suffix, or the source's own name.

    Example:

    >>> run_name("tfds:imdb_reviews")
    'tfds-imdb_reviews'
    """
    if source == "-":
        return "standard-input"
    path = Path(source)
    return path.resolve().stem if path.exists() else re.sub(r"[^\w.-]+", "-", source)
