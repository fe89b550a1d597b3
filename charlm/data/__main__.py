"""Reports what a source of text holds: python -m charlm.data SOURCE."""

import argparse
from collections.abc import Sequence

from charlm.config import SOURCES
from charlm.data.advice import advice
from charlm.data.load import load_text
from charlm.data.report import describe
from shared.data.encodings import add_format_options
from shared.system.cli import Parser, run_script


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = Parser(
        "charlm.data",
        description="Report what a source of text holds.",
        epilog="Exit status: 0; 2 if the source cannot be used.",
    )
    parser.add_argument(
        "source", nargs="*", default=["shakespeare"], help=f"{SOURCES} (default: shakespeare)"
    )
    parser.add_argument("--pattern", default="*.txt", help="which files in a folder (default: *.txt)")
    add_format_options(parser, tables=False)
    parser.add_argument(
        "--validation-fraction", type=float, default=0.1, metavar="F", help="its share (default: 0.1)"
    )
    parser.add_argument(
        "--test-fraction", type=float, default=0.0, metavar="F", help="its share, at the end (default: 0)"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the report."""
    arguments = parse_arguments(argv)
    data = load_text(
        arguments.source,
        pattern=arguments.pattern,
        encoding=arguments.encoding,
        validation_fraction=arguments.validation_fraction,
        test_fraction=arguments.test_fraction,
    )
    print(describe(data))
    validation = data.characters("validation") if "validation" in data.splits else 0
    print("", *advice(data.characters("train"), validation, arguments.source), sep="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(run_script(main))
