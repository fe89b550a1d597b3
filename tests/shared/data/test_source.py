"""What all sources of data share: problems, names of splits, and errors."""

import pytest

from shared.data.source import (
    DataError,
    Problem,
    nothing_usable,
    reading,
    split_name,
    unknown_source,
)
from shared.system.cli import UserError


def test_a_data_error_is_one_that_the_user_can_put_right():
    assert issubclass(DataError, UserError)


def test_problem_reads_like_a_place():
    assert str(Problem("a.csv", 7, "bad")) == "a.csv:7: bad"
    assert str(Problem("a.json", 0, "bad")) == "a.json: bad"
    assert (Problem("a.csv", 7, "bad").place, Problem("a.json", 0, "bad").place) == ("a.csv:7", "a.json")


@pytest.mark.parametrize(
    ("expected", "names"),
    [
        ("train", ["train", " Training ", "restval"]),
        ("validation", ["validation", "valid", "val", "DEV"]),
        ("test", ["test", "testing"]),
        ("extra", ["Extra"]),
    ],
)
def test_names_of_splits(expected, names):
    assert {split_name(name) for name in names} == {expected}


@pytest.mark.parametrize(
    ("source", "similar"),
    [
        ("shakespear", "shakespeare"),
        ("SHAPES", "shapes"),
        ("imbd", "imdb"),
        ("shape", "shapes"),
        ("reviews.csv", None),
        ("", None),
        ("tfds", None),
    ],
)
def test_similar_names_are_suggested(source, similar):
    message = str(unknown_source(source, "one of these", ["shapes", "imdb", "shakespeare"]))
    hint = f" Did you mean {similar!r}?" if similar else ""
    assert message == f"Unknown data source {source!r}: no such file or folder.{hint} Expected one of these."


@pytest.mark.parametrize("url", ["https://example.org/a.csv", "HTTP://x/y", "s3://bucket/a"])
def test_a_url_is_named_as_such(url):
    assert str(unknown_source(url, "x", ["y"])) == f"{url} is a URL; download the file and give its path."


def test_a_source_without_usable_rows_quotes_the_first_problem():
    assert str(nothing_usable("a.csv", "texts", [])) == "a.csv has no usable texts. It is empty."
    problems = [Problem("a.csv", line, "bad") for line in (2, 3)]
    assert str(nothing_usable("a.csv", "texts", problems)).endswith("The first of 2 problems: a.csv:2: bad.")
    problems = [Problem("a.json", 0, "not UTF-8")]
    assert str(nothing_usable("a.json", "captions", problems)).endswith(
        "Name the file's encoding with --encoding."
    )


@pytest.mark.parametrize(
    ("error", "reason"),
    [(PermissionError(13, "Permission denied"), "Permission denied"), (EOFError("It ended."), "It ended")],
)
def test_reading_errors_name_the_file(error, reason):
    with pytest.raises(DataError, match=rf"^a\.csv cannot be read: {reason}\. Name a file"), reading("a.csv"):
        raise error
