"""How long a caption takes from the command line, and what the search costs next to the encoder.

    python -m benchmarks.captioning

The first number is the wall time of `python -m captioning.predict` on one photograph, imports included. Then
the peak memory of the script on more and more photographs. The last compares two sides on the same
photographs, in turn: captioning them by beam search, and the bare encoder behind the same reading and
resizing.
"""

import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.machine import describe_machine
from captioning.app import APP
from captioning.data.find import find_images
from captioning.data.images import load_image
from captioning.prediction.inputs import sample_images
from captioning.prediction.stream import caption_images
from shared.system.cli import Parser, UserError, run_script
from shared.system.options import whole_number

# Longer sides in pixels of the photographs that are made of the samples: from thumbnails to a phone's screen.
SIZES = (160, 240, 320, 400, 500, 640, 800, 1024, 1280, 1600)


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser("benchmarks.captioning", description=__doc__.split("\n")[0])
    APP.add_model_option(parser, trainable=True)
    parser.add_argument("--images", metavar="FOLDER", help="photographs (default: samples at many sizes)")
    parser.add_argument("--count", type=whole_number, default=1000, help="photographs (default: %(default)s)")
    parser.add_argument("--num-beams", type=whole_number, default=3, help="(default: %(default)s)")
    parser.add_argument("--batch-size", type=whole_number, default=32, help="(default: %(default)s)")
    parser.add_argument("--rounds", type=whole_number, default=2, help="turns a side (default: %(default)s)")
    parser.add_argument("--calls", type=whole_number, default=5, help="of the script (default: %(default)s)")
    arguments = parser.parse_args(argv)
    print(describe_machine())
    with tempfile.TemporaryDirectory() as folder:
        paths = find_images([arguments.images]) if arguments.images else make_photographs(Path(folder))
        _print_script(arguments, paths[0])
        paths = list(itertools.islice(itertools.cycle(paths), arguments.count))
        _print_memory(arguments, paths)
        _print_rates(arguments, paths)
    return 0


def make_photographs(folder: Path) -> list[Path]:
    """The sample photographs as JPEG files of all `SIZES`."""
    paths = []
    for sample in sample_images():
        image = Image.fromarray(load_image(sample))
        for size in SIZES:
            scale = size / max(image.size)
            paths.append(folder / f"{sample.stem}-{size}.jpg")
            resized = image.resize((round(image.width * scale), round(image.height * scale)))
            resized.save(paths[-1], quality=85)
    return paths


def _print_script(arguments, photograph: Path) -> None:
    """Wall time of the script on one photograph, after a call that warms the disk's cache."""
    times = []
    for _ in range(1 + arguments.calls):
        began = time.perf_counter()
        _run_script(arguments, [photograph])
        times.append(time.perf_counter() - began)
    times = sorted(times[1:])
    print(
        f"one photograph from the command line: {statistics.median(times):.2f} s (median of {len(times)}, ",
        end="",
    )
    print(f"{times[0]:.2f} to {times[-1]:.2f})", flush=True)


def _print_memory(arguments, paths: list[Path]) -> None:
    """Peak memory of the script on a fourth, half and all of the photographs."""
    for count in (len(paths) // 4, len(paths) // 2, len(paths)):
        peak = _run_script(arguments, paths[:count])
        print(f"peak memory of the script, {count} photographs: {peak / 2**20:,.0f} MiB", flush=True)


def _run_script(arguments, photographs: Sequence[Path]) -> int:
    """Runs the script on photographs; returns its peak memory in bytes."""
    command = [sys.executable, "-m", "captioning.predict", "-", "--model", arguments.model]
    command += ["--batch-size", str(arguments.batch_size), "--num-beams", str(arguments.num_beams)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    process.stdin.write("".join(f"{path}\n" for path in photographs).encode())
    process.stdin.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise UserError("The script captioning.predict failed; its error is above.")
    return usage.ru_maxrss * 1024


def _print_rates(arguments, paths: list[Path]) -> None:
    captioner = APP.load(arguments.model, trainable=True)
    options = {"num_beams": arguments.num_beams}
    sides = {
        f"captions by beam {arguments.num_beams}": partial(_rate, captioner, arguments.batch_size, options),
        "bare encoder": partial(_rate, BareEncoder(captioner.encoder), arguments.batch_size, {}),
    }
    for rate in sides.values():
        rate(paths[: arguments.batch_size])  # builds the graphs
    rates = {name: [] for name in sides}
    for _ in range(arguments.rounds):
        for name, rate in sides.items():
            rates[name].append(rate(paths))
            print(f"  {name}: {rates[name][-1]:.1f} images/s", flush=True)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    for name, median in medians.items():
        print(f"{name}: {median:.1f} images/s (median of {arguments.rounds}, {len(paths)} photographs)")
    captions, encoder = medians.values()
    print(f"rate of captions / rate of the bare encoder: {captions / encoder:.2f}")


def _rate(captioner, batch_size: int, options: dict, paths: list[Path]) -> float:
    """Photographs a second, read from their files."""
    items = [(path, partial(load_image, path)) for path in paths]
    began = time.perf_counter()
    results = list(caption_images(captioner, items, batch_size=batch_size, **options))
    seconds = time.perf_counter() - began
    failed = [f"{result.key}: {result.error}" for result in results if result.error]
    if failed:
        raise UserError(f"{len(failed)} photographs cannot be read. The first: {failed[0]}")
    return len(paths) / seconds


class BareEncoder:
    """Stands in for a captioner without captions: only the encoder runs."""

    def __init__(self, encoder):
        import tensorflow as tf

        signature = [tf.TensorSpec((None, None, None, 3), tf.uint8)]
        self.image_size = encoder.image_size
        self._encode = tf.function(encoder, input_signature=signature, autograph=False)

    def caption_pixels(self, images: np.ndarray) -> list[None]:
        """One `None` for each image, once its features are computed."""
        return [None] * len(self._encode(images).numpy())


if __name__ == "__main__":
    raise SystemExit(run_script(main))
