"""How far back in time the gradient of a character model reaches: vanishing gradients, measured.

    python -m benchmarks.vanishing --model runs/simple runs/gru runs/lstm --data FILE

For windows of the validation text, the gradient of the cost of the last character by the embedded character k
steps before: its norm, mean over windows, relative to that at k = 0.
"""

from collections.abc import Sequence

import numpy as np

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
    data = load_text(arguments.data)
    print("| steps back | " + " | ".join(map(str, DISTANCES)) + " |")
    print("|---" * (1 + len(DISTANCES)) + "|")
    for name in arguments.model:
        model = load_model(name)
        ids = encode_split(data, "validation", model.vocabulary)
        norms = gradient_by_distance(model, _windows(ids, arguments.windows))
        print(f"| {name} | " + " | ".join(f"{norms[k] / norms[0]:.1e}" for k in DISTANCES) + " |", flush=True)
    return 0


def _windows(ids: np.ndarray, count: int) -> np.ndarray:
    """Windows `(count, steps + 1)` spread evenly over a text."""
    steps = max(DISTANCES) + 1
    begins = np.linspace(0, len(ids) - steps - 1, count).astype(int)
    return ids[begins[:, None] + np.arange(steps + 1)].astype(np.int32)


def gradient_by_distance(model, windows: np.ndarray) -> np.ndarray:
    """Mean norm of the gradient of the last cost by the embedded character k steps before, `(steps,)`."""
    import tensorflow as tf
    from keras import ops

    embedded = tf.convert_to_tensor(model.embed(windows[:, :-1]))
    with tf.GradientTape() as tape:
        tape.watch(embedded)
        outputs, _ = model.stack(embedded)
        logits = model.head(outputs[:, -1:])[:, 0]
        nats = ops.sparse_categorical_crossentropy(windows[:, -1], logits, from_logits=True)
        total = tf.reduce_sum(nats)
    gradient = tape.gradient(total, embedded).numpy()  # (windows, steps, embedding)
    return np.linalg.norm(gradient, axis=-1).mean(axis=0)[::-1]


if __name__ == "__main__":
    raise SystemExit(run_script(main))
