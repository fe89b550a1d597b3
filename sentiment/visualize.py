"""Shows how the labels of texts came about: python -m sentiment.visualize "TEXT" --out page.html."""

import argparse
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from sentiment.app import APP
from sentiment.pages.page import MOST_CHARACTERS, MOST_TEXTS, render
from sentiment.prediction.inputs import STDIN, open_items
from sentiment.prediction.options import add_input_options
from shared.commands import add_training_page_option, write_page, write_training_page
from shared.system.cli import Parser, UserError, run_script
from shared.system.output import check_output, print_error
from shared.system.progress import progress_bar


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = Parser(
        "sentiment.visualize",
        description="Write one HTML page that shows how the labels of texts came about: how much each word "
        "speaks for the label, the probability after each word in both directions, and what happens when a "
        "word is taken out. The page opens from disk, without a network.",
        epilog="Exit status: 0; 1 if some lines of the input could not be used; 2 if the page could not be "
        "made.",
    )
    APP.add_model_option(parser, trainable=True)
    add_input_options(parser)
    parser.add_argument("--label", help="label to explain (default: the likeliest of each text)")
    add_training_page_option(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="page to write")
    arguments = parser.parse_args(argv)
    if not arguments.training and bool(arguments.texts) == bool(arguments.input):
        parser.error("give texts, or a file of texts with --input")
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    arguments = parse_arguments(argv)
    if arguments.training:
        return write_training_page(APP, arguments.training, arguments.out)
    check_output(arguments.out, [Path(arguments.input)] if arguments.input not in (None, STDIN) else [])
    APP.find(arguments.model, trainable=True)
    texts, errors, notes = _read(arguments)
    model = APP.load(arguments.model, trainable=True)
    if arguments.label not in (None, *model.labels):
        names = ", ".join(model.labels)
        raise UserError(f"{arguments.model} has no label {arguments.label!r}. Expected one of {names}.")
    from sentiment.pages.views import view
    from sentiment.prediction.explain import Explainer

    explainer = Explainer(model)
    with progress_bar(texts, unit="text", delay=2.0) as bar:
        views = [view(model, explainer, text, arguments.label) for text in bar]
    page = render(views, Path(arguments.model).name, notes)
    write_page(arguments.out, page)
    return 1 if errors else 0


def _read(arguments) -> tuple[list[str], int, list[str]]:
    """The texts to show, how many lines could not be used, and what the page says was left out."""
    texts, errors, notes = [], 0, []
    with open_items(arguments.texts, arguments.input, arguments.text_column) as items:
        for item in islice(items, MOST_TEXTS + 1):
            if item.error:
                print_error(f"{item.place}: {item.error}")
                errors += 1
            else:
                texts.append(item.text[:MOST_CHARACTERS])
            if item.text and len(item.text) > MOST_CHARACTERS:
                size = f"{len(item.text):,} characters; the first {MOST_CHARACTERS:,} are shown"
                notes.append(f"{item.place} has {size}.")
    if not texts:
        raise UserError("The input holds no texts. Expected at least one line that is not empty.")
    if len(texts) > MOST_TEXTS:
        notes.append(f"The first {MOST_TEXTS} texts are shown.")
    return texts[:MOST_TEXTS], errors, notes


if __name__ == "__main__":
    raise SystemExit(run_script(main))
