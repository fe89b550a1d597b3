"""How fast the encoder of a captioner is trained: whole steps beside the bare network.

    python -m benchmarks.encoder --blocks 14 0

For each number of last blocks that are trained, these take turns: training steps of the captioner (views,
encoder, decoder, loss, gradient, AdamW, weight average), and the bare forward and backward pass of the
network with the same blocks frozen, in float32 and in bfloat16. The forward pass by itself comes first.
"""

import dataclasses
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import tensorflow as tf

from benchmarks.machine import describe_machine
from captioning.app import APP
from captioning.config import CaptioningConfig
from captioning.model.captioner import Captioner
from captioning.model.encoder import Encoder
from captioning.training.losses import CaptionLoss
from captioning.training.run import encoder_part
from captioning.training.views import Views
from shared.system.cli import Parser, run_script
from shared.system.options import whole_number
from shared.training.optimizers import make_adamw
from shared.training.step import TrainStep

PRECISIONS = ("float32", "bfloat16")
WORDS = 10  # in each caption


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser("benchmarks.encoder", description=__doc__.split("\n")[0])
    parser.add_argument(
        "--blocks", type=partial(whole_number, least=0), nargs="+", default=[14, 0], help="(default: 14 0)"
    )
    parser.add_argument("--batch-size", type=whole_number, default=20, help="(default: %(default)s)")
    parser.add_argument("--rounds", type=whole_number, default=5, help="turns a side (default: %(default)s)")
    arguments = parser.parse_args(argv)
    print(describe_machine())
    settings = dataclasses.replace(
        APP.trained_with(APP.default_model), init_from="", self_critical=0, train_encoder=True
    )
    _compare_forward(settings, arguments)
    for blocks in arguments.blocks:
        _compare_training(dataclasses.replace(settings, encoder_blocks=blocks), arguments)
    return 0


def _compare_forward(config: CaptioningConfig, arguments) -> None:
    sides = {}
    for dtype in PRECISIONS:
        encoder = _encoder(config, dtype)
        pixels = _pixels(encoder.image_size, arguments.batch_size)
        sides[f"forward in {dtype}"] = partial(tf.function(encoder, autograph=False), pixels)
    _print_rates("forward pass", sides, arguments)


def _compare_training(config: CaptioningConfig, arguments) -> None:
    captioner = Captioner.from_settings(config, APP.load(APP.default_model).vocabulary)
    batch = _batch(captioner, config, arguments.batch_size)
    step = TrainStep(
        captioner,
        make_adamw(config.learning_rate, config.weight_decay, parts=encoder_part(config, captioner, 1)),
        CaptionLoss(config.label_smoothing),
        config.clip_norm,
        config.average_decay,
    )
    sides = {"training step": partial(step, batch)}
    for dtype in PRECISIONS:
        sides[f"bare network in {dtype}"] = _bare(_encoder(config, dtype), batch["images"])
    rates = _print_rates(
        f"last {config.encoder_blocks} blocks" if config.encoder_blocks else "all blocks", sides, arguments
    )
    share = rates["training step"] / rates[f"bare network in {PRECISIONS[0]}"]
    print(f"  training step / bare network in {PRECISIONS[0]}: {share:.2f}", flush=True)


def _print_rates(title: str, sides: dict[str, Callable], arguments) -> dict[str, float]:
    """Prints and returns the median images a second of each side."""
    for run in sides.values():
        run()  # builds the graph
        run()
    rates = {name: [] for name in sides}
    for _ in range(arguments.rounds):
        for name, run in sides.items():
            began = time.perf_counter()
            run()
            rates[name].append(arguments.batch_size / (time.perf_counter() - began))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    print(
        f"{title}: " + ", ".join(f"{name} {rate:.1f} images/s" for name, rate in medians.items()), flush=True
    )
    return medians


def _encoder(config: CaptioningConfig, dtype: str) -> Encoder:
    policy = "float32" if dtype == "float32" else f"mixed_{dtype}"
    encoder = Encoder(config.encoder, weights=None, fixed_norms=True, dtype=policy)
    encoder.train_last(config.encoder_blocks)
    return encoder


def _pixels(size: int, images: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (images, size, size, 3), dtype=np.uint8)


def _batch(captioner, config, images: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    size, captions = captioner.image_size, config.captions_per_image
    tokens = random.integers(4, len(captioner.vocabulary), (images, captions, WORDS + 2), dtype=np.int32)
    tokens[..., 0], tokens[..., -1] = captioner.vocabulary.START, captioner.vocabulary.END
    views = Views(config.mirror, config.crop, config.brightness).draw(images, random)
    return {"images": _pixels(size, images), "tokens": tokens, **views}


def _bare(encoder, pixels):
    images = tf.constant(pixels, tf.float32)

    @tf.function(autograph=False)
    def run():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(encoder(images, training=True) ** 2)
        return tape.gradient(loss, [variable.value for variable in encoder.trainable_variables])

    return lambda: [gradient.numpy() for gradient in run()]


if __name__ == "__main__":
    raise SystemExit(run_script(main))
