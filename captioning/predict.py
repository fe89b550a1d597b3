"""Describes photographs: python -m captioning.predict IMAGE|FOLDER|GLOB|- ... --model MODEL.

Keras and TensorFlow are imported after the command line is understood, so that `--help` answers at once.
"""

import argparse
import contextlib
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from captioning.data.images import find_images, load_image
from captioning.prediction.results import FORMATS, Result, write_results
from shared.data.packages import package_file
from shared.system.cli import UserError, run_script
from shared.system.options import finite_number, whole_number
from shared.system.output import check_output
from shared.system.quiet import import_tensorflow_quietly

if TYPE_CHECKING:
    from captioning.model.captioner import Captioner

SEARCH_DEFAULTS = {"n_best": 1, "num_beams": 3, "length_penalty": 0.8, "max_length": 30}
# Photographs in the wheel of scikit-image, free to use.
SAMPLES = ("camera.png", "motorcycle_left.png", "astronaut.png", "chelsea.png")
BATCHES_AHEAD = 2
LENGTH_PENALTY_HELP = (
    "captions are ranked by log-probability / length ** X; 0 favours short ones, more favours longer ones"
)


def caption_images(
    captioner: "Captioner",
    items: Iterable[tuple[Any, Callable[[], np.ndarray]]],
    *,
    batch_size: int = 16,
    workers: int | None = None,
    **options,
) -> Iterator[Result]:
    """Captions a stream of images in batches, while threads read the images of the next batches.

    An image that cannot be read becomes a result with an error; the others are captioned.

    Args:
        captioner: a `captioning.model.Captioner`, or anything with its `prepare` and `caption`.
        items: pairs of a key and a function that loads an image, `(height, width, 3)` uint8; taken as needed.
        batch_size: images that the model sees at once.
        workers: threads that read images; by default one a core, at most 8.
        **options: given to `captioner.caption`: `num_beams`, `n_best`, `length_penalty`, `max_length`.

    Yields:
        A `captioning.prediction.results.Result` for each item, in their order.
    """
    workers = workers or min(8, os.cpu_count() or 1)
    with contextlib.closing(_read_ahead(captioner, items, batch_size, workers)) as batches:
        for batch in batches:
            pixels = [outcome for _, outcome in batch if not isinstance(outcome, str)]
            captions = iter(captioner.caption(np.stack(pixels), **options) if pixels else ())
            for key, outcome in batch:
                failed = isinstance(outcome, str)
                yield Result(key, (), outcome) if failed else Result(key, next(captions), None)


def _read_ahead(captioner, items, batch_size, workers):
    """Lists of up to `batch_size` pairs of a key and either prepared pixels or what went wrong."""
    items, waiting = iter(items), deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="read-image")
    try:
        while True:
            while len(waiting) <= BATCHES_AHEAD and (batch := list(islice(items, batch_size))):
                waiting.append([(key, pool.submit(_read, load, captioner)) for key, load in batch])
            if not waiting:
                return
            yield [(key, future.result()) for key, future in waiting.popleft()]
    finally:
        pool.shutdown(cancel_futures=True)


def _read(load, captioner) -> np.ndarray | str:
    try:
        image = load()
    except UserError as error:
        return str(error)
    except (
        Exception
    ) as error:  # one odd file among thousands must not end the run, whatever its reader raises
        return f"{type(error).__name__}: {error}"
    return captioner.prepare(image)


def progress(results: Iterable[Result], total: int, batch_size: int) -> tqdm:
    """The results behind a bar on standard error, where that is a terminal and one batch is not enough."""
    return tqdm(results, total=total, unit="image", disable=True if total <= batch_size else None)


def load_captioner(name: str) -> "Captioner":
    """The captioner of a preset, run folder or SavedModel folder; imports Keras and TensorFlow."""
    import_tensorflow_quietly()
    from captioning.model.captioner import Captioner

    return Captioner.from_any(name)


def search_options(captioner: "Captioner", arguments: argparse.Namespace) -> dict[str, float]:
    """Options of the beam search: what the user gave, else what an export was made with, else defaults."""
    fixed = captioner.settings.get("search", {})
    given = {name: getattr(arguments, name, None) for name in SEARCH_DEFAULTS}
    options = SEARCH_DEFAULTS | fixed | {name: value for name, value in given.items() if value is not None}
    return options | {"num_beams": max(options["num_beams"], options["n_best"])}


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options about model and search that prediction and evaluation share."""
    parser.add_argument(
        "--model",
        default="flickr8k",
        help="preset, run folder of captioning.train or folder of captioning.export (default: %(default)s)",
    )
    for name, kind, text in (
        (
            "num_beams",
            whole_number,
            "captions followed at once by the search; 1: just the likeliest word",
        ),
        ("length_penalty", finite_number, LENGTH_PENALTY_HELP),
        ("max_length", _length, "longest caption, in words"),
    ):
        parser.add_argument(
            "--" + name.replace("_", "-"),
            type=kind,
            metavar="X" if kind is finite_number else "N",
            help=f"{text} (default: {SEARCH_DEFAULTS[name]}, or as the model was exported)",
        )
    parser.add_argument(
        "--batch-size",
        type=whole_number,
        default=16,
        metavar="N",
        help="images that the model sees at once (default: %(default)s)",
    )


def _length(text: str) -> int:
    return whole_number(text, least=2)  # a word and the end


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m captioning.predict",
        description="Describe photographs in words. Without images, sample photographs are described.",
        epilog="Exit status: 0; 1 if some images could not be read; 2 if nothing could be done.",
    )
    parser.add_argument(
        "images",
        nargs="*",
        metavar="IMAGE|FOLDER|GLOB|-",
        help="image files, folders of images, quoted patterns, or - for paths on standard input, one a line",
    )
    add_model_arguments(parser)
    parser.add_argument(
        "--n-best", type=whole_number, metavar="N", help="captions of each image (default: 1)"
    )
    parser.add_argument("--format", choices=tuple(FORMATS), default="text", help="default: %(default)s")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="file to write (default: standard output)"
    )
    arguments = parser.parse_args(argv)
    if arguments.num_beams and (arguments.n_best or 1) > arguments.num_beams:
        parser.error(
            f"--num-beams {arguments.num_beams} finds {arguments.num_beams} captions an image; "
            f"for --n-best {arguments.n_best}, give at least as many beams"
        )
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    arguments = parse_arguments(argv)
    paths = find_inputs(arguments.images)
    if arguments.output is not None:
        check_output(arguments.output, paths)
    captioner, options = None, {}
    if any(path.exists() for path in paths):  # else there are only errors to tell, which need no model
        captioner = load_captioner(arguments.model)
        options = search_options(captioner, arguments)
    items = ((path, partial(load_image, path)) for path in paths)
    results = caption_images(captioner, items, batch_size=arguments.batch_size, **options)
    with progress(results, len(paths), arguments.batch_size) as shown:
        failures = write_results(shown, arguments.format, arguments.output)
    return 1 if failures else 0


def find_inputs(names: Sequence[str]) -> list[Path]:
    """The images that the command line names by files, folders, patterns or `-`; sample photographs for none.

    A file that does not exist stays in the list, to get its error among the captions of the others.

    Raises:
        UserError: a folder holds no images, no file matches a pattern, or nothing came on standard input.
    """
    if not names:
        return sample_images()
    paths = find_images(path for name in names for path in (_stdin_lines() if name == "-" else [name]))
    if not paths:
        raise UserError("Standard input named no images. Expected one path on each line.")
    return paths


def _stdin_lines() -> list[str]:
    lines = (os.fsdecode(line.rstrip(b"\r\n")) for line in sys.stdin.buffer)
    return [line for line in lines if line.strip()]


def sample_images() -> list[Path]:
    """The sample photographs, found without importing the package that carries them.

    Raises:
        UserError: scikit-image is not installed, or does not carry them.
    """
    paths = [path for name in SAMPLES if (path := package_file("skimage", "data", name))]
    if not paths:
        raise UserError(
            "There are no sample photographs: they come with scikit-image. "
            "Name images of your own, or install them by `pip install '.[samples]'`."
        )
    here = Path.cwd()
    return [path.relative_to(here) if path.is_relative_to(here) else path for path in paths]


if __name__ == "__main__":
    raise SystemExit(run_script(main))
