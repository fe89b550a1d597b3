"""Exports a sentiment model as a SavedModel: python -m sentiment.export --model M --out FOLDER.

The SavedModel takes texts and returns labels and probabilities. It needs TensorFlow alone.
"""

import argparse
import json
import os
from pathlib import Path

from shared.system.cli import UserError, run_script
from shared.system.quiet import import_tensorflow_quietly


def parse_arguments(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m sentiment.export",
        description="Write a SavedModel that takes texts and returns labels and probabilities, and check it.",
    )
    parser.add_argument("--model", default="imdb", help="preset or run folder (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="folder to make")
    return parser.parse_args(argv)


def main(argv=None) -> int:
    """Runs the script; returns its exit status."""
    arguments = parse_arguments(argv)
    # Where Keras sees a GPU, it writes operations into the graph that a computer without one does not have.
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    import_tensorflow_quietly()
    from sentiment.model.classifier import SentimentClassifier

    model = SentimentClassifier.from_any(arguments.model)
    if not isinstance(model, SentimentClassifier):
        raise UserError(
            f"{arguments.model} is an exported SavedModel already. Name a preset or a run folder."
        )
    export_sentiment(model, arguments.out)
    print(f"Wrote {arguments.out}. Checked: it needs TensorFlow alone and says what {arguments.model} says.")
    return 0


def export_sentiment(model, path: Path) -> None:
    """Writes the SavedModel of a sentiment model at `path` and checks it against the model.

    Args:
        model: a `sentiment.model.SentimentClassifier`.
        path: folder to make. Beside the SavedModel it gets the model's settings, labels and temperature, and
            its vocabulary.

    Raises:
        shared.export.ExportError: `path` cannot be written, or the SavedModel differs from the model.
    """
    from sentiment.model.exported import SETTINGS_FILE, VOCABULARY_FILE
    from sentiment.model.signatures import check_export, sentiment_signatures
    from shared.export import export_saved_model
    from shared.text.vocabulary import checksum, tokens_text

    about = {
        "labels": list(model.labels),
        "temperature": model.temperature,
        "vocabulary": checksum(model.vocabulary.tokens),
        "settings": model.settings,
    }
    signatures, held = sentiment_signatures(model)
    export_saved_model(
        path,
        signatures,
        held,
        files={
            SETTINGS_FILE: json.dumps(about, indent=2, ensure_ascii=False) + "\n",
            VOCABULARY_FILE: tokens_text(model.vocabulary.tokens),
        },
        check=lambda folder: check_export(folder, model),
    )


if __name__ == "__main__":
    raise SystemExit(run_script(main))
