"""What a source of labelled texts holds: python -m sentiment.data SOURCE."""

import argparse
import functools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sentiment.data.reviews import Review, ReviewData, load_reviews
from sentiment.text.words import split_words
from shared.system.options import whole_number
from shared.system.output import check_output, write_whole
from shared.text.vocabulary import Vocabulary

# So many of each kind of finding are printed; the JSON file has all.
SHOWN = 10
# From so many texts on, splitting them into words takes long enough for a progress bar.
MANY = 1_000


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the report. Exit status 1 if rows were left out."""
    arguments = _parse(argv)
    if arguments.json:
        check_output(arguments.json, [Path(source) for source in arguments.source])
    data = load_reviews(
        arguments.source,
        text_column=arguments.text_column,
        label_column=arguments.label_column,
        split_column=arguments.split_column,
        validation_fraction=arguments.validation_fraction,
        seed=arguments.seed,
    )
    findings = examine(data, min_count=arguments.min_count, max_vocabulary=arguments.max_vocabulary)
    print(describe(findings))
    if arguments.json:
        write_whole(arguments.json, json.dumps(findings, indent=2, ensure_ascii=False) + "\n")
    return 1 if findings["problems"] else 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m sentiment.data",
        description="Report what a source of labelled texts holds.",
        epilog="Exit status: 0; 1 if rows were left out; 2 if the source cannot be used.",
    )
    parser.add_argument(
        "source",
        nargs="*",
        default=["imdb"],
        help="imdb (the default), tfds:NAME, .csv, .tsv or .jsonl files, or a folder of classes",
    )
    for column in ("text", "label", "split"):
        parser.add_argument(
            f"--{column}-column",
            default=column,
            metavar="NAME",
            help=f"column or field of the {column} (default: {column})",
        )
    parser.add_argument(
        "--validation-fraction",
        type=float,
        default=0.1,
        metavar="F",
        help="share of train, where there is no validation part (default: 0.1)",
    )
    parser.add_argument(
        "--seed", type=int, default=1, metavar="N", help="chooses which rows these are (default: 1)"
    )
    parser.add_argument(
        "--min-count",
        type=whole_number,
        default=2,
        metavar="N",
        help="words seen less often in train count as unknown (default: 2)",
    )
    parser.add_argument(
        "--max-vocabulary",
        type=functools.partial(whole_number, least=5),
        default=30_000,
        metavar="N",
        help="most words, special ones included (default: 30000)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the whole report there too")
    return parser.parse_args(argv)


def examine(data: ReviewData, min_count: int = 2, max_vocabulary: int | None = 30_000) -> dict:
    """Examines a source.

    Args:
        data: what `load_reviews` gave.
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
        "problems": list(data.problems),
    }


def _count_words(data: ReviewData) -> tuple[dict[str, list[int]], dict[str, Counter[str]]]:
    """For each part the number of words of each text, and how often each word occurs."""
    lengths: dict[str, list[int]] = {}
    counts: dict[str, Counter[str]] = {}
    total = sum(map(len, data.splits.values()))
    with tqdm(total=total, desc="Words", unit="text", leave=False, disable=total < MANY or None) as bar:
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
    """Texts that are there more than once; a group is a line of their splits, places and labels.

    `within` counts for each part the reviews whose text stands before them in the same part, `across` for
    each two parts the reviews of the later one whose text is in the earlier one, too.
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
    """The findings of `examine` as text for people."""
    splits = findings["splits"]
    lines = [findings["source"], f"split: {findings['rule']}", ""]
    lines.append(f"{'split':<12}{'reviews':>9}   words a review: min, median, mean, 95 %, max")
    for split, part in splits.items():
        words = part["words"]
        spread = f"{words['min']}, {words['median']:g}, {words['mean']:.1f}, {words['percentile_95']:g}"
        lines.append(f"{split:<12}{part['reviews']:>9,}   {spread}, {words['max']:,}")
    lines += ["", *_label_lines(findings), "", _vocabulary_line(findings), ""]
    duplicates = findings["duplicates"]
    lines.append(f"equal texts within a split: {_counts(duplicates['within'])}")
    lines += _list("equal texts across splits", duplicates["across_groups"], _counts(duplicates["across"]))
    lines += _list("equal texts with different labels", duplicates["contradicting"])
    return "\n".join(lines + _list("rows left out", findings["problems"]))


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"


def _label_lines(findings: dict) -> list[str]:
    """A row for each label, a column for each part."""
    splits, labels = findings["splits"], findings["labels"]
    width = max(map(len, [*labels[:SHOWN], "label"])) + 2
    lines = [f"{'label':<{width}}" + "".join(f"{split:>20}" for split in splits)]
    for label in labels[:SHOWN]:
        counts = ((part["labels"][label], part["reviews"]) for part in splits.values())
        cells = (f"{count:,} ({count / total:.1%})" for count, total in counts)
        lines.append(f"{label:<{width}}" + "".join(f"{cell:>20}" for cell in cells))
    return lines + ([f"and {len(labels) - SHOWN:,} more labels"] if len(labels) > SHOWN else [])


def _vocabulary_line(findings: dict) -> str:
    vocabulary = findings["vocabulary"]
    rates = [f"{split} {part['out_of_vocabulary']:.2%}" for split, part in findings["splits"].items()]
    return (
        f"vocabulary: {vocabulary['size']:,} tokens: {len(Vocabulary.SPECIALS)} special, and of "
        f"{vocabulary['distinct_words']:,} words in train the most frequent, seen {vocabulary['min_count']}+ "
        f"times\nunknown words: {', '.join(rates)}"
    )


def _list(title: str, entries: Sequence[str], counted: str = "") -> list[str]:
    more = [f"  and {len(entries) - SHOWN:,} more"] if len(entries) > SHOWN else []
    counted = counted or f"{len(entries):,}"
    return [f"{title}: {counted}", *(f"  {entry}" for entry in entries[:SHOWN]), *more]
