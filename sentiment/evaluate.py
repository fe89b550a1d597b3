"""Measures a sentiment model on labelled texts: python -m sentiment.evaluate --model MODEL --data SOURCE.

An NB-SVM baseline is fitted to the train split of the same data and measured, too.
"""

import argparse
import json
from collections.abc import Sequence

from sentiment.app import APP
from sentiment.evaluation.options import add_data_options, add_output_options
from shared.system.cli import Parser, run_script
from shared.system.output import check_outputs, open_output, write_whole

DESCRIPTION = (
    "Measure a sentiment model on labelled texts: accuracy, F1, area under the ROC curve (AUC), log loss in "
    "nats, expected calibration error (ECE), confusion, accuracy and ECE by length, and texts with too few "
    "known words. NB-SVM, a linear model of words and pairs of words fitted to the train split of the same "
    "data, is measured next to it."
)


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = Parser(
        "sentiment.evaluate",
        description=DESCRIPTION,
        epilog="Exit status: 0; 2 if nothing could be measured.",
    )
    APP.add_model_option(parser)
    add_data_options(parser)
    add_output_options(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    arguments = parse_arguments(argv)
    # Not at the top: scikit-learn takes a second to import, and --help needs none of it.
    from sentiment.evaluation import report
    from sentiment.evaluation.comparison import measure_baseline, measure_model
    from sentiment.evaluation.tables import tables

    name, split = arguments.model, arguments.split
    trained = APP.trained_with(name)
    config = report.data_settings(name, vars(arguments), trained)
    outputs = {"--json": arguments.json, "--predictions": arguments.predictions}
    check_outputs(outputs, report.input_files(config.data))
    data = report.load_data(config)
    data.split(split)  # an error before the model is loaded
    model = APP.load(name)
    reviews, left_out = report.known_reviews(data, split, model.labels, arguments.skip_unknown_labels)
    rows = [measure_model(model, reviews)]
    if arguments.predictions is not None:
        lines = report.predictions(rows[0], reviews, model.labels)
        write_whole(arguments.predictions, "".join(f"{line}\n" for line in lines))
    notes = report.training_notes(split, config, trained) + left_out + report.withheld_notes(rows[0])
    if arguments.baseline:
        row, reasons = measure_baseline(data, split, reviews, model.labels)
        notes += reasons
        if row is not None:
            rows.append(row)
    parts = [report.heading(name, model, data, split, reviews), tables(rows, model.labels)]
    if notes:
        parts.append("\n".join(notes))
    with open_output(None) as write:
        write("\n\n".join(parts) + "\n")
    if arguments.json is not None:
        record = report.record(name, model, data, config, split, rows, notes)
        write_whole(arguments.json, json.dumps(record, ensure_ascii=False, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(run_script(main))
