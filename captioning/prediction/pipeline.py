"""What the pipeline over many photographs does on each worker."""

import json
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from captioning.app import APP
from captioning.data.images import load_image
from captioning.prediction.results import FORMATS
from captioning.prediction.stream import caption_images
from shared.pipeline import Job, open_file
from shared.system.cli import UserError


def caption_job(model: str, batch_size: int) -> Job:
    """The job that captions photographs; its records are those of `captioning.predict --format jsonl`.

    Args:
        model: a model that all workers can load: a preset, or a folder that they all see.
        batch_size: images that the model reads at once.
    """
    return Job(read_image, partial(APP.load, model), caption, lambda record: record["image"], batch_size)


def read_image(path: str) -> Iterator[tuple[str, bytes | str]]:
    """The path, and the bytes of its file or the error that reading it gave."""
    try:
        with open_file(path) as file:
            yield path, file.read()
    except OSError as error:
        yield path, f"cannot be read: {error}"


def caption(captioner: Any, pairs: Sequence[tuple[str, bytes | str]]) -> list[dict]:
    """The record of each image, with its caption or an error."""
    items = ((path, partial(_load, path, content)) for path, content in pairs)
    results = caption_images(captioner, items, batch_size=len(pairs))
    _, as_line = FORMATS["jsonl"]
    return [json.loads(as_line(result)) for result in results]


def _load(path, content):
    if isinstance(content, str):
        raise UserError(content)
    return load_image(content, name=path)
