"""The reader of tables: no row is lost silently, whatever is wrong with it."""

import csv
import gzip
from pathlib import Path

import pytest

from shared.data.source import DataError, Problem
from shared.data.tables import Columns, Row, kind_of, read_table


def read(path, content, columns=Columns(("text",)), **options):  # noqa: B008 - immutable
    content = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return [
        (row.line, row.message) if isinstance(row, Problem) else (row.line, *row.cells.values())
        for row in read_table(path, columns, **options)
    ]


@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.csv.gz"])
def test_every_row_is_a_row_or_a_problem(tmp_path, name):
    tab = "," if "csv" in name else "\t"
    lines = ["text|id", "a|1", "b", "c|2|", "", "d|3|more|", "caf\udce9|4", "e|5"]
    content = "\r\n".join(lines).replace("|", tab).encode("utf-8", "surrogateescape")
    assert read(tmp_path / name, content) == [
        (2, "a", "1"),
        (3, "the row has 1 fields, the header 2"),
        (4, "c", "2"),  # a separator at the end, as spreadsheets leave it, loses nothing
        (6, "the row has 3 fields, the header 2"),
        (7, "not UTF-8"),
        (8, "e", "5"),
    ]


def test_quotation_marks_in_tsv(tmp_path):
    content = 'text\tid\n"two\tlines"\t7\n"one"\t8\n'
    path = tmp_path / "x.tsv"
    assert read(path, content) == [(2, "the row has 3 fields, the header 2"), (3, '"one"', "8")]
    assert read(path, content, tsv_quotes=True) == [(2, "two\tlines", "7"), (3, "one", "8")]


def test_a_quotation_mark_that_is_never_closed_is_told(tmp_path):
    problems = read(tmp_path / "x.csv", 'text\na\n"b\nc\nd\n')
    assert problems == [(2, "a"), (3, "a quotation mark is not closed: lines 3 to 5 are left out")]


def test_names_of_columns(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("Text ,ID\na,1\n")
    assert list(read_table(path, Columns(("text",), lower=True))) == [Row(2, {"text": "a", "id": "1"})]
    with pytest.raises(DataError, match=r"must name the columns text; it names Text, ID\. Try more\.$"):
        list(read_table(path, Columns(("text",), hint="Try more.")))
    path.write_text("text,id,id\na,1,2\n")
    for columns in (Columns(("text", "id")), Columns(("text",), ("id",))):
        with pytest.raises(DataError, match="names the column id more than once"):
            list(read_table(path, columns))


def test_the_limit_of_the_csv_module_is_put_back(tmp_path):
    before = csv.field_size_limit()
    assert read(tmp_path / "x.csv", "text\n" + "x" * 200_000) == [(2, "x" * 200_000)]
    assert csv.field_size_limit() == before


def test_kinds_of_files():
    assert [kind_of(Path(name)) for name in ("a.CSV", "a.jsonl.GZ", "a.b.tsv", "a", "a.gz")] == [
        *(".csv", ".jsonl", ".tsv", "", "")
    ]
