"""What the programs of the lecture have in common: their options and their pictures."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from shared.system.cli import Parser, UserError
from shared.system.files import write_text_atomic
from shared.system.output import check_output


def page_parser(name: str, document: str) -> Parser:
    """The parser of a program, described by the first line of its module's docstring."""
    parser = Parser(f"lecture.{name}", description=document.split("\n")[0])
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the picture of the page there")
    parser.add_argument("--quick", action="store_true", help="a shorter run, with weaker results")
    return parser


def parse(parser: Parser, argv: Sequence[str] | None = None, suffix: str = ".svg") -> argparse.Namespace:
    """The arguments of a program; mistakes end it here.

    Raises:
        UserError: the picture cannot be written there, or has another suffix.
    """
    arguments = parser.parse_args(argv)
    if arguments.picture is not None:
        if arguments.picture.suffix != suffix:
            raise UserError(f"The picture is a {suffix} file, not {arguments.picture.name}. Name one.")
        check_output(arguments.picture)
    return arguments


def save_picture(path: Path | None, svg: str) -> None:
    """Writes an SVG picture if a file was named.

    Raises:
        FileError: the file cannot be written.
    """
    if path is not None:
        write_text_atomic(path, svg)
        print(f"picture: {path}")
