"""A classifier and the NB-SVM baseline on the same texts, side by side: their figures, and tables of them."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from tqdm import tqdm

from sentiment.evaluation.baseline import NBSVM
from sentiment.evaluation.metrics import Measures, Stretch, accuracy_by_length, measure
from sentiment.text.words import split_words
from shared.system.cli import UserError

if TYPE_CHECKING:
    from sentiment.data.reviews import Review, ReviewData

# Characters up to which the baseline counts the words of a training part, in about 3 GB of memory.
LARGEST_COUNTED = 100_000_000
# The most labels of which the table shows the confusion, and the most characters that it shows of a label.
MOST_LABELS, LONGEST_LABEL = 10, 20


class Row(NamedTuple):
    """What was measured of one classifier.

    Attributes:
        kind: its name for programs.
        name: its name for people.
        probabilities: `(texts, labels)`.
        measures: all figures.
        stretches: the accuracy by the number of words.
        settings: what else is to be known of it.
    """

    kind: str
    name: str
    probabilities: np.ndarray
    measures: Measures
    stretches: Sequence[Stretch]
    settings: dict[str, Any]


def measure_model(model, reviews: Sequence["Review"]) -> Row:
    """The row of a recurrent classifier.

    Args:
        model: anything with `labels` and `probabilities`.
        reviews: at least one, all with labels of the model.

    Raises:
        UserError: the model gives something else than numbers.
    """
    texts = [review.text for review in reviews]
    with progress_bar("recurrent", len(texts)) as advance:
        probabilities = model.probabilities(texts, advance)
    if broken := int(np.count_nonzero(~np.isfinite(probabilities).all(axis=1))):
        raise UserError(
            f"The model gives {broken:,} of {len(texts):,} texts probabilities that are no numbers: its "
            "training has failed. Train it again, with a lower --learning-rate or in --precision float32."
        )
    return _row("model", "recurrent network", probabilities, model.labels, reviews, {})


def measure_baseline(
    data: "ReviewData", split: str, reviews: Sequence["Review"], labels: Sequence[str]
) -> tuple[Row | None, list[str]]:
    """The row of the baseline, fitted to the training part of the same data.

    Args:
        data: where the reviews are from.
        split: the name of their split, or `"all"`.
        reviews: those that are measured.
        labels: those of the model, in its order; texts of other labels are not learned from.

    Returns:
        The row, or None where there is none; and what is to be known of it, such as why there is none.
    """
    train = [review for review in data.splits.get("train", ()) if review.label in labels]
    if reason := _no_baseline(data, split, train):
        return None, [f"No NB-SVM baseline: {reason}."]
    baseline = NBSVM()
    with progress_bar(baseline.name, len(train) + len(reviews)) as advance:
        try:
            baseline.fit(train, advance)
        except UserError as error:
            return None, [f"No NB-SVM baseline. {error}"]
        found = baseline.probabilities([review.text for review in reviews], advance)
    # Labels that the training part lacks have the probability 0.
    probabilities = np.zeros((len(reviews), len(labels)))
    probabilities[:, [labels.index(label) for label in baseline.labels]] = found
    left_out = len(data.splits["train"]) - len(train)
    notes = [f"The baseline did not learn from {left_out:,} texts of labels unknown to the model."]
    settings = {"longest": baseline.longest, "strength": baseline.strength, "beta": baseline.beta}
    row = _row("baseline", baseline.name, probabilities, labels, reviews, settings)
    return row, notes * bool(left_out)


def _no_baseline(data: "ReviewData", split: str, train: Sequence["Review"]) -> str | None:
    """Why there is no baseline, or None where there can be one."""
    if not train:
        return f"{data.name} has no training part to fit it to"
    if split in ("train", "all"):
        return "the training part, to which it would be fitted, is in the split that is measured"
    if (characters := sum(len(review.text) for review in train)) > LARGEST_COUNTED:
        return (
            f"the training part has {characters:,} characters, more than the {LARGEST_COUNTED:,} that it "
            "counts in memory"
        )
    return None


def _row(kind, name, probabilities, labels, reviews, settings) -> Row:
    right = np.array([labels.index(review.label) for review in reviews])
    correct = probabilities.argmax(axis=1) == right
    words = [len(split_words(review.text)) for review in reviews]
    stretches = accuracy_by_length(correct, words)
    return Row(kind, name, probabilities, measure(probabilities, right), stretches, settings)


@contextlib.contextmanager
def progress_bar(title: str, texts: int) -> Iterator[Callable[[int], object]]:
    """A bar on standard error, where that is a terminal; gives the function that moves it on."""
    with tqdm(total=texts, desc=title, unit="text", leave=False, disable=None) as bar:
        yield bar.update


def table(rows: Sequence[Row], labels: Sequence[str]) -> str:
    """The figures as text for people: of all rows, by length too, and the confusion of the first row."""
    parts = [_figures_table(rows), _length_table(rows)]
    if len(labels) <= MOST_LABELS:
        parts.append(_confusion_table(rows[0], labels))
    return "\n\n".join(parts)


def _figures_table(rows: Sequence[Row]) -> str:
    names = ("accuracy", "macro_f1", "auc", "log_loss", "calibration_error")
    lines = [["", "accuracy", "macro F1", "AUC", "log loss", "ECE"]]
    lines += [[row.name, *(shown(getattr(row.measures, name)) for name in names)] for row in rows]
    return aligned(lines)


def _length_table(rows: Sequence[Row]) -> str:
    lines = [["accuracy by words", *(_span(stretch) for stretch in rows[0].stretches)]]
    lines.append(["texts", *(f"{stretch.examples:,}" for stretch in rows[0].stretches)])
    lines += [[row.name, *(shown(stretch.accuracy) for stretch in row.stretches)] for row in rows]
    return aligned(lines)


def _span(stretch: Stretch) -> str:
    return f"{stretch.first} or more" if stretch.last is None else f"{stretch.first} to {stretch.last}"


def _confusion_table(row: Row, labels: Sequence[str]) -> str:
    names = [short(label) for label in labels]
    lines = [["right, taken for", *names, "F1"]]
    for name, counts, f1 in zip(names, row.measures.confusion.tolist(), row.measures.f1, strict=True):
        lines.append([name, *(f"{count:,}" for count in counts), shown(f1)])
    return aligned(lines)


def shown(value: float | None) -> str:
    """A figure with four places; a dash where it is undefined."""
    return "-" if value is None else f"{value:.4f}"


def short(label: str) -> str:
    """A label on one line, and not too long for a table.

    Example:

    >>> short("very\\nlong indeed, this label")
    'very long indeed, t…'
    """
    label = " ".join(label.split())
    return label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "\u2026"


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Cells in columns, the first one flush left and the others flush right.

    Example:

    >>> print(aligned([["", "ECE"], ["model", "0.5"]]))
           ECE
    model  0.5
    """
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        f"{first:{widths[0]}}" + "".join(f"  {cell:>{w}}" for cell, w in zip(rest, widths[1:], strict=True))
        for first, *rest in lines
    )


def figures(row: Row, labels: Sequence[str]) -> dict[str, Any]:
    """All figures of a row for JSON; None where one is undefined."""
    found = row.measures
    return {
        "name": row.name,
        **row.settings,
        "accuracy": found.accuracy,
        "macro_f1": found.macro_f1,
        "f1": dict(zip(labels, found.f1, strict=True)),
        "auc": found.auc,
        "log_loss": found.log_loss,
        "calibration_error": found.calibration_error,
        "confusion": found.confusion.tolist(),
        "by_words": [stretch._asdict() for stretch in row.stretches],
    }
