"""Sources of captions: what is read, and each way in which they can be bad."""

import csv
import gzip
import json
import os
from pathlib import Path

import pytest

from captioning.data.examples import HASH_NOTE, hash_split
from captioning.data.load import load_examples, load_sources, source_labels
from captioning.data.tables import WRITTEN_NOTE
from captioning.model.captions import Caption
from captioning.prediction.results import Result, write_results
from shared.data.source import DataError
from shared.system.cli import UserError


def messages(data):
    return [str(problem) for problem in data.problems]


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


def test_flickr8k_with_images_elsewhere(flickr, tmp_path_factory, picture):
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


def test_karpathy(tmp_path, picture):
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


def test_coco_beside_its_images(tmp_path, picture):
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


def test_coco_bad_rows_and_unnamed_split(tmp_path, picture):
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
def test_tables(tmp_path, suffix, picture):
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


@pytest.mark.parametrize("header", ["picture,caption", "image,text", "", "a dog,train"])
def test_csv_with_missing_columns(tmp_path, header):
    (tmp_path / "x.csv").write_text(f"{header}\na.png,A dog\n")
    with pytest.raises(DataError, match=r"x\.csv: the first line must name the columns image and caption"):
        load_examples(tmp_path / "x.csv")


def test_jsonl_bad_lines(tmp_path, picture):
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


def test_csv_that_is_not_utf8_or_not_csv(tmp_path, picture):
    picture(tmp_path / "a.png")
    rows = [b"image,caption", b"a.png,caf\xe9", b"a.png,Good", b'a.png,"' + b"x" * 140_000 + b'"', b"a.png"]
    rows += [b"a.png,A dog, running", b'a.png,"never closed', b"a.png,Lost?"]
    (tmp_path / "x.csv").write_bytes(b"\n".join(rows))
    data = load_examples(tmp_path / "x.csv")
    assert [example.captions for example in data.examples] == [("Good", "x" * 140_000)]
    assert [(p.line, p.message) for p in data.problems] == [
        (2, "not UTF-8"),
        (5, "the row has 1 fields, the header 2"),
        (6, "the row has 3 fields, the header 2"),
        (7, "a quotation mark is not closed: lines 7 to 8 are left out"),
    ]


@pytest.mark.parametrize("name", ["x.csv", "Flickr8k.token.txt", "x.json"])
def test_bytes_that_are_not_utf8_are_a_problem(tmp_path, picture, name):
    picture(tmp_path / "a.png")
    (tmp_path / "Flickr_8k.trainImages.txt").write_text("a.png\n")
    entries = [
        karpathy_entry("a.png", "train", "Good", "caf\udce9"),
        karpathy_entry("a.png", "train", "Good"),
    ]
    content = {
        "x.csv": "image,caption\na.png,caf\udce9\na.png,Good\n",
        "Flickr8k.token.txt": "a.png#0\tcaf\udce9\na.png#1\tGood\n",
        "x.json": json.dumps({"images": entries}, ensure_ascii=False),
    }[name]
    (tmp_path / name).write_bytes(content.encode("utf-8", "surrogateescape"))
    data = load_examples(tmp_path if name.startswith("Flickr") else tmp_path / name)
    assert [example.captions for example in data.examples] == [("Good",)]
    assert [problem.message for problem in data.problems] == ["not UTF-8"]


def test_packed_table(tmp_path, picture):
    picture(tmp_path / "a.png")
    (tmp_path / "captions.csv.gz").write_bytes(gzip.compress(b"image,caption\na.png,Good\n"))
    for source in (tmp_path, tmp_path / "captions.csv.gz"):
        assert [example.captions for example in load_examples(source).examples] == [("Good",)]


def test_strange_file_names_are_absent_images(tmp_path):
    rows = [{"image": name, "caption": "x"} for name in ("a\0b", "n" * 5000, "..", "/")]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(DataError, match="first of 4 problems"):
        load_examples(tmp_path / "x.jsonl")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("shape", "Did you mean 'shapes'?"),
        ("https://example.org/captions.csv", "captions.csv is a URL; download the file and give its path."),
    ],
)
def test_a_source_that_is_nearly_right(source, message):
    with pytest.raises(DataError) as raised:
        load_examples(source)
    assert message in str(raised.value)


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
    with pytest.raises(UserError, match="tfds: needs a name"):
        load_examples("tfds:")


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


# Several sources


@pytest.fixture
def two_sources(tmp_path, picture):
    """Files of captions with images of the same names, and a row that is left out."""
    for folder, split in (("birds", ""), ("cats", "val")):
        picture(tmp_path / folder / "a.png", shade=len(folder))
        picture(tmp_path / folder / "b.png")
        rows = [
            ("a.png", f"One of {folder}", "train"),
            ("b.png", "Two", split),
            ("ghost.png", "Three", "train"),
        ]
        table(tmp_path / folder / "captions.csv", rows)
    return [str(tmp_path / "birds" / "captions.csv"), str(tmp_path / "cats")]


def test_several_sources_are_read_into_one(two_sources):
    data = load_sources(two_sources)
    birds, cats = (load_examples(source) for source in two_sources)
    assert data.name == ", ".join(two_sources)
    assert data.sources == ("birds", "cats")
    assert [(e.image_id, e.source, e.split, e.captions) for e in data.examples] == [
        ("birds/a.png", "birds", "train", ("One of birds",)),
        ("birds/b.png", "birds", hash_split("b.png"), ("Two",)),
        ("cats/a.png", "cats", "train", ("One of cats",)),
        ("cats/b.png", "cats", "validation", ("Two",)),
    ]
    assert [e.image for e in data.examples] == [e.image for e in (*birds.examples, *cats.examples)]
    assert messages(data) == [*messages(birds), *messages(cats)]
    assert len(data.problems) == 2
    assert data.notes == (f"birds: {HASH_NOTE}",)


def test_one_source_is_itself(two_sources):
    assert load_sources(two_sources[1:]) == load_examples(two_sources[1])
    assert load_sources(two_sources[1:]).sources == ("",)


def test_each_source_has_its_folder_of_images(two_sources, tmp_path_factory, picture):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    picture(elsewhere / "ghost.png")
    data = load_sources(two_sources, images=[elsewhere, Path(two_sources[1])])
    assert [example.image_id for example in data.examples] == ["birds/ghost.png", "cats/a.png", "cats/b.png"]
    with pytest.raises(
        DataError, match=r"^1 folders of images for 2 sources of captions: expected one for each"
    ):
        load_sources(two_sources, images=[elsewhere])


@pytest.mark.parametrize("twin", ["{}", "{}/", "{}/../cats"])
def test_a_source_that_is_named_twice_is_refused(two_sources, twin):
    with pytest.raises(DataError, match=r"cats.* is named twice. Name it once; --mix shows it more often"):
        load_sources([*two_sources, twin.format(two_sources[1])])
    with pytest.raises(DataError, match="The source shapes is named twice"):
        load_sources(["shapes", "shapes"])


def test_a_bad_source_among_good_ones_is_an_error(two_sources):
    with pytest.raises(DataError, match="Unknown data source 'flickr9k'"):
        load_sources([*two_sources, "flickr9k"])


def test_labels_are_short_and_different(tmp_path):
    names = ["a/coco/captions.jsonl", "b/coco", "c/dataset_coco.json", "coco", "d/coco"]
    for name in names:
        (tmp_path / name).mkdir(parents=True)  # a label does not depend on what is a file
    labels = source_labels([str(tmp_path / name) for name in names])
    assert labels == ["coco", "coco-2", "dataset_coco", "coco-3", "coco-4"]
    assert source_labels(["shapes", "tfds:coco_captions"]) == ["shapes", "tfds-coco_captions"]


# Captions that a model wrote


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_captions_of_predict_are_for_training_only(form, tmp_path, monkeypatch, picture):
    for number in range(40):  # a hash would put some of them in validation
        picture(tmp_path / "photos" / f"{number}.png", shade=number)
    captions = [Caption.of(["a", "dog"], -1.0, 3), Caption.of(["the", "dog"], -2.0, 3)]
    results = [Result(f"photos/{number}.png", captions, None) for number in range(40)]
    written = tmp_path / "out" / f"dogs.{form}"
    written.parent.mkdir()
    write_results([*results, Result("photos/bad.png", [], "no such file.")], form, written)
    monkeypatch.chdir(tmp_path)  # paths are those that predict was given, so relative to the working folder
    data = load_examples(written)
    assert len(data.examples) == 40
    assert data.splits == ("train",)
    assert data.notes == (WRITTEN_NOTE,)
    assert {e.captions for e in data.examples} == {("a dog",) if form == "jsonl" else ("a dog", "the dog")}
    assert data.examples[7].load()[0, 0, 0] == 7
    assert [problem.message for problem in data.problems] == ["column caption is missing or empty"]


def test_written_captions_keep_a_split_that_is_named(tmp_path, picture):
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png")
    header = ("image", "caption", "split", "confidence")
    rows = [("a.png", "A cat", "validation", 0.4), ("b.png", "A dog", "", 0.5)]
    data = load_examples(table(tmp_path / "x.jsonl", rows, header=header))
    assert [(e.image_id, e.split) for e in data.examples] == [("a.png", "validation"), ("b.png", "train")]


@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "captions.txt", "Flickr8k.token.txt", "x.json"])
def test_captions_in_another_encoding(tmp_path, picture, name):
    picture(tmp_path / "a.png")
    (tmp_path / "Flickr_8k.trainImages.txt").write_text("a.png\n")
    entries = [karpathy_entry("a.png", "train", "un caf\u00e9")]
    content = {
        "Flickr8k.token.txt": "a.png#0\tun caf\u00e9\r\n",
        "x.json": json.dumps({"images": entries}, ensure_ascii=False),
    }.get(name, "IMAGE;Caption;split\r\na.png;un caf\u00e9;train\r\n")
    (tmp_path / name).write_bytes(content.encode("latin-1"))
    source = tmp_path if name.startswith("Flickr") else tmp_path / name
    with pytest.raises(
        DataError, match=r"has no usable captions" if name == "x.json" else "Give --encoding latin-1"
    ):
        load_examples(source)
    data = load_sources([source], encoding="latin-1")
    assert [(e.captions, e.split) for e in data.examples] == [(("un caf\u00e9",), "train")]


def test_captions_with_a_named_delimiter(tmp_path, picture):
    picture(tmp_path / "a.png")
    (tmp_path / "x.csv").write_text("image^caption\na.png^a dog\n")
    with pytest.raises(DataError, match=r"Give --delimiter '\^'"):
        load_examples(tmp_path / "x.csv")
    assert load_examples(tmp_path / "x.csv", delimiter="^").examples[0].captions == ("a dog",)
