"""Lets a character model write: python -m charlm.generate --model MODEL --prompt TEXT.

Keras and TensorFlow are imported after the command line is understood, so that `--help` answers at once.
"""

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from charlm.prediction.samples import as_jsonl, as_text, read_prompt, write_stream
from shared.system.cli import run_script
from shared.system.options import whole_number
from shared.system.output import check_output, open_output
from shared.system.quiet import import_tensorflow_quietly

if TYPE_CHECKING:
    from charlm.model.char_lm import CharLM

TEMPERATURE = 0.8
LONG = 10_000  # characters of a prompt whose reading is shown


def generate(
    model: "CharLM",
    prompts: Sequence[str],
    num_chars: int,
    *,
    temperature: float = TEMPERATURE,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
) -> list[str]:
    """What a model writes after each of some prompts, all of them side by side.

    Args:
        model: a `charlm.model.CharLM` or `charlm.model.exported.ExportedCharLM`.
        prompts: texts to go on with, of any characters; the same one several times for several samples. An
            empty one is begun by `model.vocabulary.start`.
        num_chars: characters to write after each.
        temperature, top_k, top_p: see `shared.decoding.sample_stream`.
        seed: the same gives the same texts; None draws one.

    Returns:
        For each prompt the `num_chars` characters that follow it.

    Raises:
        ValueError: an option is out of its range.
        UserError: a prompt holds half of a surrogate pair.

    Example:

    >>> from charlm.model.char_lm import CharLM
    >>> model = CharLM("helo", units=5, depth=1, embedding_size=3)
    >>> [len(text) for text in generate(model, ["he", ""], 7, seed=1)]
    [7, 7]
    """
    from charlm.prediction.writer import Writer

    if isinstance(prompts, str):
        raise ValueError("prompts is one text. Expected a list of texts: put it in brackets, or use stream.")
    writer = Writer(model, prompts, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
    return writer.texts(num_chars)


def stream(
    model: "CharLM",
    prompt: str,
    num_chars: int,
    *,
    temperature: float = TEMPERATURE,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
) -> Iterator[str]:
    """What a model writes after one prompt, as it writes: together the text of `generate`.

    Args:
        prompt: text to go on with.
        model, num_chars, temperature, top_k, top_p, seed: see `generate`.

    Returns:
        An iterator over pieces of text. The prompt is read before it is returned.

    Raises:
        ValueError: an option is out of its range.
        UserError: the prompt holds half of a surrogate pair.

    Example:

    >>> from charlm.model.char_lm import CharLM
    >>> model = CharLM("helo", units=5, depth=1, embedding_size=3)
    >>> "".join(stream(model, "he", 7, seed=1)) == generate(model, ["he"], 7, seed=1)[0]
    True
    """
    from charlm.prediction.writer import Writer

    writer = Writer(model, [prompt], temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
    return (piece for (piece,) in writer.pieces(num_chars) if piece)


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m charlm.generate",
        description="Let a model write. The prompt is printed, then what follows it, as it is written.",
        epilog="The same seed, model and options give the same text. A prompt may hold characters that the "
        "model never saw: it reads their bytes. Exit status: 0; 2 if nothing could be done; 130 after "
        "Ctrl-C, and what was written by then stays.",
    )
    parser.add_argument(
        "--model",
        default="shakespeare",
        help="preset, run folder of charlm.train or folder of charlm.export (default: %(default)s)",
    )
    prompt = parser.add_mutually_exclusive_group()
    prompt.add_argument("--prompt", default="", metavar="TEXT", help="what to go on with (default: nothing)")
    prompt.add_argument(
        "--prompt-file", metavar="FILE", help="what to go on with, in a file; -: on standard input"
    )
    for name, kind, default, metavar, text in _OPTIONS:
        parser.add_argument(name, type=kind, default=default, metavar=metavar, help=text)
    parser.add_argument(
        "--format",
        choices=("text", "jsonl"),
        default="text",
        help="text: as it is written, ended by a line break, with a line above each of several samples; "
        "jsonl: an object for each sample, prompt and continuation apart (default: %(default)s)",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="file to write (default: standard output)"
    )
    return parser.parse_args(argv)


def _number(text: str, most: float = math.inf) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0.0 < number <= most or number == math.inf:
        above = "above 0" if most == math.inf else f"above 0 and at most {most:g}"
        raise argparse.ArgumentTypeError(f"expected a number {above}, got {text!r}")
    return number


def _seed(text: str) -> int:
    number = whole_number(text, least=0)
    if number >= 2**63:
        raise argparse.ArgumentTypeError(f"expected a whole number below 2**63, got {text!r}")
    return number


_OPTIONS = (
    (
        "--num-chars",
        partial(whole_number, least=0),
        500,
        "N",
        "characters to write after the prompt (default: %(default)s)",
    ),
    ("--temperature", _number, TEMPERATURE, "T", "below 1 safer, above 1 wilder (default: %(default)s)"),
    ("--top-k", whole_number, None, "K", "draw from the K likeliest characters only (default: from all)"),
    (
        "--top-p",
        partial(_number, most=1.0),
        None,
        "P",
        "draw from the fewest characters that together have probability P (default: from all)",
    ),
    ("--seed", _seed, None, "S", "decides the text (default: drawn, and told on standard error)"),
    ("--num-samples", whole_number, 1, "B", "texts to write, side by side (default: %(default)s)"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    arguments = parse_arguments(argv)
    prompt = arguments.prompt if arguments.prompt_file is None else read_prompt(arguments.prompt_file)
    if arguments.output is not None:
        check_output(arguments.output, [Path(arguments.prompt_file)] if arguments.prompt_file else [])
    import_tensorflow_quietly()
    from charlm.model.char_lm import CharLM
    from charlm.prediction.writer import Writer, draw_seed

    model = CharLM.from_any(arguments.model)
    options = {name: getattr(arguments, name) for name in ("temperature", "top_k", "top_p", "seed")}
    if options["seed"] is None:
        options["seed"] = draw_seed()
        print(f"--seed {options['seed']}", file=sys.stderr)
    prompts = [prompt] * arguments.num_samples
    hidden = None if len(prompt) > LONG else True  # None: where standard error is no terminal
    with tqdm(total=len(prompt), unit="char", leave=False, disable=hidden) as bar:
        writer = Writer(model, prompts, **options, progress=bar.update)
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
