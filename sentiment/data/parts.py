"""The parts of labelled texts: the cut for validation, and whether a model can learn from them."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from sentiment.data.reviews import Review
from shared.data.source import DataError, Problem

# The number of labels that a message names.
SHOWN = 10
MOST_LABELS = 10_000  # more are no classes, but the wrong column


def cut_validation(rows: Sequence[Review], fraction: float, seed: int) -> tuple[list[Review], list[Review]]:
    """Cuts off a share for validation, class by class.

    The choice depends on texts, labels, fraction and seed alone. Equal texts stay together; if they have
    several labels, they belong to the alphabetically first of these. The distinct texts of a class are taken
    in the order of a hash of text and seed, as long as they do not exceed the share. Each class gives at
    least one text and keeps at least one, if it has two.

    Args:
        rows: all reviews.
        fraction: the share, more than 0 and less than 1.
        seed: any whole number.

    Returns:
        The reviews that stay and those that are cut off, both in their original order.

    Example:

    >>> rows = [Review(str(number), "odd" if number % 2 else "even", "") for number in range(12)]
    >>> kept, held = cut_validation(rows, 0.3, seed=1)
    >>> sorted(row.label for row in held), len(kept)
    (['even', 'even', 'odd', 'odd'], 8)
    """
    labels: dict[str, list[str]] = {}
    for row in rows:
        labels.setdefault(row.text, []).append(row.label)
    classes: dict[str, list[str]] = {}
    for text, of_text in labels.items():
        classes.setdefault(min(of_text), []).append(text)
    held: set[str] = set()
    for texts in classes.values():
        texts.sort(key=lambda text: _digest(text, seed))
        held |= _first_texts({text: len(labels[text]) for text in texts}, fraction)
    return [r for r in rows if r.text not in held], [r for r in rows if r.text in held]


def _digest(text: str, seed: int) -> bytes:
    # JSON can name lone surrogates, which are no valid Unicode.
    return hashlib.sha256(f"{seed} {text}".encode("utf-8", "surrogatepass")).digest()


def _first_texts(counts: Mapping[str, int], fraction: float) -> set[str]:
    """The first texts that together have no more rows than the share."""
    wanted = max(1, int(fraction * sum(counts.values()) + 0.5))
    chosen: set[str] = set()
    for text, count in counts.items():
        if count <= wanted and len(chosen) < len(counts) - 1:
            chosen.add(text)
            wanted -= count
    if not chosen and len(counts) > 1:
        return {min(counts, key=counts.get)}
    return chosen


def check_trainable(
    name: str, parts: Mapping[str, Sequence[Review]], cut: bool, problems: Sequence[Problem] = ()
) -> None:
    """Refuses data that no classifier can learn from.

    Args:
        name: what messages call the source.
        parts: its reviews by split.
        cut: whether validation was cut off train.
        problems: rows that were left out, which may be the reason.

    Raises:
        DataError: if there is no training part, it has only one class, a class is too small for both train
            and validation, or another part has a class that train lacks.
    """
    if message := _what_is_wrong(parts, cut):
        first = f" Rows left out: {len(problems):,}; the first: {problems[0]}." if problems else ""
        raise DataError(f"{name} {message}{first}")


def _what_is_wrong(parts: Mapping[str, Sequence[Review]], cut: bool) -> str:
    labels = {split: {row.label for row in rows} for split, rows in parts.items()}
    train = labels.pop("train", set())
    if not train:
        return f"has no split train, only {', '.join(parts)}. Expected texts to learn from as well."
    if len(train) == 1:
        return (
            f"has only one class in its training part, {min(train)!r}: no model can learn from it. "
            "Expected at least two."
        )
    if len(train) > MOST_LABELS:
        return (
            f"has {len(train):,} classes in its training part, such as {min(train)!r}. Expected at most "
            f"{MOST_LABELS:,}: does --label-column name the column of the labels?"
        )
    if cut and (few := train ^ labels.get("validation", set())):
        return (
            f"has too few different texts of the class {min(few)!r} for both train and validation. Expected "
            "at least two: give more, name the split of each row in a column, or leave the class out."
        )
    for split, of_split in labels.items():
        for label in sorted(of_split - train):
            place = next(row.place for row in parts[split] if row.label == label)
            return (
                f"has in split {split} ({place}) the class {label!r}, which is not in train. Expected one of "
                f"{_first_names(train)}."
            )
    return ""


def _first_names(labels: Iterable[str]) -> str:
    labels = sorted(labels)
    more = f" and {len(labels) - SHOWN} more" if len(labels) > SHOWN else ""
    return ", ".join(labels[:SHOWN]) + more
