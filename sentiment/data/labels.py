"""The names of a model's labels, beside its vocabulary in the run folder."""

import json
from collections.abc import Sequence
from pathlib import Path

from shared.runs.folder import RunError, RunFolder
from shared.system.files import write_text_atomic

LABELS_FILE = "labels.json"


def save_labels(run: RunFolder, labels: Sequence[str]) -> None:
    """Writes the labels as a JSON list.

    Raises:
        RunError: the file cannot be written.
    """
    text = json.dumps(list(labels), ensure_ascii=False) + "\n"
    write_text_atomic(run.path / LABELS_FILE, text)


def load_labels(run: RunFolder) -> tuple[str, ...]:
    """The labels of a run.

    Raises:
        RunError: the file is absent, or holds no list of at least two labels, all different.
    """
    path: Path = run.path / LABELS_FILE
    try:
        labels = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"The labels in {path} cannot be read ({error}). Copy them from the run.") from error
    is_list = isinstance(labels, list) and all(isinstance(label, str) for label in labels)
    if not is_list or len(labels) < 2 or len(set(labels)) < len(labels):
        raise RunError(f"{path} does not hold a list of different labels. Copy the file from the run.")
    return tuple(labels)
