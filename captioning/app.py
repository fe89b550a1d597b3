"""The description of this application: where its settings, presets and models are."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from captioning.config import CALIBRATION_FILE, CaptioningConfig
from shared.application import Application
from shared.runs.folder import RunFolder
from shared.system.cli import Parser


def _load_run(run: RunFolder):
    from captioning.model.captioner import Captioner

    return Captioner.from_run(run)


def _load_export(path: Path):
    from captioning.model.exported import ExportedCaptioner

    return ExportedCaptioner(path)


APP = Application(
    "captioning",
    CaptioningConfig,
    default_model="photos",
    load_run=_load_run,
    load_export=_load_export,
    export_file="captioner.json",
    optional_files=(CALIBRATION_FILE,),
)


def load_model(name: str | Path, *others: str | Path, trainable: bool = False):
    """Loads a captioner, or several as an ensemble.

    Args:
        name: a preset, a run folder or an exported SavedModel folder.
        *others: further presets or run folders, which write each caption together with the first.
        trainable: whether an exported model, which has fixed weights, would not do.

    Raises:
        UserError: there is no such model, it is damaged, or the models cannot form an ensemble.
    """
    if not others:
        return APP.load(name, trainable)
    find_models([name, *others])
    members = [APP.load(each, True) for each in (name, *others)]
    from captioning.model.ensemble import Ensemble

    return Ensemble(members)


def find_models(names: Sequence[str | Path], trainable: bool = False) -> None:
    """Checks that `load_model` has models to load, without loading them.

    Raises:
        UserError: there is no model of a name, or it is one of several and an exported one.
    """
    for name in names:
        APP.find(name, trainable or len(names) > 1)


def add_models_option(parser: Parser, trainable: bool = False) -> None:
    """Adds `--model`, which may be given several times; `chosen_models` gives what it named."""
    parser.add_argument(
        "--model",
        action="append",
        help=f"{APP.kinds_of_models(trainable)} (default: {APP.default_model}); given several times, presets "
        "and run folders, whose probabilities are averaged",
    )


def chosen_models(arguments: Namespace) -> list[str]:
    """The models that a command line names."""
    return arguments.model or [APP.default_model]
