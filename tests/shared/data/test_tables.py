"""The reader of tables: no row is lost silently, whatever is wrong with it."""

import csv
import gzip
from pathlib import Path

import pytest

from shared.data.encodings import Format
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
    assert list(read_table(path, Columns(("text",)))) == [Row(2, {"text": "a", "ID": "1"})]
    assert list(read_table(path, Columns(("text",), ("id",)))) == [Row(2, {"text": "a", "id": "1"})]
    with pytest.raises(DataError, match=r"must name the columns body; it names Text, ID\. Try more\.$"):
        list(read_table(path, Columns(("body",), hint="Try more.")))
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


TEXT = Columns(("text", "label"))


@pytest.mark.parametrize("name", ["x.csv", "x.tsv"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_header_says_how_columns_are_separated(tmp_path, name, delimiter):
    content = "\r\n".join(["\ufeffTEXT/Label", '"one, two; three"/1', "four/0"]).replace("/", delimiter)
    rows = read(tmp_path / name, content, TEXT)
    plain = name == "x.tsv" and delimiter == "\t"  # there, a quotation mark is a character
    assert rows == [(2, '"one, two; three"' if plain else "one, two; three", "1"), (3, "four", "0")]


def test_the_usual_delimiter_wins(tmp_path):
    assert read(tmp_path / "x.csv", "text,a;text\nb,c;d\n") == [(2, "b", "c;d")]
    assert read(tmp_path / "x.csv", "text\na;b\n") == [(2, "a;b")]
    assert read(tmp_path / "x.tsv", "text\tid,text\nb\tc,d\n") == [(2, "b", "c,d")]


def test_a_delimiter_may_be_named(tmp_path):
    path = tmp_path / "x.csv"
    with pytest.raises(DataError, match=r"it names text~label\. Give --delimiter '~'\.$"):
        read(path, "text~label\na~1\n", TEXT)
    assert read(path, "text~label\na~1\n", TEXT, form=Format(delimiter="~")) == [(2, "a", "1")]
    for tab in ("tab", "\\t", "\t"):
        assert read(path, "text\tlabel\na\t1\n", TEXT, form=Format(delimiter=tab)) == [(2, "a", "1")]
    for delimiter in ("::", '"', "\n"):
        with pytest.raises(DataError, match=r"cannot separate columns\. Expected one character"):
            read(path, "text\n", form=Format(delimiter=delimiter))


def test_the_line_that_spreadsheets_write_before_the_header(tmp_path):
    content = 'sep=;\ntext;label\n"a\nb";1\n'
    assert read(tmp_path / "x.csv", content, TEXT) == [(3, "a\nb", "1")]


def test_headers_in_quotation_marks(tmp_path):
    """Names may hold line breaks; in a TSV file, quoted names mean that fields are quoted, too."""
    content = '"text";"what\nelse"\na;1\n'
    assert read(tmp_path / "x.csv", content) == [(3, "a", "1")]
    content = '"text"\t"label"\n"a\tb"\t"1"\n'
    assert read(tmp_path / "x.tsv", content, TEXT) == [(2, "a\tb", "1")]


def test_names_in_json_may_differ_in_case(tmp_path):
    content = '{"Text": "a", "LABEL": 1}\n{"Text": "b", "text": "c", "label": 0}\n{"TEXT": "d", "tExt": 1}\n'
    path = tmp_path / "x.jsonl"
    path.write_text(content)
    cells = [row.cells for row in read_table(path, TEXT)]
    assert cells[:2] == [{"text": "a", "label": 1}, {"Text": "b", "text": "c", "label": 0}]
    assert cells[2] == {"TEXT": "d", "tExt": 1}  # either could be meant


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "csv.gz"])
@pytest.mark.parametrize("encoding", ["latin-1", "windows-1252", "utf-16-le", "utf-16-be"])
def test_another_encoding_is_offered_and_reads(tmp_path, suffix, encoding):
    path = tmp_path / f"x.{suffix}"
    text = "un tr\u00e8s bon film" if encoding == "latin-1" else "un tr\u00e8s bon \u00abfilm\u00bb\u2026"
    content = f"text,label\n{text},1\n" if "csv" in suffix else f'{{"text": "{text}", "label": "1"}}\n'
    with pytest.raises(DataError, match=f'Give --encoding {encoding}, which reads ".*un tr\u00e8s bon'):
        read(path, content.encode(encoding), TEXT)
    rows = read(path, content.encode(encoding), TEXT, form=Format(encoding))
    assert [row[1:] for row in rows] == [(text, "1")]


def test_a_byte_that_the_named_encoding_lacks_spoils_its_row(tmp_path):
    rows = read(tmp_path / "x.csv", b"text\nsm\xf6r\n\x81\n", form=Format("windows-1252"))
    assert rows == [(2, "sm\u00f6r"), (3, "not windows-1252")]


def test_utf16_that_is_cut_off(tmp_path):
    content = "text\nabc\n".encode("utf-16")[:-1]
    with pytest.raises(
        DataError, match=r"is not text in utf-16 \(truncated data\)\. Name another --encoding"
    ):
        read(tmp_path / "x.csv", content)


@pytest.mark.parametrize("language", ["\u043f\u0440\u0438\u0432\u0435\u0442", "\u3053\u3093\u306b\u3061"])
def test_other_scripts_are_not_taken_for_western_ones(tmp_path, language):
    encoding = "cp1251" if language[0] == "\u043f" else "shift_jis"
    content = f"text\n{language} {language}\n".encode(encoding)
    with pytest.raises(DataError, match=rf"Give its encoding, such as .*{encoding}"):
        read(tmp_path / "x.csv", content)
    assert read(tmp_path / "x.csv", content, form=Format(encoding)) == [(2, f"{language} {language}")]


@pytest.mark.parametrize("encoding", ["latin-99", "rot13", "a\0"])
def test_unknown_encodings(tmp_path, encoding):
    with pytest.raises(DataError, match=r"Unknown encoding .* such as utf-8, utf-16, latin-1"):
        read(tmp_path / "x.csv", "text\n", form=Format(encoding))
