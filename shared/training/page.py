"""A training run as one HTML page that opens from disk: its curves, and what it wrote at each point."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from shared import __version__
from shared.runs.folder import RunFolder
from shared.system.cli import UserError
from shared.training.diagnostics import read_records
from shared.visual.charts import line_chart
from shared.visual.pages import command_line, page_environment

MOST_CHARACTERS = 3000  # of what the model wrote at one point
MOST_LINES = 6  # of a chart
_TITLE = re.compile(r"(?m)^(?:--- )?(untrained|epoch \d+.*)$")
_OWN_CHARTS = ("epoch", "minutes", "loss", "learning_rate", "gradient_norm", "clip_rate")


def training_page(run: RunFolder) -> str:
    """The page of a run; what the run did not record is left out.

    Raises:
        UserError: the run has no history yet, or it is damaged.
    """
    rows = run.read_history()
    if not rows:
        raise UserError(
            f"{run.path} has no finished epoch yet, so there is nothing to show. Train it longer."
        )
    records = read_records(run)
    charts = [*_history_charts(rows), *_gradient_charts(records), *_matrix_charts(records)]
    notes = []
    if not records:
        notes.append("The run has no diagnostics: gradients over time and recurrent matrices are not shown.")
    template = page_environment("shared", "training").get_template("page.html.j2")
    return template.render(
        title=f"How {run.path.name} was trained",
        data={
            "points": points(run),
            "rows": [{name: value for name, value in row.items() if _is_number(value)} for row in rows],
        },
        charts=charts,
        notes=notes,
        command=command_line(),
        version=__version__,
    )


def points(run: RunFolder) -> list[dict[str, Any]]:
    """What the model wrote at each point of the run: title, epoch (0 before the first) and text."""
    if not run.samples_file.is_file():
        return []
    parts = _TITLE.split(run.samples_file.read_text(encoding="utf-8", errors="replace"))[1:]
    return [
        {"title": title, "epoch": _epoch(title), "text": text.strip("\n")[:MOST_CHARACTERS]}
        for title, text in zip(parts[::2], parts[1::2], strict=True)
    ]


def _epoch(title: str) -> int:
    return int(match[1]) if (match := re.match(r"epoch (\d+)", title)) else 0


def _history_charts(rows: Sequence[Mapping[str, float]]) -> list[str]:
    metrics = [name for name in rows[0] if name not in _OWN_CHARTS]
    groups = [(["loss"], False), *(([name], False) for name in metrics[:4])]
    groups += [(["gradient_norm", "learning_rate"], True), (["clip_rate"], False)]
    epochs = [row["epoch"] for row in rows]
    columns = [{name: [row.get(name, math.nan) for row in rows] for name in names} for names, _ in groups]
    return _charts((epochs, column, log) for column, (_, log) in zip(columns, groups, strict=True))


def _charts(described) -> list[str]:
    charts = []
    for x, columns, log in described:
        values = [value for column in columns.values() for value in column]
        if any(_is_number(value) and (value > 0 or not log) for value in values):
            title = " and ".join(name.replace("_", " ") for name in columns)
            lines = {name.replace("_", " "): (x, column) for name, column in columns.items()}
            charts.append(line_chart(lines, title=title, x_label="epoch", log_y=log, size=(760, 280)))
    return charts


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _gradient_charts(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """The gradient by distance at a few steps of the run."""
    measured = [record for record in records if "gradient_by_distance" in record]
    if not measured:
        return []
    stride = max(1, (len(measured) - 1) / (MOST_LINES - 1))
    chosen = [measured[round(index * stride)] for index in range(min(MOST_LINES, len(measured)))]
    lines = {}
    for record in chosen:
        norms = {int(k): norm for k, norm in record["gradient_by_distance"].items()}
        lines[f"step {record['step']:,}"] = (list(norms), list(norms.values()))
    title = "gradient of the last loss by earlier inputs"
    return [line_chart(lines, title=title, x_label="steps back", y_label="norm", log_x=True, log_y=True)]


def _matrix_charts(records: Sequence[Mapping[str, Any]]) -> list[str]:
    measured = [record for record in records if any(name.startswith("spectral_radius/") for name in record)]
    if not measured:
        return []
    epochs = [record["epoch"] for record in measured]
    charts = []
    for kind in ("largest_singular_value", "spectral_radius"):
        names = [name for name in measured[0] if name.startswith(f"{kind}/")][:MOST_LINES]
        lines = {
            name.rpartition("/")[2]: (epochs, [record.get(name, math.nan) for record in measured])
            for name in names
        }
        title = f"{kind.replace('_', ' ')} of the recurrent matrices, the largest of all gates"
        charts.append(line_chart(lines, title=title, x_label="epoch", size=(760, 280)))
    return charts
