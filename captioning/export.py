"""Exports a captioner as a SavedModel: python -m captioning.export --model M --out FOLDER.

The SavedModel takes encoded image files and returns captions. It needs TensorFlow alone.
"""

import argparse
import dataclasses
from collections.abc import Sequence

from captioning.app import APP
from captioning.config import ABSTAIN_HELP, Search, add_max_pixels
from shared.commands import export_parser, load_to_export
from shared.system.cli import run_script
from shared.system.options import add_config_arguments, config_from_arguments, share

DESCRIPTION = (
    "Write a SavedModel that takes image files and returns captions, and check it against the model. The "
    "options of the search become part of it."
)


def parse_arguments(argv: Sequence[str] | None = None) -> tuple[argparse.Namespace, Search]:
    parser = export_parser(APP, DESCRIPTION)
    add_config_arguments(parser, Search)
    add_max_pixels(parser)
    parser.add_argument("--abstain-below", type=share, default=0.0, metavar="P", help=ABSTAIN_HELP)
    arguments = parser.parse_args(argv)
    return arguments, config_from_arguments(Search, arguments)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    arguments, search = parse_arguments(argv)
    model = load_to_export(APP, arguments)
    from captioning.prediction.export import export_captioner

    options = dataclasses.asdict(search)
    export_captioner(model, arguments.out, options, arguments.abstain_below, arguments.max_pixels)
    print(
        f"Wrote {arguments.out}. Checked: it needs TensorFlow alone and writes what {arguments.model} writes."
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(run_script(main))
