"""Shows how captions came about: python -m captioning.visualize IMAGE|FOLDER|GLOB ... --out page.html.

Without images, it shows sample photographs; with --data, those of a data set from best to worst.
"""

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from captioning.app import APP, add_models_option, chosen_models, find_models, load_model
from captioning.config import SOURCES, Search, add_max_pixels
from captioning.data.images import ImageError, load_image
from captioning.prediction.inputs import find_inputs
from shared.commands import add_training_page_option, write_page, write_training_page
from shared.system.cli import Parser, UserError, run_script
from shared.system.options import add_config_arguments, whole_number
from shared.system.output import check_output, print_error
from shared.system.progress import progress_bar


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = Parser(
        "captioning.visualize",
        description="Write one HTML page that shows how captions came about: where each word looked, what "
        "else could have followed, what the search tried and dropped; and with --data, the successes and "
        "failures on a data set. The page opens from disk, without a network.",
        epilog="Exit status: 0; 1 if some images could not be read; 2 if the page could not be made.",
    )
    parser.add_argument(
        "images", nargs="*", metavar="IMAGE|FOLDER|GLOB", help="photographs to show in detail"
    )
    add_models_option(parser, trainable=True)
    parser.add_argument("--data", help=f"data set for the gallery: {SOURCES}")
    parser.add_argument("--split", default="validation", help="of the data set (default: %(default)s)")
    parser.add_argument(
        "--limit",
        type=whole_number,
        default=500,
        metavar="N",
        help="images of it to caption (default: %(default)s)",
    )
    add_config_arguments(parser, Search)
    add_max_pixels(parser)
    add_training_page_option(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="page to write")
    arguments = parser.parse_args(argv)
    Search().updated(arguments)  # mistakes end the script here
    arguments.model = chosen_models(arguments)
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    arguments = parse_arguments(argv)
    if arguments.training:
        return write_training_page(APP, arguments.training, arguments.out)
    find_models(arguments.model, trainable=True)
    paths = find_inputs(arguments.images) if arguments.images or not arguments.data else []
    check_output(arguments.out, paths)
    images, failures = _readable(paths, arguments.max_pixels)
    captioner = load_model(*arguments.model, trainable=True)
    from captioning.pages.making import make_page

    search = dataclasses.asdict(captioner.search_defaults.updated(arguments))
    if not hasattr(arguments, "n_best"):
        search["n_best"] = min(3, search["num_beams"])
    page = make_page(
        captioner,
        " + ".join(Path(name).name for name in arguments.model),
        images,
        search,
        data=arguments.data,
        split=arguments.split,
        limit=arguments.limit,
        max_pixels=arguments.max_pixels,
    )
    write_page(arguments.out, page)
    return 1 if failures else 0


def _readable(paths, max_pixels):
    """The pixels of the images by name, and how many could not be read."""
    names = [path.name for path in paths]
    images, failures = {}, 0
    for path, name in zip(progress_bar(paths, unit="image", least=20), names, strict=True):
        try:
            images[name if names.count(name) == 1 else str(path)] = load_image(path, max_pixels=max_pixels)
        except ImageError as error:
            print_error(f"{error}")
            failures += 1
    if paths and not images:
        raise UserError("None of the images could be read, so there is nothing to show.")
    return images, failures


if __name__ == "__main__":
    raise SystemExit(run_script(main))
