"""The images that a command line names."""

import importlib.util
import io
import sys
from pathlib import Path

import pytest

from captioning.data.images import ImageError
from captioning.prediction.inputs import SAMPLES, find_inputs
from shared.system.cli import UserError


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


def test_nothing_on_standard_input_is_an_error(monkeypatch):
    stdin_of(monkeypatch, b"\n")
    with pytest.raises(UserError, match="Standard input named no images"):
        find_inputs(["-"])


@pytest.mark.parametrize("name", ["empty", "empty/*.png"])
def test_folder_or_pattern_without_images_is_an_error(name, photos):
    with pytest.raises(ImageError, match=name.replace("*", r"\*")):
        find_inputs(["photos/a.png", name])


def test_a_url_is_named_as_one(photos, monkeypatch):
    stdin_of(monkeypatch, b"https://example.org/b.png\n")
    for names in (["photos/a.png", "https://example.org/b.png"], ["-"]):
        with pytest.raises(UserError, match=r"^https://example\.org/b\.png is a URL; download it first"):
            find_inputs(names)


def test_samples_come_from_scikit_image_unimported(photos):
    pytest.importorskip("skimage", reason="needs the extra 'samples'")
    assert [path.name for path in find_inputs([])] == list(SAMPLES)


def test_absent_samples_say_how_to_get_them(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install '\.\[samples\]'"):
        find_inputs([])
