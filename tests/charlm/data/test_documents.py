"""Documents: read in blocks of any size, and each way in which their bytes can be bad."""

import io
import tracemalloc
from pathlib import Path

import pytest

from charlm.data import documents
from charlm.data.documents import Document
from charlm.data.load import load_text
from shared.data.source import DataError
from shared.system.cli import UserError


@pytest.mark.parametrize("block", [1, 2, 3, 5, 7, 1000])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("in_memory", [True, False])
def test_any_stretch_of_a_document(tmp_path, monkeypatch, mixed_text, block, bom, in_memory):
    monkeypatch.setattr(documents, "BLOCK", block)
    (tmp_path / "file").write_bytes(bom + mixed_text.encode())
    content = (bom + mixed_text.encode()) if in_memory else tmp_path / "file"
    document = Document("d", content)
    assert document.characters == len(mixed_text)
    assert document.bytes == len(mixed_text.encode())
    for start in range(len(mixed_text) + 1):
        for stop in range(start, len(mixed_text) + 1):
            pieces = list(document.chunks(start, stop, size=1 + (start + stop) % 4))
            assert "".join(pieces) == mixed_text[start:stop]
            assert all(0 < len(piece) <= 1 + (start + stop) % 4 for piece in pieces)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"x\.txt is empty\. Expected a text of at least one character"),
        (b"\xef\xbb\xbf", r"x\.txt is empty"),
        (b"text\0text", r"x\.txt looks binary: it contains NUL bytes"),
        ("text".encode("utf-16-le"), r"x\.txt is not UTF-8\. Give --encoding utf-16-le, which reads \"te"),
        ("text".encode("utf-16") + b"x", r"x\.txt is not text in utf-16 \(.*truncated"),
        (
            "tr\u00e8s".encode("latin-1"),
            r"in line 1, found 0xe8 .*\. Give --encoding latin-1, .*tr\u00e8s",
        ),
        (b"ab\nc\xff", r"x\.txt is not UTF-8: at byte 4 .*, in line 2, found 0xff \(invalid start byte\)"),
        (
            b"\xef\xbb\xbfab\n\n\xe9t\xe9",
            r"at byte 7 .*, in line 3, found 0xe9 \(invalid continuation byte\)",
        ),
        (b"abcde\n\xc3", r"at byte 6 .*, in line 2, found 0xc3 \(unexpected end of data\)"),
        (b"\xed\xa0\x80", r"at byte 0 .*, in line 1, found 0xed"),
    ],
)
@pytest.mark.parametrize("block", [5, 1000])
def test_bad_content(tmp_path, monkeypatch, content, message, block):
    monkeypatch.setattr(documents, "BLOCK", block)
    path = tmp_path / "x.txt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        load_text(path)


def test_a_bad_file_among_good_ones_is_named(tmp_path):
    (tmp_path / "a.txt").write_text("fine")
    (tmp_path / "b.txt").write_bytes(b"not \xff fine")
    with pytest.raises(DataError, match=r"b\.txt is not UTF-8: at byte 4 "):
        load_text(tmp_path)


def test_bad_bytes_far_inside(tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "BLOCK", 7)
    path = tmp_path / "x.txt"
    for place in range(60):
        content = bytearray(("\u00e9\n" * 20).encode())
        content[place] = 0xFF
        path.write_bytes(content)
        with pytest.raises(UnicodeDecodeError) as expected:
            content.decode()
        start = expected.value.start
        line = 1 + content[:start].count(b"\n")
        with pytest.raises(DataError, match=rf"at byte {start} \(counted from 0\), in line {line}, "):
            load_text(path)


def test_file_that_may_not_be_read(mixed, monkeypatch):
    def refuse(path, *_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match=r"mixed\.txt cannot be read: Permission denied"):
        load_text(mixed)


@pytest.mark.parametrize("content", [b"", "all but the last byte", b"z" * 40, b"\xff" * 40, None])
def test_file_that_changes_after_it_was_counted(mixed, monkeypatch, content):
    monkeypatch.setattr(documents, "BLOCK", 7)
    data = load_text(mixed, validation_fraction=0.4)
    if content is None:
        mixed.unlink()
    else:
        mixed.write_bytes(mixed.read_bytes()[:-1] if isinstance(content, str) else content)
    with pytest.raises(DataError, match=r"mixed\.txt (changed while it was being read|cannot be read)"):
        data.text("validation")


def test_memory_does_not_grow_with_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "BLOCK", 2**14)
    path = tmp_path / "large.txt"
    path.write_text("\u00e9t\u00e9\n" * 400_000)
    tracemalloc.start()
    try:
        data = load_text(path)
        counted = sum(map(len, data.chunks("validation", size=2**14)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert counted == data.characters("validation") == 160_000
    assert peak < path.stat().st_size / 5


@pytest.mark.parametrize("source", ["x.txt", ".", "-"])
@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-8-sig", "utf-16-be"])
def test_a_text_in_another_encoding(tmp_path, monkeypatch, source, encoding):
    text = "D\u00e9j\u00e0 vu,\r\nd\u00e9j\u00e0 lu."
    (tmp_path / "x.txt").write_bytes(text.encode(encoding))
    monkeypatch.chdir(tmp_path)
    stdin = io.BytesIO(text.encode(encoding))
    has_mark = encoding in ("utf-16", "utf-8-sig")
    data = load_text(source, encoding="" if has_mark else encoding, stdin=stdin)
    assert data.text("all") == text
    assert data.documents[0].bytes == len(text.encode())


def test_an_unknown_encoding(tmp_path):
    (tmp_path / "x.txt").write_text("text")
    with pytest.raises(DataError, match="Unknown encoding 'latin-99'"):
        load_text(tmp_path / "x.txt", encoding="latin-99")
