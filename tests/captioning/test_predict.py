"""The script that describes images: formats, outputs, options, exit statuses."""

import csv
import dataclasses
import io
import json
from pathlib import Path

import pytest

from captioning import predict
from captioning.config import Search
from captioning.prediction.inputs import SAMPLES
from shared.system.cli import UserError, run_script


def run(*argv):
    return run_script(predict.main, [str(argument) for argument in argv])


def test_without_images_the_samples_are_described(photos, loaded_captioner, capsys):
    pytest.importorskip("skimage", reason="needs the extra 'samples'")
    assert run() == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines[::2]) == len(SAMPLES)
    assert all(Path(line).is_file() for line in lines[::2])


def test_text(photos, loaded_captioner, capsys):
    assert run("photos/a.png", "photos/b.png") == 0
    output = capsys.readouterr()
    assert output.out.splitlines() == [
        "photos/a.png",
        "  red is 0  (confidence 0.50)",
        "photos/b.png",
        "  red is 50  (confidence 0.50)",
    ]
    assert output.err == ""


def test_text_of_several_captions_is_aligned(photos, loaded_captioner, capsys):
    assert run("photos/a.png", "--n-best", 3) == 0
    assert capsys.readouterr().out.splitlines() == [
        "photos/a.png",
        "  1. red is 0              (confidence 0.50)",
        "  2. red is 0 again        (confidence 0.25)",
        "  3. red is 0 again again  (confidence 0.17)",
    ]


def test_bad_files_get_their_line_and_status_1(photos, loaded_captioner, capsys):
    assert run("text.jpg", "photos/a.png", "absent.jpg") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("text.jpg: error: not an image")
    assert lines[1:3] == ["photos/a.png", "  red is 0  (confidence 0.50)"]
    assert lines[3].startswith("absent.jpg: error: no such file")


def test_only_absent_files_need_no_model(photos, no_loading, capsys):
    assert run("absent.jpg", "--format", "jsonl") == 1
    assert json.loads(capsys.readouterr().out) == {"image": "absent.jpg", "error": "no such file."}


def test_jsonl(photos, loaded_captioner, capsys):
    assert run("photos/b.png", "text.jpg", "--format", "jsonl") == 1
    good, bad = map(json.loads, capsys.readouterr().out.splitlines())
    assert good == {"image": "photos/b.png", "caption": "red is 50", "log_prob": -1.5, "confidence": 0.5}
    assert bad.keys() == {"image", "error"}


def test_jsonl_of_several_captions(photos, loaded_captioner, capsys):
    assert run("photos/a.png", "--format", "jsonl", "--n-best", 3) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["caption"] == "red is 0"
    assert [other["log_prob"] for other in record["alternatives"]] == [-2.5, -3.5]


def test_csv(photos, loaded_captioner, capsys):
    assert run("photos/b.png", "text.jpg", "--format", "csv", "--n-best", 2) == 1
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["rank"] for row in rows] == ["1", "2", ""]
    assert rows[1] == {
        "image": "photos/b.png",
        "rank": "2",
        "caption": "red is 50 again",
        "log_prob": "-2.5",
        "confidence": "0.25",
        "error": "",
        "abstained": "",
    }
    assert rows[2]["image"] == "text.jpg"
    assert "not an image" in rows[2]["error"]


def test_output_file_holds_what_standard_output_would(photos, loaded_captioner, capsys):
    assert run("photos", "text.jpg", "--format", "csv") == 1
    expected = capsys.readouterr().out
    Path("captions.csv").write_text("an old and much longer file\n" * 30)
    assert run("photos", "text.jpg", "--format", "csv", "--output", "captions.csv") == 1
    assert Path("captions.csv").read_text(encoding="utf-8") == expected
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("text.jpg: error: not an image")
    assert output.err.count("\n") == 1


@pytest.mark.parametrize("output", ["absent/out.txt", "photos", "photos/a.png"])
def test_unusable_output_is_reported_before_any_work(output, photos, no_loading, capsys):
    before = (photos / "photos" / "a.png").read_bytes()
    assert run("photos", "--output", output) == 2
    assert output in capsys.readouterr().err
    assert (photos / "photos" / "a.png").read_bytes() == before


def test_options_that_the_model_refuses_leave_the_output_alone(photos, loaded_captioner, monkeypatch, capsys):
    def refuse(pixels, **options):
        raise UserError("The model does not know the word 'zebra' of must.")

    monkeypatch.setattr(loaded_captioner, "caption_pixels", refuse)
    Path("captions.csv").write_text("mine")
    assert run("photos", "--must", "zebra", "--output", "captions.csv") == 2
    assert "zebra" in capsys.readouterr().err
    assert Path("captions.csv").read_text() == "mine"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device /dev/full")
def test_full_disk_is_a_clear_error(photos, loaded_captioner, capsys):
    assert run("photos", "--output", "/dev/full") == 2
    assert "Cannot write /dev/full: No space left" in capsys.readouterr().err


def test_search_options_reach_the_model(photos, loaded_captioner):
    run("photos/a.png", "--num-beams", 5, "--length-penalty", 0.7, "--max-length", 11, "--n-best", 4)
    expected = Search(num_beams=5, length_penalty=0.7, max_length=11, n_best=4)
    assert loaded_captioner.options == [dataclasses.asdict(expected)]


def test_constraints_reach_the_model(photos, loaded_captioner):
    options = ["--must", "red cat", "dog", "--never", "man", "--prefix", "A photo of", "--diversity", 1]
    run("photos/a.png", *options, "--open-endings")
    expected = Search(
        must=("red cat", "dog"), never=("man",), prefix="A photo of", diversity=1.0, open_endings=True
    )
    assert loaded_captioner.options == [dataclasses.asdict(expected)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--must", "cat", "--never", "Cat"], "'cat' is a word of must and of never"),
        (["--never", "of", "--prefix", "a photo of"], "'of' is a word of prefix and of never"),
        (
            ["--must", "a cat", "dog", "--prefix", "a", "--max-length", "2"],
            "prefix and must have 3 words; a caption has at most 2",
        ),
        (["--prefix", "photo of a", "--max-length", "3"], "a caption of 3 words would end on 'a'"),
        (["--must", "on", "--prefix", "cat", "--max-length", "2"], "would end on 'on'"),
        (["--must", "!", "cat"], "'!' has no word"),
        (["--prefix", "..."], "'...' has no word"),
        (["--diversity", "-1"], "--diversity must be a number of at least 0"),
    ],
)
def test_contradictions_are_one_sentence_before_anything_is_loaded(
    options, message, photos, no_loading, capsys
):
    assert run("photos/a.png", *options) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_captions_below_a_confidence_are_withheld(photos, loaded_captioner, capsys):
    assert run("photos/a.png", "--abstain-below", 0.6) == 0
    assert capsys.readouterr().out.splitlines()[1] == "  not sure  (confidence 0.50)"
    assert run("photos/a.png", "--abstain-below", 0.5) == 0
    assert capsys.readouterr().out.splitlines()[1] == "  red is 0  (confidence 0.50)"
    loaded_captioner.abstain_below = 0.55  # as an exported model has it
    assert run("photos/a.png", "--abstain-below", 0.5) == 0
    assert "not sure" in capsys.readouterr().out


def test_more_captions_than_default_beams_raise_the_beams(photos, loaded_captioner):
    run("photos/a.png", "--n-best", 7)
    assert loaded_captioner.options[0]["num_beams"] == loaded_captioner.options[0]["n_best"] == 7


def test_an_exported_model_keeps_its_options(photos, loaded_captioner):
    loaded_captioner.search_defaults = Search(num_beams=4, n_best=2, length_penalty=0.5, max_length=9)
    run("photos/a.png", "--max-length", 10)
    expected = Search(num_beams=4, n_best=2, length_penalty=0.5, max_length=10)
    assert loaded_captioner.options == [dataclasses.asdict(expected)]


@pytest.mark.parametrize(
    "options",
    [
        ["--num-beams", "0"],
        ["--batch-size", "-1"],
        ["--max-length", "many"],
        ["--length-penalty", "x"],
        ["--num-beams", "2", "--n-best", "3"],
        ["--format", "xml"],
        ["--beams", "3"],
        ["--abstain-below", "1.5"],
    ],
)
def test_mistaken_options_end_with_status_2(options, capsys):
    try:
        status = run("a.png", *options)
    except SystemExit as stopped:  # as argparse ends a script
        status = stopped.code
    assert status == 2
    assert "error" in capsys.readouterr().err
