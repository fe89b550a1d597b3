"""Describes photographs: python -m captioning.predict IMAGE|FOLDER|GLOB|- ... --model MODEL.

Without images, it describes sample photographs.
"""

import argparse
import dataclasses
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from captioning.app import add_models_option, chosen_models, load_model
from captioning.config import ABSTAIN_HELP, Search, add_max_pixels
from captioning.data.images import load_image
from captioning.prediction.inputs import find_inputs
from captioning.prediction.results import FORMATS, withheld, write_results
from captioning.prediction.stream import caption_images
from shared.system.cli import Parser, run_script
from shared.system.options import add_config_arguments, share, whole_number
from shared.system.output import check_output
from shared.system.progress import progress_bar


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = Parser(
        "captioning.predict",
        description="Describe photographs in words. Without images, sample photographs are described.",
        epilog="An exported model has its own search defaults. Exit status: 0; 1 if some images could not be "
        "read; 2 if nothing could be done.",
    )
    parser.add_argument(
        "images",
        nargs="*",
        metavar="IMAGE|FOLDER|GLOB|-",
        help="image files, folders of images, quoted patterns, or - for paths on standard input, one a line",
    )
    add_models_option(parser)
    add_config_arguments(parser, Search)
    parser.add_argument(
        "--batch-size", type=whole_number, default=32, metavar="N", help="images in a batch (default: 32)"
    )
    add_max_pixels(parser)
    parser.add_argument("--abstain-below", type=share, default=0.0, metavar="P", help=ABSTAIN_HELP)
    parser.add_argument("--format", choices=tuple(FORMATS), default="text", help="default: %(default)s")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="file to write (default: standard output)"
    )
    arguments = parser.parse_args(argv)
    Search().updated(arguments)  # mistakes end the script here
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    arguments = parse_arguments(argv)
    paths = find_inputs(arguments.images)
    if arguments.output is not None:
        check_output(arguments.output, paths)
    captioner, size, options, least = None, None, {}, arguments.abstain_below
    if any(map(os.path.exists, paths)):  # otherwise there are only errors to print
        captioner = load_model(*chosen_models(arguments))
        size = captioner.image_size
        options = dataclasses.asdict(captioner.search_defaults.updated(arguments))
        least = max(least, getattr(captioner, "abstain_below", 0.0))  # an export has one of its own
    load = partial(load_image, max_pixels=arguments.max_pixels, size=size)
    items = ((path, partial(load, path)) for path in paths)
    results = caption_images(captioner, items, batch_size=arguments.batch_size, **options)
    results = withheld(results, least)
    with progress_bar(results, unit="image", total=len(paths), least=arguments.batch_size + 1) as shown:
        failures = write_results(shown, arguments.format, arguments.output)
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(run_script(main))
