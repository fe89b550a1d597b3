"""What the applications' sources of data share: their error, and datasets of tensorflow-datasets."""

import contextlib
import os
import sys
from collections.abc import Callable
from typing import Any

from shared.system.cli import UserError


class DataError(UserError):
    """A source of data that is unknown, empty, or not of the form it should be."""


def data_dir() -> str | None:
    """The folder of datasets that the environment names; None: the library's own.

    The library itself looks at the variable only once, when it is imported.
    """
    return os.environ.get("TFDS_DATA_DIR") or None


def find_dataset(name: str, make_builder: Callable[[], Any]) -> Any:
    """A builder of tensorflow-datasets, which knows its features and need not be prepared yet.

    Args:
        name: what messages call the dataset.
        make_builder: makes the builder.

    Raises:
        DataError: if there is no such dataset.
    """
    try:
        return make_builder()
    except Exception as error:  # the library has many reasons, of many types, not to give one
        raise DataError(
            f"{name}: tensorflow-datasets has no such dataset ({_first_line(error)}). "
            "Expected a name of its catalogue."
        ) from error


def prepare_dataset(name: str, builder: Any, make_builder: Callable[[], Any]) -> Any:
    """Downloads and prepares a dataset where that was not done before.

    Args:
        name: what messages call the dataset.
        builder: what `find_dataset` found.
        make_builder: makes another one if preparation fails, for another process may have been quicker.

    Returns:
        The builder to read with.

    Raises:
        DataError: if it cannot be prepared.
    """
    try:
        # The library prints its progress; standard output belongs to results.
        with contextlib.redirect_stdout(sys.stderr):
            builder.download_and_prepare()
        return builder
    except Exception as error:  # network, disk, licences, missing extras: each with its own exception
        builder = make_builder()
        if builder.info.splits:
            return builder
        raise DataError(
            f"{name} cannot be prepared in {builder.data_dir}: {_first_line(error)}. If that folder "
            "cannot be written or is full, name another one in the environment variable TFDS_DATA_DIR."
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
