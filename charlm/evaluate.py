"""Measures a character model on a text: python -m charlm.evaluate --model MODEL --data SOURCE."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from charlm.app import APP
from charlm.config import SOURCES, SPLITTING
from charlm.data import load_text
from charlm.evaluation.report import check_split, data_settings, heading, record, table, training_notes
from shared.data.encodings import ENCODING_HELP
from shared.system.cli import Parser, run_script
from shared.system.options import finite_number, share, whole_number
from shared.system.output import check_output, open_output, write_whole


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = Parser(
        "charlm.evaluate",
        description="Measure how well a character model predicts a text, in nats and bits per character. "
        "Carried: the state is carried through the whole text. Windowed: it is reset to zero every --window "
        "tokens, as nanoGPT evaluates. For comparison: a Kneser-Ney n-gram model, fitted to the training "
        "part of the text; its context also runs through the whole text.",
        epilog="Exit status: 0; 2 if nothing could be measured.",
    )
    APP.add_model_option(parser)
    data_help = f"{SOURCES} (default for this and the next four: as in training)"
    parser.add_argument("--data", nargs="+", metavar="SOURCE", help=data_help)
    parser.add_argument("--pattern", help="files to read in a folder")
    parser.add_argument("--encoding", metavar="NAME", help=ENCODING_HELP)
    for name, kind, default, text in _OPTIONS:
        parser.add_argument(name, type=kind, default=default, metavar="X", help=text)
    parser.add_argument(
        "--dynamic",
        action="store_true",
        help="also dynamic evaluation: a copy of the model keeps learning from the text it has predicted",
    )
    parser.add_argument(
        "--baseline",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="fit and score the n-gram model (default: on)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="file for all figures and settings")
    return parser.parse_args(argv)


_OPTIONS = (
    ("--validation-fraction", finite_number, None, "its share of the text, after the training part"),
    ("--test-fraction", finite_number, None, "its share of the text, at the very end"),
    ("--split", str, "validation", "train, validation, test or all (default: %(default)s)"),
    ("--window", whole_number, 256, "windowed: tokens between two resets (default: %(default)s)"),
    ("--dynamic-segment", whole_number, 20, "dynamic: tokens between two updates (default: %(default)s)"),
    ("--dynamic-rate", finite_number, None, "dynamic: learning rate (default: 0.00005; plain SGD: 0.03)"),
    ("--dynamic-decay", share, 0.001, "dynamic: pull to the trained weights, 0 to 1 (default: %(default)s)"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    arguments = parse_arguments(argv)
    name, split = arguments.model, arguments.split
    if arguments.json is not None:
        check_output(arguments.json)
    APP.find(name, trainable=arguments.dynamic)  # dynamic evaluation trains a copy
    trained = APP.trained_with(name)
    config = data_settings(
        name, trained, {option: getattr(arguments, option) for option in ("data", *SPLITTING)}
    )
    data = load_text(config.data, **config.pick(SPLITTING))
    check_split(data, split)
    if arguments.json is not None:
        check_output(arguments.json, [Path(document.name) for document in data.documents])
    model = APP.load(name)
    from charlm.evaluation.measures import measure

    options = {"window": arguments.window, "baseline": arguments.baseline}
    if arguments.dynamic:
        names = {"segment": "dynamic_segment", "learning_rate": "dynamic_rate", "decay": "dynamic_decay"}
        options["dynamic"] = {name: getattr(arguments, option) for name, option in names.items()}
    with open_output(None) as write:
        write(heading(name, model, data, split) + "\n\n")
        rows, reasons = measure(model, data, split, **options)
        notes = training_notes(split, config, trained) + reasons
        write(table(rows))
        if notes:
            write("\n" + "\n".join(notes) + "\n")
    if arguments.json is not None:
        figures = record(name, model, data, split, config, rows, notes)
        write_whole(arguments.json, json.dumps(figures, ensure_ascii=False, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(run_script(main))
