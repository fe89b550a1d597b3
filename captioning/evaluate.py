"""Scores a captioner on a data set: python -m captioning.evaluate --model MODEL --data SOURCE --split SPLIT.

The metrics are those of the official COCO caption code, in the package pycocoevalcap.
"""

import argparse
import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

from captioning.app import add_models_option, chosen_models, find_models, load_model
from captioning.config import SOURCES, Search, add_max_pixels
from captioning.evaluation.official import TOKENIZER_NAMES, choose_tools, suited_tokenizer
from captioning.evaluation.report import (
    caption_examples,
    examples_to_score,
    judge_confidence,
    predictions,
    prepare_output,
    score,
    summary,
    without_failures,
    write_report,
)
from shared.data.encodings import add_format_options, format_of
from shared.system.cli import Parser, run_script
from shared.system.options import add_config_arguments, whole_number

TOKENIZER_HELP = (
    "how captions are split into words: ptb, the official way, which needs Java; words, our own; characters, "
    "for scripts without blanks; auto, characters for those, else ptb where Java is present (default: auto)"
)
METEOR_HELP = "compute METEOR, which needs Java (default: where Java is present)"
BATCH_SIZE_HELP = "images in a batch (default: %(default)s)"
SPLIT_HELP = "train, validation or test (default: %(default)s)"
CALIBRATE_HELP = "fit the confidence to this split, and write calibration.json, which a run folder may hold"
OUT_HELP = "folder for metrics.json and predictions.json, or a .json file (default: evaluation/MODEL-SPLIT)"


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = Parser(
        "captioning.evaluate",
        description="Caption the images of a data set and score the captions with the official COCO code.",
        epilog="An exported model has its own search defaults. Exit status: 0; 1 if some images could not be "
        "read; 2 if nothing could be done.",
    )
    add_models_option(parser)
    add_config_arguments(parser, Search, skip=("n_best", "diversity"))
    parser.add_argument("--batch-size", type=whole_number, default=32, metavar="N", help=BATCH_SIZE_HELP)
    add_max_pixels(parser)
    parser.add_argument("--data", required=True, help=SOURCES)
    add_format_options(parser)
    parser.add_argument("--images", type=Path, help="folder of the images, where not beside the captions")
    parser.add_argument("--split", default="validation", help=SPLIT_HELP)
    parser.add_argument("--tokenizer", choices=TOKENIZER_NAMES, default="auto", help=TOKENIZER_HELP)
    parser.add_argument("--meteor", action=argparse.BooleanOptionalAction, default="auto", help=METEOR_HELP)
    parser.add_argument("--calibrate", action="store_true", help=CALIBRATE_HELP)
    parser.add_argument("--out", type=Path, metavar="FOLDER|FILE", help=OUT_HELP)
    arguments = parser.parse_args(argv)
    Search().updated(arguments)  # mistakes end the script here
    arguments.model = chosen_models(arguments)
    if arguments.calibrate and len(arguments.model) > 1:
        parser.error("--calibrate fits the confidence of one model; name one")
    name = "-".join(re.sub(r"[^\w.-]+", "-", Path(model).name) for model in arguments.model)
    arguments.out = arguments.out or Path("evaluation") / f"{name}-{arguments.split}"
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    arguments = parse_arguments(argv)
    tokenizer, meteor = choose_tools(arguments.tokenizer, arguments.meteor)
    find_models(arguments.model, trainable=arguments.calibrate)
    prepare_output(arguments.out, Path(arguments.data), arguments.calibrate)
    which = arguments.data, arguments.images, arguments.split, arguments.max_pixels
    examples = examples_to_score(*which, format_of(arguments))
    if arguments.tokenizer == "auto":
        suited = suited_tokenizer(caption for example in examples for caption in example.captions)
        tokenizer = tokenizer if suited == "auto" else suited
    captioner = load_model(*arguments.model)
    if arguments.calibrate:
        captioner.calibration = None
    search = dataclasses.asdict(captioner.search_defaults.updated(arguments))
    results = caption_examples(captioner, examples, arguments.batch_size, search)
    readable = without_failures(results)
    write_report(arguments.out, predictions=predictions(readable))  # before metrics, whose programs may fail
    scores, ciders = score(readable, tokenizer, meteor)
    source = {"model": " + ".join(arguments.model), "data": arguments.data, "split": arguments.split}
    metrics = source | {"search": search} | scores
    readable, fitted = judge_confidence(readable, ciders, metrics, arguments.calibrate)
    write_report(arguments.out, metrics=metrics, predictions=predictions(readable), calibration=fitted)
    print(summary(metrics))
    return 1 if len(readable) < len(results) else 0


if __name__ == "__main__":
    raise SystemExit(run_script(main))
