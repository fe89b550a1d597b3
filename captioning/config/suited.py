"""The settings that suit an amount of data."""

from typing import Any

# With fewer training images than this, a run starts from the preset.
FEW_IMAGES = 2_000


def suited(images: int, tokenizer: str, longest: int, start: str = "") -> dict[str, Any]:
    """The settings that suit the amount of data, for those that a user does not choose.

    A run has a number of steps rather than of epochs: with few images an epoch is short, and there are many.
    The thresholds were measured: `docs/results/few-captions`.

    Args:
        images: training images.
        tokenizer: how captions are split.
        longest: tokens of the longest training caption.
        start: the model that the run starts from; empty: from nothing.

    Returns:
        Values by the names of settings of `CaptioningConfig`.

    Example:

    >>> suited(6000, "words", 30)["epochs"], suited(50, "words", 30, "photos")["epochs"]
    (8, 30)
    """
    is_few = images < FEW_IMAGES
    batch = min(20, max(images // 8, 1)) if is_few else 20
    steps_per_epoch = max(images // batch, 1)
    epochs = _epochs(steps_per_epoch, 300 if start else 1500) if is_few else 8
    return {
        "init_from": start,
        "tokenizer": tokenizer,
        "min_count": 1 if images < 200 else 2 if is_few else 4,
        "max_length": 22 if tokenizer == "words" else max(22, min(longest, 100)),
        "no_repeat_ngram": 3 if tokenizer == "words" else 0,
        "batch_size": batch,
        "epochs": epochs,
        "learning_rate": 3e-4 if is_few and start else 1e-3,
        "warmup_steps": min(200, epochs * steps_per_epoch // 10) if is_few else 200,
        "average_decay": 0.98 if is_few else 0.998,
        "patience": max(epochs // 3, 4) if is_few else 4,
    }


def _epochs(steps_per_epoch: int, steps: int) -> int:
    return max(-(-steps // steps_per_epoch), 8)
