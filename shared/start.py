"""Where a run begins: settings that suit its data, and the network of the model that it starts from."""

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from shared.application import Application
from shared.runs.config import RunConfig
from shared.runs.folder import RunFolder
from shared.system.cli import UserError

Config = TypeVar("Config", bound=RunConfig)


def settle(run: RunFolder, config: Config, values: Mapping[str, Any], examples: str) -> Config:
    """Gives values that suit the data to the settings that are None, saves them in the run and prints them.

    What the user gave stays, and so does all in a run that resumes from a checkpoint.

    Args:
        run: the folder of the run, open.
        config: its settings.
        values: those that suit the data, by the names of settings.
        examples: how much data there is, for the sentence that is printed: `"20 training reviews"`.

    Returns:
        The settings to train with.

    Raises:
        UserError: the values do not go with what the user gave.
    """
    names = [name for name, value in values.items() if value is not None and getattr(config, name) is None]
    if run.has_checkpoint or not names:
        return config
    config = config.filled(values)
    run.save_config(dataclasses.asdict(config))
    shown = (f"--{name.replace('_', '-')} {getattr(config, name) or 'none'}" for name in names)
    print(f"Settings that suit {examples}: {' '.join(shown)}", flush=True)
    return config


def contradicting(
    app: Application, model: str | Path, arguments: argparse.Namespace, names: Sequence[str]
) -> list[str]:
    """The options with which `arguments` would have to agree, to start from a model of another network.

    Args:
        app: the application.
        model: a preset or run folder.
        arguments: from a parser of `add_config_arguments`; what was not given is not in it.
        names: settings of the network.
    """
    network = app.config.from_run(RunFolder.open(app.find(model, trainable=True), app.name)).pick(names)
    return [
        f"--{name.replace('_', '-')} {value}"
        for name, value in network.items()
        if getattr(arguments, name, value) != value
    ]


def adopt_network(
    app: Application, run: RunFolder, config: Config, arguments: argparse.Namespace, names: Sequence[str]
) -> Config:
    """The settings with the network of the model that the run starts from; saves them in the run.

    Args:
        app: the application.
        run: the folder of the run, open.
        config: its settings; `init_from` names the model, or is empty.
        arguments: of the command line.
        names: settings of the network.

    Raises:
        UserError: the command line asks for another network.
    """
    if run.has_checkpoint or not config.init_from:
        return config
    if wrong := contradicting(app, config.init_from, arguments, names):
        raise UserError(
            f"--init-from {config.init_from} has another network. To start from it, train with "
            f"{', '.join(wrong)}, or leave these options out."
        )
    model = RunFolder.open(app.find(config.init_from), app.name)
    config = dataclasses.replace(config, **app.config.from_run(model).pick(names))
    run.save_config(dataclasses.asdict(config))
    return config
