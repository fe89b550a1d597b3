"""Training steps and inference of recurrent stacks: ours, Keras's and PyTorch's, in turn in one run.

    python -m benchmarks.recurrent --cell lstm --size 512,2,64,128

A size is units, depth, time, batch; inputs have as many features as there are units. A training step is the
forward pass, a mean-square loss and all gradients, without an update. All sides take turns; the rate is that
of the median round, the ratio the median of the ratios to the first side, round by round. PyTorch takes part
where it is installed.
"""

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.machine import describe_machine
from shared.system.cli import Parser, run_script
from shared.system.options import whole_number
from shared.system.quiet import import_tensorflow_quietly

SIZES = ("128,2,50,50", "256,1,100,64", "512,1,100,64", "512,2,256,64", "1024,1,128,128")
POLICIES = ("float32", "mixed_bfloat16")
KINDS = ("training", "inference")


class Size(NamedTuple):
    """What is computed."""

    units: int
    depth: int
    time: int
    batch: int


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser("benchmarks.recurrent", description=__doc__.split("\n")[0])
    parser.add_argument("--cell", nargs="+", choices=("lstm", "gru"), default=["lstm", "gru"])
    parser.add_argument("--size", nargs="+", type=_size, default=[_size(size) for size in SIZES])
    parser.add_argument("--kind", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--rounds", type=whole_number, default=7, help="turns a side (default: %(default)s)")
    arguments = parser.parse_args(argv)
    print(describe_machine())
    import_tensorflow_quietly()
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")  # it warns of many graphs, which are the point here
    for cell in arguments.cell:
        for size in arguments.size:
            for kind in arguments.kind:
                print(f"\n{cell}, {', '.join(f'{n} {v}' for n, v in size._asdict().items())}: {kind}")
                _race(dict(_sides(cell, size, kind == "training")), size, arguments.rounds)
    return 0


def _size(text: str) -> Size:
    parts = text.split(",")
    if len(parts) != 4 or not all(part.isdecimal() and int(part) for part in parts):
        raise argparse.ArgumentTypeError(f"expected units,depth,time,batch, got {text!r}")
    return Size(*map(int, parts))


def _race(sides: dict[str, Callable[[], object]], size: Size, rounds: int) -> None:
    """Runs all sides in turn and prints their medians."""
    for side in sides.values():
        side(), side()  # builds graphs and warms up
    times = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            began = time.perf_counter()
            side()
            times[name].append(time.perf_counter() - began)
    first = next(iter(times.values()))
    for name, found in times.items():
        ratio = statistics.median(a / b for a, b in zip(first, found, strict=True))
        rate = size.time * size.batch / statistics.median(found)
        print(f"  {name:32} {rate:10,.0f} steps/s   {ratio:5.2f} x", flush=True)


def _sides(cell: str, size: Size, training: bool) -> Iterator[tuple[str, Callable[[], object]]]:
    inputs = make_inputs(size)
    names = [f"keras {policy}" for policy in POLICIES]
    names += [f"keras {policy}, {how}" for how in ("XLA", "unrolled") for policy in POLICIES]
    names += [f"ours {policy}" for policy in POLICIES]
    if importlib.util.find_spec("torch"):
        names += ["torch float32", "torch bfloat16"]
    for name in names:
        yield name, make_side(name, cell, size, inputs, training)


def make_inputs(size: Size) -> np.ndarray:
    """Random inputs `(batch, time, units)` float32."""
    return np.random.default_rng(0).normal(size=(size.batch, size.time, size.units)).astype("float32")


def make_side(name: str, cell: str, size: Size, inputs: np.ndarray, training: bool) -> Callable[[], object]:
    """A function that carries out one step.

    Args:
        name: who computes, in what numbers, and how: `"keras float32, XLA"`.
        cell: `"lstm"` or `"gru"`.
        size: units and depth count.
        inputs: `(batch, time, units)` float32.
        training: whether gradients are computed, too.
    """
    who, numbers = name.split(",")[0].split(" ")
    if who == "torch":
        return _torch_side(cell, size, numbers, inputs, training)
    if who == "keras":
        call = layer = _keras_layers(cell, size, numbers, unroll="unrolled" in name)
    else:
        call, layer = _our_stack(cell, size, numbers)
    return _step(call, layer, inputs, training, jit="XLA" in name)


def _keras_layers(cell, size, policy, unroll):
    import keras

    layer = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}[cell]
    options = {"return_sequences": True, "unroll": unroll, "dtype": policy}
    return keras.Sequential([layer(size.units, **options) for _ in range(size.depth)])


def _our_stack(cell, size, policy):
    from shared.layers import RecurrentStack

    stack = RecurrentStack(size.units, cell=cell, depth=size.depth, dtype=policy)
    return lambda batch, training: stack(batch, training=training)[0], stack


def _step(call, layer, inputs, training, jit):
    import tensorflow as tf

    call(inputs, training=training)  # makes the weights
    weights = [weight.value for weight in layer.trainable_variables]

    @tf.function(autograph=False, jit_compile=jit)
    def step(batch):
        if not training:
            return call(batch, training=False)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(tf.cast(call(batch, training=True), "float32")))
        return tape.gradient(loss, weights)

    batch = tf.constant(inputs)
    return lambda: tf.nest.map_structure(lambda tensor: tensor[..., :1].numpy(), step(batch))


def _torch_side(cell, size, numbers, inputs, training):
    import torch

    network = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell](
        size.units, size.units, num_layers=size.depth, batch_first=True
    )
    batch = torch.from_numpy(inputs)

    def step():
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=numbers == "bfloat16"):
            if not training:
                with torch.no_grad():
                    return network(batch)[0]
            loss = network(batch)[0].float().square().mean()
        network.zero_grad()
        loss.backward()
        return loss

    return step


if __name__ == "__main__":
    raise SystemExit(run_script(main))
