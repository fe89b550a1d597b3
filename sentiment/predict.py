"""Says which label a text has, and how sure that is: python -m sentiment.predict TEXT ... | --input FILE|-.

Keras and TensorFlow are imported after the command line is understood, so that `--help` answers at once.
"""

import argparse
import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from sentiment.prediction.inputs import STDIN, Item, from_arguments, open_texts
from sentiment.prediction.page import render
from sentiment.prediction.results import FORMATS, Result, write_results
from sentiment.text.words import split_words
from shared.system.cli import UserError, run_script
from shared.system.options import finite_number, whole_number
from shared.system.output import check_output, write_whole
from shared.system.quiet import import_tensorflow_quietly
from shared.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from sentiment.model.classifier import SentimentClassifier
    from sentiment.prediction.explain import Explainer

PATIENCE = 2.0  # seconds before a progress bar appears


def classify_texts(
    model: "SentimentClassifier",
    items: Iterable[Item],
    *,
    batch_size: int = 64,
    abstain_below: float = 0.0,
    explainer: "Explainer | None" = None,
) -> Iterator[Result]:
    """Classifies a stream of texts, batch by batch.

    Args:
        model: a `sentiment.model.SentimentClassifier` or `sentiment.model.exported.ExportedSentiment`.
        items: the texts; taken as needed. Those with an error become results with that error.
        batch_size: texts that the model is given at once.
        abstain_below: where the highest probability is below, there is a reason to give no label.
        explainer: explains each text, if there is one.

    Yields:
        A `sentiment.prediction.results.Result` for each item, in their order.
    """
    items = iter(items)
    while batch := list(islice(items, batch_size)):
        texts = [item.text for item in batch if item.error is None]
        rows = iter(model.probabilities(texts) if texts else ())
        for item in batch:
            if item.error is None:
                result = _result(model, item, next(rows), abstain_below)
                yield result if explainer is None else _explained(result, explainer)
            else:
                yield Result(item, {}, None)


def _result(model, item: Item, row: np.ndarray, abstain_below: float) -> Result:
    probabilities = dict(zip(model.labels, map(float, row), strict=True))
    likeliest = model.labels[int(np.argmax(row))]
    reason = None
    if probabilities[likeliest] < abstain_below:
        reason = f"{likeliest} is likeliest, but below {abstain_below:g}"
    return Result(item, probabilities, likeliest, reason, _note(item.text, model.vocabulary))


def _note(text: str, vocabulary: Vocabulary) -> str | None:
    """What a probability cannot say: that the model had nothing to go by."""
    words = split_words(text)
    if not any(character.isalnum() for word in words for character in word):
        return "no words, only signs" if words else "no words"
    known = any(token != Vocabulary.UNK for token in vocabulary.encode(words))
    return None if known else "the model knows none of the words"


def _explained(result: Result, explainer: "Explainer") -> Result:
    try:
        explanation = explainer.explain(result.item.text, result.likeliest)
    except UserError as error:  # too long; the label stands all the same
        note = "; ".join(filter(None, (result.note, f"not explained: {error}")))
        return result._replace(note=note)
    return result._replace(explanation=explanation, deletion=explainer.deletion_curve(explanation))


def load_model(name: str) -> "SentimentClassifier":
    """The model of a preset, run folder or SavedModel folder; imports Keras and TensorFlow."""
    import_tensorflow_quietly()
    from sentiment.model.classifier import SentimentClassifier

    return SentimentClassifier.from_any(name)


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m sentiment.predict",
        description="Say which label texts have, with calibrated probabilities. Texts of any length are read "
        "in full. With --explain, say which words decided.",
        epilog="A text that begins with - comes after --. Exit status: 0; 1 if some lines of the input could "
        "not be used: they are named on standard error, and the others are answered; 2 if nothing could be "
        "done.",
    )
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="a text; quote it")
    parser.add_argument(
        "--model",
        default="imdb",
        help="preset, run folder of sentiment.train or folder of sentiment.export (default: %(default)s)",
    )
    _add_input_arguments(parser)
    _add_answer_arguments(parser)
    arguments = parser.parse_args(argv)
    mistake = _mistake(arguments)
    if mistake:
        parser.error(mistake)
    arguments.explains = arguments.explain or arguments.page is not None
    return arguments


def _add_input_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--input",
        metavar="FILE",
        help="file of texts in UTF-8, or - for standard input. .jsonl: a JSON object a line; .csv, .tsv: a "
        "table with the names of its columns in the first line; anything else: a text a line. .gz may "
        "follow. Empty lines are passed over, but counted",
    )
    parser.add_argument(
        "--text-column",
        default="text",
        metavar="NAME",
        help="column or field of the text in a table (default: %(default)s)",
    )
    parser.add_argument(
        "--batch-size",
        type=whole_number,
        default=64,
        metavar="N",
        help="texts that are read before their answers are written (default: %(default)s)",
    )


def _add_answer_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--format",
        choices=tuple(FORMATS),
        default="text",
        help="text: a line each; jsonl: an object each, with the line of the input and its other fields "
        "(input_NAME where the names are taken); csv (default: %(default)s)",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="file to write (default: standard output)"
    )
    parser.add_argument(
        "--abstain-below",
        type=_probability,
        default=0.0,
        metavar="P",
        help="give no label where the highest probability is below P (default: always give one)",
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        help="a signed weight for every word, and how the probability falls without the weightiest ones",
    )
    parser.add_argument("--page", type=Path, metavar="FILE", help="HTML page to write of explained texts")
    parser.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="colour the words of explained texts (default: on a terminal, unless NO_COLOR is set)",
    )


def _probability(text: str) -> float:
    number = finite_number(text)
    if number > 1:
        raise argparse.ArgumentTypeError(f"expected a probability from 0 to 1, got {text!r}")
    return number


def _mistake(arguments: argparse.Namespace) -> str | None:
    """What is wrong with options that are right one by one."""
    if arguments.texts and arguments.input is not None:
        return "texts on the command line and --input do not go together; give one of them"
    if not arguments.texts and arguments.input is None:
        return "no text; give one in quotes, or --input FILE, or --input - for standard input"
    if arguments.texts == [STDIN]:
        return "standard input is read with --input -"
    if arguments.explain and arguments.format == "csv" and arguments.page is None:
        return "--format csv has no place for the weights of --explain; take jsonl, text or --page"
    return None


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    arguments = parse_arguments(argv)
    _check_outputs(arguments)
    with _items(arguments) as items:
        model = load_model(arguments.model)
        options = {"batch_size": arguments.batch_size, "abstain_below": arguments.abstain_below}
        results = classify_texts(model, items, **options, explainer=_explainer(model, arguments))
        kept: list[Result] = []
        with _progress(results, arguments) as shown:
            stream = _keeping(shown, kept) if arguments.page is not None else shown
            color = wants_color(arguments.color, arguments.output)
            counts = write_results(stream, arguments.format, model.labels, arguments.output, color)
    if not counts.results:
        raise UserError("The input holds no texts. Expected at least one line that is not empty.")
    if arguments.page is not None:
        write_whole(arguments.page, render(kept, arguments.model))
    _tell(counts, arguments.abstain_below)
    return 1 if counts.errors else 0


def _check_outputs(arguments) -> None:
    inputs = [Path(arguments.input)] if arguments.input not in (None, STDIN) else []
    outputs = [path for path in (arguments.output, arguments.page) if path is not None]
    for path in outputs:
        check_output(path, inputs)
    if len(outputs) == 2 and outputs[0].resolve() == outputs[1].resolve() and not outputs[0].is_char_device():
        raise UserError(f"--output and --page both name {outputs[0]}. Name two files.")


def _items(arguments) -> contextlib.AbstractContextManager[Iterator[Item]]:
    if arguments.input is not None:
        return open_texts(arguments.input, arguments.text_column)
    for text in arguments.texts:
        if os.path.isfile(text):
            print(f"{text} is taken for a text; --input {text} reads the file.", file=sys.stderr)
    return contextlib.nullcontext(from_arguments(arguments.texts))


def _explainer(model, arguments) -> "Explainer | None":
    if not arguments.explains:
        return None
    from sentiment.prediction.explain import Explainer

    return Explainer(model)


def _progress(results: Iterable[Result], arguments) -> tqdm:
    """The results behind a bar on standard error, where that is a terminal and a file takes its time."""
    return tqdm(results, unit="text", delay=PATIENCE, disable=None if arguments.input else True)


def _keeping(results: Iterable[Result], kept: list[Result]) -> Iterator[Result]:
    for result in results:
        kept.append(result)
        yield result


def wants_color(choice: str, output: Path | None) -> bool:
    """Whether to write the codes of colours: as `choice` says, with `"auto"` on a terminal that shows them.

    Source: https://no-color.org for the environment variable NO_COLOR.
    """
    if choice != "auto":
        return choice == "always"
    refused = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return output is None and sys.stdout.isatty() and not refused


def _tell(counts, abstain_below: float) -> None:
    if counts.errors:
        print(f"{counts.errors} of {counts.results} texts could not be used.", file=sys.stderr)
    if abstain_below:
        answered = counts.results - counts.errors
        print(f"{counts.abstained} of {answered} texts below {abstain_below:g}: abstained.", file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(run_script(main))
