"""Results as they are written, where the script's tests do not reach."""

import json
from pathlib import Path

import numpy as np
import pytest

from captioning.prediction.results import Result, withheld, write_results


def test_names_outside_unicode_are_written_with_escapes(tmp_path):
    results = [Result(Path("caf\udce9.png"), (), "no such file")]
    for form in ("text", "jsonl", "csv"):
        assert write_results(results, form, tmp_path / form) == 1
        assert b"caf\\udce9.png" in (tmp_path / form).read_bytes()
    assert json.loads((tmp_path / "jsonl").read_text())["image"] == "caf\udce9.png"


def test_captions_of_low_confidence_are_withheld(tmp_path, fake_captioner):
    captions = fake_captioner.caption_pixels(np.full((2, 1, 1, 3), 3), n_best=2)
    results = [Result("a.png", captions[0], None), Result("b.png", (), "no such file.")]
    written = {}
    for form in ("text", "jsonl", "csv"):
        assert write_results(withheld(results, 0.51), form, tmp_path / form) == 1
        written[form] = (tmp_path / form).read_text().splitlines()
    assert written["text"][:2] == ["a.png", "  not sure  (confidence 0.50)"]
    record = {"image": "a.png", "caption": None, "abstained": True, "confidence": 0.5}
    assert json.loads(written["jsonl"][0]) == record
    assert written["csv"] == [
        "image,rank,caption,log_prob,confidence,error,abstained",
        "a.png,,,,0.5,,true",
        "b.png,,,,,no such file.,",
    ]
    assert [result.abstained for result in withheld(results, 0.5)] == [False, False]


def test_what_was_written_stays_when_the_run_is_stopped(tmp_path, fake_captioner):
    def stopped():
        yield Result("a.png", fake_captioner.caption_pixels(np.full((1, 1, 1, 3), 3))[0], None)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_results(stopped(), "jsonl", tmp_path / "out.jsonl")
    assert json.loads((tmp_path / "out.jsonl").read_text())["caption"] == "red is 3"
