"""Exports a sentiment model as a SavedModel: python -m sentiment.export --model M --out FOLDER.

The SavedModel takes texts and returns labels and probabilities. It needs TensorFlow alone.
"""

from collections.abc import Sequence

from sentiment.app import APP
from shared.commands import export_parser, load_to_export
from shared.system.cli import run_script

DESCRIPTION = "Write a SavedModel that takes texts and gives probabilities, and check it against the model."


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    arguments = export_parser(APP, DESCRIPTION).parse_args(argv)
    model = load_to_export(APP, arguments)
    from sentiment.prediction.export import export_sentiment

    export_sentiment(model, arguments.out)
    print(
        f"Wrote {arguments.out}. Checked: it needs TensorFlow alone and predicts as {arguments.model} does."
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(run_script(main))
