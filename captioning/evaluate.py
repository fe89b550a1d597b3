"""Scores a captioner on a data set: python -m captioning.evaluate --model MODEL --data SOURCE --split SPLIT.

The metrics are those of the official COCO caption code, in the package pycocoevalcap.
"""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captioning.config import SOURCES
from captioning.evaluation.official import choose_tools, find_tool, official_metrics
from captioning.predict import add_model_arguments, caption_images, load_captioner, progress, search_options
from captioning.prediction.results import Result, scored
from shared.system.cli import UserError, run_script
from shared.system.output import check_output, write_whole

if TYPE_CHECKING:
    from captioning.data.examples import Example


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m captioning.evaluate",
        description="Caption the images of a data set and score the captions by the official COCO code.",
        epilog="Exit status: 0; 1 if some images could not be read; 2 if nothing could be done.",
    )
    add_model_arguments(parser)
    parser.add_argument("--data", required=True, help=SOURCES)
    parser.add_argument(
        "--images",
        type=Path,
        metavar="FOLDER",
        help="folder of the images, where it is not beside the captions",
    )
    parser.add_argument(
        "--split", default="validation", help="train, validation or test (default: %(default)s)"
    )
    parser.add_argument(
        "--tokenizer",
        choices=("auto", "ptb", "words"),
        default="auto",
        help="how captions are cut into words: ptb, the official way, which needs Java; words, our own; "
        "auto, ptb where Java is present (default: %(default)s)",
    )
    parser.add_argument(
        "--meteor",
        action=argparse.BooleanOptionalAction,
        default="auto",
        help="compute METEOR, which needs Java (default: where Java is present)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER|FILE",
        help="folder for metrics.json and predictions.json, or one .json file for both "
        "(default: evaluation/MODEL-SPLIT)",
    )
    arguments = parser.parse_args(argv)
    name = re.sub(r"[^\w.-]+", "-", Path(arguments.model).name)
    arguments.out = arguments.out or Path("evaluation") / f"{name}-{arguments.split}"
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    arguments = parse_arguments(argv)
    find_tool()
    arguments.tokenizer, arguments.meteor = choose_tools(arguments.tokenizer, arguments.meteor)
    _prepare_output(arguments.out, Path(arguments.data))
    examples = _examples(arguments)
    captioner = load_captioner(arguments.model)
    options = search_options(captioner, arguments)
    items = ((example, example.load) for example in examples)
    results = caption_images(captioner, items, batch_size=arguments.batch_size, **options)
    with progress(results, len(examples), arguments.batch_size) as shown:
        results = list(shown)
    failures = _report_failures(results)
    results = [result for result in results if result.error is None]
    predictions = [_prediction(result) for result in results]
    _write(arguments.out, "predictions", predictions)  # before the metrics, whose programs may fail
    metrics = _metrics(arguments, options, results)
    _write(arguments.out, "metrics", metrics)
    print(summary(metrics))
    return 1 if failures else 0


def _prepare_output(out: Path, data: Path) -> None:
    if out.suffix == ".json":
        return check_output(out, [data])
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"Cannot make the folder {out}: {error.strerror}. Name another --out.") from error
    return check_output(out / "metrics.json", [data])


def load_data(source: str, images: Path | None):
    """The `captioning.data.examples.CaptionData` of a source."""
    from captioning.data.load import load_examples

    return load_examples(source, images=images)


def _examples(arguments) -> list["Example"]:
    """The examples of the split that have captions to compare with."""
    data = load_data(arguments.data, arguments.images)
    if data.problems:
        hint = f"`python -m captioning.data {arguments.data}` lists them"
        print(f"{len(data.problems)} bad rows left out; {hint}.", file=sys.stderr)
    examples = [example for example in data.split(arguments.split) if example.captions]
    if not examples:
        raise UserError(
            f"{arguments.data} has no images with captions in its split {arguments.split!r}. "
            "Name another --split."
        )
    return examples


def _report_failures(results: list[Result]) -> int:
    failed = [result for result in results if result.error is not None]
    for result in failed:
        print(f"{result.key.image_id}: error: {result.error}", file=sys.stderr)
    if len(failed) == len(results):
        raise UserError("None of the images could be read, so there is nothing to score.")
    if failed:
        print(
            f"{len(failed)} of {len(results)} images could not be read and are not scored.", file=sys.stderr
        )
    return len(failed)


def _metrics(arguments, options, results) -> dict[str, Any]:
    scores = official_metrics(
        {result.key.image_id: list(result.key.captions) for result in results},
        {result.key.image_id: result.captions[0].text for result in results},
        tokenizer=arguments.tokenizer,
        meteor=arguments.meteor,
    )
    return {
        "model": arguments.model,
        "data": arguments.data,
        "split": arguments.split,
        "images": len(results),
        "tool": scores.pop("tool"),
        "tokenizer": scores.pop("tokenizer"),
        "search": options,
        "metrics": scores,
    }


def _prediction(result: Result) -> dict[str, Any]:
    """One entry of the COCO results format, with more keys than it asks for."""
    image = result.key.image_id
    # COCO's own tools expect the numbers that COCO's images have for names.
    number = isinstance(image, str) and image.isdecimal() and str(int(image)) == image
    references = list(result.key.captions)
    return {
        "image_id": int(image) if number else image,
        **scored(result.captions[0]),
        "references": references,
    }


def _write(out: Path, name: str, content: Any) -> None:
    """Writes `name`.json in the folder `out`, or as one part of the file `out`."""
    if out.suffix == ".json":
        before = {} if name == "predictions" else json.loads(out.read_text(encoding="utf-8"))
        out, content = out, {name: content, **before}
    else:
        out = out / f"{name}.json"
    write_whole(out, json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def summary(metrics: dict[str, Any]) -> str:
    """One line that says what was measured, how, and the metrics."""
    search = metrics["search"]
    scores = " ".join(f"{name} {score:.4f}" for name, score in metrics["metrics"].items())
    return (
        f"{metrics['data']} {metrics['split']}, {metrics['images']} images, "
        f"tokenizer {metrics['tokenizer']}, beam {search['num_beams']}, "
        f"length penalty {search['length_penalty']:g}, {metrics['tool']}: {scores}"
    )


if __name__ == "__main__":
    raise SystemExit(run_script(main))
