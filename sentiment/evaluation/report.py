"""What `python -m sentiment.evaluate` needs besides measures: data settings, notes, heading and record."""

import dataclasses
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sentiment.config import READING, SentimentConfig
from sentiment.data.labels import labels_option
from sentiment.data.load import load_reviews
from sentiment.data.reviews import Review, ReviewData, print_problems
from sentiment.evaluation.comparison import Row, figures
from sentiment.evaluation.tables import MOST_LABELS, short
from shared.system.cli import UserError

# Settings of a run that options of the script override.
DATA_SETTINGS = (
    "data",
    "text_column",
    "label_column",
    "split_column",
    *READING,
    "validation_fraction",
    "seed",
)
NAMED = 10  # unknown labels in a message


def data_settings(model: str, options: Mapping[str, Any], trained: SentimentConfig | None) -> SentimentConfig:
    """The settings of a run, with those that are given about data in place of its own.

    Args:
        model: the name of the model, for the message.
        options: settings by name, of `DATA_SETTINGS`; those that are None are not given.
        trained: the settings that the model was trained with; None: an exported model.

    Raises:
        UserError: an exported model does not know its data, or an option has a value that it cannot have.
    """
    given = {name: options[name] for name in DATA_SETTINGS if options[name] is not None}
    if "data" not in given and trained is None:
        raise UserError(
            f"{model} is an exported model, which does not know what it was trained on. Name labelled texts "
            "with --data."
        )
    if trained is not None and given.get("data", trained.data) != trained.data:
        given = {**dict.fromkeys(READING, ""), **given}  # another file may have another form
    try:
        return dataclasses.replace(trained or SentimentConfig(), **given)
    except ValueError as error:
        raise UserError(f"{error}.") from error


def input_files(sources: Sequence[str]) -> Iterator[Path]:
    """The files that are read, and may not be overwritten."""
    for source in map(Path, sources):
        path = Path(os.path.expanduser(source))
        yield path
        yield from path.rglob("*.txt")


def load_data(config: SentimentConfig) -> ReviewData:
    """The reviews; prints the rows that were left out.

    Raises:
        DataError: they cannot be read.
    """
    data = load_reviews(config.data, **config.pick(DATA_SETTINGS[1:]), trainable=False)
    print_problems(data.problems)
    return data


def known_reviews(
    data: ReviewData, split: str, labels: Sequence[str], skip_unknown: bool
) -> tuple[list[Review], list[str]]:
    """The reviews of a split whose labels a model knows, and a note on those that were left out.

    Args:
        data: all reviews.
        split: the name of the split, or `"all"`.
        labels: of the model.
        skip_unknown: whether to leave out reviews with other labels.

    Raises:
        UserError: there are others, and they may not be left out; or all of them are.
    """
    reviews = data.split(split)
    known = [review for review in reviews if review.label in labels]
    if len(known) == len(reviews):
        return known, []
    counts = Counter(review.label for review in reviews if review.label not in labels).most_common()
    unknown = _listed([f"{label!r} ({count:,})" for label, count in counts])
    what = f"{len(reviews) - len(known):,} of {len(reviews):,} texts"
    if known and skip_unknown:
        return known, [f"{what} were left out, because the model does not know their labels: {unknown}."]
    remedy = "Leave them out with --skip-unknown-labels, or say" if known else "Say"
    raise UserError(
        f"{what} in the split {split!r} of {data.name} have labels that the model does not know: {unknown}. "
        f"Expected {_listed(list(map(repr, labels)))}. {remedy} what they are called in the model: "
        f"{labels_option(dict(counts), labels)}"
    )


def _listed(entries: Sequence[str]) -> str:
    more = len(entries) - NAMED
    return ", ".join(entries[:NAMED]) + (f" and {more} more" if more > 0 else "")


def training_notes(split: str, config: SentimentConfig, trained: SentimentConfig | None) -> list[str]:
    """A warning where the model may have learned from the texts that it is measured on."""
    if trained is None or config.data != trained.data:
        return []
    if config != trained and config.data != ("imdb",):
        return ["This source was split differently during training: the model may know parts of this split."]
    if split == "validation":
        return ["Training chose the best weights and the temperature by this split."]
    return ["The model was trained on these texts, or on most of them."] if split in ("train", "all") else []


def withheld_notes(row: Row) -> list[str]:
    """How many texts get no label from `sentiment.predict`; nothing if all get one."""
    if not row.withheld:
        return []
    return [
        f"{row.withheld:,} of {row.measures.examples:,} texts have too few known words, and "
        "sentiment.predict withholds their labels. They are measured like the others."
    ]


def heading(name: str, model, data: ReviewData, split: str, reviews: Sequence[Review]) -> str:
    """Model, data and split in words.

    Args:
        name: of the model.
        model: the model.
        data: all reviews.
        split: the name of the split, or `"all"`.
        reviews: those that are measured.
    """
    settings, counts = model.settings, Counter(review.label for review in reviews)
    network = f"{settings['cell']}, {settings['depth']} x {settings['units']}, pooling {settings['pooling']}"
    if settings["bidirectional"]:
        network = f"bidirectional {network}"
    texts = f"{len(reviews):,} texts"
    if len(model.labels) <= MOST_LABELS:
        texts += "; " + ", ".join(f"{short(label)} {counts[label]:,}" for label in model.labels)
    return (
        f"model  {name}: {network}, {len(model.vocabulary):,} words\n"
        f"data   {data.name}: {data.rule}\n"
        f"split  {split}: {texts}"
    )


def predictions(row: Row, reviews: Sequence[Review], labels: Sequence[str]) -> Iterator[str]:
    """The predictions of a classifier, one line of JSON per text."""
    for review, probabilities in zip(reviews, row.probabilities.tolist(), strict=True):
        predicted = labels[probabilities.index(max(probabilities))]
        record = {
            "place": review.place,
            "text": review.text,
            "label": review.label,
            "predicted": predicted,
            "right": predicted == review.label,
            "probabilities": {
                label: round(value, 6) for label, value in zip(labels, probabilities, strict=True)
            },
        }
        yield json.dumps(record, ensure_ascii=False)


def record(
    name: str, model, data: ReviewData, config: SentimentConfig, split: str, rows: Sequence[Row], notes
) -> dict[str, Any]:
    """All metrics and settings for JSON; arguments as in `heading`, `config` the settings of the data."""
    return {
        "model": name,
        "network": dict(model.settings),
        "temperature": model.temperature,
        **config.pick(DATA_SETTINGS),
        "labels": list(model.labels),
        "new_names_of_labels": config.labels,
        "rule": data.rule,
        "split": split,
        "texts": rows[0].measures.examples,
        "scores": {row.kind: figures(row, model.labels) for row in rows},
        "notes": notes,
    }
