"""Reports what a source of labelled texts holds: python -m sentiment.data SOURCE."""

import argparse
import functools
from collections.abc import Sequence
from pathlib import Path

from sentiment.config import SOURCES
from sentiment.data.advice import advice
from sentiment.data.load import load_reviews
from sentiment.data.report import describe, examine
from shared.data.report import print_report
from shared.system.cli import Parser, run_script
from shared.system.options import whole_number
from shared.system.output import check_output


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = Parser(
        "sentiment.data",
        description="Report what a source of labelled texts holds.",
        epilog="Exit status: 0; 1 if rows were left out; 2 if the source cannot be used.",
    )
    parser.add_argument("source", nargs="*", default=["imdb"], help=f"{SOURCES} (default: imdb)")
    for column in ("text", "label", "split"):
        parser.add_argument(
            f"--{column}-column",
            default=column,
            metavar="NAME",
            help=f"column or field of the {column} (default: {column})",
        )
    parser.add_argument(
        "--validation-fraction",
        type=float,
        default=0.1,
        metavar="F",
        help="share of train, if there is no validation part (default: 0.1)",
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="chooses these rows (default: 1)")
    parser.add_argument(
        "--min-count",
        type=whole_number,
        default=2,
        metavar="N",
        help="words seen less often in train count as unknown (default: 2)",
    )
    parser.add_argument(
        "--max-vocabulary",
        type=functools.partial(whole_number, least=5),
        default=30_000,
        metavar="N",
        help="most words, special ones included (default: 30000)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the whole report there too")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the report. Exit status 1 if rows were left out."""
    arguments = parse_arguments(argv)
    if arguments.json:
        check_output(arguments.json, [Path(source) for source in arguments.source])
    data = load_reviews(
        arguments.source,
        text_column=arguments.text_column,
        label_column=arguments.label_column,
        split_column=arguments.split_column,
        validation_fraction=arguments.validation_fraction,
        seed=arguments.seed,
    )
    findings = examine(data, min_count=arguments.min_count, max_vocabulary=arguments.max_vocabulary)
    print_report(describe(findings), findings, arguments.json)
    print(advice(findings["splits"], arguments))
    return 1 if findings["problems"] else 0


if __name__ == "__main__":
    raise SystemExit(run_script(main))
