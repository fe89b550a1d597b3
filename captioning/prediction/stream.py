"""Captions a stream of images in batches, while threads read the next ones."""

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from captioning.data.images import resize
from captioning.prediction.results import Result
from shared.system.cli import UserError

if TYPE_CHECKING:
    from captioning.model.captioner import Captioner

# The search of one batch, which is many small operations, leaves idle what the encoder of the next can use.
CALLS_AT_ONCE = 2
BATCHES_READ_AHEAD = 2


def caption_images(
    captioner: "Captioner",
    items: Iterable[tuple[Any, Callable[[], np.ndarray]]],
    *,
    batch_size: int = 32,
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
    ahead = BATCHES_READ_AHEAD * batch_size
    with (
        contextlib.closing(_ahead(partial(_read, captioner), items, workers, ahead)) as images,
        contextlib.closing(
            _ahead(partial(_caption, captioner, options), _batches(images, batch_size), CALLS_AT_ONCE, 1)
        ) as batches,
    ):
        for results in batches:
            yield from results


def _ahead(function, items, threads, ahead):
    """`function(item)` of each item, in order, while threads work on up to `ahead` items after it."""
    waiting, pool = deque(), ThreadPoolExecutor(threads, thread_name_prefix="caption-images")
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _batches(items, size):
    while batch := list(islice(items, size)):
        yield batch


def _read(captioner, item) -> tuple[Any, np.ndarray | str]:
    """The key of an item with a square of pixels, or with an error message."""
    key, load = item
    try:
        image = load()
    except UserError as error:
        return key, str(error)
    except Exception as error:  # one odd file among thousands must not end the run
        return key, f"{type(error).__name__}: {error}"
    return key, resize(image, captioner.image_size)


def _caption(captioner, options, batch) -> list[Result]:
    pixels = [image for _, image in batch if not isinstance(image, str)]
    captions = iter(captioner.caption_pixels(np.stack(pixels), **options) if pixels else ())
    return [
        Result(key, (), image) if isinstance(image, str) else Result(key, next(captions), None)
        for key, image in batch
    ]
