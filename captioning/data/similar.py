"""Finds photographs that stand on both sides of a split, whatever their size and compression."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from captioning.data.examples import Example
from shared.system.cli import UserError
from shared.system.progress import progress_bar

SIDE = 16
MANY = 1_000  # images from which on reading them takes long enough for a progress bar
# Of 256 bits, how many may differ between two copies of a photograph. Of 11,366 photographs of Flickr8k and
# COCO, copies in other sizes and proportions differ in at most 13, different photographs in 30 or more.
LARGEST_DISTANCE = 24


def fingerprint(pixels: np.ndarray) -> np.ndarray:
    """Where an image gets brighter from left to right, on a coarse grid: 256 bits.

    Source: Krawetz 2013, "Kind of like that" (the difference hash).

    Args:
        pixels: `(height, width, 3)` uint8.

    Returns:
        `(256,)` of 1 and -1, float32, so that a product counts equal bits.
    """
    grey = Image.fromarray(pixels).convert("L").resize((SIDE + 1, SIDE), Image.Resampling.BOX)
    values = np.asarray(grey, dtype=np.int16)
    return np.where(values[:, 1:] > values[:, :-1], 1.0, -1.0).astype(np.float32).ravel()


def shared_photographs(
    training: Sequence[Example], validation: Sequence[Example]
) -> list[tuple[Example, Example]]:
    """Pairs of a training and a validation image that show the same photograph.

    Args:
        training, validation: images; those that cannot be read are passed over.
    """
    first, second = _fingerprints(training), _fingerprints(validation)
    if not first or not second:
        return []
    ours, theirs = np.stack(list(first.values())), np.stack(list(second.values()))
    distance = (ours.shape[1] - ours @ theirs.T) / 2  # (training images, validation images)
    rows, columns = list(first), list(second)
    pairs = np.argwhere(distance <= LARGEST_DISTANCE)
    return [(training[rows[i]], validation[columns[j]]) for i, j in pairs]


def _fingerprints(examples: Sequence[Example]) -> dict[int, np.ndarray]:
    """The fingerprint of each image that can be read, by its index; a plain picture has none."""

    def read(example):
        try:
            return fingerprint(example.load())
        except (UserError, OSError):
            return None

    bar = progress_bar(title="Comparing photographs", unit="image", total=len(examples), least=MANY)
    found = {}
    with ThreadPoolExecutor() as pool, bar:
        for index, bits in enumerate(pool.map(read, examples)):
            bar.update()
            # Pictures without structure would all be alike.
            if bits is not None and np.abs(bits.mean()) < 0.9:
                found[index] = bits
    return found
