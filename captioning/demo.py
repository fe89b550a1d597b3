"""Serves a page on which one tries a captioner: python -m captioning.demo."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from captioning.app import add_models_option, chosen_models, find_models, load_model
from shared.system.cli import Parser, run_script
from shared.visual.demo import add_server_options, serve


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = Parser(
        "captioning.demo",
        description="Serve a page on which one drops or takes a photograph, and sees its caption and how it "
        "came about.",
        epilog="Exit status: 0 after Ctrl-C; 2 if the page could not be served.",
    )
    add_models_option(parser, trainable=True)
    add_server_options(parser)
    arguments = parser.parse_args(argv)
    arguments.model = chosen_models(arguments)
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    arguments = parse_arguments(argv)
    find_models(arguments.model, trainable=True)
    return serve({"Caption": lambda: _add(arguments.model)}, arguments)


def _add(models):
    captioner = load_model(*models, trainable=True)
    from captioning.pages.demo import add_tab

    add_tab(captioner, " + ".join(Path(name).name for name in models))


if __name__ == "__main__":
    raise SystemExit(run_script(main))
