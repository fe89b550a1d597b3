"""What the report says of a source of captions."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from captioning.data.__main__ import main
from captioning.data.examples import CaptionData, Example
from captioning.data.report import describe, examine
from shared.data.source import Problem
from shared.system.cli import run_script


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
        "same_photograph": [],  # plain pictures are no photographs
    }
    assert [(c["image_id"], c["split"]) for c in found["corrupt"]] == [("5", "test")]
    assert found["problems"] == [{"file": "x.csv", "line": 3, "message": "bad row"}]
    assert found["sources"] == {"mine": {"train": 2, "validation": 1, "test": 2}}


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
        "photographs both in train and held out, in any size: 0",
    ):
        assert expected in text
    assert "images of" not in text  # there is one source


def test_report_without_looking_at_images(findings):
    text = describe(examine(findings[0], check_images=False))
    assert "images that cannot be read: not checked" in text
    assert "equal images in different splits: not checked" in text
    assert "photographs both in train and held out, in any size: not checked" in text
    assert "train/2, test/2" in text


def photograph(width, height):
    """Smooth noise, the same in every size."""
    grid = np.random.default_rng(3).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC))


@pytest.mark.parametrize(
    ("name", "splits", "expected"),
    [
        ("mine", ("train", "validation"), [["train/1", "validation/2"]]),
        ("mine", ("test", "train"), [["train/2", "test/1"]]),
        ("mine", ("train", "train"), []),
        ("mine", ("validation", "test"), []),
        ("shapes", ("train", "validation"), []),  # whatever is alike in them is no copy
    ],
)
def test_one_photograph_in_train_and_held_out(name, splits, expected):
    images = (photograph(64, 48), photograph(90, 70))
    examples = [Example(str(n), images[n - 1], ("A dog",), split) for n, split in enumerate(splits, 1)]
    found = examine(CaptionData(name, tuple(examples)), min_count=1)
    assert found["duplicates"]["same_photograph"] == expected
    assert found["duplicates"]["same_content"] == []
    assert all(" = ".join(pair) in describe(found) for pair in expected)
    assert not examine(CaptionData(name, tuple(examples)), check_images=False)["duplicates"][
        "same_photograph"
    ]


def test_the_report_of_several_sources_is_that_of_their_union(tmp_path, capsys, picture):
    files = []
    for source, rows in {
        "birds": [("a.png", "a red bird", "train"), ("b.png", "a bird", "val")],
        "cats": [
            ("a.png", "a cat", "train"),
            ("b.png", "a red cat", "train"),
            ("c.png", "no picture", "train"),
        ],
    }.items():
        for name in ("a.png", "b.png"):
            picture(tmp_path / source / name)
        files.append(tmp_path / source / "captions.csv")
        lines = ["image,caption,split", *(",".join(row) for row in rows)]
        files[-1].write_text("\n".join(lines))
    out = tmp_path / "out.json"
    assert run_script(main, [*map(str, files), "--json", str(out), "--min-count", "2"]) == 1
    printed, found = capsys.readouterr().out, json.loads(out.read_text())
    assert found["source"] == f"{files[0]}, {files[1]}"
    assert found["sources"] == {"birds": {"train": 1, "validation": 1}, "cats": {"train": 2}}
    assert {split: part["images"] for split, part in found["splits"].items()} == {"train": 3, "validation": 1}
    assert found["vocabulary"] == {"min_count": 2, "size": 7, "distinct_words": 4}  # a, red and cat
    assert found["splits"]["validation"]["out_of_vocabulary"] == 0.5  # a bird
    assert [problem["file"] for problem in found["problems"]] == [str(files[1])]
    assert "images of birds: train 1, validation 1\nimages of cats: train 2\n" in printed
    assert "train/birds/a.png = validation/birds/b.png = train/cats/a.png = train/cats/b.png" in printed
    images = [option for file in files for option in ("--images", str(file.parent))]
    assert run_script(main, [*map(str, files), *images]) == 1
    assert run_script(main, [*map(str, files), *images[:2]]) == 2
    assert "1 folders of images for 2 sources" in capsys.readouterr().err
    assert run_script(main, [*map(str, files), "--json", str(files[1])]) == 2
    assert "is one of the inputs" in capsys.readouterr().err


def test_report_script(flickr, capsys, tmp_path):
    (flickr / "pictures" / "b.jpg").write_bytes(b"")
    out = tmp_path / "out.json"
    assert run_script(main, [str(flickr), "--json", str(out), "--min-count", "1"]) == 1
    printed = capsys.readouterr().out
    assert "rows left out: 5" in printed
    assert "images that cannot be read: 1" in printed
    assert "b.jpg: the file is empty" in printed
    found = json.loads(out.read_text())
    assert len(found["problems"]) == 5
    assert found["splits"]["train"]["images"] == 3
    assert run_script(main, ["nothing/here"]) == 2
    assert "Unknown data source" in capsys.readouterr().err
    assert run_script(main, [str(flickr), "--json", str(tmp_path / "absent" / "x.json")]) == 2


def test_report_script_is_light_and_clean(flickr):
    command = [sys.executable, "-X", "importtime", "-m", "captioning.data", str(flickr), "--no-check-images"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[3], check=False)
    assert done.returncode == 1
    assert "rows left out: 5" in done.stdout
    assert "RuntimeWarning" not in done.stderr
    assert " tensorflow" not in done.stderr
    assert " keras" not in done.stderr
