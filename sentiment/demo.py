"""Serves a page on which one tries a classifier: python -m sentiment.demo."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from sentiment.app import APP
from shared.system.cli import Parser, run_script
from shared.visual.demo import add_server_options, serve


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = Parser(
        "sentiment.demo",
        description="Serve a page on which one types or pastes a review, and sees its label and the words "
        "that decided.",
        epilog="Exit status: 0 after Ctrl-C; 2 if the page could not be served.",
    )
    APP.add_model_option(parser, trainable=True)
    add_server_options(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    arguments = parse_arguments(argv)
    APP.find(arguments.model, trainable=True)
    return serve({"Read": lambda: _add(arguments.model)}, arguments)


def _add(name):
    model = APP.load(name, trainable=True)
    from sentiment.pages.demo import add_tab

    add_tab(model, Path(name).name)


if __name__ == "__main__":
    raise SystemExit(run_script(main))
