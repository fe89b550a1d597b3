"""Trains a sentiment model: python -m sentiment.train --data SOURCE --out runs/NAME.

With no arguments, it learns from the labelled reviews of IMDB.
"""

import argparse
from collections.abc import Sequence

from sentiment.app import APP
from sentiment.config import LANGUAGE_FOLDER, SentimentConfig
from sentiment.training.preparation import load_data
from sentiment.training.recipe import suit, with_network_of_start
from shared.commands import open_run, parse_training, start_replicas, training_parser
from shared.runs.folder import RunError, RunFolder
from shared.system.cli import run_script
from shared.system.quiet import import_tensorflow_quietly

DESCRIPTION = (
    "Train a recurrent network that predicts the labels of texts. With --pretrain, a language model is "
    "trained on unlabelled texts first, and the network starts with its weights."
)


def parse_arguments(argv: Sequence[str] | None = None) -> tuple[argparse.Namespace, SentimentConfig]:
    parser = training_parser(APP, DESCRIPTION)
    arguments, config = parse_training(APP, parser, argv, recipe=lambda data: SentimentConfig())
    if not arguments.resume:
        config = with_network_of_start(config, given=vars(arguments))
    if not arguments.resume and RunFolder(arguments.out / LANGUAGE_FOLDER, {}).has_begun:
        raise RunError(
            f"{arguments.out} already holds a run, stopped in its language model; continue it with --resume, "
            "or choose another folder."
        )
    return arguments, config


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    arguments, config = parse_arguments(argv)
    with open_run(APP, arguments, config) as run:
        replicas = start_replicas(arguments)
        data = load_data(config)
        config = suit(run, config, data, given=vars(arguments))
        import_tensorflow_quietly()
        from sentiment.training.run import train_sentiment

        result = train_sentiment(
            config,
            run,
            data,
            resume=arguments.resume,
            save_every=arguments.save_every,
            replicas=replicas,
            diagnostics=arguments.diagnostics,
        )
        best = result.best_metrics
        which = "Last" if config.saved_epoch == "last" else "Best"
        saved = {"output": "Output layer", "temperature": "Calibrated"}.get(
            config.layers, f"{which} epoch {result.best_epoch}"
        )
        print(
            f"{saved}: {best['val_accuracy']:.2%} of {len(data.split('validation')):,} validation texts "
            f"right, log loss {best['val_log_loss']:.4f}, calibration error "
            f"{best['val_calibration_error']:.4f}."
        )
        print(f"Saved to {run.path}.")
        print(f"Try it: python -m sentiment.predict --model {run.path} 'TEXT'")
    return 0


if __name__ == "__main__":
    raise SystemExit(run_script(main))
