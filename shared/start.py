"""Where a run begins: settings that suit its data, and the network of the model that it starts from."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
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


def differing(
    app: Application, model: str | Path, config: RunConfig, given: Collection[str], names: Sequence[str]
) -> dict[str, Any]:
    """The settings of a network that the user chose otherwise than a model has them, with the model's values.

    Args:
        app: the application.
        model: a preset or run folder.
        config: the settings of a run.
        given: names of settings that the user chose.
        names: settings of the network.

    Raises:
        UserError: there is no such model.
    """
    theirs = app.trained_with(model).pick(names)
    return {name: value for name, value in theirs.items() if name in given and getattr(config, name) != value}


def adopt_network(
    app: Application,
    config: Config,
    given: Collection[str],
    shape: Sequence[str],
    other: Sequence[str] = (),
) -> Config:
    """The settings with the network of the model that the run starts from, if it starts from one.

    Args:
        app: the application.
        config: the settings; `init_from` names the model, or is empty.
        given: names of settings that the user chose.
        shape: settings of the network that decide on its weights; they must be the model's.
        other: settings that the run takes from the model, too, unless the user chose them.

    Raises:
        UserError: `init_from` names no model, or one of another network than the user asks for.
    """
    model = config.init_from
    if not model:
        return config
    app.find(model, trainable=True)
    if own := differing(app, model, config, given, shape):
        options = ", ".join(f"--{name.replace('_', '-')} {getattr(config, name)}" for name in own)
        raise UserError(
            f"{options} does not go with --init-from {model}, whose network has "
            f"{', '.join(map(str, own.values()))}. Omit the option, or start with --init-from none."
        )
    names = [name for name in dict.fromkeys((*shape, *other)) if name not in given]
    return dataclasses.replace(config, **app.trained_with(model).pick(names))
