"""Finds photographs that are on both sides of a split, whatever their size and compression."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from captioning.data.examples import Example
from shared.system.cli import UserError
from shared.system.progress import progress_bar

SIDE = 16
LARGEST_MEAN = 0.9  # of the bits, as 1 and -1: a plain picture has -1 nearly everywhere
MANY = 1_000  # images from which on reading them takes long enough for a progress bar
# Of 256 bits, how many may differ between two copies of a photograph. Of 11,366 photographs of Flickr8k and
# COCO, copies in other sizes and proportions differ in at most 13, different photographs in 30 or more.
LARGEST_DISTANCE = 24
COMPARED_AT_ONCE = 4_096  # images: the table of distances stays small


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
    training: Sequence[Example], held_out: Sequence[Example]
) -> list[tuple[Example, Example]]:
    """Pairs of a training and a held-out image that show the same photograph.

    Args:
        training, held_out: images; those that cannot be read are skipped, as are plain ones.
    """
    return similar_pairs(*(zip(part, _fingerprints(part), strict=True) for part in (training, held_out)))


def similar_pairs(
    training: Iterable[tuple[Example, np.ndarray | None]],
    held_out: Iterable[tuple[Example, np.ndarray | None]],
) -> list[tuple[Example, Example]]:
    """As `shared_photographs`, for images whose fingerprints are known.

    Args:
        training, held_out: images with their fingerprints; None: the image cannot be read.
    """
    (first, ours), (second, theirs) = _comparable(training), _comparable(held_out)
    pairs = []
    for start in range(0, len(ours), COMPARED_AT_ONCE):
        # (training images, held-out images)
        distance = (SIDE * SIDE - ours[start : start + COMPARED_AT_ONCE] @ theirs.T) / 2
        pairs += [(first[start + i], second[j]) for i, j in np.argwhere(distance <= LARGEST_DISTANCE)]
    return pairs


def _comparable(images) -> tuple[list[Example], np.ndarray]:
    """The images that can be compared, and their fingerprints `(images, 256)`."""
    # Plain pictures would all be alike.
    pairs = [(e, bits) for e, bits in images if bits is not None and abs(bits.mean()) < LARGEST_MEAN]
    bits = [bits for _, bits in pairs]
    return [example for example, _ in pairs], np.array(bits, np.float32).reshape(-1, SIDE * SIDE)


def _fingerprints(examples: Sequence[Example]) -> list[np.ndarray | None]:
    """The fingerprint of each image; None where it cannot be read."""

    def read(example):
        try:
            return fingerprint(example.load())
        except (UserError, OSError):
            return None

    bar = progress_bar(title="Comparing photographs", unit="image", total=len(examples), least=MANY)
    fingerprints = []
    with ThreadPoolExecutor() as pool, bar:
        for bits in pool.map(read, examples):
            bar.update()
            fingerprints.append(bits)
    return fingerprints
