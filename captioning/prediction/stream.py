"""Captions a stream of images in batches, while threads read the next ones."""

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from captioning.data.images import resize
from captioning.prediction.results import Result
from shared.system.cli import UserError

if TYPE_CHECKING:
    from captioning.model.captioner import Captioner

BATCHES_AHEAD = 2


def caption_images(
    captioner: "Captioner",
    items: Iterable[tuple[Any, Callable[[], np.ndarray]]],
    *,
    batch_size: int = 16,
    workers: int | None = None,
    **options,
) -> Iterator[Result]:
    """Captions a stream of images in batches, while threads read the images of the next batches.

    An image that cannot be read becomes a result with an error; the others are captioned.

    Args:
        captioner: a `captioning.model.Captioner`, or anything with its `image_size` and `caption_pixels`.
        items: pairs of a key and a function that loads an image, `(height, width, 3)` uint8; taken as needed.
        batch_size: images that the model reads at once.
        workers: threads that read images; by default one for each core, at most 8.
        **options: `num_beams`, `n_best`, `length_penalty` and `max_length` of the search.

    Yields:
        A `captioning.prediction.results.Result` for each item, in their order.
    """
    workers = workers or min(8, os.cpu_count() or 1)
    with contextlib.closing(_read_ahead(captioner, items, batch_size, workers)) as batches:
        for batch in batches:
            pixels = [outcome for _, outcome in batch if not isinstance(outcome, str)]
            captions = iter(captioner.caption_pixels(np.stack(pixels), **options) if pixels else ())
            for key, outcome in batch:
                failed = isinstance(outcome, str)
                yield Result(key, (), outcome) if failed else Result(key, next(captions), None)


def _read_ahead(captioner, items, batch_size, workers):
    """Lists of up to `batch_size` pairs of a key and either a square of pixels or an error message."""
    items, waiting = iter(items), deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="read-image")
    try:
        while True:
            while len(waiting) <= BATCHES_AHEAD and (batch := list(islice(items, batch_size))):
                waiting.append([(key, pool.submit(_read, load, captioner)) for key, load in batch])
            if not waiting:
                return
            yield [(key, future.result()) for key, future in waiting.popleft()]
    finally:
        pool.shutdown(cancel_futures=True)


def _read(load, captioner) -> np.ndarray | str:
    try:
        image = load()
    except UserError as error:
        return str(error)
    except Exception as error:  # one odd file among thousands must not end the run
        return f"{type(error).__name__}: {error}"
    return resize(image, captioner.image_size)
