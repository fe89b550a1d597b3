"""The options of the beam search, for the scripts that caption and the one that exports."""

import argparse
from collections.abc import Iterable, Mapping
from functools import partial

from captioning.config import SEARCH_DEFAULTS
from shared.system.cli import Parser
from shared.system.options import finite_number, whole_number

_TYPES = {
    "num_beams": whole_number,
    "n_best": whole_number,
    "length_penalty": finite_number,
    "max_length": partial(whole_number, least=2),  # a word and the end
}
_HELP = {
    "num_beams": "captions that the search follows at once; 1: the most probable word at each step",
    "n_best": "captions of each image",
    "length_penalty": "captions are ranked by log-probability / length ** X: 0 favours short ones, a larger "
    "X longer ones",
    "max_length": "longest caption, in words",
}
_OR_EXPORTED = ", or that of the exported model"


def add_search_options(parser: Parser, names: Iterable[str] = SEARCH_DEFAULTS, fixed: bool = False) -> None:
    """Adds an option for each of these.

    Args:
        parser: gets them.
        names: some of `SEARCH_DEFAULTS`.
        fixed: whether the defaults hold for every model. Otherwise an option that is not given is None:
            `search_options` asks the model, as an exported one has its own.
    """
    for name in names:
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=_TYPES[name],
            default=SEARCH_DEFAULTS[name] if fixed else None,
            metavar="X" if name == "length_penalty" else "N",
            help=f"{_HELP[name]} (default: {SEARCH_DEFAULTS[name]}{'' if fixed else _OR_EXPORTED})",
        )


def check_search_options(parser: Parser, arguments: argparse.Namespace) -> None:
    """Ends the script where more captions are wanted than there are beams."""
    beams, captions = arguments.num_beams, arguments.n_best or 1
    if beams and captions > beams:
        parser.error(
            f"--num-beams {beams} finds {beams} captions an image; for --n-best {captions}, give at least as "
            "many beams"
        )


def search_options(arguments: argparse.Namespace, defaults: Mapping[str, float]) -> dict[str, float]:
    """The options of a search: those of the command line, and the model's own for the others."""
    given = {name: getattr(arguments, name, None) for name in defaults}
    options = {**defaults, **{name: value for name, value in given.items() if value is not None}}
    return options | {"num_beams": max(options["num_beams"], options["n_best"])}
