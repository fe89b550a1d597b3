"""Labelled texts in folders by class."""

from collections import Counter
from pathlib import Path

import pytest

from sentiment.data.load import load_reviews, load_texts
from shared.data.source import DataError


def vars_of(review):
    return review.text, review.label, review.place


def test_folder_in_parts(tmp_path, write_files):
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
    (problem,) = data.problems
    assert str(problem) == f"{tmp_path}/extra: left out, for it is not one of train, validation, test"


def test_folder_by_class(tmp_path, write_files):
    files = {f"{label}/{i}.txt": f"{label} {i}" for label in ("neg", "pos", "so-so") for i in range(3)}
    bad = {"neg/7.txt": b"one\ntwo\n\xff", "neg/8.txt": " \n", "void/x.csv": "", "unsup/1.txt": "unknown"}
    write_files(tmp_path, files | bad)
    data = load_reviews(tmp_path)
    # With three classes, they keep their names.
    assert Counter((split, r.label) for split in data.splits for r in data.split(split)) == {
        **{("train", label): 2 for label in ("neg", "pos", "so-so")},
        **{("validation", label): 1 for label in ("neg", "pos", "so-so")},
    }
    assert sorted(map(str, data.problems)) == [
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
def test_unusable_folders(tmp_path, files, message, write_files):
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


def test_folders_in_another_encoding(tmp_path, write_files):
    texts = {
        f"{label}/{i}.txt": f"\u00e9t\u00e9 {label}{i}".encode("latin-1")
        for label in ("a", "b")
        for i in range(3)
    }
    write_files(tmp_path, texts | {"a/7.txt": "plain", "b/7.txt": "summer \u00e9t\u00e9".encode("utf-16")})
    with pytest.raises(DataError, match=r"6 of 8 files in .* are not UTF-8 text\. Give --encoding latin-1"):
        load_reviews(tmp_path)
    data = load_reviews(tmp_path, encoding="latin-1")
    assert {r.text for r in data.split("all") if r.label == "b"} == {
        *(f"\u00e9t\u00e9 b{i}" for i in range(3)),
        "summer \u00e9t\u00e9",
    }
