"""The result of each image, written line by line as text, JSON Lines or CSV."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from shared.data.tables import quoted_cells
from shared.system.escapes import json_line, visible
from shared.system.output import open_output, print_error

if TYPE_CHECKING:
    from captioning.model.captions import Caption

CSV_COLUMNS = ("image", "rank", "caption", "log_prob", "confidence", "error", "abstained")


class Result(NamedTuple):
    """The captions of one image, best first, or the error that prevented them.

    `key` names the image, by its path for example. Where the model `abstained`, captions are not shown.
    """

    key: Any
    captions: Sequence["Caption"]
    error: str | None
    abstained: bool = False


def withheld(results: Iterable[Result], abstain_below: float) -> Iterator[Result]:
    """The results, where those whose best caption has a confidence below `abstain_below` are marked."""
    for result in results:
        is_unsure = result.error is None and result.captions[0].confidence < abstain_below
        yield result._replace(abstained=is_unsure)


def write_results(results: Iterable[Result], form: str, path: Path | None = None) -> int:
    """Writes each result as soon as it is there, so that nothing is lost if the run is stopped.

    Where they go to a file, errors are printed on standard error too.

    Args:
        results: the results.
        form: `"text"`, `"jsonl"` or `"csv"`.
        path: file to write, or None for standard output.

    Returns:
        How many results are errors.

    Raises:
        UserError: the file cannot be written.
    """
    header, as_lines = FORMATS[form]
    failures = 0
    results = iter(results)
    first = list(islice(results, 1))  # what is wrong with the options shows before a file is replaced
    with open_output(path) as write:
        if header:
            write(header + "\n")
        for result in chain(first, results):
            failures += result.error is not None
            write(as_lines(result) + "\n")
            if result.error is not None and path is not None:
                print_error(_as_text(result))
    return failures


def _as_text(result: Result) -> str:
    if result.error is not None:
        return visible(f"{result.key}: error: {_without_name(result)}")
    name = visible(result.key)
    if result.abstained:
        return f"{name}\n  not sure  (confidence {result.captions[0].confidence:.2f})"
    texts = [visible(caption.text) for caption in result.captions]
    width = max(map(len, texts))
    digits = len(str(len(result.captions)))
    lines = [name]
    for rank, (text, caption) in enumerate(zip(texts, result.captions, strict=True), 1):
        number = f"{rank:>{digits}}. " if len(result.captions) > 1 else ""
        lines.append(f"  {number}{text:<{width}}  (confidence {caption.confidence:.2f})")
    return "\n".join(lines)


def _as_json(result: Result) -> str:
    record = {"image": str(result.key)}
    if result.error is not None:
        return json_line(record | {"error": _without_name(result)})
    if result.abstained:
        return json_line(record | _abstention(result, None, True))
    best, *others = map(scored, result.captions)
    alternatives = {"alternatives": others} if others else {}
    return json_line(record | best | alternatives)


def _as_csv(result: Result) -> str:
    name = {"image": str(result.key)}
    rows = [{**name, "rank": rank, **scored(caption)} for rank, caption in enumerate(result.captions, 1)]
    if result.error is not None:
        rows = [{**name, "error": _without_name(result)}]
    if result.abstained:
        rows = [{**name, **_abstention(result, "", "true")}]
    text = io.StringIO()
    csv.DictWriter(text, CSV_COLUMNS, lineterminator="\n").writerows(map(quoted_cells, rows))
    return text.getvalue().removesuffix("\n")


def scored(caption: "Caption") -> dict[str, str | float]:
    """A caption with its probabilities, as it is written to JSON and CSV."""
    return {
        "caption": caption.text,
        "log_prob": round(caption.log_prob, 4),
        "confidence": round(caption.confidence, 4),
    }


def _abstention(result, caption, abstained):
    confidence = round(result.captions[0].confidence, 4)
    return {"caption": caption, "abstained": abstained, "confidence": confidence}


def _without_name(result: Result) -> str:
    """The error on one line, without the name of the image where the message begins with it."""
    return " ".join(result.error.split()).removeprefix(f"{result.key}: ")


# For each format its header, and a function from a result to its lines.
FORMATS: dict[str, tuple[str, Callable[[Result], str]]] = {
    "text": ("", _as_text),
    "jsonl": ("", _as_json),
    "csv": (",".join(CSV_COLUMNS), _as_csv),
}
