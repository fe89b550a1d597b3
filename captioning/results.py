"""What became of each image, written line by line as text, JSON Lines or CSV."""

import contextlib
import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tqdm import tqdm

from shared.cli import UserError

if TYPE_CHECKING:
    from captioning.model import Caption

CSV_COLUMNS = ("image", "rank", "caption", "log_prob", "confidence", "error")


class Result(NamedTuple):
    """What became of one image: its captions, best first, or why there are none.

    `key` is what stood for the image in the input, a path for example.
    """

    key: Any
    captions: Sequence["Caption"]
    error: str | None


def write_results(results: Iterable[Result], form: str, path: Path | None = None) -> int:
    """Writes each result as soon as it is there, so that nothing is lost if the run is stopped.

    Args:
        results: what to write.
        form: `"text"`, `"jsonl"` or `"csv"`.
        path: file to write, or None for standard output.

    Returns:
        How many results are errors.

    Raises:
        UserError: the file cannot be written.
    """
    header, as_lines = FORMATS[form]
    failures = 0
    with _open_output(path) as write:
        if header:
            write(header)
        for result in results:
            failures += result.error is not None
            write(as_lines(result))
    return failures


@contextlib.contextmanager
def _open_output(path) -> Iterator[Callable[[str], None]]:
    """A function that writes and flushes lines; a progress bar on the same terminal makes way for them."""
    # File names need not be valid Unicode; what is not is written with escapes.
    if path is None:
        stream = sys.stdout
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    else:
        with _explained(path):
            stream = path.open("w", encoding="utf-8", errors="backslashreplace", newline="")

    def write(lines):
        with tqdm.external_write_mode(file=stream), _explained(path or "standard output"):
            print(lines, file=stream, flush=True)

    try:
        yield write
    finally:
        if path is not None:
            with contextlib.suppress(OSError):  # every line is flushed, or its failure was raised
                stream.close()


def check_output(path: Path, inputs: Iterable[Path] = ()) -> None:
    """Finds out before any work whether a file can be written; what is in it stays.

    Raises:
        UserError: it cannot, or it is one of the inputs.
    """
    if path.is_file() and any(source.exists() and source.samefile(path) for source in inputs):
        raise UserError(f"{path} is one of the images; writing would destroy it. Name another file.")
    existed = path.exists()
    if existed and not path.is_file() and not path.is_dir():
        return  # a pipe or device, which opening would disturb
    with _explained(path):
        path.open("a").close()
        if not existed:
            path.unlink()


@contextlib.contextmanager
def _explained(path):
    try:
        yield
    except BrokenPipeError:
        raise  # the reader has enough; no error of the user's
    except OSError as error:
        raise UserError(
            f"Cannot write {path}: {error.strerror or error}. "
            "Name a file in an existing folder that may be written and has space."
        ) from error


def _as_text(result: Result) -> str:
    if result.error is not None:
        return f"{result.key}: error: {_without_name(result)}"
    width = max(len(caption.text) for caption in result.captions)
    digits = len(str(len(result.captions)))
    lines = [str(result.key)]
    for rank, caption in enumerate(result.captions, 1):
        number = f"{rank:>{digits}}. " if len(result.captions) > 1 else ""
        lines.append(f"  {number}{caption.text:<{width}}  (confidence {caption.confidence:.2f})")
    return "\n".join(lines)


def _as_json(result: Result) -> str:
    record = {"image": str(result.key)}
    if result.error is not None:
        return json.dumps(record | {"error": _without_name(result)}, ensure_ascii=False)
    best, *others = map(scored, result.captions)
    alternatives = {"alternatives": others} if others else {}
    return json.dumps(record | best | alternatives, ensure_ascii=False)


def _as_csv(result: Result) -> str:
    name = {"image": result.key}
    rows = [{**name, "rank": rank, **scored(caption)} for rank, caption in enumerate(result.captions, 1)]
    if result.error is not None:
        rows = [{**name, "error": _without_name(result)}]
    text = io.StringIO()
    csv.DictWriter(text, CSV_COLUMNS, lineterminator="\n").writerows(rows)
    return text.getvalue().removesuffix("\n")


def scored(caption: "Caption") -> dict[str, str | float]:
    """A caption with its scores, as it is written to JSON and CSV."""
    return {
        "caption": caption.text,
        "log_prob": round(caption.log_prob, 4),
        "confidence": round(caption.confidence, 4),
    }


def _without_name(result: Result) -> str:
    """The error on one line, without the name of the image where the message begins with it."""
    return " ".join(result.error.split()).removeprefix(f"{result.key}: ")


# For each format its header, and a function from a result to its lines.
FORMATS: dict[str, tuple[str, Callable[[Result], str]]] = {
    "text": ("", _as_text),
    "jsonl": ("", _as_json),
    "csv": (",".join(CSV_COLUMNS), _as_csv),
}
