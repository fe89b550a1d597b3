"""A text in memory is cut as one of a file is."""

import numpy as np
import pytest

from charlm.config import CharLMConfig
from charlm.data.memory import text_in_memory
from shared.data.source import DataError

CONFIG = CharLMConfig(data=("x",), validation_fraction=0.25)


@pytest.mark.parametrize("text", ["f\u00eate\nday", ["f\u00eate", "day"], np.array(["f\u00eate", "day"])])
def test_texts(text):
    data = text_in_memory(text, CONFIG)
    assert (data.text("train"), data.text("validation")) == ("f\u00eate\nd", "ay")


def test_a_path_is_a_file(tmp_path):
    (tmp_path / "x.txt").write_text("hello there")
    assert text_in_memory(tmp_path / "x.txt", CONFIG).text("all") == "hello there"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the data is empty"),
        (7, "Expected a text, a list or column"),
        ("a\ud800b", "half of a character, at index 1"),
    ],
)
def test_what_is_no_text(text, message):
    with pytest.raises(DataError, match=message):
        text_in_memory(text, CONFIG)
