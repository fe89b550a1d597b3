"""Exports a character model as a SavedModel: python -m charlm.export --model M --out FOLDER.

The SavedModel takes prompts and returns texts. It needs TensorFlow alone.
"""

from collections.abc import Sequence

from charlm.app import APP
from shared.commands import export_parser, load_to_export
from shared.system.cli import run_script

DESCRIPTION = (
    "Write a SavedModel that generates texts, scores texts and gives single steps, and check it against the "
    "model."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    arguments = export_parser(APP, DESCRIPTION).parse_args(argv)
    model = load_to_export(APP, arguments)
    from charlm.prediction.export import export_charlm

    export_charlm(model, arguments.out)
    print(
        f"Wrote {arguments.out}. Checked: it needs TensorFlow alone and writes what {arguments.model} writes."
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(run_script(main))
