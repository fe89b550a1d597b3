"""What the function `fit` of all applications shares: settings, a run folder, and the trained model."""

import argparse
import contextlib
import dataclasses
import io
import shutil
import tempfile
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from shared.application import Application
from shared.commands import open_run
from shared.runs.config import RunConfig
from shared.runs.folder import RunFolder
from shared.system.cli import NothingLearned, UserError, did_you_mean
from shared.system.quiet import import_tensorflow_quietly


def fit_settings(
    app: Application, base: RunConfig, start: str | Path | None, settings: Mapping[str, Any]
) -> RunConfig:
    """The settings of a run that `fit` starts.

    Args:
        app: the application.
        base: settings that hold where nothing else is given.
        start: the preset or run folder whose weights to start from; `"none"`: from nothing; None: what suits
            the amount of data.
        settings: those that the user gave, by name.

    Raises:
        UserError: there is no such model or setting, or a value cannot be used.
    """
    known = {field.name for field in dataclasses.fields(app.config)}
    for name in settings.keys() - known:
        raise UserError(
            f"fit has no argument {name!r}: it is not one of its own, and no setting of {app.name}.train."
            f"{did_you_mean(name, known)}"
        )
    if start is not None:
        start = "" if str(start) == "none" else str(start)
        if start:
            app.find(start, trainable=True)
        settings = {**settings, "init_from": start}
    try:
        return dataclasses.replace(base, **settings)
    except ValueError as error:
        raise UserError(f"{error}.") from error


def fit_model(
    app: Application,
    config: RunConfig,
    train: Callable[[RunConfig, RunFolder], object],
    out: str | Path | None,
    verbose: int,
) -> Any:
    """Trains a model in a run folder.

    Args:
        app: the application.
        config: the settings of the run.
        train: trains in an open run folder.
        out: the run folder; None: a temporary one, which is there as long as the model.
        verbose: 0: nothing is printed.

    Returns:
        The best model of the run.

    Raises:
        UserError: see `train` and `shared.commands.open_run`.
    """
    temporary = None if out else Path(tempfile.mkdtemp(prefix=f"{app.name}-"))
    arguments = argparse.Namespace(
        out=temporary / "run" if temporary else Path(out), resume=False, strategy=None
    )
    try:
        with _printing(verbose):
            with open_run(app, arguments, config) as run:
                import_tensorflow_quietly()
                try:
                    train(config, run)
                except NothingLearned as result:
                    warnings.warn(f"The model learned nothing: {result}", stacklevel=3)
            model = app.load_run(RunFolder.open(run.path, app.name))
    except BaseException:
        if temporary:
            shutil.rmtree(temporary, ignore_errors=True)
        raise
    if temporary:
        weakref.finalize(model, shutil.rmtree, temporary, ignore_errors=True)
    return model


@contextlib.contextmanager
def _printing(verbose: int) -> Iterator[None]:
    if verbose:
        yield
        return
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
