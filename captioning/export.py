"""Exports a captioner as a SavedModel: python -m captioning.export --model M --out DIR.

The SavedModel takes encoded image files and returns captions. It needs TensorFlow alone.
"""

import argparse
import json
from functools import partial
from pathlib import Path

from captioning.predict import LENGTH_PENALTY_HELP, SEARCH_DEFAULTS
from shared.system.cli import UserError, run_script
from shared.system.options import finite_number, whole_number
from shared.system.quiet import import_tensorflow_quietly


def parse_arguments(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m captioning.export",
        description="Write a SavedModel that takes image files and returns captions, and check it. The "
        "options of the search become part of it.",
    )
    parser.add_argument("--model", default="flickr8k", help="preset or run folder (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="folder to make")
    for name, kind, text in (
        ("num_beams", whole_number, "captions that the search follows at once"),
        ("n_best", whole_number, "captions of each image"),
        ("length_penalty", finite_number, LENGTH_PENALTY_HELP),
        ("max_length", partial(whole_number, least=2), "longest caption, in words"),
    ):
        parser.add_argument(
            "--" + name.replace("_", "-"),
            type=kind,
            default=SEARCH_DEFAULTS[name],
            metavar="X" if kind is finite_number else "N",
            help=f"{text} (default: %(default)s)",
        )
    arguments = parser.parse_args(argv)
    if arguments.n_best > arguments.num_beams:
        parser.error(
            f"--num-beams {arguments.num_beams} finds {arguments.num_beams} captions an image; "
            f"for --n-best {arguments.n_best}, give at least as many beams"
        )
    return arguments


def main(argv=None) -> int:
    arguments = parse_arguments(argv)
    import_tensorflow_quietly()
    from captioning.model.captioner import Captioner

    captioner = Captioner.from_any(arguments.model)
    if not isinstance(captioner, Captioner):
        raise UserError(
            f"{arguments.model} is an exported SavedModel already. Name a preset or a run folder."
        )
    search = {
        "num_beams": arguments.num_beams,
        "n_best": arguments.n_best,
        "length_penalty": arguments.length_penalty,
        "max_length": arguments.max_length,
    }
    export_captioner(captioner, arguments.out, search)
    print(f"Wrote {arguments.out}. Checked: it needs TensorFlow alone and says what {arguments.model} says.")
    return 0


def export_captioner(captioner, path: Path, search: dict) -> None:
    """Writes the SavedModel of a captioner at `path` and checks it against the captioner.

    Args:
        captioner: a `captioning.model.Captioner`.
        path: folder to make.
        search: options of the beam search: `num_beams`, `n_best`, `length_penalty`, `max_length`.

    Raises:
        shared.export.ExportError: `path` cannot be written, or the SavedModel differs from the captioner.
    """
    from captioning.model.exported import SETTINGS_FILE
    from captioning.model.signatures import caption_signatures, check_export
    from shared.export import export_saved_model

    export_saved_model(
        path,
        caption_signatures(captioner, search),
        [variable.value for variable in captioner.variables],
        files={
            SETTINGS_FILE: json.dumps(
                {"image_size": captioner.encoder.image_size, "search": search}, indent=2
            )
        },
        check=lambda folder: check_export(folder, captioner, search),
    )


if __name__ == "__main__":
    raise SystemExit(run_script(main))
