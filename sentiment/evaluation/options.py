"""The options of `python -m sentiment.evaluate`."""

import argparse
from pathlib import Path

from sentiment.config import LABELS_HELP
from shared.data.encodings import DELIMITER_HELP, ENCODING_HELP
from shared.system.cli import Parser
from shared.system.options import finite_number, whole_number


def add_data_options(parser: Parser) -> None:
    """Adds `--data` and what says how to read it; all but the last two override settings of the run."""
    parser.add_argument(
        "--data",
        nargs="+",
        metavar="SOURCE",
        help="imdb, tfds:NAME, CSV, TSV or JSON Lines files, or a folder of classes (default, for this and "
        "the next eight: what the model was trained with)",
    )
    for name in ("text", "label", "split"):
        parser.add_argument(f"--{name}-column", metavar="NAME", help=f"column or field of the {name}")
    parser.add_argument("--encoding", metavar="NAME", help=ENCODING_HELP)
    parser.add_argument("--delimiter", metavar="CHARACTER", help=DELIMITER_HELP)
    parser.add_argument("--labels", metavar="OLD=NEW,...", help=LABELS_HELP)
    parser.add_argument(
        "--validation-fraction",
        type=finite_number,
        metavar="F",
        help="share of train to cut off for validation, if the data have no validation part",
    )
    parser.add_argument(
        "--seed",
        type=lambda text: whole_number(text, least=0),
        metavar="N",
        help="chooses the texts that are cut off",
    )
    parser.add_argument(
        "--split", default="validation", help="train, validation, test or all (default: %(default)s)"
    )
    parser.add_argument(
        "--skip-unknown-labels",
        action="store_true",
        help="leave out texts whose labels the model does not know",
    )


def add_output_options(parser: Parser) -> None:
    """Adds `--baseline`, `--json` and `--predictions`."""
    parser.add_argument(
        "--baseline",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="fit and measure NB-SVM, too (default: on)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="file for all metrics and settings")
    parser.add_argument(
        "--predictions",
        type=Path,
        metavar="FILE",
        help="file for the prediction for each text, as JSON Lines",
    )
