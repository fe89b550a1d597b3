"""Training steps of each application with the fused recurrence and with Keras's own loop, in turn in one run.

    python -m benchmarks.applications

The models are those of the presets and of default settings, over random tokens of their vocabularies; a step
has loss, gradient, clipping, optimizer and weight average, as in training. Sides differ in the recurrence
alone. Times are those of the median round, the ratio is the median of the ratios round by round.
"""

import contextlib
import dataclasses
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.machine import describe_machine
from shared.system.cli import Parser, run_script
from shared.system.options import whole_number
from shared.system.quiet import import_tensorflow_quietly

WORDS = {"a caption": 16, "a review": 256}  # padded length of what is trained on


def main(argv: Sequence[str] | None = None) -> int:
    applications = {
        "captioning": _captioning,
        "charlm": _charlm,
        "sentiment": _sentiment,
        "sentiment, adversarial": lambda policy: _sentiment(policy, adversarial=1.0),
        "sentiment, language model": _language_model,
    }
    parser = Parser("benchmarks.applications", description=__doc__.split("\n")[0])
    parser.add_argument("--app", nargs="+", choices=list(applications), default=list(applications))
    parser.add_argument("--rounds", type=whole_number, default=7, help="turns a side (default: %(default)s)")
    arguments = parser.parse_args(argv)
    print(describe_machine())
    import_tensorflow_quietly()
    print(f"\n{'one training step':36}{'Keras s':>10}{'fused s':>10}{'ratio':>8}")
    for name in arguments.app:
        for policy in ("float32", "mixed_bfloat16"):
            keras_loop, fused = _race(applications[name], policy, arguments.rounds)
            ratio = statistics.median(a / b for a, b in zip(keras_loop, fused, strict=True))
            seconds = [statistics.median(times) for times in (keras_loop, fused)]
            print(f"{f'{name}, {policy}':36}{seconds[0]:10.3f}{seconds[1]:10.3f}{ratio:8.2f}", flush=True)
    return 0


def _race(make: Callable, policy: str, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of each round with Keras's loop, and with the fused one."""
    from shared.layers.placement import keras_loop

    steps = []
    for loop in (keras_loop, contextlib.nullcontext):
        with loop():
            step = make(policy)
            step(), step()  # the graph keeps the loop with which it was traced
        steps.append(step)
    times = ([], [])
    for _ in range(rounds):
        for step, seconds in zip(steps, times, strict=True):
            began = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - began)
    return times


def _tokens(shape, vocabulary) -> np.ndarray:
    return np.random.default_rng(0).integers(4, len(vocabulary), shape, dtype=np.int32)


def _captioning(policy: str) -> Callable[[], object]:
    from captioning.app import APP
    from captioning.model.captioner import Captioner
    from captioning.training.run import CaptionLoss
    from shared.training.optimizers import make_adamw
    from shared.training.step import TrainStep

    config = APP.trained_with("photos")
    config = dataclasses.replace(config, mixed_bfloat16=policy == "mixed_bfloat16")
    vocabulary = APP.load("photos").vocabulary
    model = Captioner.from_settings(config, vocabulary, encoder_weights=None)
    model.encoder.trainable = False
    cells = model.encoder.grid[0] * model.encoder.grid[1]
    batch = {
        "tokens": _tokens((config.batch_size, config.captions_per_image, WORDS["a caption"] + 1), vocabulary),
        "features": np.ones((config.batch_size, cells, model.encoder.channels), np.float32),
    }
    loss = CaptionLoss(config.label_smoothing)
    optimizer = make_adamw(config.learning_rate, config.weight_decay)
    step = TrainStep(model, optimizer, loss, config.clip_norm, config.average_decay)
    return lambda: step(batch)


def _charlm(policy: str) -> Callable[[], object]:
    from charlm.app import load_model
    from charlm.config import NETWORK, CharLMConfig
    from charlm.model.char_lm import CharLM
    from charlm.training.run import language_loss, make_optimizer
    from shared.training.step import TrainStep

    config = CharLMConfig()
    vocabulary = load_model("shakespeare").vocabulary
    model = CharLM(vocabulary, **config.pick(NETWORK), dtype=policy)
    batch = {
        "tokens": _tokens((config.batch_size, config.window + 1), vocabulary.tokens),
        "keeps_state": np.ones(config.batch_size, bool),
    }
    carry = model.get_initial_state(config.batch_size)
    optimizer = make_optimizer(config, policy)
    step = TrainStep(model, optimizer, language_loss, config.clip_norm, config.average_decay, carry)
    return lambda: step(batch)


def _sentiment(policy: str, adversarial: float = 0.0) -> Callable[[], object]:
    from sentiment.app import load_model
    from sentiment.config import SentimentConfig
    from sentiment.model.classifier import SentimentClassifier
    from sentiment.training.loss import Loss
    from sentiment.training.optimizer import make_optimizer
    from shared.training.step import TrainStep

    config = SentimentConfig(adversarial=adversarial, batch_size=64, learning_rate=0.001)
    vocabulary = load_model("imdb").vocabulary
    model = SentimentClassifier.from_settings(config, vocabulary, ("negative", "positive"), dtype=policy)
    shape = (config.batch_size, WORDS["a review"])
    lengths = np.linspace(shape[1] * 0.75, shape[1], shape[0]).astype(int)
    batch = {
        "tokens": _tokens(shape, vocabulary),
        "mask": np.arange(shape[1]) < lengths[:, None],
        "targets": np.eye(2, dtype=np.float32)[np.arange(shape[0]) % 2],
    }
    optimizer = make_optimizer(config, model, 1000, pretrained=False)
    step = TrainStep(model, optimizer, Loss(config), config.clip_norm, config.average_decay)
    return lambda: step(batch)


def _language_model(policy: str) -> Callable[[], object]:
    from sentiment.app import load_model
    from sentiment.config import SentimentConfig
    from sentiment.model.language import WordLM
    from sentiment.training.pretraining import language_loss
    from shared.training.optimizers import make_muon
    from shared.training.step import TrainStep

    config = SentimentConfig()
    vocabulary = load_model("imdb").vocabulary
    counts = np.ones(len(vocabulary))
    model = WordLM.from_settings(config, vocabulary, counts, dtype=policy)
    size = config.pretrain_batch_size
    tokens = {"tokens": _tokens((size, config.pretrain_window + 1), vocabulary)}
    batch = {"forward": tokens, "backward": tokens}
    carry = model.get_initial_state(size)
    optimizer = make_muon(config.pretrain_learning_rate, policy)
    step = TrainStep(model, optimizer, language_loss, config.clip_norm, config.average_decay, carry)
    return lambda: step(batch)


if __name__ == "__main__":
    raise SystemExit(run_script(main))
