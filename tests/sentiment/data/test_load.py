"""Sources of labelled texts and of texts without labels."""

from pathlib import Path

import pytest

from sentiment.data.load import load_reviews, load_texts
from sentiment.data.parts import cut_validation
from sentiment.data.reviews import Review
from shared.data.source import DataError, Problem


def texts(data, split):
    return [review.text for review in data.split(split)]


def vars_of(review):
    return review.text, review.label, review.place


def test_several_sources_are_joined(tmp_path, write_table, write_files, sample_rows):
    paths = [
        write_table(tmp_path / f"{name}", sample_rows[start:])
        for start, name in enumerate(["a.csv", "b.jsonl"])
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
def test_names_are_not_joined_and_a_path_wins(
    tmp_path, monkeypatch, name, write_table, write_files, sample_rows
):
    monkeypatch.chdir(tmp_path)
    write_table(Path("x.csv"), sample_rows)
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
    with pytest.raises(
        DataError, match=r"Unknown data source .*no such file or folder.*Expected imdb.*\.csv"
    ):
        load(name)


def test_no_source():
    for load in (load_reviews, load_texts):
        with pytest.raises(DataError, match="The list of sources is empty"):
            load([])


def test_unknown_split(tmp_path, write_table, sample_rows):
    data = load_reviews(write_table(tmp_path / "x.csv", sample_rows[:5]))
    with pytest.raises(DataError, match=r"has no split 'test'\. Expected one of train, validation, or all"):
        data.split("test")


# The cut for validation


def test_load_reviews_cuts_train_alone(tmp_path, write_table):
    rows = [(f"{label} {i}", label, "train" if i else "test") for label in ("x", "y", "z") for i in range(11)]
    path = write_table(tmp_path / "x.tsv", rows)
    data = load_reviews(path, validation_fraction=0.3, seed=4)
    whole = [Review(*row[:2], "") for row in rows if row[2] == "train"]
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
def test_what_nothing_can_be_learned_from(tmp_path, rows, message, write_table):
    path = write_table(tmp_path / "x.csv", rows)
    with pytest.raises(DataError, match=message):
        load_reviews(path)
    # An evaluation may want it all the same.
    data = load_reviews(path, trainable=False)
    assert sorted(vars_of(review)[:2] for review in data.split("all")) == sorted(row[:2] for row in rows)


def test_what_was_left_out_may_be_why_nothing_can_be_learned(tmp_path, write_table):
    path = write_table(tmp_path / "x.csv", [("a", "x", ""), ("", "y", ""), (" ", "y", "")])
    with pytest.raises(
        DataError, match=r"only one class.*Rows left out: 2; the first: .*x\.csv:3: column text"
    ):
        load_reviews(path)


# Texts without labels


def test_texts_of_all_kinds(tmp_path, write_table, write_files, sample_rows):
    write_table(tmp_path / "a.csv", [("one", "7"), (sample_rows[2][0], "8")], ("text", "id"))
    write_table(tmp_path / "b.jsonl.gz", [("three",)], ("text",))
    write_table(tmp_path / "c.tsv", [("5", "four")], ("id", "text"))
    write_files(tmp_path, {"d.txt": "\ufefffive\n\nfive again\n", "e/2.txt": "seven", "e/1.txt": "six"})
    write_files(tmp_path, {"e/below/3.txt": "not in the folder itself", "e/4.csv": "text\nneither\n"})
    names = ["a.csv", "b.jsonl.gz", "c.tsv", "d.txt", "e"]
    found = load_texts([str(tmp_path / name) for name in names])
    assert found == ["one", sample_rows[2][0], "three", "four", "five\n\nfive again\n", "six", "seven"]
    assert load_texts(tmp_path / "a.csv", text_column="id") == ["7", "8"]


def test_texts_that_are_bad(tmp_path, capsys, write_files):
    (tmp_path / "a.jsonl").write_text('{"text": "fine"}\n{"text": 3}\nno JSON\n{"body": "x"}\n')
    write_files(tmp_path, {"b/1.txt": b"a\n\xff", "b/2.txt": "", "b/3.txt": "fine too"})
    older = Problem("older.csv", 1, "bad")
    problems = [older]
    assert load_texts([tmp_path / "a.jsonl", tmp_path / "b"], problems=problems) == ["fine", "fine too"]
    assert capsys.readouterr().err == ""
    assert problems[0] == older
    assert list(map(str, problems[1:])) == [
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
def test_texts_that_cannot_be_had(tmp_path, name, content, message, write_files):
    write_files(tmp_path, {name: content})
    with pytest.raises(DataError, match=message):
        load_texts(tmp_path / name.partition("/")[0])


def test_an_empty_source_is_not_blamed_for_the_problems_of_another(tmp_path, write_files):
    write_files(tmp_path, {"a.csv": "text\n \nfine\n", "b.csv": "text\n"})
    with pytest.raises(DataError, match=r"b\.csv has no usable texts\. It is empty"):
        load_texts([tmp_path / "a.csv", tmp_path / "b.csv"])


@pytest.mark.parametrize("load", [load_reviews, load_texts])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("imbd", "Did you mean 'imdb'?"),
        ("IMDB", "Did you mean 'imdb'?"),
        (
            "https://example.org/x.csv",
            "https://example.org/x.csv is a URL; download the file and give its path.",
        ),
    ],
)
def test_a_source_that_is_nearly_right(load, name, message):
    with pytest.raises(DataError) as raised:
        load(name)
    assert message in str(raised.value)
