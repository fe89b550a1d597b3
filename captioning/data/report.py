"""What sources of captions hold: splits, words, bad rows, images that cannot be read, and duplicates."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from captioning.data.examples import CaptionData, Example, LazyImage
from captioning.data.images import ImageError, load_image
from captioning.data.load import SHAPES
from captioning.data.similar import fingerprint, similar_pairs
from shared.data.report import listed, vocabulary_lines
from shared.data.source import Problem
from shared.system.progress import progress_bar
from shared.text.tokens import TOKENIZERS, choose_tokenizer
from shared.text.vocabulary import Vocabulary

# From this number of images on, checking takes long enough for a progress bar.
MANY = 1_000
SCORED_SPLITS = ("validation", "test")


def examine(data: CaptionData, check_images: bool = True, min_count: int = 4) -> dict:
    """Examines one source, or several read into one.

    Args:
        data: what `load_examples` or `load_sources` returned.
        check_images: decode every image, and compare contents across splits.
        min_count: words seen less often in the training captions are not in the vocabulary.

    Returns:
        A dict that JSON can hold: `splits` (images, captions, caption lengths in words, share of words
        outside the vocabulary), `tokenizer`, `sources` (images of each source by split), `vocabulary`,
        `problems`, `corrupt`, `duplicates` and `notes`.
    """
    tokenizer = choose_tokenizer(caption for example in data.split("train") for caption in example.captions)
    tokenize = TOKENIZERS[tokenizer]
    words = [[tokenize(caption) for caption in example.captions] for example in data.examples]
    pairs = list(zip(data.examples, words, strict=True))
    training = [tokens for example, lists in pairs if example.split == "train" for tokens in lists]
    vocabulary = Vocabulary.build(training, min_count=min_count)
    checks = _check(data.name, data.examples) if check_images else [Check()] * len(data.examples)
    checked = list(zip(data.examples, checks, strict=True))
    return {
        "source": data.name,
        "images_checked": check_images,
        "tokenizer": tokenizer,
        "splits": {
            split: _examine_split([lists for example, lists in pairs if example.split == split], vocabulary)
            for split in data.splits
        },
        "sources": {
            source or data.name: dict(Counter(e.split for e in data.examples if e.source == source))
            for source in data.sources
        },
        "vocabulary": {
            "min_count": min_count,
            "size": len(vocabulary),
            "distinct_words": len({word for tokens in training for word in tokens}),
        },
        "problems": [asdict(problem) for problem in data.problems],
        "corrupt": [
            {"image_id": example.image_id, "split": example.split, "message": check.error}
            for example, check in checked
            if check.error
        ],
        "duplicates": {
            "same_id": _across_splits((example.image_id, example) for example in data.examples),
            "same_content": _across_splits((check.digest, example) for example, check in checked),
            # Two renderings of shapes may be alike, but they are no copies.
            "same_photograph": [] if data.name == SHAPES else _same_photographs(checked),
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


class Check(NamedTuple):
    """What was learned of an image: a digest of its content, what is wrong with it, and its fingerprint."""

    digest: str = ""
    error: str = ""
    fingerprint: np.ndarray | None = None


def _check(name: str, examples: Sequence[Example]) -> list[Check]:
    bar = progress_bar(title=f"Images of {name}", unit="image", total=len(examples), least=MANY)
    with ThreadPoolExecutor() as pool, bar:
        results = []
        for result in pool.map(_check_one, examples):
            results.append(result)
            bar.update()
    return results


def _check_one(example: Example) -> Check:
    image, digest = example.image, ""
    try:
        if isinstance(image, LazyImage):
            image = image.read()
        if isinstance(image, str | Path):
            image = Path(image).read_bytes()
        if isinstance(image, bytes | np.ndarray):
            digest = hashlib.sha256(image if isinstance(image, bytes) else image.tobytes()).hexdigest()
        return Check(
            digest,
            fingerprint=fingerprint(load_image(image, name=example.image_id, max_pixels=example.max_pixels)),
        )
    except ImageError as error:
        return Check(digest, str(error))
    except OSError as error:
        return Check(digest, f"{example.image_id}: cannot be read: {error.strerror or error}.")


def _same_photographs(checked: Sequence[tuple[Example, Check]]) -> list[list[str]]:
    """Pairs of a training and a held-out image, as `split/id`, that show one photograph."""
    training, held_out = (
        [(example, check.fingerprint) for example, check in checked if example.split in splits]
        for splits in (("train",), SCORED_SPLITS)
    )
    return [[f"{e.split}/{e.image_id}" for e in pair] for pair in similar_pairs(training, held_out)]


def _across_splits(named: Iterable[tuple[str, Example]]) -> list[list[str]]:
    """Groups of images, as `split/id`, that have the same name but are in different splits."""
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
    """The findings of `examine` as readable text."""
    lines = [findings["source"], *(f"note: {note}" for note in findings["notes"]), ""]
    lines.append(f"{'split':<12}{'images':>9}{'captions':>10}   words a caption: min, median, 95 %, max")
    for split, part in findings["splits"].items():
        words = part["words"]
        spread = f"{words['min']}, {words['median']:g}, {words['percentile_95']:g}, {words['max']}"
        lines.append(f"{split:<12}{part['images']:>9,}{part['captions']:>10,}   {spread}")
    if len(findings["sources"]) > 1:
        lines.append("")
        for source, counts in findings["sources"].items():
            images = ", ".join(f"{split} {count:,}" for split, count in counts.items())
            lines.append(f"images of {source}: {images}")
    unknown = {
        split: part["out_of_vocabulary"]
        for split, part in findings["splits"].items()
        if split in SCORED_SPLITS
    }
    lines += ["", *vocabulary_lines(findings["vocabulary"], len(Vocabulary.SPECIALS), unknown), ""]
    unchecked = "" if findings["images_checked"] else "not checked"
    duplicates = findings["duplicates"]
    same, photographs = (
        [" = ".join(group) for group in duplicates[kind]] for kind in ("same_content", "same_photograph")
    )
    lines += listed("rows left out", [str(Problem(**problem)) for problem in findings["problems"]])
    lines += listed("images that cannot be read", [c["message"] for c in findings["corrupt"]], unchecked)
    lines += listed("ids in more than one split", [", ".join(group) for group in duplicates["same_id"]])
    lines += listed("equal images in different splits", same, unchecked)
    lines += listed("photographs both in train and held out, in any size", photographs, unchecked)
    return "\n".join(lines)
