"""Files are written whole or not at all."""

import errno
import os
import stat

import pytest

from shared.system.files import FileError, write_atomic


def refuse_to_fsync(monkeypatch):
    def fsync(descriptor):
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)


def test_write_atomic_replaces_and_keeps_the_suffixes(tmp_path):
    seen = []

    def writer(file):
        seen.append(file)
        file.write_text("new")
        assert (tmp_path / "best.weights.h5").read_text() == "old"

    (tmp_path / "best.weights.h5").write_text("old")
    write_atomic(str(tmp_path / "best.weights.h5"), writer)
    assert (tmp_path / "best.weights.h5").read_text() == "new"
    assert seen[0].name.endswith(".best.weights.h5")
    assert seen[0].parent == tmp_path
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("place", ["writer", "fsync", "replace"])
def test_write_atomic_keeps_the_old_file_when_the_disk_is_full(tmp_path, monkeypatch, place):
    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def writer(file):
        file.write_text("half")
        if place == "writer":
            full()

    if place == "fsync":
        refuse_to_fsync(monkeypatch)
    if place == "replace":
        monkeypatch.setattr(os, "replace", full)
    (tmp_path / "last.npz").write_text("old")
    with pytest.raises(FileError, match=r"could not write .*last\.npz: No space left on device"):
        write_atomic(tmp_path / "last.npz", writer)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"last.npz": "old"}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_write_atomic_lets_other_errors_through(tmp_path, error):
    def writer(file):
        file.write_text("half")
        raise error

    (tmp_path / "last.npz").write_text("old")
    with pytest.raises(error):
        write_atomic(tmp_path / "last.npz", writer)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"last.npz": "old"}


def test_write_atomic_into_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileError, match="No such file or directory"):
        write_atomic(tmp_path / "absent" / "file", lambda file: file.write_text("x"))
