"""The options of `python -m sentiment.predict`."""

import argparse
from pathlib import Path

from sentiment.prediction.inputs import STDIN
from sentiment.prediction.results import FORMATS
from shared.data.encodings import add_format_options
from shared.system.cli import Parser
from shared.system.options import share, whole_number


def add_input_options(parser: Parser) -> None:
    """Adds the texts, `--input`, how it is read, and `--batch-size`."""
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="a text; quote it")
    parser.add_argument(
        "--input",
        metavar="FILE",
        help="file of texts, or - for standard input. .jsonl: a JSON object per line; .csv, .tsv: a "
        "table whose first line names the columns; anything else: a text per line. .gz may follow. Empty "
        "lines are skipped, but counted",
    )
    parser.add_argument(
        "--text-column",
        default="text",
        metavar="NAME",
        help="column or field of the text in a table (default: %(default)s)",
    )
    add_format_options(parser)
    parser.add_argument(
        "--batch-size",
        type=whole_number,
        default=64,
        metavar="N",
        help="texts read before their results are written (default: %(default)s)",
    )


def add_result_options(parser: Parser) -> None:
    """Adds `--format`, `--output`, `--abstain-below` and `--force`, and the options of explanations."""
    parser.add_argument(
        "--format",
        choices=tuple(FORMATS),
        default="text",
        help="text: a line per text; jsonl: an object per text, with the line number and the other fields of "
        "the input (input_NAME where the names are taken); csv (default: %(default)s)",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="file to write (default: standard output)"
    )
    parser.add_argument(
        "--abstain-below",
        type=share,
        default=0.0,
        metavar="P",
        help="give no label where the highest probability is below P (default: 0)",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="give a label also to texts of which the model does not know enough words, such as those in "
        "another language (default: withhold it and say why)",
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        help="a signed weight for every word, and how the probability falls without the largest ones",
    )
    parser.add_argument("--page", type=Path, metavar="FILE", help="HTML page of explained texts to write")
    parser.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="colour the words of explained texts (default: on a terminal, unless NO_COLOR is set)",
    )


def find_mistake(arguments: argparse.Namespace) -> str | None:
    """What is wrong with the combination of options; None: nothing."""
    if arguments.texts and arguments.input is not None:
        return "texts on the command line and --input do not go together; give one of them"
    if not arguments.texts and arguments.input is None:
        return "no text; give one in quotes, or --input FILE, or --input - for standard input"
    if arguments.texts == [STDIN]:
        return "standard input is read with --input -"
    if "://" in (arguments.input or ""):
        return f"{arguments.input} is a URL; download it first and give the file's path"
    if arguments.explain and arguments.format == "csv" and arguments.page is None:
        return "--format csv cannot hold the weights of --explain; choose jsonl, text or --page"
    return None
