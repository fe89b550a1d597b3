"""How many characters a second a character model writes, alone and many texts side by side.

    python -m benchmarks.generation --model runs/mine

Each round writes one text, then many, by `charlm.model.generate`; the prompt is empty, the graph is
built before. The last line of each side tells whether later characters cost more than early ones.
"""

import statistics
import time
from collections.abc import Sequence

from benchmarks.machine import describe_machine
from charlm import load_model
from shared.system.cli import Parser, run_script
from shared.system.options import whole_number


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser("benchmarks.generation", description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="shakespeare", help="preset or run folder (default: %(default)s)")
    parser.add_argument("--streams", type=whole_number, default=64, help="texts side by side (%(default)s)")
    parser.add_argument("--num-chars", type=whole_number, default=4096, help="of each text (%(default)s)")
    parser.add_argument("--rounds", type=whole_number, default=5, help="turns a side (default: %(default)s)")
    arguments = parser.parse_args(argv)
    print(describe_machine())
    model = load_model(arguments.model)
    sides = (1, arguments.streams)
    halves = {streams: [] for streams in sides}
    for streams in sides:
        _seconds(model, streams, 128)  # builds the graphs
    for _ in range(arguments.rounds):
        for streams in sides:
            halves[streams].append(_seconds(model, streams, arguments.num_chars))
    for streams, times in halves.items():
        rates = sorted(streams * arguments.num_chars / sum(pair) for pair in times)
        later = statistics.median(second / first for first, second in times)
        print(
            f"{streams} at once: {statistics.median(rates):,.0f} characters/s "
            f"(median of {len(rates)}, {rates[0]:,.0f} to {rates[-1]:,.0f}); "
            f"second half / first half of the time: {later:.2f}"
        )
    return 0


def _seconds(model, streams: int, num_chars: int) -> tuple[float, float]:
    """Time for the first and for the second half of the characters."""
    from charlm.model.generate import Writer

    writer = Writer(model, [""] * streams, temperature=0.8, seed=1)
    times = []
    for _ in range(2):
        began = time.perf_counter()
        writer.texts(num_chars // 2)
        times.append(time.perf_counter() - began)
    return times[0], times[1]


if __name__ == "__main__":
    raise SystemExit(run_script(main))
