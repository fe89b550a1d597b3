"""What to expect of an amount of text, and the command to train with."""

import shlex
from collections.abc import Sequence

from charlm.config import FEW_CHARACTERS

# What was measured, from short texts to long ones, each with the least number of characters.
MEASURED = (
    (0, "too short to learn from: generate with the preset, python -m charlm.generate"),
    (10_000, "training starts from the preset shakespeare"),
    (
        30_000,
        "training starts from the preset shakespeare. 54,000 characters of Shakespeare's sonnets gave 1.29 "
        "nats per character, and from nothing 1.59",
    ),
    (
        FEW_CHARACTERS,
        "training starts from nothing, or with --init-from shakespeare from the preset. 1,003,854 characters "
        "gave 1.47 nats per character from nothing",
    ),
)


def advice(characters: int, validation: int, sources: Sequence[str]) -> list[str]:
    """Lines for a report.

    Args:
        characters: of the training text.
        validation: characters of the validation text.
        sources: as the user named them.

    Example:

    >>> advice(900, 100, ["mine.txt"])[-1]
    'train: python -m charlm.train --data mine.txt'
    """
    expected = [text for least, text in MEASURED if characters >= least][-1]
    lines = [f"{characters:,} training characters: {expected}."]
    if validation < 2:
        return [*lines, "training needs a validation text too: give a --validation-fraction above 0"]
    return [*lines, f"train: python -m charlm.train --data {shlex.join(sources)}"]
