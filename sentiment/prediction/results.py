"""The results of a model, written one by one as text, JSON Lines or CSV."""

import csv
import io
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sentiment.prediction.inputs import Item
from sentiment.prediction.shading import (
    DIGITS,
    colored_lines,
    deletion_lines,
    deletion_record,
    explained_record,
    listed_lines,
    one_line,
)
from shared.data.tables import quoted_cells
from shared.system.escapes import json_line, visible
from shared.system.output import open_output, print_error

if TYPE_CHECKING:
    from sentiment.prediction.explain import DeletionCurve, Explanation

# In place of a label: the model is not sure enough, or does not know enough of the words.
ABSTAINED, WITHHELD = "abstained", "withheld"
SHOWN = 100  # characters of a text in its line

# Keys of a JSON result; a field of the input with one of these names is written as input_NAME.
OWN_FIELDS = ("line", "text", "label", "probability", "probabilities", "withheld", "reason", "note", "error")
OWN_FIELDS += ("explanation", "deletion")


class Result(NamedTuple):
    """The result for one text.

    Attributes:
        item: the text and its location, or why there is none.
        probabilities: of each label of the model, by name; empty for an error.
        likeliest: the label of the highest probability, or None for an error.
        reason: why there is no label, or None.
        note: what to know about the text, or None.
        explanation: which words decided, or None.
        deletion: how the probability falls without the words of the largest weights, or None.
        is_withheld: whether the label is withheld because the model does not know enough of the words.
    """

    item: Item
    probabilities: Mapping[str, float]
    likeliest: str | None
    reason: str | None = None
    note: str | None = None
    explanation: "Explanation | None" = None
    deletion: "DeletionCurve | None" = None
    is_withheld: bool = False

    @property
    def label(self) -> str | None:
        """The label that is given: None for an error, and where it is withheld or the model abstains."""
        return None if self.reason else self.likeliest

    @property
    def shown_label(self) -> str:
        """The label for people to read."""
        return self.label or (WITHHELD if self.is_withheld else ABSTAINED)

    @property
    def probability(self) -> float:
        """The highest probability."""
        return self.probabilities[self.likeliest]

    @property
    def remarks(self) -> list[str]:
        """Reason and note, without those that are None."""
        return [remark for remark in (self.reason, self.note) if remark]


class Counts(NamedTuple):
    """Numbers of results, of errors among them, and of texts without a label.

    Attributes:
        results: all of them.
        errors: texts that could not be used.
        abstained: texts for which the model is not sure enough.
        withheld: texts of which it does not know enough words.
    """

    results: int
    errors: int
    abstained: int
    withheld: int


def write_results(
    results: Iterable[Result],
    form: str,
    labels: Sequence[str],
    path: Path | None = None,
    color: bool = False,
) -> Counts:
    """Writes each result as soon as it is known, so that nothing is lost if the run is stopped.

    Errors are printed on standard error, too, wherever the results go.

    Args:
        results: what to write.
        form: `"text"`, `"jsonl"` or `"csv"`.
        labels: names of the model's labels.
        path: file to write, or None for standard output.
        color: whether explained texts are coloured.

    Raises:
        UserError: the file cannot be written.
    """
    writer = FORMATS[form](labels, color)
    done = errors = abstained = withheld = 0
    with open_output(path) as write:
        write(writer.header)
        for result in results:
            done, withheld = done + 1, withheld + result.is_withheld
            abstained += result.reason is not None and not result.is_withheld
            if result.item.error is not None:
                errors += 1
                print_error(f"{result.item.place}: {result.item.error}")
            write("".join(f"{line}\n" for line in writer.lines(result)))
    return Counts(done, errors, abstained, withheld)


def print_counts(counts: Counts, abstain_below: float) -> None:
    """Says on standard error how many texts have no label, and why."""
    if counts.errors:
        print(f"{counts.errors} of {counts.results} texts could not be used.", file=sys.stderr)
    if counts.withheld:
        print(
            f"{counts.withheld} of {counts.results} labels withheld: the model does not know enough of the "
            "words. --force gives a label all the same.",
            file=sys.stderr,
        )
    if abstain_below:
        answered = counts.results - counts.errors
        print(f"{counts.abstained} of {answered} texts below {abstain_below:g}: abstained.", file=sys.stderr)


class TextWriter:
    """A line for each text: label, probability, and the beginning of the text. Errors have no line here."""

    header = ""

    def __init__(self, labels: Sequence[str], color: bool):
        self._width, self._color = max(map(len, (*labels, ABSTAINED, WITHHELD))), color

    def lines(self, result: Result) -> list[str]:
        """The lines of a result, with its explanation below."""
        if result.item.error is not None:
            return []
        remarks = visible(f"({'; '.join(result.remarks)})") if result.remarks else ""
        text = one_line(result.item.text, SHOWN)
        parts = (f"{visible(result.shown_label):<{self._width}}", f"{result.probability:.3f}", text, remarks)
        lines = ["  ".join(part for part in parts if part)]
        if result.explanation is not None:
            explained = (colored_lines if self._color else listed_lines)(result.explanation)
            lines += [f"    {line}" for line in explained + deletion_lines(result.deletion)]
        return lines


class JsonWriter:
    """An object for each text and each error, with the other fields of the input."""

    header = ""

    def __init__(self, labels: Sequence[str], color: bool):
        pass

    def lines(self, result: Result) -> list[str]:
        """The line of a result."""
        item = result.item
        record = {f"input_{key}" if key in OWN_FIELDS else key: value for key, value in item.fields.items()}
        record = {"line": item.line, "text": item.text, **record, "label": result.label}
        if item.error is not None:
            del record["text"]
            return [json_line(record | {"error": item.error})]
        record["probability"] = round(result.probability, DIGITS)
        record["probabilities"] = {name: round(p, DIGITS) for name, p in result.probabilities.items()}
        record |= {"withheld": True} if result.is_withheld else {}
        record |= {"reason": result.reason} if result.reason else {}
        record |= {"note": result.note} if result.note else {}
        if result.explanation is not None:
            record["explanation"] = explained_record(result.explanation)
            record["deletion"] = deletion_record(result.deletion)
        return [json_line(record)]


class CsvWriter:
    """A row for each text and each error."""

    def __init__(self, labels: Sequence[str], color: bool):
        self._labels = labels
        names = (f"probability_{label}" for label in labels)
        self._columns = ["line", "text", "label", "probability", *names, "note", "error"]
        self.header = self._row(self._columns) + "\n"

    def lines(self, result: Result) -> list[str]:
        """The row of a result."""
        item = result.item
        if item.error is not None:
            return [self._row([item.line, *[""] * (len(self._columns) - 2), item.error])]
        numbers = [
            round(p, DIGITS) for p in (result.probability, *map(result.probabilities.get, self._labels))
        ]
        remarks = "; ".join(result.remarks)
        return [self._row([item.line, item.text, result.shown_label, *numbers, remarks, ""])]

    def _row(self, cells):
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(quoted_cells(cells))
        return text.getvalue().removesuffix("\n")


# The writer of each format.
FORMATS: dict[str, Callable[[Sequence[str], bool], Any]] = {
    "text": TextWriter,
    "jsonl": JsonWriter,
    "csv": CsvWriter,
}
