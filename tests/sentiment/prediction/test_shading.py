import sys
from pathlib import Path

import pytest

from sentiment.prediction.shading import wants_color


@pytest.mark.parametrize(
    ("choice", "output", "terminal", "environment", "expected"),
    [
        ("auto", None, True, {}, True),
        ("auto", None, False, {}, False),
        ("auto", Path("out"), True, {}, False),
        ("auto", None, True, {"NO_COLOR": "1"}, False),
        ("auto", None, True, {"NO_COLOR": ""}, True),
        ("auto", None, True, {"TERM": "dumb"}, False),
        ("always", Path("out"), False, {"NO_COLOR": "1"}, True),
        ("never", None, True, {}, False),
    ],
)
def test_colours(choice, output, terminal, environment, expected, monkeypatch):
    for name in ("NO_COLOR", "TERM", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    assert wants_color(choice, output) is expected
