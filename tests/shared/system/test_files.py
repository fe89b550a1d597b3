"""Files are written whole or not at all."""

import errno
import os
import stat

import pytest

from shared.system.files import FileError, remove_partial_files, take_lock, write_atomic


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


def test_the_old_file_may_stay_under_another_name(tmp_path, monkeypatch):
    path, previous = tmp_path / "last.npz", tmp_path / "previous.npz"
    for text in ("1", "2", "3"):
        write_atomic(path, lambda file, text=text: file.write_text(text), previous)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {
        "last.npz": "3",
        "previous.npz": "2",
    }
    replace = os.replace

    def refuse(source, target):
        if ".partial-" in str(source):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(FileError, match="No space left on device"):
        write_atomic(path, lambda file: file.write_text("4"), previous)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"last.npz": "3"}


def test_partial_files_are_removed_and_nothing_else(tmp_path):
    (tmp_path / "inner").mkdir()
    for name in ("last.npz", ".partial-1.last.npz", "inner/.partial-2.a", "inner/b"):
        (tmp_path / name).touch()
    remove_partial_files(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["b", "inner", "last.npz"]


def test_a_lock_has_one_holder_and_ends_with_its_file(tmp_path):
    with open(tmp_path / "lock", "a") as first, open(tmp_path / "lock", "a") as second:
        assert take_lock(first)
        assert not take_lock(second)
    with open(tmp_path / "lock", "a") as third:
        assert take_lock(third)


def test_write_atomic_into_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileError, match="No such file or directory"):
        write_atomic(tmp_path / "absent" / "file", lambda file: file.write_text("x"))
