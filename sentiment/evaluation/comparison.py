"""A classifier and the NB-SVM baseline, measured on the same texts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sentiment.evaluation.baseline import NBSVM
from sentiment.evaluation.metrics import Measures, Stretch, measure, measure_by_length
from sentiment.text.words import split_words
from shared.data.source import DataError
from shared.system.cli import UserError
from shared.system.progress import progress_bar

if TYPE_CHECKING:
    from sentiment.data.reviews import Review, ReviewData

# The most characters of training texts that the baseline counts, in about 3 GB of memory.
LARGEST_COUNTED = 100_000_000


class Row(NamedTuple):
    """The measures of one classifier.

    Attributes:
        kind: its name for programs.
        name: its name for people.
        probabilities: `(texts, labels)`.
        measures: all metrics.
        stretches: accuracy and calibration error by the number of words.
        settings: its settings, by name.
        withheld: number of texts whose label `sentiment.predict` withholds; None: it withholds none.
    """

    kind: str
    name: str
    probabilities: np.ndarray
    measures: Measures
    stretches: Sequence[Stretch]
    settings: dict[str, Any]
    withheld: int | None = None


def measure_model(model, reviews: Sequence["Review"]) -> Row:
    """The row of a recurrent classifier.

    Args:
        model: anything with `labels`, `probabilities` and `reasons`.
        reviews: at least one, all with labels of the model.

    Raises:
        UserError: the model gives probabilities that are not finite.
    """
    texts = [review.text for review in reviews]
    with progress_bar(title="recurrent", unit="text", total=len(texts)) as bar:
        probabilities = model.probabilities(texts, bar.update)
    if broken := int(np.count_nonzero(~np.isfinite(probabilities).all(axis=1))):
        raise UserError(
            f"The model gives {broken:,} of {len(texts):,} texts probabilities that are not numbers: its "
            "training failed. Train it again, with a lower --learning-rate or in --precision float32."
        )
    row = _row("model", "recurrent network", probabilities, model.labels, reviews, {})
    return row._replace(withheld=sum(reason is not None for reason in model.reasons(texts)))


def measure_baseline(
    data: "ReviewData", split: str, reviews: Sequence["Review"], labels: Sequence[str]
) -> tuple[Row | None, list[str]]:
    """The row of the baseline, fitted to the train split of the same data.

    Args:
        data: where the reviews are from.
        split: the name of their split, or `"all"`.
        reviews: those to measure on.
        labels: of the model, in its order; texts with other labels are not learned from.

    Returns:
        The row, or None if there is none; and notes on it, such as why there is none.
    """
    train = [review for review in data.splits.get("train", ()) if review.label in labels]
    if reason := _no_baseline(data, split, train):
        return None, [f"No NB-SVM baseline: {reason}."]
    baseline = NBSVM()
    with progress_bar(title=baseline.name, unit="text", total=len(train) + len(reviews)) as bar:
        try:
            baseline.fit(train, bar.update)
        except DataError as error:
            return None, [f"No NB-SVM baseline. {error}"]
        predicted = baseline.probabilities([review.text for review in reviews], bar.update)
    probabilities = np.zeros((len(reviews), len(labels)))  # 0 for labels that are not in train
    probabilities[:, [labels.index(label) for label in baseline.labels]] = predicted
    settings = {"longest": baseline.longest, "strength": baseline.strength, "beta": baseline.beta}
    row = _row("baseline", baseline.name, probabilities, labels, reviews, settings)
    left_out = len(data.splits["train"]) - len(train)
    if not left_out:
        return row, []
    return row, [f"The baseline did not learn from {left_out:,} texts with labels unknown to the model."]


def _no_baseline(data: "ReviewData", split: str, train: Sequence["Review"]) -> str | None:
    """Why there is no baseline; None if there can be one."""
    if not train:
        return f"{data.name} has no split train to fit it to"
    if split in ("train", "all"):
        return "it would be measured on the texts that it is fitted to, those of train"
    if (characters := sum(len(review.text) for review in train)) > LARGEST_COUNTED:
        return (
            f"train has {characters:,} characters, more than the {LARGEST_COUNTED:,} that it can count in "
            "memory"
        )
    return None


def _row(kind, name, probabilities, labels, reviews, settings) -> Row:
    right = np.array([labels.index(review.label) for review in reviews])
    words = [len(split_words(review.text)) for review in reviews]
    stretches = measure_by_length(probabilities, right, words)
    return Row(kind, name, probabilities, measure(probabilities, right), stretches, settings)


def figures(row: Row, labels: Sequence[str]) -> dict[str, Any]:
    """All metrics of a row for JSON; None where one is undefined."""
    measures = row.measures
    return {
        "name": row.name,
        **row.settings,
        "accuracy": measures.accuracy,
        "macro_f1": measures.macro_f1,
        "f1": dict(zip(labels, measures.f1, strict=True)),
        "auc": measures.auc,
        "log_loss": measures.log_loss,
        "calibration_error": measures.calibration_error,
        "confusion": measures.confusion.tolist(),
        **({} if row.withheld is None else {"withheld": row.withheld}),
        "by_words": [stretch._asdict() for stretch in row.stretches],
    }
