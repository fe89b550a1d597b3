import csv
import functools
import gzip
import hashlib
import io
import json
import random
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from sentiment.data.folders import Row
from sentiment.data.parts import cut_validation
from sentiment.data.reviews import Review, load_reviews, load_texts, print_problems
from shared.data.source import DataError
from shared.system.cli import UserError

ODD = 'say "hi",\tthen\u2028go \U0001f415 \0 \u05d0'
ROWS = [
    ("good film", "up", "train"),
    ("bad film", "down", "Training"),
    (ODD, "up", "dev"),
    ("so so", "flat", "train"),
    ("meh", "flat", "valid"),
    ("fine", "up", "testing"),
    ("awful", "down", "train"),
]


def write_table(path, rows, names=("text", "label", "split")):
    """Writes rows by other means than those that read them."""
    kind = path.name.removesuffix(".gz").rpartition(".")[2]
    if kind == "jsonl":
        lines = [json.dumps(dict(zip(names, row, strict=True))) for row in rows]
    elif kind == "tsv":
        lines = ["\t".join(row).replace(",\t", ", ") for row in (names, *rows)]
    else:
        lines = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in (names, *rows)]
    content = "".join(line + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def texts(data, split):
    return [review.text for review in data.split(split)]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "csv.gz", "TSV.gz", "jsonl.GZ"])
def test_tables_with_splits(tmp_path, suffix):
    path = write_table(tmp_path / f"x.{suffix.lower()}", ROWS).rename(tmp_path / f"x.{suffix}")
    data = load_reviews(path)
    odd = ODD.replace(",\t", ", ") if "tsv" in suffix.lower() else ODD
    header = 0 if "jsonl" in suffix else 1
    assert dict(data.splits) == {
        "train": tuple(Review(*ROWS[i][:2], f"{path}:{1 + i + header}") for i in (0, 1, 3, 6)),
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
def test_names_of_columns(tmp_path, suffix):
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


def vars_of(review):
    return review.text, review.label, review.place


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
    assert [problem.removeprefix(f"{path}:") for problem in data.problems] == [
        "3: the row has 2 columns, the header 3",
        "4: the row has 4 columns, the header 3",
        "5: not UTF-8",
        "6: column text is empty",
        "7: column text is empty",
        "9: column label is empty",
        '10: column split is not one of train, validation, test: "extra"',
        "11: not a row of a table (',' expected after '\"')",
        "13: not a row of a table (unexpected end of data, lines 13 to 14)",
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
    problems = [problem.removeprefix(f"{path}:") for problem in data.problems]
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
        ("x.tsv", b"text,label\nfine,3\n", r"it names text,label\. Other names are said with --text-column"),
        ("x.csv", b"text,label,text\nfine,3,x\n", r"names the column text more than once"),
        ("x.csv", b'"text,label\n', r"the first line is not a header of a table"),
        ("x.csv", "text,label\nfine,3\n".encode("utf-16"), r"is not UTF-8 text: convert it.*iconv -f UTF-16"),
        ("x.csv", "t\u00e9xt,label\n".encode("latin-1"), r"is not UTF-8 text"),
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


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    path = write_table(tmp_path / "x.csv", ROWS)
    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(DataError, match=r"x\.csv cannot be read: Permission denied\. Name a file"):
        load_reviews(path)


def write_files(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def test_folder_in_parts(tmp_path):
    write_files(
        tmp_path,
        {
            "train/pos/1_9.txt": "\ufeffgreat\n",
            "train/pos/0_7.txt": "good",
            "train/neg/0_1.txt": "bad",
            "train/unsup/0_0.txt": "unknown",
            "train/labeledBow.feat": "7 0:9",
            "test/neg/0_2.txt": "awful",
            "test/pos/0_10.txt": "lovely",
            "dev/neg/5.txt": "poor",
            "imdb.vocab": "the",
            ".git/pos/1.txt": "hidden",
            "extra/pos/1.txt": "from elsewhere",
        },
    )
    data = load_reviews(tmp_path)
    found = {split: [vars_of(review) for review in reviews] for split, reviews in data.splits.items()}
    assert found == {
        "train": [
            ("bad", "negative", f"{tmp_path}/train/neg/0_1.txt"),
            ("good", "positive", f"{tmp_path}/train/pos/0_7.txt"),
            ("great\n", "positive", f"{tmp_path}/train/pos/1_9.txt"),
        ],
        "validation": [("poor", "negative", f"{tmp_path}/dev/neg/5.txt")],
        "test": [
            ("awful", "negative", f"{tmp_path}/test/neg/0_2.txt"),
            ("lovely", "positive", f"{tmp_path}/test/pos/0_10.txt"),
        ],
    }
    assert data.problems == (f"{tmp_path}/extra: left out, for it is not one of train, validation, test",)


def test_folder_by_class(tmp_path):
    files = {f"{label}/{i}.txt": f"{label} {i}" for label in ("neg", "pos", "so-so") for i in range(3)}
    bad = {"neg/7.txt": b"one\ntwo\n\xff", "neg/8.txt": " \n", "void/x.csv": "", "unsup/1.txt": "unknown"}
    write_files(tmp_path, files | bad)
    data = load_reviews(tmp_path)
    # With three classes, they keep their names.
    assert Counter((split, r.label) for split in data.splits for r in data.split(split)) == {
        **{("train", label): 2 for label in ("neg", "pos", "so-so")},
        **{("validation", label): 1 for label in ("neg", "pos", "so-so")},
    }
    assert sorted(data.problems) == [
        f"{tmp_path}/neg/7.txt:3: not UTF-8",
        f"{tmp_path}/neg/8.txt:1: the text is empty",
        f"{tmp_path}/void: holds no file *.txt",
    ]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"1.txt": "x", "data.csv": ""}, r"The folder .* has no classes\. Expected a folder for each"),
        ({"train/1.txt": "x", "test/pos/1.txt": "x"}, r"The folder .*train has no classes"),
        ({"pos/1.csv": "x"}, r"no usable texts\. The first of 1 problems: .*pos: holds no file \*\.txt"),
    ],
)
def test_unusable_folders(tmp_path, files, message):
    write_files(tmp_path, files)
    with pytest.raises(DataError, match=message):
        load_reviews(tmp_path)


def test_a_folder_that_may_not_be_read(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    for load in (load_reviews, load_texts):
        with pytest.raises(DataError, match=r"cannot be read: Permission denied"):
            load(tmp_path)


def test_several_sources_are_joined(tmp_path):
    paths = [
        write_table(tmp_path / f"{name}", ROWS[start:]) for start, name in enumerate(["a.csv", "b.jsonl"])
    ]
    write_files(tmp_path, {"c/up/1.txt": "from a folder"})
    data = load_reviews([*paths, tmp_path / "c"])
    assert data.name == f"{paths[0]}, {paths[1]}, {tmp_path}/c"
    assert texts(data, "train") == [
        *("good film", "bad film", "so so", "awful"),
        *("bad film", "so so", "awful"),
        "from a folder",
    ]
    (tmp_path / "empty.csv").write_text("text,label\n")
    with pytest.raises(DataError, match=r"empty\.csv has no usable texts"):
        load_reviews([*paths, tmp_path / "empty.csv"])


@pytest.mark.parametrize("name", ["imdb", "tfds:imdb_reviews"])
def test_names_are_not_joined_and_a_path_wins(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_table(Path("x.csv"), ROWS)
    with pytest.raises(DataError, match=rf"{name} has splits of its own: it cannot be joined"):
        load_reviews(["x.csv", name])
    write_files(tmp_path, {f"{name}/good/1.txt": "from a folder", f"{name}/bad/1.txt": "bad"})
    data = load_reviews(name, validation_fraction=0.0)
    assert texts(data, "train") == ["bad", "from a folder"]
    assert data.rule == "as the source has it; train 2"
    assert len(load_reviews(["x.csv", name]).split("all")) == 9


@pytest.mark.parametrize("name", ["absent.csv", "absent/x.csv", "", "tfds", "IMDB", "~nobody-of-this-name/x"])
@pytest.mark.parametrize("load", [load_reviews, load_texts])
def test_unknown_source(tmp_path, monkeypatch, name, load):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"Unknown source of texts .*no such file or folder.*\.csv.*imdb"):
        load(name)


def test_no_source():
    for load in (load_reviews, load_texts):
        with pytest.raises(DataError, match="The list of sources is empty"):
            load([])


def test_unknown_split(tmp_path):
    data = load_reviews(write_table(tmp_path / "x.csv", ROWS[:5]))
    with pytest.raises(DataError, match=r"has no split 'test'\. Expected one of train, validation, or all"):
        data.split("test")


# The cut for validation


def rows_of(counts, copies=1):
    return [
        Row(f"{label} {number}", label, None, f"{label}:{number}.{copy}")
        for label, count in counts.items()
        for number in range(count)
        for copy in range(copies)
    ]


def test_the_cut_is_the_head_of_an_order_by_hash():
    rows = rows_of({"a": 30, "b": 70, "c": 7})
    kept, held = cut_validation(rows, 0.1, seed=5)
    expected = set()
    for label, wanted in {"a": 3, "b": 7, "c": 1}.items():
        names = [row.text for row in rows if row.label == label]
        names.sort(key=lambda text: hashlib.sha256(b"5 " + text.encode()).hexdigest())
        expected |= set(names[:wanted])
    assert held == [row for row in rows if row.text in expected]
    assert kept == [row for row in rows if row.text not in expected]
    assert cut_validation(rows, 0.1, seed=6)[1] != held


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.37, 0.5, 0.99])
@pytest.mark.parametrize("sizes", [{"a": 2, "b": 3, "c": 101}, {"x": 57, "y": 57}])
def test_classes_keep_their_shares(sizes, fraction):
    kept, held = cut_validation(rows_of(sizes), fraction, seed=1)
    held = Counter(row.label for row in held)
    for label, size in sizes.items():
        assert held[label] == pytest.approx(min(max(fraction * size, 1), size - 1), abs=0.5)
    assert len(kept) == sum(sizes.values()) - held.total()


def test_the_cut_does_not_depend_on_the_order_of_rows():
    rows = [*rows_of({"a": 23, "b": 41}), *rows_of({"a": 5, "b": 9}, copies=3)]
    rows += [Row(f"a {number}", "b", None, "again") for number in range(10, 17)]
    expected = {row.text for row in cut_validation(rows, 0.3, seed=2)[1]}
    for seed in range(5):
        random.Random(seed).shuffle(rows)
        assert {row.text for row in cut_validation(rows, 0.3, seed=2)[1]} == expected


def test_equal_texts_stay_together():
    rows = [*rows_of({"a": 19, "b": 31}, copies=3), *(Row(f"a {i}", "b", None, "") for i in range(19))]
    kept, held = cut_validation(rows, 0.2, seed=3)
    assert {row.text for row in kept}.isdisjoint(row.text for row in held)
    sides = defaultdict(set)
    for side in (kept, held):
        for row in side:
            sides[row.text].add(id(side))
    assert len(sides) == 50
    assert all(len(side) == 1 for side in sides.values())
    assert sum(row.text.startswith("a ") for row in held) == pytest.approx(0.2 * 19 * 4, abs=4)


def test_a_text_of_many_copies_is_not_cut_off_for_a_small_share():
    rows = [Row("many", "a", None, "")] * 50 + rows_of({"a": 3, "b": 50})
    held = cut_validation(rows, 0.1, seed=1)[1]
    assert Counter(row.label for row in held) == {"a": 3 - 1 + 1, "b": 5}
    assert "many" not in {row.text for row in held}
    # Where all are of many copies, the one of the fewest is.
    rows = [Row("many", "a", None, "")] * 50 + [Row("fewer", "a", None, "")] * 30
    assert {row.text for row in cut_validation(rows, 0.1, seed=1)[1]} == {"fewer"}


def test_load_reviews_cuts_train_alone(tmp_path):
    rows = [(f"{label} {i}", label, "train" if i else "test") for label in ("x", "y", "z") for i in range(11)]
    path = write_table(tmp_path / "x.tsv", rows)
    data = load_reviews(path, validation_fraction=0.3, seed=4)
    whole = [Row(*row[:2], None, "") for row in rows if row[2] == "train"]
    kept, held = cut_validation(whole, 0.3, seed=4)
    assert texts(data, "train") == [row.text for row in kept]
    assert texts(data, "validation") == [row.text for row in held]
    assert texts(data, "test") == ["x 0", "y 0", "z 0"]
    assert list(data.splits) == ["train", "validation", "test"]
    assert data.rule == (
        "validation is 30 % of train, class by class, chosen by a hash of text and seed 4; "
        "train 21, validation 9, test 3"
    )
    assert load_reviews(path, validation_fraction=0.3, seed=4) == data
    assert "validation" not in load_reviews(path, validation_fraction=0.0).splits


@pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan")])
def test_shares_that_are_not_possible(fraction):
    with pytest.raises(DataError, match=r"The share .* for validation leaves nothing to train on"):
        load_reviews("imdb", validation_fraction=fraction)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a", "x", "train"), ("b", "x", "train")], r"has only one class in its training part, 'x'"),
        ([("a", "x", "train"), ("b", "y", "test")], r"has only one class in its training part, 'x'"),
        ([("a", "x", "test"), ("b", "y", "test")], r"has no split train, only test"),
        (
            [("a", "x", "train"), ("b", "x", "train"), ("c", "y", "train")],
            r"too few different texts of the class 'y' for both",
        ),
        (
            [("a", "x", "train"), ("b", "x", "train"), ("c", "y", "train"), ("c", "y", "train")],
            r"too few different texts of the class 'y' for both",
        ),
        ([("a", "x", "train"), ("b", "y", "train")], r"too few different texts of the class 'x' for both"),
        (
            [("a", "x", "train"), ("b", "y", "train"), ("c", "z", "dev")],
            r"in split validation \(.*x\.csv:4\) the class 'z', which is not in train\. .* one of x, y\.",
        ),
        (
            [*((f"{i} {x}", x, "train") for x in "xy" for i in range(3)), ("c", "z", "test")],
            r"in split test \(.*x\.csv:8\) the class 'z', which is not in train",
        ),
    ],
)
def test_what_nothing_can_be_learned_from(tmp_path, rows, message):
    path = write_table(tmp_path / "x.csv", rows)
    with pytest.raises(DataError, match=message):
        load_reviews(path)
    # An evaluation may want it all the same.
    data = load_reviews(path, trainable=False)
    assert sorted(vars_of(review)[:2] for review in data.split("all")) == sorted(row[:2] for row in rows)


def test_what_was_left_out_may_be_why_nothing_can_be_learned(tmp_path):
    path = write_table(tmp_path / "x.csv", [("a", "x", ""), ("", "y", ""), (" ", "y", "")])
    with pytest.raises(
        DataError, match=r"only one class.*Rows left out: 2; the first: .*x\.csv:3: column text"
    ):
        load_reviews(path)


# Texts without labels


def test_texts_of_all_kinds(tmp_path):
    write_table(tmp_path / "a.csv", [("one", "7"), (ODD, "8")], ("text", "id"))
    write_table(tmp_path / "b.jsonl.gz", [("three",)], ("text",))
    write_table(tmp_path / "c.tsv", [("5", "four")], ("id", "text"))
    write_files(tmp_path, {"d.txt": "\ufefffive\n\nfive again\n", "e/2.txt": "seven", "e/1.txt": "six"})
    write_files(tmp_path, {"e/below/3.txt": "not in the folder itself", "e/4.csv": "text\nneither\n"})
    names = ["a.csv", "b.jsonl.gz", "c.tsv", "d.txt", "e"]
    found = load_texts([str(tmp_path / name) for name in names])
    assert found == ["one", ODD, "three", "four", "five\n\nfive again\n", "six", "seven"]
    assert load_texts(tmp_path / "a.csv", text_column="id") == ["7", "8"]


def test_texts_that_are_bad(tmp_path, capsys):
    (tmp_path / "a.jsonl").write_text('{"text": "fine"}\n{"text": 3}\nno JSON\n{"body": "x"}\n')
    write_files(tmp_path, {"b/1.txt": b"a\n\xff", "b/2.txt": "", "b/3.txt": "fine too"})
    problems = ["an older one"]
    assert load_texts([tmp_path / "a.jsonl", tmp_path / "b"], problems=problems) == ["fine", "fine too"]
    assert capsys.readouterr().err == ""
    assert problems == [
        "an older one",
        f"{tmp_path}/a.jsonl:2: column text is not a string: 3",
        f"{tmp_path}/a.jsonl:3: not JSON (Expecting value)",
        f"{tmp_path}/a.jsonl:4: column text is missing; the row has body",
        f"{tmp_path}/b/1.txt:2: not UTF-8",
        f"{tmp_path}/b/2.txt:1: the text is empty",
    ]
    load_texts(tmp_path / "b")
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.splitlines() == [f"left out: {problem}" for problem in problems[4:]] + [
        "rows left out: 2"
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", "body\nfine\n", r"must name the columns text; it names body\. .*with --text-column\."),
        (
            "x.txt",
            " ",
            r"x\.txt has no usable texts\. The first of 1 problems: .*x\.txt:1: the text is empty",
        ),
        ("x/y.csv", "text\nfine\n", r"x has no usable texts\. It is empty"),
        ("x.html", "fine", r"x\.html: unknown kind of file\. Expected \.csv, \.tsv, \.jsonl, \.txt"),
    ],
)
def test_texts_that_cannot_be_had(tmp_path, name, content, message):
    write_files(tmp_path, {name: content})
    with pytest.raises(DataError, match=message):
        load_texts(tmp_path / name.partition("/")[0])


def test_an_empty_source_is_not_blamed_for_the_problems_of_another(tmp_path):
    write_files(tmp_path, {"a.csv": "text\n \nfine\n", "b.csv": "text\n"})
    with pytest.raises(DataError, match=r"b\.csv has no usable texts\. It is empty"):
        load_texts([tmp_path / "a.csv", tmp_path / "b.csv"])


@pytest.mark.parametrize(("count", "shown"), [(0, 0), (1, 1), (5, 5), (1234, 5)])
def test_print_problems(count, shown):
    stream = io.StringIO()
    print_problems([f"x.csv:{number}: bad" for number in range(count)], stream)
    lines = [f"left out: x.csv:{number}: bad" for number in range(shown)]
    assert stream.getvalue().splitlines() == ([*lines, f"rows left out: {count:,}"] if count else [])


# Datasets of tensorflow-datasets


def mock_splits(folder, monkeypatch, name, splits):
    """A folder in which a dataset says which splits it has."""
    info = folder / name / "1.0.0"
    info.mkdir(parents=True)
    parts = [{"name": split, "shardLengths": ["3"]} for split in splits]
    document = {"name": name.partition("/")[0], "version": "1.0.0", "splits": parts}
    if "/" in name:
        document["configName"] = name.partition("/")[2]
    (info / "dataset_info.json").write_text(json.dumps(document))
    monkeypatch.setenv("TFDS_DATA_DIR", str(folder))


def mocked(columns, folder=None):
    """Datasets of these columns, by split."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    def dataset(builder, split, **_):
        return tf.data.Dataset.from_tensor_slices(columns[split])

    return tfds.testing.mock_data(as_dataset_fn=dataset, data_dir=folder and str(folder))


def test_tfds_without_validation(tmp_path, monkeypatch):
    numbers = range(20)
    columns = {
        "train": {"text": [f"train {i} \u00e9" for i in numbers], "label": [i % 2 for i in numbers]},
        "test": {"text": [b"test 0", b"\xff", b" ", b"no label", b"test 4"], "label": [1, 0, 0, -1, 0]},
        "unsupervised": {"text": ["nobody knows"], "label": [-1]},
    }
    mock_splits(tmp_path, monkeypatch, "imdb_reviews/plain_text", columns)
    with mocked(columns, tmp_path):
        data = load_reviews("tfds:imdb_reviews", validation_fraction=0.2, seed=3)
    whole = [Row(f"train {i} \u00e9", ("negative", "positive")[i % 2], None, "") for i in numbers]
    kept, held = cut_validation(whole, 0.2, seed=3)
    assert [(r.text, r.label) for r in data.split("train")] == [row[:2] for row in kept]
    assert [(r.text, r.label) for r in data.split("validation")] == [row[:2] for row in held]
    assert data.split("test") == (
        Review("test 0", "positive", "tfds:imdb_reviews, test:1"),
        Review("test 4", "negative", "tfds:imdb_reviews, test:5"),
    )
    assert data.problems == (
        "tfds:imdb_reviews, test:2: not UTF-8",
        "tfds:imdb_reviews, test:3: the text is empty",
        "tfds:imdb_reviews, test:4: the label -1 is not one of 2 classes",
    )


@pytest.mark.parametrize(("options", "taken"), [({}, "description"), ({"text_column": "title"}, "title")])
def test_tfds_with_two_texts(tmp_path, monkeypatch, options, taken):
    names, numbers = ["World", "Sports", "Business", "Sci/Tech"], range(7)
    columns = {key: [f"{key} {i}" for i in numbers] for key in ("title", "description")}
    columns["label"] = [i % 4 for i in numbers]
    mock_splits(tmp_path, monkeypatch, "ag_news_subset", ["train"])
    with mocked({"train": columns}, tmp_path):
        data = load_reviews("tfds:ag_news_subset", validation_fraction=0.0, **options)
    assert [(r.text, r.label) for r in data.split("train")] == [
        (f"{taken} {i}", names[i % 4]) for i in numbers
    ]
    assert data.labels == ("Business", "Sci/Tech", "Sports", "World")


def test_tfds_with_splits_and_a_text_of_another_name():
    # A mocked builder without files does not say which splits there are: the three usual ones.
    columns = {
        "train": {"sentence": ["dull", "bravo"], "label": [0, 1]},
        "validation": {"sentence": ["well done"], "label": [1]},
        "test": {"sentence": ["hidden", "hidden too"], "label": [-1, -1]},
    }
    with mocked(columns):
        data = load_reviews("tfds:glue/sst2")
    found = {split: [(r.text, r.label) for r in reviews] for split, reviews in data.splits.items()}
    assert found == {
        "train": [("dull", "negative"), ("bravo", "positive")],
        "validation": [("well done", "positive")],
    }
    assert len(data.problems) == 2


@functools.cache
def tiny_builder():
    """A real dataset, of which the reviews are prepared in files; making the class makes its name known."""
    import tensorflow_datasets as tfds

    class TinyReviews(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {
                "content": tfds.features.Text(),
                "mood": tfds.features.ClassLabel(names=["pos", "none", "neg"]),
                "bytes": tfds.features.Tensor(shape=(3,), dtype=np.uint8),
            }
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples(split) for split in ("train", "dev", "extra")}

        def _generate_examples(self, split):
            for number in range(5):
                yield number, {"content": f"{split} {number}", "mood": number % 3, "bytes": [1, 2, 3]}

    return TinyReviews


def test_tfds_of_a_real_dataset(tmp_path, monkeypatch):
    tiny_builder()
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    data = load_reviews("tfds:tiny_reviews")
    assert list(data.splits) == ["train", "validation"]
    for split, own in (("train", "train"), ("validation", "dev")):
        expected = {(f"{own} {i}", ["pos", "none", "neg"][i % 3]) for i in range(5)}
        assert {(r.text, r.label) for r in data.split(split)} == expected
        assert len(data.split(split)) == 5


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("tfds:", {}, "wants a name"),
        ("tfds:no_such_thing", {}, "tfds:no_such_thing: tensorflow-datasets has no such dataset"),
        ("tfds:mnist", {}, r"tfds:mnist has no text called text: its features are image, label.*texts: none"),
        (
            "tfds:imdb_reviews",
            {"text_column": "body"},
            r"no text called body: .*texts: text\. .*--text-column",
        ),
        (
            "tfds:imdb_reviews",
            {"label_column": "stars"},
            r"no label of classes called stars.*such labels: label",
        ),
        ("tfds:tiny_shakespeare", {}, r"has no label of classes called label: its features are text"),
        ("tfds:glue/mnli", {}, r"has no text called text: .*texts: premise, hypothesis"),
    ],
)
def test_tfds_unusable_names(name, options, message):
    with pytest.raises(DataError, match=message):
        load_reviews(name, **options)


def test_tfds_preparation_that_fails(tmp_path, monkeypatch):
    (tmp_path / "a file").touch()
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "a file"))
    with pytest.raises(DataError, match=r"cannot be prepared in .*a file.*TFDS_DATA_DIR"):
        load_reviews("tfds:imdb_reviews")
