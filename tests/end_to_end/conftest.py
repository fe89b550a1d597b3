"""A data set of coloured squares, rendered in a moment, and the scripts run on it as a user runs them."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
COLOURS = {"red": (220, 30, 30), "green": (30, 180, 60), "blue": (40, 60, 220), "yellow": (230, 210, 40)}
LEFT_EDGES = {"left": 6, "right": 37}
REPETITIONS = 4
FOR_VALIDATION = 1  # between those that are trained on


class Squares(NamedTuple):
    """The data set: a captions file beside its pictures."""

    file: Path
    captions: dict[str, str]  # of every validation picture, by its name


@pytest.fixture(scope="session")
def squares(tmp_path_factory) -> Squares:
    folder = tmp_path_factory.mktemp("squares")
    rows = []
    for repetition in range(REPETITIONS):
        for colour, rgb in COLOURS.items():
            for side, left in LEFT_EDGES.items():
                pixels = np.full((50 + repetition, 64, 3), 120, dtype=np.uint8)
                top = 7 + 3 * repetition
                pixels[top : top + 21, left : left + 21] = rgb
                name = f"{colour}-{side}-{repetition}.png"
                Image.fromarray(pixels).save(folder / name)
                split = "validation" if repetition == FOR_VALIDATION else "train"
                rows.append({"image": name, "caption": f"A {colour} square on the {side}.", "split": split})
    file = folder / "captions.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return Squares(file, {row["image"]: row["caption"] for row in rows if row["split"] == "validation"})


@pytest.fixture(scope="session")
def python() -> Callable:
    """Runs the interpreter of the tests; where its exit status is not `status`, says what it wrote."""

    def run(*arguments: object, status: int = 0, cwd: Path = ROOT) -> subprocess.CompletedProcess:
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,  # for a process that hangs; none comes near it
        )
        told = f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == status, told
        assert "Traceback" not in done.stderr, told
        return done

    return run


@pytest.fixture(scope="session")
def script(python) -> Callable:
    """Runs `python -m captioning.NAME`."""
    return lambda name, *arguments, **options: python("-m", f"captioning.{name}", *arguments, **options)
