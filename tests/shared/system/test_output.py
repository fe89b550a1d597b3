"""Where results go: files that can be written or not, pipes, devices, and what must not be lost."""

import errno
import io
import json
import os
import sys
import threading
from pathlib import Path

import pytest
from tqdm import tqdm

from shared.runs.folder import RunError
from shared.system.cli import UserError
from shared.system.output import check_output, check_outputs, open_output, write_whole

ODD = "caf\u00e9 \U0001f600\r\n\0"


@pytest.fixture
def pipe(tmp_path):
    """A named pipe, and a function that gives what was written to it."""
    path, got = tmp_path / "pipe", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: got.append(path.read_bytes()), daemon=True)
    reader.start()

    def written() -> bytes:
        reader.join(timeout=60)
        return got[0]

    return path, written


def test_checking_changes_nothing(tmp_path):
    old = tmp_path / "old.txt"
    old.write_text("kept")
    check_output(old)
    check_output(tmp_path / "new.txt", [old, tmp_path / "absent"])
    assert old.read_text() == "kept"
    assert [path.name for path in tmp_path.iterdir()] == ["old.txt"]


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    for path, reason in ((tmp_path, "Is a directory"), (tmp_path / "absent" / "file", "No such file")):
        with pytest.raises(
            UserError, match=f"Cannot write {path}: {reason}.*Name a file in an existing folder"
        ):
            check_output(path)


def test_an_input_under_any_of_its_names_is_no_output(tmp_path):
    source = tmp_path / "source.txt"
    source.write_text("kept")
    (tmp_path / "link.txt").symlink_to(source)
    for name in ("source.txt", "link.txt"):
        with pytest.raises(UserError, match=f"{name} is one of the inputs; writing would destroy it"):
            check_output(tmp_path / name, [tmp_path / "absent", source])
    assert source.read_text() == "kept"


def test_two_outputs_may_not_be_one_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("in").touch()
    check_outputs({"--a": Path("a"), "--b": None, "--c": Path("c")}, [Path("in")])
    with pytest.raises(UserError, match=r"^--a and --c both name a\. Name two files"):
        check_outputs({"--a": Path("a"), "--b": None, "--c": tmp_path / "a"})
    with pytest.raises(UserError, match="in is one of the inputs"):
        check_outputs({"--a": Path("a"), "--b": Path("in")}, iter([Path("in")]))
    check_outputs({"--a": Path(os.devnull), "--b": Path(os.devnull)})
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_pipe_is_not_disturbed_by_the_check(pipe):
    path, written = pipe
    check_output(path, [path])
    with open_output(path) as write:
        write("all")
    assert written() == b"all"


def test_a_file_holds_each_piece_as_soon_as_it_is_written(tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("an old and much longer file\n" * 9)
    with open_output(path) as write:
        write(ODD)
        assert path.read_bytes() == ODD.encode()
        write("b")
        assert path.read_bytes() == ODD.encode() + b"b"


def test_what_is_no_unicode_is_written_with_escapes(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    with open_output(tmp_path / "out") as write:
        write(name)
    assert (tmp_path / "out").read_bytes() == rb"caf\udce9.png"


def test_a_bar_on_the_same_terminal_makes_way(monkeypatch):
    terminal = io.StringIO()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "stderr", terminal)
    with tqdm(total=5, desc="bar", file=sys.stderr, ascii=True), open_output(None) as write:
        write("line\n")
    before = terminal.getvalue().partition("line\n")[0]
    assert before.endswith("\r")
    assert before.rsplit("\r", 2)[1].strip() == ""


class Full(io.StringIO):
    def write(self, text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_an_error_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Full())
    monkeypatch.setattr(Path, "open", lambda *arguments, **options: Full())
    for path, name in ((None, "standard output"), (tmp_path / "out", "/out")):
        with (
            pytest.raises(UserError, match=f"Cannot write .*{name}: No space left"),
            open_output(path) as write,
        ):
            write("x")


def test_a_reader_that_leaves_is_no_error_of_the_user():
    source, target = os.pipe()
    os.close(source)
    with pytest.raises(BrokenPipeError), open_output(Path(f"/dev/fd/{target}")) as write:
        write("x")
    os.close(target)


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "figures.json"
    path.write_text("old")
    write_whole(path, json.dumps({"name": "caf\udce9"}, ensure_ascii=False))
    assert path.read_bytes() == rb'{"name": "caf\udce9"}'
    monkeypatch.setattr(os, "replace", lambda *names: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(RunError, match=r"could not write .*figures\.json: No space left"):
        write_whole(path, "new")
    assert json.loads(path.read_text()) == {"name": "caf\udce9"}
    assert [file.name for file in tmp_path.iterdir()] == ["figures.json"]


def test_a_pipe_gets_the_text_and_stays_a_pipe(pipe):
    path, written = pipe
    write_whole(path, ODD)
    assert written() == ODD.encode()
    assert path.is_fifo()
