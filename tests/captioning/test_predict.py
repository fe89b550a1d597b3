import csv
import importlib.util
import io
import json
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from captioning import predict
from captioning.predict import caption_images, find_inputs
from captioning.prediction.results import Result, write_results
from shared.system.cli import UserError, run_script


class FakeCaptioner:
    """Says the colour of an image's first pixel; a stand-in for the model."""

    def __init__(self):
        self.settings = {}
        self.batches, self.options = [], []

    def prepare(self, image):
        return image[:1, :1]

    def caption(self, images, **options):
        self.batches.append(len(images))
        self.options.append(options)
        assert images.shape[1:] == (1, 1, 3)
        return [
            [
                SimpleNamespace(
                    text=f"red is {pixel[0, 0, 0]}" + " again" * rank,
                    log_prob=-1.5 - rank,
                    confidence=0.5 / (1 + rank),
                )
                for rank in range(options.get("n_best", 1))
            ]
            for pixel in images
        ]


def solid(red):
    return np.full((4, 5, 3), (red, 0, 0), np.uint8)


def broken():
    raise UserError("broken.jpg: cut short")


@pytest.fixture
def captioner(monkeypatch):
    fake = FakeCaptioner()
    monkeypatch.setattr(predict, "load_captioner", lambda name: fake)
    return fake


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A working folder with three images, a file that is none, and an empty one."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for number, name in enumerate(("a.png", "b.png", "c.jpg")):
        Image.fromarray(solid(50 * number)).save(Path("photos") / name)
    Path("text.jpg").write_text("not an image")
    Path("empty").mkdir()
    return tmp_path


def run(*argv):
    return run_script(predict.main, [str(argument) for argument in argv])


# -- the stream ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 3, 4, 7, 50])
def test_stream_keeps_order_and_batches(batch_size):
    captioner = FakeCaptioner()
    items = [(number, partial(solid, number)) for number in range(7)]
    results = list(caption_images(captioner, items, batch_size=batch_size, workers=3, num_beams=5))
    assert [result.key for result in results] == list(range(7))
    assert [result.captions[0].text for result in results] == [f"red is {number}" for number in range(7)]
    assert max(captioner.batches) == min(batch_size, 7)
    assert len(captioner.batches) == -(-7 // batch_size)
    assert captioner.options[0] == {"num_beams": 5}


def test_stream_goes_on_after_bad_images():
    def odd():
        raise ZeroDivisionError("what a header")

    items = [(0, broken), (1, partial(solid, 9)), (2, odd), (3, broken), (4, partial(solid, 8))]
    results = list(caption_images(FakeCaptioner(), items, batch_size=2))
    assert [result.error for result in results] == [
        "broken.jpg: cut short",
        None,
        "ZeroDivisionError: what a header",
        "broken.jpg: cut short",
        None,
    ]
    assert [len(result.captions) for result in results] == [0, 1, 0, 0, 1]


def test_a_batch_without_a_good_image_does_not_reach_the_model():
    captioner = FakeCaptioner()
    list(caption_images(captioner, [(0, broken), (1, broken)], batch_size=2))
    assert captioner.batches == []


def test_stream_reads_no_further_ahead_than_two_batches():
    taken = []

    def endless():
        number = 0
        while True:
            taken.append(number)
            yield number, partial(solid, number % 256)
            number += 1

    stream = caption_images(FakeCaptioner(), endless(), batch_size=3)
    assert [next(stream).key for _ in range(4)] == [0, 1, 2, 3]
    assert len(taken) <= 4 * 3
    stream.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("read-image")]


def test_the_next_images_are_read_while_the_model_runs():
    read = threading.Event()

    class Waiting(FakeCaptioner):
        def caption(self, images, **options):
            # Ends only if another thread reads the second batch meanwhile.
            assert read.wait(timeout=30)
            return super().caption(images, **options)

    def second():
        read.set()
        return solid(2)

    items = [("first", partial(solid, 1)), ("second", second)]
    assert len(list(caption_images(Waiting(), items, batch_size=1, workers=1))) == 2


# -- inputs ----------------------------------------------------------------------------------------------


def test_inputs_are_files_folders_and_patterns(photos):
    assert find_inputs(["text.jpg", "photos", "absent.jpg"]) == [
        Path(name) for name in ("text.jpg", "photos/a.png", "photos/b.png", "photos/c.jpg", "absent.jpg")
    ]
    assert find_inputs(["photos/[ab].*"]) == [Path("photos/a.png"), Path("photos/b.png")]


def stdin_of(monkeypatch, content):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))


def test_inputs_from_standard_input(photos, monkeypatch):
    stdin_of(monkeypatch, b"photos/b.png\r\n\nwith space .png\ncaf\xe9.png\n")
    found = find_inputs(["text.jpg", "-"])
    assert found[:3] == [Path("text.jpg"), Path("photos/b.png"), Path("with space .png")]
    assert bytes(found[3]) == b"caf\xe9.png"


def test_nothing_on_standard_input_is_a_usage_error(photos, monkeypatch, capsys):
    stdin_of(monkeypatch, b"\n")
    assert run("-") == 2
    assert "Standard input named no images" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["empty", "empty/*.png"])
def test_folder_or_pattern_without_images_is_a_usage_error(name, photos, captioner, capsys):
    assert run("photos/a.png", name) == 2
    assert name in capsys.readouterr().err
    assert captioner.batches == []


def test_samples_come_from_scikit_image_unimported(photos, captioner, capsys):
    pytest.importorskip("skimage", reason="needs the extra 'samples'")
    assert run() == 0
    lines = capsys.readouterr().out.splitlines()
    assert [Path(line).name for line in lines[::2]] == list(predict.SAMPLES)


def test_absent_samples_say_how_to_get_them(photos, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert run() == 2
    assert "pip install '.[samples]'" in capsys.readouterr().err


# -- outputs ---------------------------------------------------------------------------------------------


def test_text(photos, captioner, capsys):
    assert run("photos/a.png", "photos/b.png") == 0
    output = capsys.readouterr()
    assert output.out.splitlines() == [
        "photos/a.png",
        "  red is 0  (confidence 0.50)",
        "photos/b.png",
        "  red is 50  (confidence 0.50)",
    ]
    assert output.err == ""


def test_text_of_several_captions_is_aligned(photos, captioner, capsys):
    assert run("photos/a.png", "--n-best", 3) == 0
    assert capsys.readouterr().out.splitlines() == [
        "photos/a.png",
        "  1. red is 0              (confidence 0.50)",
        "  2. red is 0 again        (confidence 0.25)",
        "  3. red is 0 again again  (confidence 0.17)",
    ]


def test_bad_files_get_their_line_and_status_1(photos, captioner, capsys):
    assert run("text.jpg", "photos/a.png", "absent.jpg") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("text.jpg: error: not an image")
    assert lines[1:3] == ["photos/a.png", "  red is 0  (confidence 0.50)"]
    assert lines[3].startswith("absent.jpg: error: no such file")


def test_only_absent_files_need_no_model(photos, monkeypatch, capsys):
    monkeypatch.setattr(predict, "load_captioner", lambda name: pytest.fail("the model was loaded"))
    assert run("absent.jpg", "--format", "jsonl") == 1
    assert json.loads(capsys.readouterr().out) == {"image": "absent.jpg", "error": "no such file."}


def test_jsonl(photos, captioner, capsys):
    assert run("photos/b.png", "text.jpg", "--format", "jsonl") == 1
    good, bad = map(json.loads, capsys.readouterr().out.splitlines())
    assert good == {"image": "photos/b.png", "caption": "red is 50", "log_prob": -1.5, "confidence": 0.5}
    assert bad.keys() == {"image", "error"}


def test_jsonl_of_several_captions(photos, captioner, capsys):
    assert run("photos/a.png", "--format", "jsonl", "--n-best", 3) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["caption"] == "red is 0"
    assert [other["log_prob"] for other in record["alternatives"]] == [-2.5, -3.5]


def test_csv(photos, captioner, capsys):
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
    }
    assert rows[2]["image"] == "text.jpg"
    assert "not an image" in rows[2]["error"]


def test_output_file_holds_what_standard_output_would(photos, captioner, capsys):
    assert run("photos", "text.jpg", "--format", "csv") == 1
    expected = capsys.readouterr().out
    Path("captions.csv").write_text("an old and much longer file\n" * 30)
    assert run("photos", "text.jpg", "--format", "csv", "--output", "captions.csv") == 1
    assert Path("captions.csv").read_text(encoding="utf-8") == expected
    assert capsys.readouterr().out == ""


def test_names_outside_unicode_are_written_with_escapes(tmp_path):
    results = [Result(Path("caf\udce9.png"), (), "no such file")]
    for form in ("text", "jsonl", "csv"):
        assert write_results(results, form, tmp_path / form) == 1
        assert b"caf\\udce9.png" in (tmp_path / form).read_bytes()
    assert json.loads((tmp_path / "jsonl").read_text())["image"] == "caf\udce9.png"


def test_what_was_written_stays_when_the_run_is_stopped(photos, captioner):
    def stopped():
        yield Result("a.png", captioner.caption(solid(3)[None, :1, :1])[0], None)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_results(stopped(), "jsonl", Path("out.jsonl"))
    assert json.loads(Path("out.jsonl").read_text())["caption"] == "red is 3"


@pytest.mark.parametrize("output", ["absent/out.txt", "photos", "photos/a.png"])
def test_unusable_output_is_reported_before_any_work(output, photos, monkeypatch, capsys):
    before = (photos / "photos" / "a.png").read_bytes()
    monkeypatch.setattr(predict, "load_captioner", lambda name: pytest.fail("the model was loaded"))
    assert run("photos", "--output", output) == 2
    assert output in capsys.readouterr().err
    assert (photos / "photos" / "a.png").read_bytes() == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device /dev/full")
def test_full_disk_is_a_clear_error(photos, captioner, capsys):
    assert run("photos", "--output", "/dev/full") == 2
    assert "Cannot write /dev/full: No space left" in capsys.readouterr().err


# -- options ---------------------------------------------------------------------------------------------


def test_search_options_reach_the_model(photos, captioner):
    run("photos/a.png", "--num-beams", 5, "--length-penalty", 0.7, "--max-length", 11, "--n-best", 4)
    assert captioner.options == [{"num_beams": 5, "length_penalty": 0.7, "max_length": 11, "n_best": 4}]


def test_more_captions_than_default_beams_raise_the_beams(photos, captioner):
    run("photos/a.png", "--n-best", 7)
    assert captioner.options[0]["num_beams"] == captioner.options[0]["n_best"] == 7


def test_an_exported_model_keeps_its_options(photos, captioner):
    captioner.settings = {"search": {"num_beams": 4, "n_best": 2, "length_penalty": 0.5, "max_length": 9}}
    run("photos/a.png", "--max-length", 10)
    assert captioner.options == [{"num_beams": 4, "n_best": 2, "length_penalty": 0.5, "max_length": 10}]


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
    ],
)
def test_mistaken_options_end_with_status_2(options, capsys):
    with pytest.raises(SystemExit) as stopped:
        run("a.png", *options)
    assert stopped.value.code == 2
    assert "error" in capsys.readouterr().err


@pytest.mark.parametrize("module", ["captioning.predict", "captioning.evaluate"])
def test_help_needs_no_keras(module):
    code = (
        f"import sys, {module} as m\n"
        "try:\n    m.main(['--help'])\n"
        "except SystemExit as end:\n    status = end.code\n"
        "sys.exit(status or int(bool({'keras', 'tensorflow', 'skimage'} & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--num-beams" in done.stdout
