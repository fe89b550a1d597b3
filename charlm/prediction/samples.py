"""Prompts from files, and generated texts as text or JSON Lines. Imports neither Keras nor TensorFlow."""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from charlm.data.files import read_path, read_stdin
from shared.system.cli import UserError

STDIN = "-"


def read_prompt(name: str) -> str:
    """A prompt from a file, or from standard input for `-`. Line breaks at its end are part of it.

    Raises:
        UserError: there is no such file, or it is not text in UTF-8.
    """
    if "://" in name:
        raise UserError(f"The prompt {name} is a URL. Download it first and name the file.")
    if name != STDIN and os.path.isdir(name):
        raise UserError(f"The prompt {name} is a folder. Name a file, or - for standard input.")
    documents = [read_stdin()] if name == STDIN else read_path(Path(name), "*")
    return "".join(chunk for document in documents for chunk in document.chunks(0, document.characters))


def write_stream(write: Callable[[str], None], prompt: str, pieces: Iterable[str]) -> None:
    """Writes a prompt and each piece as soon as it is there, and ends the line, even if interrupted."""
    last = prompt
    try:
        write(prompt)
        for last in pieces:
            write(last)
    finally:
        if not last.endswith("\n"):
            write("\n")


def as_text(prompt: str, texts: list[str]) -> str:
    """The prompt and what follows it, for each sample; several samples have a line above each."""
    samples = [_ended(prompt + text) for text in texts]
    if len(samples) == 1:
        return samples[0]
    titles = (f"--- sample {number} of {len(samples)} ---\n" for number in range(1, len(samples) + 1))
    return "".join(title + sample for title, sample in zip(titles, samples, strict=True))


def _ended(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"


def as_jsonl(prompt: str, texts: list[str], options: Mapping[str, object]) -> str:
    """One JSON object a line: `sample` (from 1), `prompt`, `text` (what follows it), and the options."""
    records = (
        {"sample": number, "prompt": prompt, "text": text, **options} for number, text in enumerate(texts, 1)
    )
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
