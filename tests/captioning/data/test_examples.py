import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from captioning.data.examples import CaptionData, DataError, Example, LazyImage, Problem, load_examples
from captioning.data.images import ImageError
from captioning.data.listing import HASH_NOTE, hash_split
from captioning.data.report import describe, examine
from captioning.data.report import main as report
from shared.system.cli import UserError, run_script


def picture(path, shade=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (7, 5), (shade, 99, 3)).save(path)


def messages(data):
    return [str(problem) for problem in data.problems]


@pytest.fixture
def flickr(tmp_path):
    """Five pictures in lists, one in none, one in the captions only, one in a list only."""
    for number, name in enumerate("abcdef"):
        picture(tmp_path / "pictures" / f"{name}.jpg", 40 * number)
    lines = [f"{name}.jpg#{number}\t{name} caption {number} ." for name in "abcdef" for number in range(2)]
    lines[3:3] = [
        "ghost.jpg.1#0\tNot there .",
        "ghost.jpg.1#1\tNot there either .",
        "no tab here",
        "a.jpg#9\t  ",
    ]
    (tmp_path / "Flickr8k.token.txt").write_text("\n".join(lines) + "\n\n")
    for split, names in {"train": "abc", "dev": "da", "test": "ex"}.items():
        (tmp_path / f"Flickr_8k.{split}Images.txt").write_text("".join(f"{name}.jpg\n" for name in names))
    return tmp_path


def test_flickr8k(flickr):
    data = load_examples(flickr)
    assert data.splits == ("train", "validation", "test", "unused")
    assert {s: [e.image_id for e in data.split(s)] for s in data.splits} == {
        "train": ["a.jpg", "b.jpg", "c.jpg"],
        "validation": ["d.jpg"],
        "test": ["e.jpg"],
        "unused": ["f.jpg"],
    }
    assert data.split("dev") == data.split("validation")
    assert data.split("absent") == []
    assert data.examples[1].captions == ("b caption 0 .", "b caption 1 .")
    assert data.examples[1].load().shape == (5, 7, 3)
    assert data.name == str(flickr)


def test_flickr8k_problems(flickr):
    captions, lists = flickr / "Flickr8k.token.txt", flickr / "Flickr_8k"
    assert messages(load_examples(flickr)) == [
        f"{lists}.devImages.txt:2: image a.jpg is in the train list too, where it stays",
        f"{captions}:6: expected IMAGE#NUMBER, a tab and a caption",
        f"{captions}:7: expected IMAGE#NUMBER, a tab and a caption",
        f"{lists}.testImages.txt:2: image x.jpg has no captions in Flickr8k.token.txt",
        f"{captions}:4: image ghost.jpg.1 is absent from {flickr / 'pictures'}",
    ]


def test_flickr8k_with_images_elsewhere(flickr, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    picture(elsewhere / "c.jpg")
    data = load_examples(flickr, images=elsewhere)
    assert [example.image for example in data.examples] == [elsewhere / "c.jpg"]
    with pytest.raises(DataError, match=r"absent: no such folder of images"):
        load_examples(flickr, images=elsewhere / "absent")


def test_flickr8k_without_lists(flickr):
    for file in flickr.glob("Flickr_8k.*"):
        file.unlink()
    with pytest.raises(DataError, match=r"no list of splits.*Flickr_8k\.trainImages\.txt"):
        load_examples(flickr)


def karpathy_entry(name, split, *sentences, **more):
    return {
        "filename": name,
        "split": split,
        "sentences": [{"raw": text, "tokens": []} for text in sentences],
        **more,
    }


def test_karpathy(tmp_path):
    entries = [
        karpathy_entry("a.jpg", "train", "One .", "Two ."),
        karpathy_entry("b.jpg", "restval", "Three ."),
        karpathy_entry("c.jpg", "val", "Four .", filepath="val2014", cocoid=391895),
        karpathy_entry("d.jpg", "test", "Five ."),
        karpathy_entry("ghost.jpg", "test", "Six ."),
        karpathy_entry("e.jpg", "test"),
        {"filename": "f.jpg"},
        "not an object",
    ]
    for name in ("a.jpg", "b.jpg", "val2014/c.jpg", "d.jpg"):
        picture(tmp_path / "images" / name)
    file = tmp_path / "dataset_tiny.json"
    file.write_text(json.dumps({"images": entries, "dataset": "tiny"}))
    data = load_examples(str(file))
    assert [(e.image_id, e.split, e.captions) for e in data.examples] == [
        ("a.jpg", "train", ("One .", "Two .")),
        ("b.jpg", "train", ("Three .",)),
        ("391895", "validation", ("Four .",)),
        ("d.jpg", "test", ("Five .",)),
    ]
    assert all(example.load().shape == (5, 7, 3) for example in data.examples)
    found = messages(data)
    assert len(found) == 4
    assert "images[5] has no caption" in found[0]
    assert "images[6] lacks filename, split or sentences" in found[1]
    assert "images[7] lacks" in found[2]
    assert "ghost.jpg is absent" in found[3]
    assert load_examples(tmp_path).examples == data.examples


def coco_file(path, names, first=1):
    path.parent.mkdir(exist_ok=True)
    images = [{"id": number, "file_name": name} for number, name in enumerate(names, first)]
    annotations = [
        {"image_id": image["id"], "caption": f" {image['file_name']} {n}. "} for n in "12" for image in images
    ]
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    return path


def test_coco_beside_its_images(tmp_path):
    for part, name in (("train2014", "a.jpg"), ("train2014", "b.jpg"), ("val2014", "c.jpg")):
        picture(tmp_path / "coco" / part / name)
    train = coco_file(
        tmp_path / "coco" / "annotations" / "captions_train2014.json", ["a.jpg", "b.jpg", "ghost.jpg"]
    )
    coco_file(tmp_path / "coco" / "annotations" / "captions_val2014.json", ["c.jpg"], first=9)
    alone = load_examples(train)
    assert [(e.image_id, e.split, e.captions) for e in alone.examples] == [
        ("1", "train", ("a.jpg 1.", "a.jpg 2.")),
        ("2", "train", ("b.jpg 1.", "b.jpg 2.")),
    ]
    assert len(alone.problems) == 1
    assert "ghost.jpg is absent" in str(alone.problems[0])
    for folder in (tmp_path / "coco", tmp_path / "coco" / "annotations"):
        both = load_examples(folder)
        assert [(e.image_id, e.split) for e in both.examples] == [
            ("1", "train"),
            ("2", "train"),
            ("9", "validation"),
        ]
        assert both.examples[2].load().shape == (5, 7, 3)


def test_coco_bad_rows_and_unnamed_split(tmp_path):
    picture(tmp_path / "a.jpg")
    document = {
        "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2}, {"id": 3, "file_name": "b.jpg"}],
        "annotations": [
            {"image_id": 1, "caption": "Yes ."},
            {"image_id": 77, "caption": "Whose?"},
            {"image_id": 1},
        ],
    }
    (tmp_path / "captions_mine.json").write_text(json.dumps(document))
    data = load_examples(tmp_path / "captions_mine.json")
    assert [(e.captions, e.split) for e in data.examples] == [(("Yes .",), hash_split("1"))]
    assert data.notes == (HASH_NOTE,)
    for message, expected in zip(
        messages(data),
        ("images[1] lacks", "annotations[1] lacks", "annotations[2] lacks", "b.jpg has no"),
        strict=True,
    ):
        assert expected in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[1]", "found no object"),
        ('{"info": 1, "rows": 2}', r"found \['info', 'rows'\]"),
    ],
)
def test_json_of_another_kind(tmp_path, content, message):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(DataError, match=message):
        load_examples(tmp_path / "x.json")


def table(path, rows, header=("image", "caption", "split")):
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(dict(zip(header, row, strict=False))) + "\n" for row in rows))
    else:
        with open(path, "w", newline="", encoding="utf-8-sig") as stream:
            writer = csv.writer(stream, delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writerows([[name.title() for name in header], *rows])
    return path


ROWS = [
    ("a.png", 'Say "cheese",\nplease', "train"),
    ("b.png", "Second", "val"),
    ("a.png", "Another", "train"),
    ("", "No image", "train"),
    ("b.png", "", "val"),
    ("b.png", "Elsewhere", "test"),
    ("c.png", "Wrong split", "holdout"),
    ("ghost.png", "Absent", "test"),
    ("ghost.png", "Absent again", "test"),
]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".txt"])
def test_tables(tmp_path, suffix):
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png")
    file = table(tmp_path / f"captions{suffix}", ROWS)
    data = load_examples(file)
    assert [(e.image_id, e.split, e.captions) for e in data.examples] == [
        ("a.png", "train", ('Say "cheese",\nplease', "Another")),
        ("b.png", "validation", ("Second",)),
    ]
    assert data.notes == ()
    first = 5 if suffix != ".jsonl" else 4  # the header, and a caption of two lines, count
    extra = 1 if suffix != ".jsonl" else 0
    assert [(problem.line, problem.message) for problem in data.problems] == [
        (first + extra, "column image is missing or empty"),
        (first + extra + 1, "column caption is missing or empty"),
        (first + extra + 2, "image b.png was in split validation before, not test"),
        (first + extra + 3, "split 'holdout' is not one of train, validation, test"),
        (first + extra + 4, f"image ghost.png is absent from {tmp_path}"),
    ]


def test_table_without_splits_is_divided_by_hash(tmp_path):
    names = [f"images/{number}.png" for number in range(150)]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    data = load_examples(
        table(tmp_path / "x.csv", [(n, "A cat", "") for n in names], header=("image", "caption"))
    )
    assert data.notes == (HASH_NOTE,)
    assert [example.split for example in data.examples] == [hash_split(name) for name in names]
    assert 7 <= len(data.split("validation")) <= 25
    fewer = load_examples(table(tmp_path / "y.csv", [(n, "A cat", "") for n in names[7:]]))
    assert {e.image_id for e in fewer.split("validation")} == {
        e.image_id for e in data.split("validation")
    } - set(names[:7])


def test_hash_split_takes_a_tenth():
    share = np.mean([hash_split(f"{number}.jpg") == "validation" for number in range(20_000)])
    assert 0.09 < share < 0.11


@pytest.mark.parametrize("header", ["picture,caption", "image,text", "", "a dog,train"])
def test_csv_with_missing_columns(tmp_path, header):
    (tmp_path / "x.csv").write_text(f"{header}\na.png,A dog\n")
    with pytest.raises(DataError, match=r"x\.csv: the first line must name the columns image, caption"):
        load_examples(tmp_path / "x.csv")


def test_jsonl_bad_lines(tmp_path):
    picture(tmp_path / "a.png")
    lines = [
        '{"image": "a.png", "caption": "Good"}',
        "{",
        "[1, 2]",
        "",
        '{"image": 7, "caption": "x"}',
        '{"image": "a.png"}',
    ]
    (tmp_path / "x.jsonl").write_text("\n".join(lines))
    data = load_examples(tmp_path / "x.jsonl")
    assert [example.captions for example in data.examples] == [("Good",)]
    assert [problem.line for problem in data.problems] == [2, 3, 5, 6]
    (tmp_path / "x.jsonl").write_text("\n".join(lines[1:]))
    with pytest.raises(
        DataError, match=r"no usable captions. The first of 4 problems: .*x\.jsonl:1: not JSON"
    ):
        load_examples(tmp_path / "x.jsonl")


def test_csv_that_is_not_utf8_or_not_csv(tmp_path):
    picture(tmp_path / "a.png")
    rows = [b"image,caption", b"a.png,caf\xe9", b"a.png,Good", b'a.png,"' + b"x" * 140_000 + b'"', b"a.png"]
    (tmp_path / "x.csv").write_bytes(b"\n".join(rows))
    data = load_examples(tmp_path / "x.csv")
    assert [example.captions for example in data.examples] == [("Good",)]
    assert [(p.line, p.message.split(":")[0]) for p in data.problems] == [
        (2, "column caption is not UTF-8 text"),
        (4, "not a row of a table"),
        (5, "column caption is missing or empty"),
    ]


def test_strange_file_names_are_absent_images(tmp_path):
    rows = [{"image": name, "caption": "x"} for name in ("a\0b", "n" * 5000, "..", "/")]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(DataError, match="first of 4 problems"):
        load_examples(tmp_path / "x.jsonl")


def test_unknown_sources(tmp_path):
    with pytest.raises(DataError, match=r"Unknown data source 'flickr9k'.*tfds:NAME, or shapes"):
        load_examples("flickr9k")
    with pytest.raises(DataError, match=r"is not a folder of captions.*found none"):
        load_examples(tmp_path)
    (tmp_path / "captions.csv").touch()
    (tmp_path / "captions.jsonl").touch()
    with pytest.raises(DataError, match="found 2 of these"):
        load_examples(tmp_path)
    (tmp_path / "x.xlsx").touch()
    with pytest.raises(DataError, match=r"unknown kind of captions file.*\.jsonl"):
        load_examples(tmp_path / "x.xlsx")
    with pytest.raises(UserError, match="tfds: wants a name"):
        load_examples("tfds:")


def test_example_loads_what_the_loader_takes(tmp_path):
    class Lazy(LazyImage):
        def read(self):
            return pixels

    pixels = np.arange(3 * 4 * 3, dtype=np.uint8).reshape(3, 4, 3)
    np.testing.assert_array_equal(Example("x", pixels, (), "train").load(), pixels)
    np.testing.assert_array_equal(Example("x", Lazy(), (), "train").load(), pixels)
    with pytest.raises(ImageError, match=r"^image seven: the file is empty"):
        Example("image seven", b"", (), "train").load()
    with pytest.raises(ImageError, match=f"^{tmp_path / 'x.jpg'}: no such file"):
        Example("x", tmp_path / "x.jpg", (), "train").load()


def test_problem_reads_like_a_place():
    assert str(Problem("a.csv", 7, "bad")) == "a.csv:7: bad"
    assert str(Problem("a.json", 0, "bad")) == "a.json: bad"


# The report


@pytest.fixture
def findings():
    def shade(value):
        return np.full((3, 5, 3), value, np.uint8)

    examples = (
        Example("1", shade(1), ("A dog runs.", "The dog"), "train"),
        Example("2", shade(2), ("A dog",), "train"),
        Example("3", shade(1), ("A cat sits here",), "validation"),
        Example("2", shade(4), ("The zebra",), "test"),
        Example("5", b"broken", ("A dog",), "test"),
    )
    data = CaptionData("mine", examples, (Problem("x.csv", 3, "bad row"),), ("a note",))
    return data, examine(data, min_count=2)


def test_examine(findings):
    found = findings[1]
    assert found["splits"]["train"] == {
        "images": 2,
        "captions": 3,
        "words": {"min": 2, "median": 2.0, "percentile_95": pytest.approx(2.9), "max": 3},
        "out_of_vocabulary": pytest.approx(2 / 7),
    }
    # Words seen twice in train: a, dog.
    assert found["vocabulary"] == {"min_count": 2, "size": 6, "distinct_words": 4}
    assert found["splits"]["validation"]["out_of_vocabulary"] == pytest.approx(3 / 4)
    assert found["splits"]["test"]["out_of_vocabulary"] == pytest.approx(2 / 4)
    assert found["duplicates"] == {
        "same_id": [["train/2", "test/2"]],
        "same_content": [["train/1", "validation/3"]],
    }
    assert [(c["image_id"], c["split"]) for c in found["corrupt"]] == [("5", "test")]
    assert found["problems"] == [{"file": "x.csv", "line": 3, "message": "bad row"}]


def test_describe(findings):
    text = describe(findings[1])
    for expected in (
        "note: a note",
        "train               2         3   2, 2, 2.9, 3",
        "vocabulary: 6 tokens",
        "unknown words: validation 75.00%, test 50.00%",
        "x.csv:3: bad row",
        "5: not an image",
        "train/2, test/2",
        "train/1 = validation/3",
    ):
        assert expected in text


def test_report_without_looking_at_images(findings):
    text = describe(examine(findings[0], check_images=False))
    assert "images that cannot be read: not checked" in text
    assert "equal images in different splits: not checked" in text
    assert "train/2, test/2" in text


def test_report_script(flickr, capsys, tmp_path):
    (flickr / "pictures" / "b.jpg").write_bytes(b"")
    out = tmp_path / "out.json"
    assert run_script(report, [str(flickr), "--json", str(out), "--min-count", "1"]) == 1
    printed = capsys.readouterr().out
    assert "rows left out: 5" in printed
    assert "images that cannot be read: 1" in printed
    assert "b.jpg: the file is empty" in printed
    found = json.loads(out.read_text())
    assert len(found["problems"]) == 5
    assert found["splits"]["train"]["images"] == 3
    assert run_script(report, ["nothing/here"]) == 2
    assert "Unknown data source" in capsys.readouterr().err
    assert run_script(report, [str(flickr), "--json", str(tmp_path / "absent" / "x.json")]) == 2


def test_report_script_is_light_and_clean(flickr):
    command = [sys.executable, "-X", "importtime", "-m", "captioning.data", str(flickr), "--no-check-images"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[3], check=False)
    assert done.returncode == 1
    assert "rows left out: 5" in done.stdout
    assert "RuntimeWarning" not in done.stderr
    assert " tensorflow" not in done.stderr
    assert " keras" not in done.stderr


def test_real_flickr8k():
    default = Path(__file__).parents[4] / "shared" / "data" / "flickr8k"
    folder = Path(os.environ.get("UNROLLED_FLICKR8K") or default)
    if not folder.is_dir():
        pytest.skip("Flickr8k is not here; name its folder in UNROLLED_FLICKR8K")
    data = load_examples(folder)
    train, validation = data.split("train"), data.split("validation")
    assert (len(train), len(validation)) == (6000, 1000)
    assert all(len(example.captions) == 5 for example in (*train, *validation))
    assert {e.image_id for e in train}.isdisjoint(e.image_id for e in validation)
    assert validation[0].load().shape[2] == 3
