"""Cost of a token and peak memory of a training step, against the steps of a sequence and the batch.

    python -m benchmarks.scaling --plot docs/scaling.svg

Of our recurrent stack and of Keras's layers, each size in a process of its own: peak memory is what the
resident set grew by from a step over two time steps to steps over all. A training step is as in
`benchmarks.recurrent`. For the plot, matplotlib has to be installed.
"""

import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from benchmarks.machine import describe_machine
from benchmarks.recurrent import POLICIES, Size, make_inputs, make_side
from shared.system.cli import Parser, UserError, run_script
from shared.system.options import whole_number
from shared.system.quiet import import_tensorflow_quietly

SIDES = tuple(f"{who} {policy}" for policy in POLICIES for who in ("keras", "ours"))


class Cost(NamedTuple):
    """What was measured of one side at one size.

    Attributes:
        microseconds: of a token, the median.
        megabytes: of memory, at its peak.
    """

    microseconds: float
    megabytes: float


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser("benchmarks.scaling", description=__doc__.split("\n")[0])
    parser.add_argument("--cell", choices=("lstm", "gru"), default="lstm")
    parser.add_argument("--units", type=whole_number, default=256)
    parser.add_argument(
        "--steps", nargs="+", type=whole_number, default=[64, 256, 1024, 4096], help="with a batch of 32"
    )
    parser.add_argument(
        "--batch", nargs="+", type=whole_number, default=[8, 32, 128, 512], help="with 64 steps"
    )
    parser.add_argument("--rounds", type=whole_number, default=3, help="steps timed (default: %(default)s)")
    parser.add_argument("--plot", type=Path, help="file of a picture, such as .svg or .png")
    arguments = parser.parse_args(argv)
    if arguments.plot:
        _pyplot()
    print(describe_machine())
    tables = {
        "time steps": {steps: Size(arguments.units, 1, steps, 32) for steps in arguments.steps},
        "batch": {batch: Size(arguments.units, 1, 64, batch) for batch in arguments.batch},
    }
    costs = {what: _table(what, sizes, arguments) for what, sizes in tables.items()}
    if arguments.plot:
        _plot(arguments.plot, costs)
    return 0


def _table(what: str, sizes: dict[int, Size], arguments) -> dict[str, list[tuple[int, Cost]]]:
    """Measures and prints all sides at all sizes."""
    print(f"\n{arguments.cell}, {arguments.units} units, by {what}: microseconds a token, megabytes")
    print(f"{what:>12}" + "".join(f"{side:>24}" for side in SIDES))
    costs = {side: [] for side in SIDES}
    for value, size in sizes.items():
        print(f"{value:12,}", end="", flush=True)
        for side in SIDES:
            # Memory that one side has had would hide what the next one needs.
            with ProcessPoolExecutor(1, get_context("spawn")) as alone:
                cost = alone.submit(measure, side, arguments.cell, size, arguments.rounds).result()
            costs[side].append((value, cost))
            print(f"{cost.microseconds:14.2f}{cost.megabytes:10,.0f}", end="", flush=True)
        print()
    return costs


def measure(side: str, cell: str, size: Size, rounds: int) -> Cost:
    """The cost of training steps of one side, in this process."""
    import_tensorflow_quietly()
    inputs = make_inputs(size)
    make_side(side, cell, size, inputs[:, :2], training=True)()  # what is loaded once
    before = _peak()
    step = make_side(side, cell, size, inputs, training=True)
    step()
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        step()
        times.append(time.perf_counter() - began)
    return Cost(statistics.median(times) * 1e6 / (size.time * size.batch), (_peak() - before) / 1e6)


def _peak() -> int:
    """The most bytes that this process has had in memory."""
    try:
        import resource
    except ImportError:
        raise UserError("peak memory cannot be read on this system; use Linux or macOS") from None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _pyplot():
    try:
        import matplotlib
    except ImportError:
        raise UserError("--plot needs matplotlib: pip install '.[benchmarks]'") from None
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def _plot(path: Path, tables: dict[str, dict[str, list[tuple[int, Cost]]]]) -> None:
    """Four pictures: time and memory, by steps and by batch."""
    figure, axes = _pyplot().subplots(2, 2, figsize=(10, 7), layout="constrained")
    titles = {"microseconds": "µs a token", "megabytes": "peak memory in MB"}
    for column, (what, costs) in enumerate(tables.items()):
        for row, (field, title) in enumerate(titles.items()):
            for side, found in costs.items():
                style = {"marker": "o", "linestyle": "-" if side.startswith("ours") else "--"}
                values, heights = [value for value, _ in found], [getattr(cost, field) for _, cost in found]
                axes[row, column].plot(values, heights, label=side, **style)
            axes[row, column].set(xlabel=what, ylabel=title)
            axes[row, column].set_xscale("log", base=2)
            if field == "microseconds":
                axes[row, column].set_ylim(bottom=0)
            else:
                axes[row, column].set_yscale("log", base=2)
    axes[0, 0].legend()
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


if __name__ == "__main__":
    raise SystemExit(run_script(main))
