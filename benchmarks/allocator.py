"""How much sooner a training step is done where freed memory stays in the process.

    python -m benchmarks.allocator

One step of the captioning decoder (late attention) as in training on Flickr8k, on random features, with
`shared.allocator.keep_freed_memory` and without. Each measurement has its own process, because the allocator
cannot be told to go back; the two sides take turns.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

from benchmarks.machine import describe_machine
from shared.allocator import keep_freed_memory
from shared.cli import whole_number
from shared.quiet import import_tensorflow_quietly

IMAGES, CELLS, CHANNELS = 20, 81, 1280
CAPTIONS, TOKENS, VOCABULARY = 5, 16, 2924
WARM_UP = 3  # steps, the first of which builds the graph
SIDES = ("default", "keep")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.allocator", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--steps", type=whole_number, default=30, help="steps measured in each process")
    parser.add_argument("--rounds", type=whole_number, default=5, help="processes of each side")
    parser.add_argument("--side", choices=SIDES, help="measure in this process, and print seconds a step")
    arguments = parser.parse_args(argv)
    if arguments.side:
        print(seconds_per_step(arguments.side, arguments.steps))
        return 0
    if not keep_freed_memory():
        parser.exit(
            2, "error: this system's allocator is not glibc's, the one that can be told to keep memory\n"
        )
    print(describe_machine())
    medians = {side: statistics.median(times) for side, times in _in_turn(arguments).items()}
    for side, median in medians.items():
        print(f"{side}: {1000 * median:.0f} ms a step (median of {arguments.rounds})")
    print(f"time with kept memory / time by default: {medians['keep'] / medians['default']:.2f}")
    return 0


def _in_turn(arguments) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {side: [] for side in SIDES}
    for _ in range(arguments.rounds):
        for side in SIDES:
            command = [sys.executable, "-m", "benchmarks.allocator", "--side", side]
            ran = subprocess.run(
                [*command, "--steps", str(arguments.steps)], stdout=subprocess.PIPE, text=True, check=True
            )
            times[side].append(float(ran.stdout))
            print(f"  {side}: {1000 * times[side][-1]:.0f} ms", flush=True)
    return times


def seconds_per_step(side: str, steps: int) -> float:
    """Median wall time of a training step in this process."""
    if side == "keep":
        keep_freed_memory()
    step, batch = _make_step(steps)
    times = []
    for _ in range(WARM_UP + steps):
        began = time.perf_counter()
        step(batch)
        times.append(time.perf_counter() - began)
    return statistics.median(times[WARM_UP:])


def _make_step(steps: int):
    import_tensorflow_quietly()
    import numpy as np

    from captioning.config import CaptioningConfig
    from captioning.model import Captioner
    from captioning.training import CaptionLoss, make_optimizer
    from shared.text import Vocabulary
    from shared.train_step import TrainStep

    config = CaptioningConfig()
    # The encoder is there for its shapes alone: it stays frozen, and batches bring features.
    vocabulary = Vocabulary.build([[f"word{number}" for number in range(VOCABULARY - 4)]])
    captioner = Captioner.from_settings(config, vocabulary)
    random = np.random.default_rng(0)
    batch = {
        "features": random.random((IMAGES, CELLS, CHANNELS), dtype=np.float32),
        "tokens": random.integers(4, VOCABULARY, (IMAGES, CAPTIONS, TOKENS), dtype=np.int32),
    }
    optimizer = make_optimizer(config, steps)
    loss = CaptionLoss(config.label_smoothing)
    return TrainStep(captioner, optimizer, loss, config.clip_norm, config.average_decay), batch


if __name__ == "__main__":
    # Not by `run_script`, which keeps freed memory for every script.
    raise SystemExit(main())
