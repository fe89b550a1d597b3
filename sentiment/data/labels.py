"""The names of labels: those of folders and datasets, new names, and the file that keeps them in a run."""

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence

from shared.data.source import DataError
from shared.runs.folder import RunError, RunFolder
from shared.system.files import write_text_atomic

LABELS_FILE = "labels.json"

SHOWN = 10  # labels in a message
PLACEHOLDER = "LABEL"  # in an option that only the user can complete

_FULL_NAMES = {"neg": "negative", "pos": "positive"}
# What others call negative and positive.
_POLAR = (
    ("neg", "pos"),
    ("n", "p"),
    ("-", "+"),
    ("false", "true"),
    ("no", "yes"),
    ("bad", "good"),
    ("-1", "1"),
)


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


def parse_labels(text: str) -> dict[str, str]:
    """The new names of labels in `--labels`.

    Args:
        text: pairs such as `"0=negative,1=positive"`; empty: no label gets a new name.

    Raises:
        DataError: it is not a list of pairs, or names a label twice.

    Example:

    >>> parse_labels("0=negative, 1=positive")
    {'0': 'negative', '1': 'positive'}
    """
    names: dict[str, str] = {}
    for pair in text.split(",") if text else ():
        label, equals, name = (part.strip() for part in pair.rpartition("="))
        if not (label and equals and name) or label in names:
            raise DataError(
                f"--labels {text!r} does not name each label once. Expected pairs such as "
                "0=negative,1=positive."
            )
        names[label] = name
    return names


def rename_labels(labels: Iterable[str], names: Mapping[str, str]) -> dict[str, str]:
    """What the labels of a source are called under new names; the others stay as they are.

    Labels that differ in case only, or are the same number, are the same label.

    Args:
        labels: those of the source.
        names: from `parse_labels`.

    Raises:
        DataError: a new name is for a label that the source does not have.

    Example:

    >>> rename_labels(["True", "1.0", "other"], {"true": "yes", "1": "one"})
    {'True': 'yes', '1.0': 'one', 'other': 'other'}
    """
    labels = list(labels)
    by_key = {_key(label): name for label, name in names.items()}
    absent = [label for label in names if _key(label) not in set(map(_key, labels))]
    if absent:
        raise DataError(
            f"--labels renames {absent[0]!r}, but no row has that label. The labels are "
            f"{', '.join(sorted(labels)[:SHOWN])}."
        )
    return {label: names.get(label, by_key.get(_key(label), label)) for label in labels}


def _key(label: str) -> str:
    number = _number(label)
    return label.casefold() if number is None else f"{number:g}"


def _number(label: str) -> float | None:
    try:
        return float(label)
    except ValueError:
        return None


def labels_option(unknown: Iterable[str], known: Sequence[str]) -> str:
    """The option that gives labels of a file the names that a model knows, as far as these can be guessed.

    Args:
        unknown: labels of the file.
        known: labels of the model.

    Example:

    >>> labels_option(["1", "0"], ["negative", "positive"])
    '--labels 0=negative,1=positive'
    >>> labels_option(["joy"], ["negative", "positive"])
    '--labels joy=LABEL'
    """
    unknown = sorted(unknown, key=lambda label: (_number(label) is None, _number(label) or 0.0, label))[
        :SHOWN
    ]
    pairs = zip(unknown, _guesses(unknown, known), strict=True)
    return f"--labels {shlex.quote(','.join(f'{label}={name}' for label, name in pairs))}"


def _guesses(unknown: Sequence[str], known: Sequence[str]) -> list[str]:
    """A known label for each unknown one, or the word LABEL."""
    numbers = [_number(label) for label in unknown]
    if None not in numbers and len(unknown) == len(known):
        return sorted(known)  # as 0 and 1, 1 and 2, or -1 and 1 are used
    if None not in numbers and set(numbers) <= set(range(len(known))):
        return [sorted(known)[int(number)] for number in numbers]
    same = {label.casefold(): label for label in known}
    for names in _POLAR if set(known) == {"negative", "positive"} else ():
        same |= dict(zip(names, ("negative", "positive"), strict=True))
    return [same.get(label.casefold(), PLACEHOLDER) for label in unknown]


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
