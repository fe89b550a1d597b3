"""What `python -m captioning.evaluate` scores and writes: images with captions, predictions and metrics."""

import dataclasses
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from captioning.data.examples import Example
from captioning.data.load import load_examples
from captioning.evaluation.calibration import are_good, fit_calibration, reliability, table
from captioning.evaluation.official import official_metrics
from captioning.prediction.results import Result, scored
from captioning.prediction.stream import caption_images
from shared.data.encodings import Format
from shared.system.cli import UserError
from shared.system.output import check_output, print_error, write_whole
from shared.system.progress import progress_bar

# What a calibration's file says about where it comes from.
SOURCE_OF_CALIBRATION = ("model", "data", "split", "search", "images", "median_cider", "confidence_bands")


def examples_to_score(
    source: str, images: Path | None, split: str, max_pixels: int, form: Format = Format()
) -> list[Example]:
    """The images of a split that have captions to compare with.

    Args:
        source: see `captioning.data.examples`.
        images: folder of the images, where it is not beside the captions.
        split: name of the split.
        max_pixels: an image that declares more pixels is not decoded.
        form: encoding and delimiter of caption files.

    Raises:
        UserError: the source cannot be read, or there are none.
    """
    data = load_examples(source, images, max_pixels, **form._asdict())
    if data.problems:
        hint = f"`python -m captioning.data {source}` lists them"
        print(f"{len(data.problems)} bad rows left out; {hint}.", file=sys.stderr)
    examples = [example for example in data.split(split) if example.captions]
    if not examples:
        raise UserError(f"{source} has no images with captions in its split {split!r}. Name another --split.")
    return examples


def caption_examples(captioner, examples: Sequence[Example], batch_size: int, search: dict) -> list[Result]:
    """The result of each image, with a progress bar."""
    items = ((example, partial(example.load, captioner.image_size)) for example in examples)
    stream = caption_images(captioner, items, batch_size=batch_size, **search)
    return list(progress_bar(stream, unit="image", total=len(examples), least=batch_size + 1))


def without_failures(results: Sequence[Result]) -> list[Result]:
    """The results of images that could be read; the others are named on standard error.

    Raises:
        UserError: no image could be read.
    """
    failed = [result for result in results if result.error is not None]
    for result in failed:
        print_error(f"{result.key.image_id}: error: {result.error}")
    if len(failed) == len(results):
        raise UserError("None of the images could be read, so there is nothing to score.")
    if failed:
        print(
            f"{len(failed)} of {len(results)} images could not be read and are not scored.", file=sys.stderr
        )
    return [result for result in results if result.error is None]


def score(results: Sequence[Result], tokenizer: str, meteor: bool) -> tuple[dict[str, Any], list[float]]:
    """The metrics of each image's best caption with what computed them, and the CIDEr of each."""
    metrics = official_metrics(
        {result.key.image_id: list(result.key.captions) for result in results},
        {result.key.image_id: result.captions[0].text for result in results},
        tokenizer=tokenizer,
        meteor=meteor,
    )
    ciders = metrics.pop("cider_of_each")
    tools = {name: metrics.pop(name) for name in ("tool", "tokenizer")}
    return {"images": len(results), **tools, "metrics": metrics}, ciders


def judge_confidence(
    results: Sequence[Result], ciders: Sequence[float], metrics: dict[str, Any], calibrate: bool
) -> tuple[Sequence[Result], dict[str, Any] | None]:
    """Compares the confidence of each image's best caption with its CIDEr.

    Args:
        results: of a model without calibration, if `calibrate`.
        ciders: the CIDEr of each.
        metrics: gets the median CIDEr and the bands of confidence.
        calibrate: whether to fit a calibration.

    Returns:
        The results, with calibrated confidences where one was fitted; and what its file holds, or None.

    Raises:
        UserError: there is nothing to calibrate.
    """
    is_good, fitted = are_good(ciders), None
    if calibrate:
        calibration = fit_calibration(_confidences(results), is_good)
        results = [_calibrated(result, calibration) for result in results]
        fitted = dataclasses.asdict(calibration)
    metrics["median_cider"] = float(np.median(ciders))
    metrics["confidence_bands"] = reliability(_confidences(results), is_good)
    return results, fitted and fitted | {name: metrics[name] for name in SOURCE_OF_CALIBRATION}


def _confidences(results):
    return [result.captions[0].confidence for result in results]


def _calibrated(result, calibration):
    captions = [
        caption._replace(confidence=calibration.apply(caption.confidence)) for caption in result.captions
    ]
    return result._replace(captions=captions)


def predictions(results: Sequence[Result]) -> list[dict[str, Any]]:
    """The best captions in the COCO results format, with more keys than it requires."""
    return [_prediction(result) for result in results]


def _prediction(result):
    image = result.key.image_id
    # COCO's own tools expect integers, as COCO's images are called by numbers.
    is_number = isinstance(image, str) and image.isdecimal() and str(int(image)) == image
    return {
        "image_id": int(image) if is_number else image,
        **scored(result.captions[0]),
        "references": list(result.key.captions),
    }


def prepare_output(out: Path, data: Path, calibrate: bool = False) -> None:
    """Makes the folder `out`, unless it is the name of a `.json` file, and checks that it can be written to.

    Raises:
        UserError: it cannot, or a file to be written is the data; or `calibrate`, which needs a folder.
    """
    if out.suffix == ".json" and calibrate:
        raise UserError(f"--calibrate writes a file calibration.json. Name a folder as --out, not {out}.")
    if out.suffix == ".json":
        return check_output(out, [data])
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"Cannot make the folder {out}: {error.strerror}. Name another --out.") from error
    return check_output(out / "metrics.json", [data])


def write_report(out: Path, **parts: Any) -> None:
    """Writes each part as NAME.json in the folder `out`, or all into the one file `out`; None is left out."""
    parts = {name: part for name, part in parts.items() if part is not None}
    files = {out: parts} if out.suffix == ".json" else {out / f"{name}.json": parts[name] for name in parts}
    for file, content in files.items():
        write_whole(file, json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def summary(metrics: dict[str, Any]) -> str:
    """A line that says what was measured, how, and the metrics; and how CIDEr goes with confidence."""
    search = metrics["search"]
    scores = " ".join(f"{name} {value:.4f}" for name, value in metrics["metrics"].items())
    return (
        f"{metrics['data']} {metrics['split']}, {metrics['images']} images, "
        f"tokenizer {metrics['tokenizer']}, beam {search['num_beams']}, "
        f"length penalty {search['length_penalty']:g}, {metrics['tool']}: {scores}\n"
        f"{table(metrics['confidence_bands'])}"
    )
