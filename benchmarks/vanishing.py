"""How far back in time the gradient of a character model reaches: vanishing gradients, measured.

    python -m benchmarks.vanishing --model runs/simple runs/gru runs/lstm --data FILE

For windows of the validation text, the gradient of the cost of the last character by the embedded character k
steps before: its norm, mean over windows, relative to that at k = 0.
"""

from collections.abc import Sequence

from benchmarks.machine import describe_machine
from charlm import load_model
from charlm.data.ids import encode_split
from charlm.data.load import load_text
from shared.system.cli import Parser, run_script
from shared.system.options import whole_number

DISTANCES = (0, 1, 2, 4, 8, 16, 32, 64, 128)


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser("benchmarks.vanishing", description=__doc__.split("\n")[0])
    parser.add_argument("--model", nargs="+", required=True, help="presets or run folders")
    parser.add_argument("--data", required=True, help="text; its validation split is read")
    parser.add_argument("--windows", type=whole_number, default=128, help="(default: %(default)s)")
    arguments = parser.parse_args(argv)
    print(describe_machine())
    from charlm.training.probe import gradient_by_distance, windows_of

    data = load_text(arguments.data)
    print("| steps back | " + " | ".join(map(str, DISTANCES)) + " |")
    print("|---" * (1 + len(DISTANCES)) + "|")
    for name in arguments.model:
        model = load_model(name)
        ids = encode_split(data, "validation", model.vocabulary)
        norms = gradient_by_distance(model, windows_of(ids, arguments.windows))
        print(f"| {name} | " + " | ".join(f"{norms[k] / norms[0]:.1e}" for k in DISTANCES) + " |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(run_script(main))
