"""Reports what sources of captions hold: python -m captioning.data SOURCE [SOURCE ...]."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from captioning.config import SOURCES, add_max_pixels
from captioning.data.advice import advice
from captioning.data.load import load_sources
from captioning.data.report import describe, examine
from shared.data.encodings import add_format_options
from shared.data.report import print_report
from shared.system.cli import Parser, run_script
from shared.system.options import whole_number
from shared.system.output import check_output


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = Parser(
        "captioning.data",
        description="Report what one or more sources of captions hold, as training would read them.",
        epilog="Exit status: 0; 1 if rows or images are bad; 2 if a source cannot be used.",
    )
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help=SOURCES)
    parser.add_argument(
        "--images",
        type=Path,
        action="append",
        metavar="FOLDER",
        help="folder of the images, if not next to the captions; once for each source",
    )
    parser.add_argument(
        "--check-images",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="decode every image, and look for copies in different splits (default: on)",
    )
    parser.add_argument(
        "--min-count",
        type=whole_number,
        default=4,
        metavar="N",
        help="words seen less often in train count as unknown (default: 4)",
    )
    add_format_options(parser)
    add_max_pixels(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the whole report there too")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the report. Exit status 1 if rows were left out or images cannot be read."""
    arguments = parse_arguments(argv)
    if arguments.json:
        check_output(arguments.json, list(map(Path, arguments.sources)))
    data = load_sources(
        arguments.sources,
        arguments.images,
        arguments.max_pixels,
        encoding=arguments.encoding,
        delimiter=arguments.delimiter,
    )
    findings = examine(data, check_images=arguments.check_images, min_count=arguments.min_count)
    print_report(describe(findings), findings, arguments.json)
    counts = (len(data.split(split)) for split in ("train", "validation"))
    print("", *advice(*counts, findings["tokenizer"], arguments.sources), sep="\n")
    return 1 if findings["problems"] or findings["corrupt"] else 0


if __name__ == "__main__":
    raise SystemExit(run_script(main))
