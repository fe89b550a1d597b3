"""Generates text with a character model: python -m charlm.generate "To be"."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from charlm.app import APP
from charlm.config import TEMPERATURE
from charlm.prediction.samples import as_jsonl, as_text, read_prompt, write_stream
from shared.system.cli import Parser, run_script
from shared.system.options import positive_number, whole_number
from shared.system.output import check_output, open_output
from shared.system.progress import progress_bar

LONG = 10_000  # characters of a prompt from which on a progress bar is shown


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = Parser(
        "charlm.generate",
        description="Continue a text. The prompt is printed, then the text as it is written.",
        epilog="The same seed, model and options give the same text. A prompt may contain any characters. "
        "Exit status: 0; 2 if nothing could be done; 130 after Ctrl-C, which keeps what is written by then.",
    )
    APP.add_model_option(parser)
    prompt = parser.add_mutually_exclusive_group()
    prompt.add_argument(
        "prompt", nargs="?", default=argparse.SUPPRESS, help="the beginning of the text (default: empty)"
    )
    prompt.add_argument("--prompt", default="", metavar="TEXT", help="the same, as an option")
    prompt.add_argument("--prompt-file", metavar="FILE", help="file with the prompt; -: standard input")
    for name, kind, default, metavar, text in _OPTIONS:
        parser.add_argument(name, type=kind, default=default, metavar=metavar, help=text)
    parser.add_argument(
        "--format",
        choices=("text", "jsonl"),
        default="text",
        help="text: as it is written, with a line above each of several samples; jsonl: one object a sample, "
        "prompt and text apart (default: %(default)s)",
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="output file (default: standard output)")
    return parser.parse_args(argv)


def _temperature(text: str) -> float:
    try:
        return positive_number(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}; for greedy decoding, use --top-k 1") from error


_share = partial(positive_number, most=1.0)


def _seed(text: str) -> int:
    if (number := whole_number(text, least=0)) >= 2**63:
        raise argparse.ArgumentTypeError(f"expected a whole number below 2**63, got {text!r}")
    return number


_OPTIONS = (
    ("--num-chars", partial(whole_number, least=0), 500, "N", "characters to write (default: %(default)s)"),
    ("--temperature", _temperature, TEMPERATURE, "T", "below 1 safer, above 1 wilder (default: %(default)s)"),
    ("--top-k", whole_number, None, "K", "draw from the K likeliest characters (default: all); 1: greedy"),
    ("--top-p", _share, None, "P", "draw from the likeliest characters that reach probability P together"),
    ("--seed", _seed, None, "S", "random seed (default: a random one, printed to standard error)"),
    ("--num-samples", whole_number, 1, "B", "texts to write in parallel (default: %(default)s)"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    arguments = parse_arguments(argv)
    prompt = arguments.prompt if arguments.prompt_file is None else read_prompt(arguments.prompt_file)
    if arguments.output is not None:
        check_output(arguments.output, [Path(arguments.prompt_file)] if arguments.prompt_file else [])
    model = APP.load(arguments.model)
    from charlm.model.generate import Writer, draw_seed

    options = {name: getattr(arguments, name) for name in ("temperature", "top_k", "top_p", "seed")}
    if options["seed"] is None:
        options["seed"] = draw_seed()
        print(f"--seed {options['seed']}", file=sys.stderr)
    with progress_bar(unit="char", total=len(prompt), least=LONG) as bar:
        writer = Writer(model, [prompt] * arguments.num_samples, **options, progress=bar.update)
    with open_output(arguments.output) as write:
        if arguments.format == "jsonl":
            write(as_jsonl(prompt, writer.texts(arguments.num_chars), options))
        elif arguments.num_samples > 1:
            write(as_text(prompt, writer.texts(arguments.num_chars)))
        else:
            write_stream(write, prompt, (piece for (piece,) in writer.pieces(arguments.num_chars)))
    return 0


if __name__ == "__main__":
    raise SystemExit(run_script(main))
