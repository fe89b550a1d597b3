"""A stand-in for a captioner, and a folder with good and bad images."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from captioning.app import APP
from captioning.config import Search


class FakeCaptioner:
    """Gives the red of an image's only pixel as its caption."""

    image_size = 1

    def __init__(self):
        self.search_defaults = Search()
        self.batches, self.options = [], []

    def caption_pixels(self, pixels, **options):
        self.batches.append(len(pixels))
        self.options.append(options)
        assert pixels.shape[1:] == (1, 1, 3)
        return [
            [
                SimpleNamespace(
                    text=f"red is {pixel[0, 0, 0]}" + " again" * rank,
                    log_prob=-1.5 - rank,
                    confidence=0.5 / (1 + rank),
                )
                for rank in range(options.get("n_best", 1))
            ]
            for pixel in pixels
        ]


@pytest.fixture
def fake_captioner():
    return FakeCaptioner()


@pytest.fixture
def loaded_captioner(monkeypatch, fake_captioner):
    """What every script loads."""
    monkeypatch.setattr(type(APP), "load", lambda *arguments, **options: fake_captioner)
    return fake_captioner


@pytest.fixture
def no_loading(monkeypatch):
    """No model may be loaded."""
    monkeypatch.setattr(type(APP), "load", lambda *arguments: pytest.fail("the model was loaded"))


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A working folder with three images, a file that is not one, and an empty folder."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for number, name in enumerate(("a.png", "b.png", "c.jpg")):
        Image.fromarray(np.full((4, 5, 3), (50 * number, 0, 0), np.uint8)).save(Path("photos") / name)
    Path("text.jpg").write_text("not an image")
    Path("empty").mkdir()
    return tmp_path
