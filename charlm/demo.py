"""Serves a page on which one tries a character model: python -m charlm.demo."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from charlm.app import APP
from shared.system.cli import Parser, run_script
from shared.visual.demo import add_server_options, serve


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = Parser(
        "charlm.demo",
        description="Serve a page on which a model continues a text.",
        epilog="Exit status: 0 after Ctrl-C; 2 if the page could not be served.",
    )
    APP.add_model_option(parser)
    add_server_options(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    arguments = parse_arguments(argv)
    APP.find(arguments.model)
    return serve({"Write": lambda: _add(arguments.model)}, arguments)


def _add(name):
    model = APP.load(name)
    from charlm.pages.demo import add_tab

    add_tab(model, Path(name).name)


if __name__ == "__main__":
    raise SystemExit(run_script(main))
