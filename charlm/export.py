"""Exports a character model as a SavedModel: python -m charlm.export --model M --out FOLDER.

The SavedModel takes prompts and returns texts. It needs TensorFlow alone.
"""

import argparse
import json
import os
from pathlib import Path

from shared.system.cli import UserError, run_script
from shared.system.quiet import import_tensorflow_quietly


def parse_arguments(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m charlm.export",
        description="Write a SavedModel that takes prompts and returns texts, scores texts and gives single "
        "steps, and check it.",
    )
    parser.add_argument("--model", default="shakespeare", help="preset or run folder (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="folder to make")
    return parser.parse_args(argv)


def main(argv=None) -> int:
    """Runs the script; returns its exit status."""
    arguments = parse_arguments(argv)
    # Where Keras sees a GPU, it writes operations into the graph that a computer without one does not have.
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    import_tensorflow_quietly()
    from charlm.model.char_lm import CharLM

    model = CharLM.from_any(arguments.model)
    if not isinstance(model, CharLM):
        raise UserError(
            f"{arguments.model} is an exported SavedModel already. Name a preset or a run folder."
        )
    export_charlm(model, arguments.out)
    print(
        f"Wrote {arguments.out}. Checked: it needs TensorFlow alone and writes what {arguments.model} writes."
    )
    return 0


def export_charlm(model, path: Path) -> None:
    """Writes the SavedModel of a character model at `path` and checks it against the model.

    Args:
        model: a `charlm.model.CharLM`.
        path: folder to make. Beside the SavedModel it gets the model's settings and its vocabulary.

    Raises:
        shared.export.ExportError: `path` cannot be written, or the SavedModel differs from the model.
    """
    from charlm.model.exported import SETTINGS_FILE, VOCABULARY_FILE
    from charlm.model.signatures import charlm_signatures, check_export
    from shared.export import export_saved_model
    from shared.text.vocabulary import tokens_text

    export_saved_model(
        path,
        charlm_signatures(model),
        [variable.value for variable in model.weights],
        files={
            SETTINGS_FILE: json.dumps(model.settings, indent=2) + "\n",
            VOCABULARY_FILE: tokens_text(model.vocabulary.tokens),
        },
        check=lambda folder: check_export(folder, model),
    )


if __name__ == "__main__":
    raise SystemExit(run_script(main))
