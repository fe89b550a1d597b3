"""What to expect of an amount of captioned images, and the command to train with."""

import shlex
from collections.abc import Sequence

from captioning.config import FEW_IMAGES

# What was measured, from few images to many: the least number for which it tells something.
MEASURED = (
    (0, "too few to learn from: caption them with the preset, python -m captioning.predict"),
    (
        10,
        "training starts from the preset photos. With 50 photographs of one theme, captioned in a style of "
        "their own, CIDEr on others rose from 0.22 to 0.53; in one that the preset knows it fell a little",
    ),
    (
        FEW_IMAGES,
        "training starts from nothing, or with --init-from photos from the preset. 6,000 photographs with "
        "five captions each gave CIDEr 0.55 from nothing",
    ),
)


def advice(images: int, validation: int, tokenizer: str, sources: Sequence[str]) -> list[str]:
    """Lines for a report.

    Args:
        images: training images.
        validation: validation images.
        tokenizer: how captions would be split.
        sources: as the user named them.

    Example:

    >>> print(advice(7, 1, "words", ["mine.csv"])[0])
    7 training images: too few to learn from: caption them with the preset, python -m captioning.predict.
    """
    expected = [text for least, text in MEASURED if images >= least][-1]
    split = {"words": "into words in lower case", "exact": "with their case, accents and punctuation"}
    lines = [
        f"{images:,} training images: {expected}.",
        f"captions are split {split[tokenizer]} (--tokenizer {tokenizer})",
    ]
    if not validation:
        return [*lines, "training needs validation images too: name them in the column split"]
    return [*lines, f"train: python -m captioning.train --data {shlex.join(sources)}"]
