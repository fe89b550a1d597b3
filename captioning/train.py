"""Trains a captioner: python -m captioning.train --data SOURCE --out runs/NAME.

With no arguments, a small network learns from scratch to describe rendered shapes.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from captioning.app import APP
from captioning.config import FORMAT, CaptioningConfig, recipe, self_critical_recipe
from captioning.data.load import load_sources
from captioning.training.start import settle_for
from shared.commands import open_run, parse_training, start_replicas, training_parser
from shared.system.cli import run_script
from shared.system.options import config_from_arguments
from shared.system.quiet import import_tensorflow_quietly

DESCRIPTION = (
    "Train an image captioner. Without --data it learns rendered shapes from scratch, with settings of their "
    "own (captioning.config.recipe); the defaults below are those for photographs."
)


def parse_arguments(argv: Sequence[str] | None = None) -> tuple[argparse.Namespace, CaptioningConfig]:
    parser = training_parser(APP, DESCRIPTION)
    parser.add_argument(
        "--images",
        type=Path,
        nargs="+",
        action="extend",
        metavar="FOLDER",
        help="folder of the images, one for each source, where not beside the captions",
    )
    parser.add_argument("--cache", type=Path, help="folder of the feature cache (default: the user's cache)")
    arguments, config = parse_training(APP, parser, argv, recipe)
    if config.self_critical and not arguments.resume:
        # The network is the one to start from, and so are the data, unless the command line says otherwise.
        base = self_critical_recipe(APP.trained_with(config.init_from), config.init_from)
        config = config_from_arguments(CaptioningConfig, arguments, base=base)
    return arguments, config


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    arguments, config = parse_arguments(argv)
    for name in filter(None, (config.init_from, *config.teachers)):
        APP.find(name, trainable=True)
    with open_run(APP, arguments, config) as run:
        replicas = start_replicas(arguments)
        data = load_sources(config.data, arguments.images, config.max_pixels, **config.pick(FORMAT))
        config = settle_for(data, config, run, arguments)
        import_tensorflow_quietly()
        from captioning.training.run import train_captioner

        result = train_captioner(
            config,
            run,
            data,
            resume=arguments.resume,
            cache_dir=arguments.cache,
            save_every=arguments.save_every,
            replicas=replicas,
            diagnostics=arguments.diagnostics,
        )
        best = ", ".join(f"{name} {value:.4f}" for name, value in result.best_metrics.items())
        print(f"Best epoch {result.best_epoch}: {best}.")
        print(f"Saved to {run.path}.")
        print(f"Caption your own pictures: python -m captioning.predict PICTURE --model {run.path}")
    return 0


if __name__ == "__main__":
    raise SystemExit(run_script(main))
