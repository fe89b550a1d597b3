"""Tables of measures, as text."""

import io
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sentiment.evaluation.comparison import Row
from sentiment.evaluation.metrics import Stretch

MOST_LABELS = 10  # with more, there is no table of the confusion
LONGEST_LABEL = 20  # characters of a label in a table


def tables(rows: Sequence[Row], labels: Sequence[str]) -> str:
    """Tables of the metrics, of accuracy and calibration by length, and of the confusion of the first row."""
    parts = [_metrics_table(rows), _length_table(rows)]
    if len(labels) <= MOST_LABELS:
        parts.append(_confusion_table(rows[0], labels))
    return "\n\n".join(parts)


def _metrics_table(rows: Sequence[Row]) -> str:
    names = ("accuracy", "macro_f1", "auc", "log_loss", "calibration_error")
    lines = [["", "accuracy", "macro F1", "AUC", "log loss", "ECE"]]
    lines += [[row.name, *(shown(getattr(row.measures, name)) for name in names)] for row in rows]
    return aligned(lines)


def _length_table(rows: Sequence[Row]) -> str:
    lines = [["by words", *(_range(stretch) for stretch in rows[0].stretches)]]
    lines.append(["texts", *(f"{stretch.examples:,}" for stretch in rows[0].stretches)])
    for title, name in (("accuracy", "accuracy"), ("ECE", "calibration_error")):
        for row in rows:
            values = (getattr(stretch, name) for stretch in row.stretches)
            lines.append([f"{title}, {row.name}", *map(shown, values)])
    return aligned(lines)


def _range(stretch: Stretch) -> str:
    return f"{stretch.first} or more" if stretch.last is None else f"{stretch.first} to {stretch.last}"


def _confusion_table(row: Row, labels: Sequence[str]) -> str:
    names = [short(label) for label in labels]
    lines = [["right, taken for", *names, "F1"]]
    for name, counts, f1 in zip(names, row.measures.confusion.tolist(), row.measures.f1, strict=True):
        lines.append([name, *(f"{count:,}" for count in counts), shown(f1)])
    return aligned(lines)


def shown(value: float | None) -> str:
    """A metric with four decimals; a dash where it is undefined."""
    return "-" if value is None else f"{value:.4f}"


def short(label: str) -> str:
    """A label on one line, short enough for a table.

    Example:

    >>> short("very\\nlong indeed, this label")
    'very long indeed, t…'
    """
    label = " ".join(label.split())
    return label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "\u2026"


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Cells in columns, the first aligned left and the others right.

    Example:

    >>> print(aligned([["", "ECE"], ["model", "0.5"]]))
           ECE
    model  0.5
    """
    table = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
    for index in range(len(lines[0])):
        table.add_column(justify="right" if index else "left", no_wrap=True)
    for line in lines:
        table.add_row(*map(Text, line))
    file = io.StringIO()
    Console(file=file, width=10_000, color_system=None).print(table)
    return file.getvalue().rstrip("\n")
