"""The tables of `benchmarks.sentences`, from small files of the same forms."""

import csv
import json
import random

import pytest

from benchmarks import sentences

VADER = (
    "1_1\t1.65\tThe lens is super , and light .\n1_2\t0.4\tIt has a strap.\n1_3\t-0.6\tThe strap broke .\tx\n"
)
TWEETS = "1\t2.1\t@anonymous What a lovely day!\n2\t-1.5\tlost my keys http://url_removed\n3\t-2\tugh\n"
LABELLED = "Works fine.\t1\nThe strap broke.\t0\nNothing for me. \t0\n"


@pytest.fixture
def folders(tmp_path):
    for name, text in (("amazonReviewSnippets", VADER), ("tweets", TWEETS), ("nytEditorialSnippets", "")):
        file = tmp_path / f"{name}_GroundTruth.txt"
        file.write_text(text or "9\t0.1\tThe vote is due.\n", encoding="latin-1")
    for name in ("amazon_cells", "yelp"):
        (tmp_path / f"{name}_labelled.txt").write_text(LABELLED, encoding="utf-8")
    reviews = [f"Part {one} is dull. I left. Nobody cared, not even Bob." for one in range(7)]
    lines = "".join(json.dumps({"text": text}) + "\n" for text in reviews)
    (tmp_path / "reviews.jsonl").write_text(lines, encoding="utf-8")
    return tmp_path


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_plain_verdicts_are_kept_once_and_test_sentences_are_not(folders, monkeypatch, capsys):
    monkeypatch.setattr(sentences, "REVIEWS", 2)
    options = {"vader": folders, "labelled": folders, "reviews": folders / "reviews.jsonl", "out": folders}
    options |= {"negations": 40}
    assert (
        sentences.main([word for name, value in options.items() for word in (f"--{name}", str(value))]) == 0
    )
    assert "5 rated sentences (negative 3, positive 2)" in capsys.readouterr().out
    table = rows(folders / "rated.csv")
    assert {(row["text"], row["label"]) for row in table[:5]} == {
        ("The lens is super , and light .", "positive"),
        ("The strap broke .", "negative"),
        ("lost my keys", "negative"),
        ("Works fine.", "positive"),
        ("Nothing for me.", "negative"),
    }  # "What a lovely day!" is one of the hand-written test sentences
    assert [row["split"] for row in table[:5]] == ["validation", *["train"] * 4]
    assert {row["split"] for row in table[5:]} == {"train"}
    unlabelled = [row["text"] for row in rows(folders / "unlabelled.csv")]
    assert len(unlabelled) == 7
    assert [len(text) for text in unlabelled[:2]] == [51, 51]
    whole = (folders / "reviews.jsonl").read_text(encoding="utf-8")
    assert all(piece in whole and piece.endswith(".") for piece in unlabelled[2:])
    assert min(map(len, unlabelled[2:])) < 51


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("The room wasn't dirty.", "positive"),
        ("The room is clean.", "positive"),
        ("I found no charm in the room.", "negative"),
        ("The room never failed to annoy.", "negative"),
        ("The room did not bore anyone.", "positive"),
    ],
)
def test_a_template_says_what_a_reader_would_say(text, label):
    draw = random.Random(2)
    made = dict(sentences.made_sentence(draw) for _ in range(60_000))
    assert made[text] == label


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(sentences.UserError, match=r"amazonReviewSnippets_GroundTruth\.txt cannot be read"):
        list(sentences.rated(tmp_path))
