"""What reports share."""

import json

from shared.data.report import listed, print_report, vocabulary_lines


def test_many_entries_are_counted_and_not_all_printed():
    entries = [f"entry {number}" for number in range(1234)]
    lines = listed("rows", entries)
    assert lines[0] == "rows: 1,234"
    assert lines[1:11] == [f"  entry {number}" for number in range(10)]
    assert lines[11:] == ["  and 1,224 more"]
    assert listed("rows", entries[:10])[-1] == "  entry 9"
    assert listed("rows", [], "not checked") == ["rows: not checked"]


def test_no_split_is_held_out():
    sizes = {"size": 7, "distinct_words": 3, "min_count": 1}
    assert vocabulary_lines(sizes, 4, {})[1] == "unknown words: no held-out split"


def test_a_report_is_printed_and_written(tmp_path, capsys):
    print_report("the text", {"key": "\u00e4"}, tmp_path / "report.json")
    assert capsys.readouterr().out == "the text\n"
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == {"key": "\u00e4"}
    print_report("the text", {}, None)
