import gzip
import io
import json
import os
import sys
from pathlib import Path

import pytest

from sentiment.prediction.inputs import from_arguments, open_texts
from shared.data.encodings import Format
from shared.system.cli import UserError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(name, content=None, column="text", form=Format()):
    if content is not None:
        content = content if isinstance(content, bytes) else content.encode()
        Path(name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    with open_texts(name, column, form) as texts:
        return list(texts)


def texts(items):
    return [(item.line, item.text) for item in items]


def errors(items):
    return [(item.place, item.error) for item in items if item.error is not None]


def stdin_of(monkeypatch, content):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))


# -- a text a line ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["reviews.txt", "reviews", "reviews.txt.gz"])
def test_lines_are_texts_and_empty_ones_are_passed_over_but_counted(name):
    items = read(name, "\ufeffgood \r\n\n \t\nbad\x0b film\u2028it is\nno end")
    assert texts(items) == [(1, "good "), (4, "bad\x0b film\u2028it is"), (5, "no end")]
    assert [item.place for item in items] == [f"{name}:{line}" for line in (1, 4, 5)]
    assert all(item.fields == {} and item.error is None for item in items)


def test_standard_input_is_read_line_by_line(monkeypatch):
    stdin_of(monkeypatch, "gut\n\nsch\u00f6n\n".encode())
    items = read("-")
    assert texts(items) == [(1, "gut"), (3, "sch\u00f6n")]
    assert items[1].place == "standard input:3"


def test_lines_that_are_not_utf8_are_named_and_the_others_follow():
    items = read("reviews.txt", b"good\ncaf\xe9 was bad\nfine \xed\xa0\x80\nbad")
    assert texts(items) == [(1, "good"), (2, None), (3, None), (4, "bad")]
    assert errors(items) == [
        ("reviews.txt:2", "not UTF-8: byte 0xe9 at character 4"),
        ("reviews.txt:3", "not UTF-8: byte 0xed at character 6"),
    ]


@pytest.mark.parametrize("text", ["a film\x00 of", "\U0001f600", "\u0645\u0631\u062d\u0628\u0627", "!"])
def test_odd_characters_are_text(text):
    assert texts(read("reviews.txt", f"{text}\n{text}")) == [(1, text), (2, text)]


LINES = "A good film.\nUn tr\u00e8s bon film.\n\u00c0 voir!"


@pytest.mark.parametrize("name", ["reviews.txt", "-"])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "latin-1"])
def test_another_encoding_is_told_at_once(name, encoding, monkeypatch):
    content = LINES.encode(encoding)
    stdin_of(monkeypatch, content)
    shown = "standard input" if name == "-" else name
    with pytest.raises(UserError, match=f"^{shown} is not UTF-8 text. Give --encoding {encoding}, which"):
        read(name, content)
    stdin_of(monkeypatch, content)
    items = read(name, content, form=Format(encoding))
    assert [item.text for item in items] == LINES.split("\n")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_a_byte_order_mark_says_how_to_read(encoding):
    items = read("reviews.txt", LINES.encode(encoding))
    assert [item.text for item in items] == LINES.split("\n")


def test_a_long_line_is_one_text():
    long = "good " * 2**18
    assert texts(read("reviews.txt", long + "\nbad")) == [(1, long), (2, "bad")]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_texts_are_read_when_they_are_wanted():
    os.mkfifo("pipe")
    writer = os.open("pipe", os.O_RDWR)  # so that the other end does not wait for it
    os.write(writer, b"first\n")
    with open_texts("pipe") as items:
        assert next(items).text == "first"  # the second line is not there yet
        os.write(writer, b"second\n")
        assert next(items).text == "second"
    os.close(writer)


# -- tables ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["reviews.jsonl", "reviews.JSONL", "reviews.jsonl.gz"])
def test_json_lines_keep_their_fields(name):
    items = read(name, '{"id": 7, "text": "good", "tags": ["a"]}\n\n{"text": "", "id": null}\n')
    assert texts(items) == [(1, "good"), (3, "")]
    assert [item.fields for item in items] == [{"id": 7, "tags": ["a"]}, {"id": None}]


def test_bad_json_lines_are_named_and_the_others_follow():
    lines = [
        b'{"text": "good"}',
        b'{"text": "good"',
        b'["good"]',
        b'{"review": "good", "id": 1}',
        b'{"text": 7}',
        b'{"text": null}',
        b'{"text": "caf\xe9"}',
        b"[" * 100_000,
        b'{"text": "bad"}',
    ]
    items = read("reviews.jsonl", b"\n".join(lines))
    assert texts(items) == [(1, "good"), *((line, None) for line in range(2, 9)), (9, "bad")]
    found = dict(errors(items))
    assert list(found) == [f"reviews.jsonl:{line}" for line in range(2, 9)]
    assert found["reviews.jsonl:2"].startswith("not JSON")
    assert "expected a JSON object" in found["reviews.jsonl:3"]
    assert found["reviews.jsonl:4"] == "no field text; there is review, id. --text-column names another"
    assert found["reviews.jsonl:5"] == found["reviews.jsonl:6"] == "the field text is not a string"
    assert "not UTF-8" in found["reviews.jsonl:7"]
    assert "not JSON" in found["reviews.jsonl:8"]


def test_errors_at_the_end_are_told_too():
    assert texts(read("reviews.jsonl", '{"text": "good"}\n{\n{')) == [(1, "good"), (2, None), (3, None)]


def test_a_column_may_have_another_name():
    (item,) = read("reviews.jsonl", json.dumps({"review": "good", "text": "its title"}), column="review")
    assert (item.text, item.fields) == ("good", {"text": "its title"})


@pytest.mark.parametrize("name", ["reviews.csv", "reviews.csv.gz"])
def test_csv_with_texts_of_several_lines(name):
    items = read(name, '\ufeffid, text\n7,"good,\n""very"" good"\n\n8,bad\n')
    assert texts(items) == [(2, 'good,\n"very" good'), (5, "bad")]
    assert [item.fields for item in items] == [{"id": "7"}, {"id": "8"}]


def test_tsv_takes_quotation_marks_for_characters():
    assert texts(read("reviews.tsv", 'text\tid\n"good, it said\t7\n')) == [(2, '"good, it said')]


def test_bad_rows_are_named_and_the_others_follow():
    items = read("reviews.csv", b"id,text\n1,good\n2,well, not good\n3,caf\xe9\n4\n5,bad\n")
    assert texts(items) == [(2, "good"), (3, None), (4, None), (5, None), (6, "bad")]
    assert [place for place, _ in errors(items)] == [f"reviews.csv:{line}" for line in (3, 4, 5)]
    assert "UTF-8" in errors(items)[1][1]


def test_a_cell_may_be_as_long_as_a_book():
    long = "good " * 2**18
    assert texts(read("reviews.csv", f"text\n{long}\n")) == [(2, long)]


# -- what cannot be read at all --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.txt", None, "There is no file absent.txt"),
        ("absent.csv", None, "There is no file absent.csv"),
        ("\0", None, "There is no file"),
        (".", None, "is a folder"),
        ("reviews.csv", "review,id\ngood,7\n", "must name the columns text; it names review, id"),
        ("reviews.csv", "", "must name the columns text; it names nothing"),
    ],
)
def test_what_cannot_be_read_is_told_before_any_text_is_asked_for(name, content, message):
    if content is not None:
        Path(name).write_text(content)
    with pytest.raises(UserError, match=message), open_texts(name):
        pytest.fail("it was opened")


@pytest.mark.parametrize("name", ["reviews.txt.gz", "reviews.jsonl.gz", "reviews.csv.gz"])
@pytest.mark.parametrize("damage", [lambda packed: packed[: len(packed) // 2], lambda packed: b"no gzip"])
def test_damaged_files_are_a_clear_error(name, damage):
    packed = gzip.compress(b"text\n" + os.urandom(30_000).hex().encode())
    Path(name).write_bytes(damage(packed))
    with pytest.raises(UserError, match=rf"{name} cannot be read: .* Name a file that is complete"):
        read(name)


@pytest.mark.parametrize("name", ["reviews.txt", "reviews.jsonl", "reviews.txt.gz"])
def test_an_empty_file_has_no_texts(name):
    assert read(name, "") == []


def test_texts_of_the_command_line_are_counted():
    items = list(from_arguments(["good", "", "caf\udce9"]))
    assert texts(items) == [(1, "good"), (2, ""), (3, None)]
    assert items[2].place == "TEXT 3"
    assert "not UTF-8: byte 0xe9" in items[2].error
