"""How large the images may be that scripts read."""

import argparse
from functools import partial

from shared.system.options import whole_number

# An image of this size takes up to 1.6 GB while it is decoded; the cameras of most telephones stay below it.
MAX_PIXELS = 50_000_000
# Pillow refuses more, whatever it is told.
LARGEST_MAX_PIXELS = 178_956_970


def add_max_pixels(parser: argparse.ArgumentParser) -> None:
    """Adds the option `--max-pixels` of the scripts that read images."""
    parser.add_argument(
        "--max-pixels",
        type=partial(whole_number, most=LARGEST_MAX_PIXELS),
        default=MAX_PIXELS,
        metavar="N",
        help=f"images that declare more pixels are refused before they are decoded (default: {MAX_PIXELS})",
    )
