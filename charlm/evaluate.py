"""Measures a character model on a text: python -m charlm.evaluate --model MODEL --data SOURCE --split SPLIT.

Keras and TensorFlow are imported after the command line is understood, so that `--help` answers at once.
"""

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charlm.config import SOURCES, CharLMConfig
from charlm.data.ids import encode_split
from charlm.data.load import load_text
from charlm.data.text_data import TextData
from charlm.evaluation.measures import Row, figures, measure, table
from shared.runs.folder import RunFolder
from shared.runs.presets import find_model
from shared.system.cli import UserError, run_script
from shared.system.options import finite_number, whole_number
from shared.system.output import check_output, open_output, write_whole
from shared.system.quiet import import_tensorflow_quietly

if TYPE_CHECKING:
    from charlm.model.char_lm import CharLM

# Settings of a run in whose place options of this script may stand.
DATA_SETTINGS = ("data", "pattern", "validation_fraction", "test_fraction")


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m charlm.evaluate",
        description="Measure what a text costs a character model, in nats and bits per character. Carried: "
        "the state runs through the whole text. Windowed: it begins at zero every so many tokens, as "
        "nanoGPT evaluates. Beside them stands a Kneser-Ney n-gram model, fitted to the training part of the "
        "text; its context runs through the whole text, too.",
        epilog="Exit status: 0; 2 if nothing could be measured.",
    )
    parser.add_argument(
        "--model",
        default="shakespeare",
        help="preset, run folder of charlm.train or folder of charlm.export (default: %(default)s)",
    )
    _add_data_arguments(parser)
    parser.add_argument(
        "--window",
        type=whole_number,
        default=256,
        metavar="N",
        help="tokens from one cold start of windowed (default: %(default)s)",
    )
    _add_dynamic_arguments(parser)
    parser.add_argument(
        "--baseline",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="fit and score the n-gram model (default: on)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="file for all figures and settings")
    return parser.parse_args(argv)


def _add_data_arguments(parser):
    parser.add_argument(
        "--data",
        nargs="+",
        metavar="SOURCE",
        help=f"{SOURCES} (default, for this and the next three: what the model was trained with)",
    )
    parser.add_argument("--pattern", help="which files of a folder")
    for name, place in (("validation", "after the training part"), ("test", "at its very end")):
        parser.add_argument(
            f"--{name}-fraction", type=finite_number, metavar="F", help=f"its share of the text, {place}"
        )
    parser.add_argument(
        "--split", default="validation", help="train, validation, test or all (default: %(default)s)"
    )


def _add_dynamic_arguments(parser):
    parser.add_argument(
        "--dynamic",
        action="store_true",
        help="dynamic evaluation, too: a copy of the model goes on learning from what it has predicted",
    )
    for name, kind, default, text in (
        ("segment", whole_number, 20, "tokens between two updates (default: 20)"),
        ("rate", finite_number, None, "its learning rate (default: 0.00005; by plain SGD 0.03)"),
        ("decay", _share, 0.001, "pull towards the trained weights, 0 to 1 (default: 0.001)"),
    ):
        parser.add_argument(f"--dynamic-{name}", type=kind, default=default, metavar="X", help=text)


def _share(text: str) -> float:
    number = finite_number(text)
    if number > 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text!r}")
    return number


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    arguments = parse_arguments(argv)
    if arguments.json is not None:
        check_output(arguments.json)
    import_tensorflow_quietly()
    trained = trained_with(arguments.model)
    config = data_settings(arguments, trained)
    data = load_text(config.data, **{name: getattr(config, name) for name in DATA_SETTINGS[1:]})
    _check_split(data, arguments.split)
    if arguments.json is not None:
        check_output(arguments.json, [Path(document.name) for document in data.documents])
    from charlm.model.char_lm import CharLM

    model = CharLM.from_any(arguments.model)
    with open_output(None) as write:
        write(heading(arguments, model, data) + "\n\n")
        rows, notes = _measure(arguments, model, data)
        notes = _notes(arguments.split, config, trained) + notes
        write(table(rows) + "\n" + "".join(f"\n{note}" for note in notes) + "\n" * bool(notes))
    if arguments.json is not None:
        record = _record(arguments, model, data, config, rows, notes)
        write_whole(arguments.json, json.dumps(record, ensure_ascii=False, indent=1) + "\n")
    return 0


def _measure(arguments, model, data) -> tuple[list[Row], list[str]]:
    dynamic = {
        "segment": arguments.dynamic_segment,
        "learning_rate": arguments.dynamic_rate,
        "decay": arguments.dynamic_decay,
    }
    return measure(
        model,
        encode_split(data, arguments.split, model.vocabulary),
        data,
        arguments.split,
        window=arguments.window,
        dynamic=dynamic if arguments.dynamic else None,
        baseline=arguments.baseline,
    )


def trained_with(name: str) -> CharLMConfig | None:
    """The settings that a preset or run was trained with; None for an exported model, which has none.

    Raises:
        UserError: there is no such model, or it is not one of this application.
    """
    from charlm.model.char_lm import PRESETS

    path = find_model(name, PRESETS, app="charlm")
    if (path / "saved_model.pb").exists():
        return None
    return CharLMConfig.from_run(RunFolder.open(path, "charlm"))


def data_settings(arguments: argparse.Namespace, trained: CharLMConfig | None) -> CharLMConfig:
    """The settings of a run, with the options about data that were given in place of its own.

    Raises:
        UserError: the data are to be those of the run, which cannot be had again; or an exported model is
            asked to learn.
    """
    if trained is None and arguments.dynamic:
        raise UserError(
            f"{arguments.model} is an exported model, which cannot learn. For --dynamic, name the run folder "
            "or preset that it was exported from."
        )
    if arguments.data is None and (trained is None or "-" in trained.data):
        reason = "does not say what it was trained on" if trained is None else "was trained on standard input"
        raise UserError(f"{arguments.model} {reason}. Name a text with --data.")
    given = {name: getattr(arguments, name) for name in DATA_SETTINGS if getattr(arguments, name) is not None}
    return dataclasses.replace(trained or CharLMConfig(), **given)


def _check_split(data: TextData, split: str) -> None:
    characters = data.characters(split)
    if characters < 2:
        raise UserError(
            f"The split {split!r} of {data.name} has {characters} character. Expected at least 2, because "
            "the first one is not predicted. Give more text, or name another --split."
        )


def _notes(split: str, config: CharLMConfig, trained: CharLMConfig | None) -> list[str]:
    """What to know where the model may have learned from what it is measured on."""
    if trained is None or (config.data, config.pattern) != (trained.data, trained.pattern):
        return []
    if config != trained:
        return ["In training this text was cut otherwise: the model may know parts of this split."]
    return ["The model was trained on this text, or on most of it."] if split in ("train", "all") else []


def heading(arguments: argparse.Namespace, model: "CharLM", data: TextData) -> str:
    """What is measured on what, in words."""
    settings, split = model.settings, arguments.split
    network = f"{settings['cell']}, {settings['depth']} x {settings['units']}"
    return (
        f"model  {arguments.model}: {network}, {len(model.vocabulary.characters)} characters and 256 bytes\n"
        f"data   {data.name}: {data.rule}\n"
        f"split  {split}: {data.characters(split):,} characters, all but the first one are predicted"
    )


def _record(arguments, model, data, config, rows: Sequence[Row], notes) -> dict[str, Any]:
    """All figures and settings."""
    return {
        "model": arguments.model,
        "network": dict(model.settings),
        **{name: getattr(config, name) for name in DATA_SETTINGS},
        "rule": data.rule,
        "split": arguments.split,
        "predicted_characters": rows[0].score.characters,
        "predicted_tokens": rows[0].score.tokens,
        "scores": {row.kind: figures(row) for row in rows},
        "notes": notes,
    }


if __name__ == "__main__":
    raise SystemExit(run_script(main))
