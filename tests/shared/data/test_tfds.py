"""Datasets of tensorflow-datasets that are there or not, can be downloaded and prepared or not."""

import functools
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

from shared.data import tfds as shared_tfds
from shared.data.source import DataError
from shared.data.tfds import data_dir, find_dataset, open_builder, open_dataset, prepare_dataset


def builder(prepare=lambda: None, splits=()):
    info = SimpleNamespace(splits=splits, features=None)
    return SimpleNamespace(download_and_prepare=prepare, info=info, data_dir="/place")


def failing(error):
    def fail(*arguments):
        raise error

    return fail


def test_the_folder_is_that_of_the_environment(monkeypatch):
    for value, expected in (("/somewhere", "/somewhere"), ("", None)):
        monkeypatch.setenv("TFDS_DATA_DIR", value)
        assert data_dir() == expected
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert data_dir() is None


def test_a_dataset_that_is_not_there():
    assert find_dataset("tfds:a", lambda: 3) == 3
    for error, reason in (
        (ValueError("\n No such thing.\nAnd more"), "No such thing"),
        (KeyError(), "KeyError"),
    ):
        with pytest.raises(DataError, match=rf"^tfds:a: .*has no such dataset \({reason}\)\. Expected"):
            find_dataset("tfds:a", failing(error))


def test_a_name_is_needed():
    with pytest.raises(DataError, match=r"^tfds: needs a name, such as tfds:mnist\."):
        open_dataset("tfds:", failing(AssertionError()), "mnist")


def test_preparing_leaves_standard_output_alone(capsys):
    first = builder(lambda: print("50 % done", file=sys.stdout))
    assert prepare_dataset("a", first, failing(AssertionError("made again"))) is first
    output = capsys.readouterr()
    assert (output.out, output.err) == ("", "50 % done\n")


def test_features_are_looked_at_before_anything_is_downloaded():
    unprepared = builder(failing(AssertionError("downloaded")))
    with pytest.raises(DataError, match="no texts"):
        open_builder("a", lambda: unprepared, failing(DataError("no texts")))
    assert open_builder("a", builder, lambda features: features)[1] == {}


def test_preparation_that_fails():
    broken = builder(failing(OSError("No space left\nhere")))
    with pytest.raises(DataError, match=r"a cannot be prepared in /place: No space left\. .*TFDS_DATA_DIR"):
        prepare_dataset("a", broken, builder)


def test_another_process_was_quicker():
    other = builder(splits=("train",))
    assert prepare_dataset("a", builder(failing(FileExistsError())), lambda: other) is other


@functools.cache
def downloading():
    """A dataset that downloads one file; making the class registers its name, so it is made once."""
    import tensorflow_datasets as tfds

    class Downloading(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = tfds.features.FeaturesDict({"number": np.int64})
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, dl_manager):
            return {"train": dl_manager.download("https://example.invalid/numbers.txt")}

        def _generate_examples(self, path):
            yield 0, {"number": 0}

    return Downloading


@pytest.mark.parametrize("error", [ConnectionRefusedError(111, "Connection refused"), TimeoutError("slow")])
def test_a_bad_network_ends_after_one_clear_error(tmp_path, monkeypatch, caplog, error):
    from tensorflow_datasets.core.download import downloader
    from urllib3.util import connection

    attempts = []

    def refuse(address, *_, **__):
        attempts.append(address[0])
        raise error

    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr(connection, "create_connection", refuse)
    retries, begin = downloader.MAX_RETRIES, time.monotonic()
    expected = r"^tfds:x cannot be downloaded: .*example\.invalid.*Check the network.*TFDS_DATA_DIR\.$"
    with pytest.raises(DataError, match=expected):
        open_builder("tfds:x", lambda: downloading()(data_dir=str(tmp_path)), dict)
    assert time.monotonic() - begin < 10
    assert attempts == ["example.invalid"] * (1 + shared_tfds.RETRIES)
    assert retries == downloader.MAX_RETRIES
    assert "Retrying" not in caplog.text
