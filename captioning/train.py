"""Trains a captioner: python -m captioning.train --data SOURCE --out runs/NAME.

With no arguments, a small network learns to describe rendered shapes from nothing.
"""

import argparse
import dataclasses
from pathlib import Path

from captioning.config import CaptioningConfig, recipe
from shared.runs.folder import RunFolder, run_name
from shared.system.cli import run_script
from shared.system.options import add_config_arguments, config_from_arguments
from shared.system.quiet import import_tensorflow_quietly


def parse_arguments(argv=None) -> tuple[argparse.Namespace, CaptioningConfig]:
    parser = argparse.ArgumentParser(
        prog="python -m captioning.train",
        description="Train an image captioner. Without --data it learns rendered shapes from nothing, with "
        "settings of their own (captioning.config.recipe); the defaults below are those for photographs.",
        epilog="Ctrl-C saves and stops; the same --out with --resume goes on. Exit status: 0; 2 if the run "
        "could not be done; 130 after Ctrl-C.",
    )
    add_config_arguments(parser, CaptioningConfig)
    parser.add_argument("--out", type=Path, help="run folder (default: runs/ and the name of the data)")
    parser.add_argument(
        "--resume", action="store_true", help="go on with the stopped run in --out; its settings hold"
    )
    parser.add_argument(
        "--images", type=Path, help="folder of the images, where it is not beside the captions file"
    )
    parser.add_argument("--cache", type=Path, help="folder of the feature cache (default: the user's cache)")
    arguments = parser.parse_args(argv)
    data = getattr(arguments, "data", "shapes")
    arguments.out = arguments.out or Path("runs") / run_name(data)
    base = _started_with(arguments.out) if arguments.resume else recipe(data)
    return arguments, config_from_arguments(CaptioningConfig, arguments, base=base)


def _started_with(path: Path) -> CaptioningConfig:
    return CaptioningConfig.from_run(RunFolder.open(path, "captioning"))


def main(argv=None) -> int:
    arguments, config = parse_arguments(argv)
    import_tensorflow_quietly()
    from captioning.training.run import train_captioner

    run = RunFolder.create(arguments.out, dataclasses.asdict(config), "captioning", resume=arguments.resume)
    result = train_captioner(
        config,
        run,
        resume=arguments.resume,
        image_folder=arguments.images,
        cache_dir=arguments.cache,
    )
    best = ", ".join(f"{name} {value:.4f}" for name, value in result.best_metrics.items())
    print(f"Best epoch {result.best_epoch}: {best}. Kept in {run.path}.")
    print(f"Caption your own pictures: python -m captioning.predict PICTURE --model {run.path}")
    return 0


if __name__ == "__main__":
    raise SystemExit(run_script(main))
