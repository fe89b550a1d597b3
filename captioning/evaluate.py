"""Scores a captioner on a data set: python -m captioning.evaluate --model MODEL --data SOURCE --split SPLIT.

The metrics are those of the official COCO caption code, in the package pycocoevalcap.
"""

import argparse
import dataclasses
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from captioning.app import APP
from captioning.config import SOURCES, Search, add_max_pixels
from captioning.evaluation.official import choose_tools, find_tool
from captioning.evaluation.report import (
    examples_to_score,
    judge_confidence,
    predictions,
    prepare_output,
    score,
    summary,
    without_failures,
    write_report,
)
from captioning.prediction.stream import caption_images
from shared.system.cli import Parser, run_script
from shared.system.options import add_config_arguments, whole_number
from shared.system.progress import progress_bar

TOKENIZER_HELP = (
    "how captions are split into words: ptb, the official way, which needs Java; words, our own; "
    "auto, ptb where Java is present (default: %(default)s)"
)
METEOR_HELP = "compute METEOR, which needs Java (default: where Java is present)"
CALIBRATE_HELP = "fit the confidence to this split, and write calibration.json, which a run folder may hold"
OUT_HELP = (
    "folder for metrics.json and predictions.json, or one .json file for both "
    "(default: evaluation/MODEL-SPLIT)"
)


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = Parser(
        "captioning.evaluate",
        description="Caption the images of a data set and score the captions with the official COCO code.",
        epilog="An exported model has its own search defaults. Exit status: 0; 1 if some images could not be "
        "read; 2 if nothing could be done.",
    )
    APP.add_model_option(parser)
    add_config_arguments(parser, Search, skip=("n_best", "diversity"))
    parser.add_argument(
        "--batch-size", type=whole_number, default=16, metavar="N", help="images in a batch (default: 16)"
    )
    add_max_pixels(parser)
    parser.add_argument("--data", required=True, help=SOURCES)
    parser.add_argument("--images", type=Path, help="folder of the images, where not beside the captions")
    parser.add_argument(
        "--split", default="validation", help="train, validation or test (default: validation)"
    )
    parser.add_argument("--tokenizer", choices=("auto", "ptb", "words"), default="auto", help=TOKENIZER_HELP)
    parser.add_argument("--meteor", action=argparse.BooleanOptionalAction, default="auto", help=METEOR_HELP)
    parser.add_argument("--calibrate", action="store_true", help=CALIBRATE_HELP)
    parser.add_argument("--out", type=Path, metavar="FOLDER|FILE", help=OUT_HELP)
    arguments = parser.parse_args(argv)
    Search().updated(arguments)  # mistakes end the script here
    name = re.sub(r"[^\w.-]+", "-", Path(arguments.model).name)
    arguments.out = arguments.out or Path("evaluation") / f"{name}-{arguments.split}"
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    arguments = parse_arguments(argv)
    find_tool()
    tokenizer, meteor = choose_tools(arguments.tokenizer, arguments.meteor)
    APP.find(arguments.model, trainable=arguments.calibrate)
    prepare_output(arguments.out, Path(arguments.data), arguments.calibrate)
    examples = examples_to_score(arguments.data, arguments.images, arguments.split, arguments.max_pixels)
    captioner = APP.load(arguments.model)
    if arguments.calibrate:
        captioner.calibration = None
    search = dataclasses.asdict(captioner.search_defaults.updated(arguments))
    items = ((example, partial(example.load, captioner.image_size)) for example in examples)
    stream = caption_images(captioner, items, batch_size=arguments.batch_size, **search)
    results = list(progress_bar(stream, unit="image", total=len(examples), least=arguments.batch_size + 1))
    readable = without_failures(results)
    write_report(arguments.out, predictions=predictions(readable))  # before metrics, whose programs may fail
    scores, ciders = score(readable, tokenizer, meteor)
    metrics = {name: getattr(arguments, name) for name in ("model", "data", "split")}
    metrics |= {"search": search, **scores}
    readable, fitted = judge_confidence(readable, ciders, metrics, arguments.calibrate)
    write_report(arguments.out, metrics=metrics, predictions=predictions(readable), calibration=fitted)
    print(summary(metrics))
    return 1 if len(readable) < len(results) else 0


if __name__ == "__main__":
    raise SystemExit(run_script(main))
