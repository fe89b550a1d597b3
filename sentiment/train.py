"""Trains a sentiment model: python -m sentiment.train --data SOURCE --out runs/NAME.

With no arguments, it learns from the labelled reviews of IMDB.
"""

import argparse
import dataclasses
from pathlib import Path

from sentiment.config import LANGUAGE_FOLDER, SentimentConfig
from shared.runs.folder import RunFolder, run_name
from shared.system.cli import UserError, run_script
from shared.system.options import add_config_arguments, config_from_arguments
from shared.system.quiet import import_tensorflow_quietly


def parse_arguments(argv=None) -> tuple[argparse.Namespace, SentimentConfig]:
    parser = argparse.ArgumentParser(
        prog="python -m sentiment.train",
        description="Train a recurrent network that reads reviews and says what they think. With --pretrain, "
        "a language model learns from unlabelled texts first, and the network begins with its weights.",
        epilog="Ctrl-C saves and stops; the same --out with --resume goes on. Exit status: 0; 2 if the run "
        "could not be done; 130 after Ctrl-C.",
    )
    add_config_arguments(parser, SentimentConfig)
    parser.add_argument("--out", type=Path, help="run folder (default: runs/ and the name of the data)")
    parser.add_argument(
        "--resume", action="store_true", help="go on with the stopped run in --out; its settings hold"
    )
    arguments = parser.parse_args(argv)
    data = tuple(getattr(arguments, "data", SentimentConfig.data))
    arguments.out = arguments.out or Path("runs") / run_name(data[0])
    base = _started_with(arguments.out) if arguments.resume else SentimentConfig()
    return arguments, config_from_arguments(SentimentConfig, arguments, base=base)


def _started_with(path: Path) -> SentimentConfig:
    return SentimentConfig.from_run(RunFolder.open(path, "sentiment"))


def main(argv=None) -> int:
    arguments, config = parse_arguments(argv)
    import_tensorflow_quietly()
    from sentiment.training.run import train_sentiment

    resume = arguments.resume
    if not resume and (arguments.out / LANGUAGE_FOLDER / "last.npz").exists():
        raise UserError(
            f"{arguments.out} already holds a run, stopped in its language model; continue it with --resume, "
            "or choose another folder."
        )
    run = RunFolder.create(arguments.out, dataclasses.asdict(config), "sentiment", resume=resume)
    result = train_sentiment(config, run, resume=resume)
    best = result.best_metrics
    print(
        f"Best epoch {result.best_epoch}: {best['val_accuracy']:.2%} of the validation texts right, log loss "
        f"{best['val_log_loss']:.4f}, calibration error {best['val_calibration_error']:.4f}."
    )
    print(f"Kept in {run.path}.")
    print(f"Let it read: python -m sentiment.predict --model {run.path} 'TEXT'")
    return 0


if __name__ == "__main__":
    raise SystemExit(run_script(main))
