"""What a source of captions holds: python -m captioning.data SOURCE."""

import argparse
import hashlib
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
from tqdm import tqdm

from captioning.data.examples import CaptionData, Example, LazyImage, Problem, load_examples
from captioning.data.images import ImageError, load_image
from shared.system.options import whole_number
from shared.system.output import check_output, write_whole
from shared.text.vocabulary import Vocabulary, tokenize_words

# So many of each kind of finding are printed; the JSON file has all.
SHOWN = 10
MANY = 1_000
SCORED_SPLITS = ("validation", "test")


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the report. Exit status 1 if rows were left out or images cannot be read."""
    arguments = _parse(argv)
    if arguments.json:
        check_output(arguments.json, [Path(arguments.source)])
    data = load_examples(arguments.source, images=arguments.images)
    findings = examine(data, check_images=arguments.check_images, min_count=arguments.min_count)
    print(describe(findings))
    if arguments.json:
        write_whole(arguments.json, json.dumps(findings, indent=2, ensure_ascii=False) + "\n")
    return 1 if findings["problems"] or findings["corrupt"] else 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m captioning.data",
        description="Report what a source of captions holds.",
        epilog="Exit status: 0; 1 if rows or images are bad; 2 if the source cannot be used.",
    )
    parser.add_argument("source", help="Flickr8k folder, .json, .csv or .jsonl file, tfds:NAME, or shapes")
    parser.add_argument("--images", type=Path, help="folder of the images, where not beside the captions")
    parser.add_argument(
        "--check-images",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="decode every image, and look for equal files in different splits (default: on)",
    )
    parser.add_argument(
        "--min-count",
        type=whole_number,
        default=4,
        metavar="N",
        help="words seen less often in train count as unknown (default: 4)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the whole report there too")
    return parser.parse_args(argv)


def examine(data: CaptionData, check_images: bool = True, min_count: int = 4) -> dict:
    """Examines a source.

    Args:
        data: what `load_examples` gave.
        check_images: decode every image, and compare contents across splits.
        min_count: words seen less often in the training captions are not in the vocabulary.

    Returns:
        A dict that JSON can hold: `splits` (images, captions, caption lengths in words, share of
        words outside the vocabulary), `vocabulary`, `problems`, `corrupt`, `duplicates` and `notes`.
    """
    words = [[tokenize_words(caption) for caption in example.captions] for example in data.examples]
    pairs = list(zip(data.examples, words, strict=True))
    training = [tokens for example, lists in pairs if example.split == "train" for tokens in lists]
    vocabulary = Vocabulary.build(training, min_count=min_count)
    checks = _check(data.name, data.examples) if check_images else [("", "")] * len(data.examples)
    checked = list(zip(data.examples, checks, strict=True))
    return {
        "source": data.name,
        "images_checked": check_images,
        "splits": {
            split: _examine_split([lists for example, lists in pairs if example.split == split], vocabulary)
            for split in data.splits
        },
        "vocabulary": {
            "min_count": min_count,
            "size": len(vocabulary),
            "distinct_words": len({word for tokens in training for word in tokens}),
        },
        "problems": [asdict(problem) for problem in data.problems],
        "corrupt": [
            {"image_id": example.image_id, "split": example.split, "message": error}
            for example, (_, error) in checked
            if error
        ],
        "duplicates": {
            "same_id": _across_splits((example.image_id, example) for example in data.examples),
            "same_content": _across_splits((digest, example) for example, (digest, _) in checked),
        },
        "notes": list(data.notes),
    }


def _examine_split(words: list[list[list[str]]], vocabulary: Vocabulary) -> dict:
    captions = [tokens for lists in words for tokens in lists]
    lengths = [len(tokens) for tokens in captions] or [0]
    tokens = [token for caption in captions for token in caption]
    return {
        "images": len(words),
        "captions": len(captions),
        "words": {
            "min": min(lengths),
            "median": float(np.median(lengths)),
            "percentile_95": float(np.percentile(lengths, 95)),
            "max": max(lengths),
        },
        "out_of_vocabulary": sum(token not in vocabulary for token in tokens) / max(len(tokens), 1),
    }


def _check(name: str, examples: Sequence[Example]) -> list[tuple[str, str]]:
    """For each image a digest of its content and what is wrong with it; either may be ""."""
    bar = tqdm(total=len(examples), desc=f"Images of {name}", disable=len(examples) < MANY or None)
    with ThreadPoolExecutor() as pool, bar:
        results = []
        for result in pool.map(_check_one, examples):
            results.append(result)
            bar.update()
    return results


def _check_one(example: Example) -> tuple[str, str]:
    image, digest = example.image, ""
    try:
        if isinstance(image, LazyImage):
            image = image.read()
        if isinstance(image, str | Path):
            image = Path(image).read_bytes()
        if isinstance(image, bytes | np.ndarray):
            digest = hashlib.sha256(image if isinstance(image, bytes) else image.tobytes()).hexdigest()
        load_image(image, name=example.image_id)
    except ImageError as error:
        return digest, str(error)
    except OSError as error:
        return digest, f"{example.image_id}: cannot be read: {error.strerror or error}."
    return digest, ""


def _across_splits(named: Iterable[tuple[str, Example]]) -> list[list[str]]:
    """Groups of images, as `split/id`, that share a name although they are in different splits."""
    groups: dict[str, list[Example]] = {}
    for name, example in named:
        if name:
            groups.setdefault(name, []).append(example)
    return [
        [f"{example.split}/{example.image_id}" for example in group]
        for group in groups.values()
        if len({example.split for example in group}) > 1
    ]


def describe(findings: dict) -> str:
    """The findings of `examine` as text for people."""
    lines = [findings["source"], *(f"note: {note}" for note in findings["notes"]), ""]
    lines.append(f"{'split':<12}{'images':>9}{'captions':>10}   words a caption: min, median, 95 %, max")
    for split, part in findings["splits"].items():
        words = part["words"]
        spread = f"{words['min']}, {words['median']:g}, {words['percentile_95']:g}, {words['max']}"
        lines.append(f"{split:<12}{part['images']:>9,}{part['captions']:>10,}   {spread}")
    lines += ["", _vocabulary_line(findings), ""]
    checked = findings["images_checked"]
    lines += _list("rows left out", [_place(problem) for problem in findings["problems"]])
    lines += _list("images that cannot be read", [c["message"] for c in findings["corrupt"]], checked)
    duplicates = findings["duplicates"]
    lines += _list("ids in more than one split", [", ".join(group) for group in duplicates["same_id"]])
    same = [" = ".join(group) for group in duplicates["same_content"]]
    lines += _list("equal images in different splits", same, checked)
    return "\n".join(lines)


def _vocabulary_line(findings: dict) -> str:
    vocabulary = findings["vocabulary"]
    rates = [
        f"{split} {part['out_of_vocabulary']:.2%}"
        for split, part in findings["splits"].items()
        if split in SCORED_SPLITS
    ]
    return (
        f"vocabulary: {vocabulary['size']:,} tokens: {len(Vocabulary.SPECIALS)} special, and of "
        f"{vocabulary['distinct_words']:,} words in train those seen {vocabulary['min_count']}+ times\n"
        f"unknown words: {', '.join(rates) or 'no held-out split'}"
    )


def _place(problem: dict) -> str:
    return str(Problem(**problem))


def _list(title: str, entries: list[str], checked: bool = True) -> list[str]:
    if not checked:
        return [f"{title}: not checked"]
    more = [f"  and {len(entries) - SHOWN:,} more"] if len(entries) > SHOWN else []
    return [f"{title}: {len(entries):,}", *(f"  {entry}" for entry in entries[:SHOWN]), *more]
