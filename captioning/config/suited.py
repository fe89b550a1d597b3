"""The settings that suit an amount of data."""

from typing import Any

# With fewer training images than this, a run starts from the preset.
FEW_IMAGES = 2_000
EPOCHS = 10  # of a run with few images; after each, the model is validated and saved


def suited(images: int, tokenizer: str, longest: int, start: str = "") -> dict[str, Any]:
    """The settings that suit the amount of data, for those that a user does not choose.

    With few images a run has a number of steps rather than of passes: small batches, which are shown again
    and again. The values for 50 images were measured (`benchmarks/README.md`).

    Args:
        images: training images.
        tokenizer: how captions are split.
        longest: tokens of the longest training caption.
        start: the model that the run starts from; empty: from nothing.

    Returns:
        Values by the names of settings of `CaptioningConfig`.

    Example:

    >>> suited(6000, "words", 30)["epochs"], suited(50, "words", 30, "photos")["batch_size"]
    (8, 6)
    """
    is_few = images < FEW_IMAGES
    images = max(images, 1)
    language = _for_language(tokenizer, longest)
    return {"init_from": start, **language, **(_few(images, start) if is_few else _many())}


def _for_language(tokenizer, longest):
    is_words = tokenizer == "words"
    return {
        "tokenizer": tokenizer,
        "max_length": 22 if is_words else max(22, min(longest, 100)),
        "no_repeat_ngram": 3 if is_words else 0,
    }


def _few(images, start):
    batch = min(max(images // 8, 1), 20)
    steps = 100 + images // 2 if start else 600 + images
    return {
        "min_count": 1 if images < 200 else 2,
        "batch_size": batch,
        "epochs": EPOCHS,
        "repeats": max(round(steps * batch / images / EPOCHS), 1),
        "learning_rate": 3e-4 if start else 1e-3,
        "warmup_steps": steps // 10,
        "average_decay": 0.98,
        "patience": EPOCHS,
    }


def _many():
    return {
        "min_count": 4,
        "batch_size": 20,
        "epochs": 8,
        "repeats": 1,
        "learning_rate": 1e-3,
        "warmup_steps": 200,
        "average_decay": 0.998,
        "patience": 4,
    }
