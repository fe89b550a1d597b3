"""What a source of labelled texts holds: splits, labels, words, duplicates and rows left out."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from sentiment.data.reviews import Review, ReviewData
from sentiment.text.words import split_words
from shared.data.report import SHOWN, listed, vocabulary_lines
from shared.system.progress import progress_bar
from shared.text.vocabulary import Vocabulary

# From this number of texts on, splitting them into words takes long enough for a progress bar.
MANY = 1_000


def examine(data: ReviewData, min_count: int = 2, max_vocabulary: int | None = 30_000) -> dict:
    """Examines a source.

    Args:
        data: what `load_reviews` returned.
        min_count: words seen less often in train are not in the vocabulary.
        max_vocabulary: its largest length, special tokens included; None: no limit.

    Returns:
        A dict that JSON can hold: `splits` (number of reviews, those of each label, lengths in words, share
        of words outside the vocabulary), `vocabulary`, `duplicates`, `problems`, and the `rule` of the split.
    """
    lengths, counts = _count_words(data)
    training = counts.get("train", Counter())
    vocabulary = Vocabulary.build([training.elements()], min_count=min_count, max_size=max_vocabulary)
    return {
        "source": data.name,
        "rule": data.rule,
        "labels": list(data.labels),
        "splits": {
            split: {
                "reviews": len(reviews),
                "labels": _count_labels(reviews, data.labels),
                "words": _spread(lengths[split]),
                "out_of_vocabulary": _unknown(counts[split], vocabulary),
            }
            for split, reviews in data.splits.items()
        },
        "vocabulary": {
            "min_count": min_count,
            "max_vocabulary": max_vocabulary,
            "size": len(vocabulary),
            "distinct_words": len(training),
        },
        "duplicates": _duplicates(data.splits),
        "problems": [str(problem) for problem in data.problems],
    }


def _count_words(data: ReviewData) -> tuple[dict[str, list[int]], dict[str, Counter[str]]]:
    """For each split, the number of words in each text, and how often each word occurs."""
    lengths: dict[str, list[int]] = {}
    counts: dict[str, Counter[str]] = {}
    total = sum(map(len, data.splits.values()))
    with progress_bar(title="Words", unit="text", total=total, least=MANY) as bar:
        for split, reviews in data.splits.items():
            lengths[split], counts[split] = [], Counter()
            for review in reviews:
                words = split_words(review.text)
                lengths[split].append(len(words))
                counts[split].update(words)
                bar.update()
    return lengths, counts


def _count_labels(reviews: Sequence[Review], labels: Sequence[str]) -> dict[str, int]:
    counts = Counter(review.label for review in reviews)
    return {label: counts[label] for label in labels}


def _spread(lengths: Sequence[int]) -> dict[str, float]:
    return {
        "min": min(lengths),
        "median": float(np.median(lengths)),
        "mean": float(np.mean(lengths)),
        "percentile_95": float(np.percentile(lengths, 95)),
        "max": max(lengths),
    }


def _unknown(counts: Counter[str], vocabulary: Vocabulary) -> float:
    unknown = sum(count for word, count in counts.items() if word not in vocabulary)
    return unknown / max(counts.total(), 1)


def _duplicates(splits: Mapping[str, Sequence[Review]]) -> dict:
    """Texts that occur more than once; a group is a line with their splits, places and labels.

    `within` counts the reviews whose text occurs earlier in the same split; `across`, for each pair of
    splits, the reviews of the later one whose text is also in the earlier one.
    """
    groups: dict[str, list[tuple[str, Review]]] = {}
    for split, reviews in splits.items():
        for review in reviews:
            groups.setdefault(review.text, []).append((split, review))
    groups = {text: group for text, group in groups.items() if len(group) > 1}
    within, across = dict.fromkeys(splits, 0), Counter()
    for group in groups.values():
        counts = Counter(split for split, _ in group)
        for number, (split, count) in enumerate(counts.items()):
            within[split] += count - 1
            across.update({f"{split} in {other}": count for other in list(counts)[:number]})
    return {
        "within": within,
        "across": dict(across),
        "across_groups": [_places(g) for g in groups.values() if len({split for split, _ in g}) > 1],
        "contradicting": [_places(g) for g in groups.values() if len({r.label for _, r in g}) > 1],
    }


def _places(group: Sequence[tuple[str, Review]]) -> str:
    return " = ".join(f"{split} {review.place} {review.label}" for split, review in group)


def describe(findings: dict) -> str:
    """The findings of `examine` as readable text."""
    splits = findings["splits"]
    lines = [findings["source"], f"split: {findings['rule']}", ""]
    lines.append(f"{'split':<12}{'reviews':>9}   words a review: min, median, mean, 95 %, max")
    for split, part in splits.items():
        words = part["words"]
        spread = f"{words['min']}, {words['median']:g}, {words['mean']:.1f}, {words['percentile_95']:g}"
        lines.append(f"{split:<12}{part['reviews']:>9,}   {spread}, {words['max']:,}")
    unknown = {split: part["out_of_vocabulary"] for split, part in splits.items()}
    lines += ["", *_label_lines(findings), ""]
    lines += [*vocabulary_lines(findings["vocabulary"], len(Vocabulary.SPECIALS), unknown), ""]
    duplicates = findings["duplicates"]
    lines.append(f"equal texts within a split: {_counts(duplicates['within'])}")
    lines += listed("equal texts across splits", duplicates["across_groups"], _counts(duplicates["across"]))
    lines += listed("equal texts with different labels", duplicates["contradicting"])
    return "\n".join(lines + listed("rows left out", findings["problems"]))


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"


def _label_lines(findings: dict) -> list[str]:
    """A row for each label, a column for each split."""
    splits, labels = findings["splits"], findings["labels"]
    width = max(map(len, [*labels[:SHOWN], "label"])) + 2
    lines = [f"{'label':<{width}}" + "".join(f"{split:>20}" for split in splits)]
    for label in labels[:SHOWN]:
        counts = ((part["labels"][label], part["reviews"]) for part in splits.values())
        cells = (f"{count:,} ({count / total:.1%})" for count, total in counts)
        lines.append(f"{label:<{width}}" + "".join(f"{cell:>20}" for cell in cells))
    return lines + ([f"and {len(labels) - SHOWN:,} more labels"] if len(labels) > SHOWN else [])
