"""What the pipeline over many files of texts does on each worker."""

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sentiment.app import APP
from sentiment.prediction.inputs import Item, open_texts
from sentiment.prediction.results import JsonWriter
from sentiment.prediction.stream import classify_texts
from shared.pipeline import Job, open_file
from shared.system.cli import UserError


def sentiment_job(model: str, text_column: str, batch_size: int, force: bool = False) -> Job:
    """The job that classifies texts; a record is that of `sentiment.predict --format jsonl`, and its `file`.

    Args:
        model: a model that all workers can load: a preset, or a folder that they all see.
        text_column: column or field of the text in a table.
        batch_size: texts that the model reads at once.
        force: gives a label also where the model does not know enough of the words.
    """
    read = partial(read_items, text_column=text_column)
    return Job(read, partial(APP.load, model), partial(classify, force=force), key_of, batch_size)


def key_of(record: dict) -> str:
    """The key of a record: its file and line."""
    return f"{record['file']}:{record['line']}"


def read_items(path: str, text_column: str) -> Iterator[tuple[str, tuple[str, Item]]]:
    """The key of each text in a file, the file, and the text; one with an error for an unreadable file."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / Path(path).name  # as it may be on a file system that only Beam knows
            with open_file(path) as source, copy.open("wb") as target:
                shutil.copyfileobj(source, target)
            with open_texts(str(copy), text_column) as items:
                for item in items:
                    yield f"{path}:{item.line}", (path, item)
    except (OSError, UserError) as error:
        yield f"{path}:0", (path, Item(path, 0, None, {}, str(error)))


def classify(model: Any, pairs: Sequence[tuple[str, tuple[str, Item]]], force: bool = False) -> list[dict]:
    """The record of each text, with its label, or why there is none."""
    items = (item for _, (_, item) in pairs)
    results = classify_texts(model, items, batch_size=len(pairs), force=force)
    writer = JsonWriter(model.labels, color=False)
    records = (json.loads(line) for result in results for line in writer.lines(result))
    return [{**record, "file": file} for (_, (file, _)), record in zip(pairs, records, strict=True)]
