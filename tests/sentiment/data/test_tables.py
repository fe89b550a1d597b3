"""Labelled texts of CSV, TSV and JSON Lines, and each way in which a row or file can be bad."""

import csv
import gzip
import json

import pytest

from sentiment.data.load import load_reviews, load_texts
from sentiment.data.reviews import Review
from shared.data.source import DataError
from shared.system.cli import UserError


def texts(data, split):
    return [review.text for review in data.split(split)]


def vars_of(review):
    return review.text, review.label, review.place


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "csv.gz", "TSV.gz", "jsonl.GZ"])
def test_tables_with_splits(tmp_path, suffix, write_table, sample_rows):
    path = write_table(tmp_path / f"x.{suffix.lower()}", sample_rows).rename(tmp_path / f"x.{suffix}")
    data = load_reviews(path)
    odd = sample_rows[2][0].replace(",\t", ", ") if "tsv" in suffix.lower() else sample_rows[2][0]
    header = 0 if "jsonl" in suffix else 1
    assert dict(data.splits) == {
        "train": tuple(Review(*sample_rows[i][:2], f"{path}:{1 + i + header}") for i in (0, 1, 3, 6)),
        "validation": (
            Review(odd, "up", f"{path}:{3 + header}"),
            Review("meh", "flat", f"{path}:{5 + header}"),
        ),
        "test": (Review("fine", "up", f"{path}:{6 + header}"),),
    }
    assert list(data.splits) == ["train", "validation", "test"]
    assert data.labels == ("down", "flat", "up")
    assert (data.name, data.problems) == (str(path), ())
    assert data.rule == "as the source has it; train 4, validation 2, test 1"
    assert data.split("all") == sum(data.splits.values(), ())


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl"])
def test_names_of_columns(tmp_path, suffix, write_table):
    rows = [(str(i), f"review {i}", "ab"[i % 2], "train" if i < 5 else "val") for i in range(7)]
    path = write_table(tmp_path / f"x.{suffix}", rows, ("id", "body", "stars", "fold"))
    data = load_reviews(path, text_column="body", label_column="stars", split_column="fold")
    assert texts(data, "train") == [f"review {i}" for i in range(5)]
    assert [r.label for r in data.split("validation")] == ["b", "a"]
    with pytest.raises(DataError, match=r"text.*id, body, stars, fold"):
        load_reviews(path)
    with pytest.raises(DataError, match=r"part\b.*id, body, stars, fold"):
        load_reviews(path, text_column="body", label_column="stars", split_column="part")


def test_labels_that_are_numbers_become_strings(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps({"text": f"t{i}", "label": x}) + "\n" for i, x in enumerate([3, 0.5])))
    assert load_reviews(path, validation_fraction=0.0).labels == ("0.5", "3")
    path = tmp_path / "y.csv"
    path.write_text("label,text\n1,a\n 0 ,b\n")
    assert load_reviews(path, validation_fraction=0.0).labels == ("0", "1")
    path = tmp_path / "z.jsonl"
    path.write_text('{"text": "a", "label": true}\n{"text": "b", "label": false}\n')
    assert load_reviews(path, validation_fraction=0.0).labels == ("false", "true")


def test_csv_in_full(tmp_path):
    path = tmp_path / "x.csv"
    large = "long, " * 50_000
    path.write_bytes(
        b"\xef\xbb\xbf text ,label\r\n"
        b'"two\r\nlines ""quoted""",a\r\n\r\n'
        b'after a blank line,b\r\n"' + large.encode() + b'",b\r\n'
    )
    before = csv.field_size_limit()
    train = load_reviews(path, validation_fraction=0.0).split("train")
    assert [tuple(vars_of(review)) for review in train] == [
        ('two\r\nlines "quoted"', "a", f"{path}:2"),
        ("after a blank line", "b", f"{path}:5"),
        (large, "b", f"{path}:6"),
    ]
    assert csv.field_size_limit() == before


def test_in_tsv_a_quotation_mark_is_a_character(tmp_path):
    path = tmp_path / "x.tsv"
    path.write_text('text\tlabel\n"Open ended\tb\n"Closed"\ta\nHe said ""x""\ta\n')
    assert texts(load_reviews(path, validation_fraction=0.0), "train") == [
        '"Open ended',
        '"Closed"',
        'He said ""x""',
    ]


def test_csv_problems(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(
        b"text,label,split\n"
        b"fine,a,\n"
        b"too,few\n"
        b"too,many,train,cells\n"
        b"\xe9t\xe9,a,train\n"
        b',a,train\n"  \n",a,train\n'
        b"no label,  ,train\n"
        b"unknown split,a,extra\n"
        b'"quote"d,a,train\n'
        b"fine too,b,train\n"
        b'"never closed,a,train\nlast,b,train\n'
    )
    data = load_reviews(path, validation_fraction=0.0)
    assert texts(data, "all") == ["fine", "fine too"]
    assert [str(problem).removeprefix(f"{path}:") for problem in data.problems] == [
        "3: the row has 2 fields, the header 3",
        "4: the row has 4 fields, the header 3",
        "5: not UTF-8",
        "6: column text is empty",
        "7: column text is empty",
        "9: column label is empty",
        '10: column split is not one of train, validation, test: "extra"',
        "11: not a row of a table (',' expected after '\"')",
        "13: a quotation mark is not closed: lines 13 to 14 are left out",
    ]


def test_jsonl_problems(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(
        b'{"text": "fine", "label": "a", "split": null}\n'
        b"\n"
        b'{"text": "cut off\n'
        b'["no", "object"]\n'
        b'{"text": "\xe9t\xe9", "label": "a"}\n'
        b'{"label": "a", "body": "x"}\n'
        b'{"text": 7, "label": "a"}\n'
        b'{"text": " ", "label": "a"}\n'
        b'{"text": "x", "label": null}\n'
        b'{"text": "x", "label": ["a"]}\n'
        b'{"text": "x", "label": NaN}\n'
        b'{"text": "x", "label": "a", "split": 3}\n' + b"[" * 100_000 + b"\n"
        b'{"text": "fine\\u0000 \\ud800", "label": "b"}\n'
    )
    data = load_reviews(path, validation_fraction=0.0)
    assert texts(data, "all") == ["fine", "fine\0 \ud800"]
    problems = [str(problem).removeprefix(f"{path}:") for problem in data.problems]
    assert [problem.partition(" (")[0] for problem in problems] == [
        "3: not JSON",
        "4: expected a JSON object with text and label",
        "5: not UTF-8",
        "6: column text is missing; the row has label, body",
        "7: column text is not a string: 7",
        "8: column text is empty",
        "9: column label is missing; the row has text, label",
        '10: column label is neither a string nor a number: ["a"]',
        "11: column label is neither a string nor a number: NaN",
        "12: column split is not one of train, validation, test: 3",
        "13: not JSON",
    ]


def test_lone_surrogates_do_not_stop_the_cut(tmp_path):
    path = tmp_path / "x.jsonl"
    rows = [{"text": f"\ud800{i}", "label": i % 2} for i in range(10)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert len(load_reviews(path, validation_fraction=0.4).split("validation")) == 4


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", b"", r"first line must name the columns text and label; it names nothing"),
        ("x.csv", b"text,stars\nfine,3\n", r"must name the columns text and label; it names text, stars\."),
        ("x.tsv", b"text,stars\nfine,3\n", r"it names text,stars\. Name others with --text-column"),
        ("x.csv", b"text:label\nfine:3\n", r"it names text:label\. Give --delimiter :\."),
        ("x.csv", b"text,label,text\nfine,3,x\n", r"names the column text more than once"),
        ("x.csv", b'"text,label\n', r"the first line is not the header of a table"),
        (
            "x.csv",
            "text,label\nfine,3\n".encode("utf-16-le"),
            r"is not UTF-8 text\. Give --encoding utf-16-le",
        ),
        (
            "x.csv",
            "t\u00e9xt,label\n".encode("latin-1"),
            r"not UTF-8 text\. Give --encoding latin-1, .*t\u00e9xt",
        ),
        ("x.csv", b"text,label\n", r"x\.csv has no usable texts\. It is empty"),
        ("x.jsonl", b"\n", r"x\.jsonl has no usable texts\. It is empty"),
        (
            "x.jsonl",
            b'{"text": "a"}\n7\n',
            r"no usable texts\. The first of 2 problems: .*x\.jsonl:1: column label",
        ),
        ("x.jsonl.gz", b'{"text": "a"}\n', r"x\.jsonl\.gz cannot be read: Not a gzipped file"),
        (
            "x.csv.gz",
            gzip.compress(b"text,label\n" * 99, mtime=0)[:-9],
            r"x\.csv\.gz cannot be read: .*end-of-stream",
        ),
        (
            "x.csv.gz",
            gzip.compress(bytes(range(99)), mtime=0)[:20] + b"\xff" * 90,
            r"x\.csv\.gz cannot be read: ",
        ),
        ("x.xml", b"<x/>", r"x\.xml: unknown kind of file\. Expected \.csv, \.tsv, \.jsonl"),
        ("x.gz", b"", r"x\.gz: unknown kind of file"),
    ],
)
def test_unusable_files(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        load_reviews(tmp_path / name)


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch, write_table, sample_rows):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    path = write_table(tmp_path / "x.csv", sample_rows)
    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(DataError, match=r"x\.csv cannot be read: Permission denied\. Name a file"):
        load_reviews(path)


def test_a_spreadsheet_of_another_country(tmp_path):
    """Semicolons, Windows line ends, Latin-1, header and labels written differently."""
    path = tmp_path / "avis.csv"
    rows = ["Text;LABEL;Split", "tr\u00e8s bien;TRUE;train", "p\u00e9nible;FALSE;dev", "bof;FALSE;train"]
    path.write_bytes("\r\n".join(rows).encode("latin-1"))
    with pytest.raises(DataError, match="Give --encoding latin-1"):
        load_reviews(path)
    data = load_reviews(path, encoding="latin-1", labels="false=negative,true=positive")
    assert [(r.text, r.label) for r in data.split("all")] == [
        ("tr\u00e8s bien", "positive"),
        ("bof", "negative"),
        ("p\u00e9nible", "negative"),
    ]


def test_one_bad_byte_spoils_one_row(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b"text,label\ngood,a\n\xe9t\xe9,b\nbad,b\n")
    data = load_reviews(path, validation_fraction=0.0)
    assert [str(problem) for problem in data.problems] == [f"{path}:3: not UTF-8"]


def test_texts_without_labels_in_another_encoding(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes("id;text\n1;\u00e9t\u00e9\n".encode("cp1252"))
    assert load_texts(path, encoding="cp1252") == ["\u00e9t\u00e9"]
    (tmp_path / "x.txt").write_bytes("\u00e9t\u00e9".encode("utf-16"))
    assert load_texts(tmp_path / "x.txt") == ["\u00e9t\u00e9"]
