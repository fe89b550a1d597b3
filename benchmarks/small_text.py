"""What a short text is worth: nats per character from the preset, and from nothing.

    python -m benchmarks.small_text sonnets.txt --characters 60000

The first characters of a text are cut into training and validation as `python -m charlm.train` does, and
trained on with the settings that it chooses. The figures are those of the best epoch, windowed.
"""

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.machine import describe_machine
from charlm import train
from charlm.app import APP
from shared.runs.folder import RunFolder
from shared.system.cli import Parser, run_script
from shared.system.options import whole_number


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser("benchmarks.small_text", description=__doc__.split("\n")[0])
    parser.add_argument("text", type=Path, help="a text in UTF-8")
    parser.add_argument("--characters", type=whole_number, default=60_000, help="(default: %(default)s)")
    parser.add_argument("--seeds", type=whole_number, default=5, help="(default: %(default)s)")
    parser.add_argument("--start", default="shakespeare", help="preset, or none (default: %(default)s)")
    arguments, options = parser.parse_known_args(argv)
    print(describe_machine())
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "text.txt"
        text.write_text(arguments.text.read_text(encoding="utf-8")[: arguments.characters], encoding="utf-8")
        options += ["--data", str(text), "--init-from", arguments.start, "--sample-length", "0"]
        scores = [measure(Path(folder) / str(seed), seed, options) for seed in range(1, arguments.seeds + 1)]
    spread = f" (standard deviation {statistics.stdev(scores):.4f})" if len(scores) > 1 else ""
    print(f"{arguments.text}: {statistics.mean(scores):.4f} nats per character{spread}")
    return 0


def measure(run: Path, seed: int, options: Sequence[str]) -> float:
    """The nats per character of the validation text after one run."""
    began = time.perf_counter()
    train.main([*options, "--out", str(run), "--seed", str(seed)])
    minutes = (time.perf_counter() - began) / 60
    nats = min(row["val_nats"] for row in RunFolder.open(run, APP.name).read_history())
    print(f"seed {seed}: {nats:.4f} nats per character, {minutes:.1f} minutes", flush=True)
    return nats


if __name__ == "__main__":
    raise SystemExit(run_script(main))
