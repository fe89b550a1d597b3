"""The figures that README and docs quote: measured by one script, which says which of them are old.

    python -m benchmarks.figures                  lists them all
    python -m benchmarks.figures shapes imdb      measures these anew
    python -m benchmarks.figures all

Figures are kept in docs/results/figures.json, each with its command, the machine, and a digest of the sources
it depends on. A figure is old when the code (docstrings and comments aside) has changed since, and unquoted
when a document that should quote it has another number.
"""

import ast
import csv
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.machine import describe_machine
from shared.system.cli import Parser, UserError, did_you_mean, run_script
from shared.system.files import write_text_atomic

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "docs" / "results" / "figures.json"
# Data that do not come with the packages: the environment names where they are, as for the tests.
DATA = {
    "FLICKR8K": "UNROLLED_FLICKR8K",
    "COCO": "UNROLLED_COCO",
    "TINY_SHAKESPEARE": "UNROLLED_TINY_SHAKESPEARE",
}


@dataclass(frozen=True)
class Figure:
    """Some numbers of one measurement.

    Attributes:
        name: what it is called here.
        commands: run one after the other; OUT is an empty folder, and the names in `DATA` are paths.
        read: takes the numbers from what was printed, the folder OUT and the seconds of the first command, as
            they are quoted.
        sources: folders of the code that it depends on.
        quoted: documents in which the numbers must be found, and which of them.
    """

    name: str
    commands: tuple[str, ...]
    read: Callable[[str, Path, float], dict[str, str]]
    sources: tuple[str, ...]
    quoted: dict[str, tuple[str, ...]]


def _shapes(printed: str, out: Path, seconds: float) -> dict[str, str]:
    with (out / "run" / "history.csv").open(encoding="utf-8", newline="") as file:
        best = max(csv.DictReader(file), key=lambda row: float(row["val_cider"]))
    return {
        "exact": f"{100 * float(best['val_exact']):.1f} %",
        "epoch": f"epoch {best['epoch']}",
        "seconds": f"{seconds:.0f} seconds",
    }


def _photos(printed: str, out: Path, seconds: float) -> dict[str, str]:
    values = {}
    for source in ("flickr8k", "coco"):
        scores = json.loads((out / source / "metrics.json").read_text(encoding="utf-8"))["metrics"]
        values |= {f"{source} {name}": f"{score:.3f}" for name, score in scores.items()}
    return values


def _caption_speed(printed: str, out: Path, seconds: float) -> dict[str, str]:
    script = re.search(r"command line: ([\d.]+) s", printed)[1]
    rate = re.search(r"captions by beam 3: ([\d.]+) images/s .median", printed)[1]
    share = re.search(r"bare encoder: ([\d.]+)$", printed, re.MULTILINE)[1]
    return {"seconds": f"{script} s", "rate": f"{float(rate):.0f} a second", "share": share}


def _charlm(printed: str, out: Path, seconds: float) -> dict[str, str]:
    scores = json.loads((out / "figures.json").read_text(encoding="utf-8"))["scores"]
    return {kind: f"{score['nats_per_character']:.3f}" for kind, score in scores.items()}


def _writing_speed(printed: str, out: Path, seconds: float) -> dict[str, str]:
    rates = re.findall(r"^(\d+) at once: ([\d,]+)", printed, re.MULTILINE)
    rates = {streams: float(rate.replace(",", "")) for streams, rate in rates}
    # Two digits are all that repeats.
    return {f"{streams} at once": f"{float(f'{rate:.2g}'):,.0f}" for streams, rate in rates.items()}


def _imdb(printed: str, out: Path, seconds: float) -> dict[str, str]:
    scores = json.loads((out / "figures.json").read_text(encoding="utf-8"))["scores"]
    values = {}
    for kind, score in scores.items():
        values[f"{kind} accuracy"] = f"{100 * score['accuracy']:.2f} %"
        for name in ("macro_f1", "auc", "log_loss", "calibration_error"):
            values[f"{kind} {name}"] = f"{score[name]:.4f}"
    return values


PHOTO_SCORES = tuple(
    f"{source} {name}" for source in ("flickr8k", "coco") for name in ("BLEU-4", "METEOR", "CIDEr")
)
FIGURES = {
    figure.name: figure
    for figure in (
        Figure(
            "shapes",
            ("python -m captioning.train --out OUT/run",),
            _shapes,
            ("captioning", "shared"),
            {"README.md": ("exact", "seconds"), "docs/results/README.md": ("exact", "epoch", "seconds")},
        ),
        Figure(
            "photos",
            (
                "python -m captioning.evaluate --data FLICKR8K --split validation --out OUT/flickr8k",
                "python -m captioning.evaluate --data COCO --split validation --out OUT/coco",
            ),
            _photos,
            ("captioning", "shared"),
            {
                "README.md": PHOTO_SCORES,
                "docs/results/README.md": PHOTO_SCORES,
            },
        ),
        Figure(
            "caption-speed",
            ("python -m benchmarks.captioning --rounds 3 --calls 3",),
            _caption_speed,
            ("captioning", "shared"),
            {"README.md": ("seconds", "rate", "share")},
        ),
        Figure(
            "three-minutes",
            (
                "python -m charlm.train --data TINY_SHAKESPEARE --learning-rate 0.016 --minutes 3 "
                "--out OUT/run",
                "python -m charlm.evaluate --model OUT/run --json OUT/figures.json",
            ),
            _charlm,
            ("charlm", "shared"),
            {"README.md": ("windowed", "carried", "baseline")},
        ),
        Figure(
            "shakespeare",
            ("python -m charlm.evaluate --model shakespeare --json OUT/figures.json",),
            _charlm,
            ("charlm", "shared"),
            {"README.md": ("windowed", "carried", "baseline")},
        ),
        Figure(
            "writing-speed",
            ("python -m benchmarks.generation",),
            _writing_speed,
            ("charlm", "shared"),
            {"README.md": ("1 at once", "64 at once")},
        ),
        Figure(
            "imdb",
            ("python -m sentiment.evaluate --model imdb --json OUT/figures.json",),
            _imdb,
            ("sentiment", "shared"),
            {"README.md": ("model accuracy", "model log_loss", "baseline accuracy", "baseline log_loss")},
        ),
    )
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser("benchmarks.figures", description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures to measure anew, or all")
    arguments = parser.parse_args(argv)
    names = list(FIGURES) if arguments.names == ["all"] else arguments.names
    for name in names:
        if name not in FIGURES:
            hint = did_you_mean(name, FIGURES)
            raise UserError(f"There is no figure {name!r}. Expected some of {', '.join(FIGURES)}.{hint}")
    for name in names:
        measure(FIGURES[name])
    Console().print(overview())
    return 0


def measure(figure: Figure) -> None:
    """Measures a figure and keeps it in `RECORDS`.

    Raises:
        UserError: its data are not here, or a command failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        printed, seconds = [], []
        for command in figure.commands:
            print(f"{figure.name}: {command}", file=sys.stderr, flush=True)
            began = time.perf_counter()
            printed.append(_run(_filled(command, folder)))
            seconds.append(time.perf_counter() - began)
        values = figure.read("\n".join(printed), Path(folder), seconds[0])
    record = {
        "values": values,
        "commands": list(figure.commands),
        "machine": describe_machine(),
        "sources": digest(figure.sources),
    }
    records = {**read_records(), figure.name: record}
    write_text_atomic(RECORDS, json.dumps(dict(sorted(records.items())), indent=1, ensure_ascii=False) + "\n")


def _filled(command: str, folder: str) -> list[str]:
    words = shlex.split(command)
    for name, variable in DATA.items():
        if name in words and variable not in os.environ:
            raise UserError(f"{command} needs data: set {variable} to where they are.")
        words = [os.environ[variable] if word == name else word for word in words]
    words = [word.replace("OUT", folder, 1) if word.startswith("OUT") else word for word in words]
    return [sys.executable, *words[1:]]


def _run(command: list[str]) -> str:
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise UserError(
            f"{shlex.join(command)} failed with status {done.returncode}; its messages are above."
        )
    return done.stdout


def read_records() -> dict[str, dict]:
    """The figures that were measured, by name."""
    return json.loads(RECORDS.read_text(encoding="utf-8")) if RECORDS.is_file() else {}


def digest(sources: Sequence[str]) -> str:
    """A digest of what the code in some folders does: docstrings, comments and layout do not count."""
    total = hashlib.sha256()
    for source in sources:
        for file in sorted((ROOT / source).rglob("*.py")):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
                    node.body = node.body[1:]
            total.update(f"{file.relative_to(ROOT)} {ast.dump(tree)}".encode())
    return total.hexdigest()[:16]


def overview() -> Table:
    """All figures with their state."""
    table = Table("figure", "values", "state", title="Figures of README and docs")
    records = read_records()
    for name, figure in FIGURES.items():
        values = records.get(name, {}).get("values", {})
        shown = ", ".join(f"{key} {value}" for key, value in values.items())
        table.add_row(name, shown, state(figure, records))
    return table


def state(figure: Figure, records: dict[str, dict]) -> str:
    """`"current"`, or what is wrong with a figure."""
    if figure.name not in records:
        return "not measured yet"
    record = records[figure.name]
    notes = [] if record["sources"] == digest(figure.sources) else ["old: the code has changed"]
    for document, keys in figure.quoted.items():
        text = (ROOT / document).read_text(encoding="utf-8")
        missing = [record["values"][key] for key in keys if record["values"].get(key, "") not in text]
        if missing:
            notes.append(f"{document} does not say {', '.join(missing)}")
    return "; ".join(notes) or "current"


if __name__ == "__main__":
    raise SystemExit(run_script(main))
