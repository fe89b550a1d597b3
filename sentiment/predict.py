"""Predicts the labels of texts: python -m sentiment.predict TEXT ... | --input FILE|-.

With --explain, it weighs the words that decided.
"""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from sentiment.app import APP
from sentiment.prediction.inputs import STDIN, open_items
from sentiment.prediction.options import add_input_options, add_result_options, find_mistake
from sentiment.prediction.page import render
from sentiment.prediction.results import Result, print_counts, write_results
from sentiment.prediction.shading import wants_color
from sentiment.prediction.stream import classify_texts
from shared.data.encodings import format_of
from shared.runs.presets import is_export
from shared.system.cli import Parser, UserError, run_script
from shared.system.output import check_outputs, write_whole
from shared.system.progress import progress_bar

PATIENCE = 2.0  # seconds before a progress bar appears


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = Parser(
        "sentiment.predict",
        description="Predict the labels of texts, with calibrated probabilities. Texts of any length are "
        "read in full. The label of a text is withheld where the model does not know enough of its words. "
        "With --explain, weigh the words that decided.",
        epilog="A text that begins with - comes after --. Exit status: 0; 1 if some lines of the input could "
        "not be used: they are listed on standard error, and the others have results; 2 if nothing could be "
        "done.",
    )
    APP.add_model_option(parser)
    add_input_options(parser)
    add_result_options(parser)
    arguments = parser.parse_args(argv)
    if mistake := find_mistake(arguments):
        parser.error(mistake)
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    arguments = parse_arguments(argv)
    inputs = [] if arguments.input in (None, STDIN) else [Path(arguments.input)]
    check_outputs({"--output": arguments.output, "--page": arguments.page}, inputs)
    explains = arguments.explain or arguments.page is not None
    if explains and is_export(APP.find(arguments.model)):
        raise UserError(
            "An exported model cannot explain its results: it has no gradients. Name a preset or the run "
            "folder from which it was exported."
        )
    with open_items(arguments.texts, arguments.input, arguments.text_column, format_of(arguments)) as items:
        model, explainer = APP.load(arguments.model), None
        if explains:
            from sentiment.prediction.explain import Explainer  # imports TensorFlow

            explainer = Explainer(model)
        results = classify_texts(
            model,
            items,
            batch_size=arguments.batch_size,
            abstain_below=arguments.abstain_below,
            force=arguments.force,
            explainer=explainer,
        )
        if arguments.input:
            results = progress_bar(results, unit="text", delay=PATIENCE)
        explained: list[Result] = []
        if arguments.page is not None:
            results = _collect(results, explained)
        color = wants_color(arguments.color, arguments.output)
        counts = write_results(results, arguments.format, model.labels, arguments.output, color)
    if not counts.results:
        raise UserError("The input holds no texts. Expected at least one line that is not empty.")
    if arguments.page is not None:
        write_whole(arguments.page, render(explained, arguments.model))
    print_counts(counts, arguments.abstain_below)
    return 1 if counts.errors else 0


def _collect(results: Iterable[Result], collected: list[Result]) -> Iterator[Result]:
    for result in results:
        collected.append(result)
        yield result


if __name__ == "__main__":
    raise SystemExit(run_script(main))
