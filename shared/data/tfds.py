"""Datasets of tensorflow-datasets: `tfds:NAME` becomes a builder whose dataset is ready to be read."""

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from shared.data.source import DataError
from shared.system.quiet import import_tensorflow_quietly

# A failed connection is tried again this often. The library's own 10 take 200 seconds.
RETRIES = 2

Chosen = TypeVar("Chosen")


def data_dir() -> str | None:
    """The folder of datasets that the environment names; None: the library's own.

    The library itself looks at the variable only once, when it is imported.
    """
    return os.environ.get("TFDS_DATA_DIR") or None


def open_dataset(source: str, choose: Callable[[dict], Chosen], example: str) -> tuple[Any, Chosen]:
    """Finds the dataset that `tfds:NAME` names, downloading and preparing it on first use.

    Args:
        source: `tfds:NAME`; the name may have a config and a version, as in `tfds:coco_captions/2014:1.1.0`.
        choose: takes the features by name and returns those to read; raises `DataError` if the dataset cannot
            be used. It is called before anything is downloaded.
        example: a name that works, for the error where there is none.

    Returns:
        The builder to read with, and what `choose` returned.

    Raises:
        DataError: if there is no such dataset, or it cannot be used, downloaded or prepared.
    """
    name = source.partition(":")[2]
    if not name:
        raise DataError(f"tfds: needs a name, such as tfds:{example}.")
    import_tensorflow_quietly()
    import tensorflow_datasets as tfds

    return open_builder(source, lambda: tfds.builder(name, data_dir=data_dir()), choose)


def open_builder(
    name: str, make_builder: Callable[[], Any], choose: Callable[[dict], Chosen]
) -> tuple[Any, Chosen]:
    """As `open_dataset`, for any builder.

    Args:
        name: what messages call the dataset.
        make_builder: makes the builder; called again if preparation fails.
        choose: as for `open_dataset`.
    """
    builder = find_dataset(name, make_builder)
    features = builder.info.features
    chosen = choose(dict(features) if hasattr(features, "items") else {})
    return prepare_dataset(name, builder, make_builder), chosen


def read_split(builder: Any, split: str, keys: Iterable[str]) -> Iterator[dict]:
    """The records of a split as NumPy values, in order, decoding the features `keys` only."""
    import tensorflow_datasets as tfds

    wanted = tfds.decode.PartialDecoding(dict.fromkeys(keys, True))
    yield from tfds.as_numpy(builder.as_dataset(split=split, decoders=wanted, shuffle_files=False))


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
    except Exception as error:  # the library raises exceptions of many types for it
        raise DataError(
            f"{name}: tensorflow-datasets has no such dataset ({_first_line(error)}). "
            "Expected a name from its catalogue."
        ) from error


def prepare_dataset(name: str, builder: Any, make_builder: Callable[[], Any]) -> Any:
    """Downloads and prepares a dataset if that was not done before.

    Args:
        name: what messages call the dataset.
        builder: what `find_dataset` returned.
        make_builder: makes another one if preparation fails, as another process may have prepared it.

    Returns:
        The builder to read with.

    Raises:
        DataError: if it cannot be downloaded or prepared. Without a network connection, this takes a second.
    """
    try:
        # The library prints its progress; standard output belongs to results.
        with contextlib.redirect_stdout(sys.stderr), _few_retries():
            builder.download_and_prepare()
        return builder
    except Exception as error:  # network, disk, licences, missing extras: each with its own exception
        builder = make_builder()
        if builder.info.splits:
            return builder
        raise _unprepared(name, builder, error) from error


@contextlib.contextmanager
def _few_retries() -> Iterator[None]:
    """Limits the retries of downloads, and does not log them: one error says it all."""
    from tensorflow_datasets.core.download import downloader

    log = logging.getLogger("urllib3.connectionpool")
    retries, level = downloader.MAX_RETRIES, log.level
    downloader.MAX_RETRIES = RETRIES
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        downloader.MAX_RETRIES = retries
        log.setLevel(level)


def _unprepared(name: str, builder: Any, error: Exception) -> DataError:
    from requests.exceptions import RequestException
    from tensorflow_datasets.core.download.util import DownloadError

    if isinstance(error, RequestException | DownloadError):
        reason = getattr(error.args[0] if error.args else None, "reason", None) or error
        return DataError(
            f"{name} cannot be downloaded: {_first_line(reason)}. Check the network connection and try "
            "again; or prepare the dataset on another computer, copy its folder here, and name the folder "
            "that holds it in the environment variable TFDS_DATA_DIR."
        )
    return DataError(
        f"{name} cannot be prepared in {builder.data_dir}: {_first_line(error)}. If that folder cannot be "
        "written or is full, name another one in the environment variable TFDS_DATA_DIR."
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
