"""Results as they are written, where the script's tests do not reach."""

import json
from pathlib import Path

import numpy as np
import pytest

from captioning.prediction.results import Result, write_results


def test_names_outside_unicode_are_written_with_escapes(tmp_path):
    results = [Result(Path("caf\udce9.png"), (), "no such file")]
    for form in ("text", "jsonl", "csv"):
        assert write_results(results, form, tmp_path / form) == 1
        assert b"caf\\udce9.png" in (tmp_path / form).read_bytes()
    assert json.loads((tmp_path / "jsonl").read_text())["image"] == "caf\udce9.png"


def test_what_was_written_stays_when_the_run_is_stopped(tmp_path, fake_captioner):
    def stopped():
        yield Result("a.png", fake_captioner.caption_pixels(np.full((1, 1, 1, 3), 3))[0], None)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_results(stopped(), "jsonl", tmp_path / "out.jsonl")
    assert json.loads((tmp_path / "out.jsonl").read_text())["caption"] == "red is 3"
