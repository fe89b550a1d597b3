"""The names of labels: those of folders and datasets, and the file that keeps them in a run."""

import json
from collections.abc import Iterable, Sequence

from shared.runs.folder import RunError, RunFolder
from shared.system.files import write_text_atomic

LABELS_FILE = "labels.json"

_FULL_NAMES = {"neg": "negative", "pos": "positive"}


def label_names(labels: Iterable[str]) -> dict[str, str]:
    """What the labels of folders and datasets are called: `neg` and `pos` in full if there are no others.

    So a model that was trained on one form of the IMDB reviews can be evaluated on another.

    Example:

    >>> label_names(["neg", "pos"]), label_names(["neg", "neutral"])
    ({'neg': 'negative', 'pos': 'positive'}, {'neg': 'neg', 'neutral': 'neutral'})
    """
    labels = list(labels)
    names = _FULL_NAMES if set(labels) <= set(_FULL_NAMES) else {}
    return {label: names.get(label, label) for label in labels}


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
        RunError: the file is absent, or does not hold a list of at least two different labels.
    """
    path = run.path / LABELS_FILE
    try:
        labels = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, RecursionError, ValueError) as error:
        raise RunError(f"The labels in {path} cannot be read ({error}). Copy them from the run.") from error
    is_list = isinstance(labels, list) and all(isinstance(label, str) for label in labels)
    if not is_list or len(labels) < 2 or len(set(labels)) < len(labels):
        raise RunError(f"{path} does not hold a list of different labels. Copy the file from the run.")
    return tuple(labels)
