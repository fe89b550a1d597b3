"""Shows what a model does at each character of a text: python -m charlm.visualize --out page.html."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from charlm.app import APP
from charlm.prediction.samples import read_prompt
from shared.commands import add_training_page_option, write_page, write_training_page
from shared.system.cli import Parser, UserError, run_script
from shared.system.output import check_output
from shared.system.progress import progress_bar

WRITTEN = 2000  # characters that the model writes where no text is given


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = Parser(
        "charlm.visualize",
        description="Write one HTML page that shows what a model does while it reads a text: what it "
        "expects, which cells tell what, how far it remembers, and a box in which it writes on. The page "
        "opens from disk, without a network.",
        epilog="Exit status: 0; 2 if the page could not be made.",
    )
    APP.add_model_option(parser, trainable=True)
    parser.add_argument(
        "--compare",
        nargs="+",
        default=[],
        metavar="MODEL",
        help="models that read the same text, for their expectations and memory beside those of --model",
    )
    text = parser.add_mutually_exclusive_group()
    text.add_argument("--text", help="the text to read (default: one that the model writes)")
    text.add_argument("--file", metavar="FILE", help="file with the text; -: standard input")
    add_training_page_option(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="page to write")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    arguments = parse_arguments(argv)
    if arguments.training:
        return write_training_page(APP, arguments.training, arguments.out)
    check_output(arguments.out, [Path(arguments.file)] if arguments.file else [])
    text = arguments.text if arguments.file is None else read_prompt(arguments.file)
    if text == "":
        raise UserError("The text is empty. Expected at least one character.")
    source = arguments.file if arguments.file else "given with --text"
    names = [arguments.model, *arguments.compare]
    models = {name: APP.load(name, trainable=True) for name in dict.fromkeys(names)}
    from charlm.model.generate import generate
    from charlm.pages.page import make_page

    if text is None:
        text = generate(models[arguments.model], "", WRITTEN, seed=1)
        source = f"written by {Path(arguments.model).name} itself (seed 1)"
    with progress_bar(unit="char", total=len(text) * len(models), title="reading") as bar:
        page = make_page(models, text, source, progress=bar.update)
    write_page(arguments.out, page)
    return 0


if __name__ == "__main__":
    raise SystemExit(run_script(main))
