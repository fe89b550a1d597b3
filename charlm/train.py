"""Trains a character model: python -m charlm.train --data FILE --out runs/NAME.

With no arguments, it learns from Shakespeare's plays; `--data hello` is the lecture's example, in seconds.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from charlm.app import APP
from charlm.config import SPLITTING, CharLMConfig, recipe
from charlm.data import load_text
from charlm.training.start import settle_for
from shared.commands import open_run, parse_training, start_replicas, training_parser
from shared.system.cli import run_script
from shared.system.quiet import import_tensorflow_quietly

DESCRIPTION = (
    "Train a language model over characters. Samples of what it writes are saved to samples.txt in the run "
    "folder. The plays and hello have their own settings (charlm.config.recipe); the defaults below are for "
    "all other texts."
)


def parse_arguments(argv: Sequence[str] | None = None) -> tuple[argparse.Namespace, CharLMConfig]:
    parser = training_parser(APP, DESCRIPTION)
    parser.add_argument(
        "--cache", type=Path, help="folder for a text too long for memory (default: that of temporary files)"
    )
    return parse_training(APP, parser, argv, recipe)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    arguments, config = parse_arguments(argv)
    if config.init_from:
        APP.find(config.init_from, trainable=True)
    with open_run(APP, arguments, config) as run:
        replicas = start_replicas(arguments)
        data = load_text(config.data, **config.pick(SPLITTING))
        config = settle_for(data, config, run, arguments)
        import_tensorflow_quietly()
        from charlm.training.run import train_charlm

        result = train_charlm(
            config,
            run,
            data,
            resume=arguments.resume,
            cache_dir=arguments.cache,
            save_every=arguments.save_every,
            replicas=replicas,
            diagnostics=arguments.diagnostics,
        )
        nats = result.best_metrics["val_nats"]
        print(
            f"Best epoch {result.best_epoch}: {nats:.4f} nats per character of the validation text, windowed."
        )
        print(f"Saved to {run.path}.")
        if config.sample_length:
            print(f"Samples written during training: {run.samples_file}")
        print(f"Generate text: python -m charlm.generate --model {run.path}")
    return 0


if __name__ == "__main__":
    raise SystemExit(run_script(main))
