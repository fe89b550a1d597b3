"""Measures a sentiment model on labelled texts: python -m sentiment.evaluate --model MODEL --data SOURCE.

Keras and TensorFlow are imported after the command line is understood, so that `--help` answers at once.
"""

import argparse
import dataclasses
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sentiment.config import SOURCES, SentimentConfig
from sentiment.data.load import load_reviews
from sentiment.data.reviews import Review, ReviewData, print_problems
from sentiment.evaluation.comparison import (
    MOST_LABELS,
    Row,
    figures,
    measure_baseline,
    measure_model,
    short,
    table,
)
from shared.runs.folder import RunFolder
from shared.runs.presets import find_model
from shared.system.cli import UserError, run_script
from shared.system.options import finite_number, whole_number
from shared.system.output import check_output, open_output, write_whole
from shared.system.quiet import import_tensorflow_quietly

# Settings of a run in whose place options of this script may stand.
DATA_SETTINGS = ("data", "text_column", "label_column", "split_column", "validation_fraction", "seed")
# So many unknown labels are named.
NAMED = 10


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m sentiment.evaluate",
        description="Measure how often a sentiment model is right about labelled texts and how well its "
        "probabilities say so: accuracy, F1, area under the ROC curve (AUC), log loss in nats, expected "
        "calibration error (ECE), confusion, and accuracy by length. Beside it stands NB-SVM, a linear model "
        "of words and pairs of words, fitted to the training part of the same data.",
        epilog="Exit status: 0; 2 if nothing could be measured.",
    )
    parser.add_argument(
        "--model",
        default="imdb",
        help="preset, run folder of sentiment.train or folder of sentiment.export (default: %(default)s)",
    )
    _add_data_arguments(parser)
    parser.add_argument(
        "--baseline",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="fit and measure NB-SVM, too (default: on)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="file for all figures and settings")
    parser.add_argument(
        "--predictions",
        type=Path,
        metavar="FILE",
        help="file for what the model says of each text, as JSON Lines",
    )
    return parser.parse_args(argv)


def _add_data_arguments(parser):
    parser.add_argument(
        "--data",
        nargs="+",
        metavar="SOURCE",
        help=f"{SOURCES} (default, for this and the next five: what the model was trained with)",
    )
    for name in ("text", "label", "split"):
        parser.add_argument(f"--{name}-column", metavar="NAME", help=f"column or field of the {name}")
    parser.add_argument(
        "--validation-fraction",
        type=finite_number,
        metavar="F",
        help="share that is cut from the training data where they have no validation part",
    )
    parser.add_argument(
        "--seed",
        type=lambda text: whole_number(text, least=0),
        metavar="N",
        help="chooses which texts are cut off",
    )
    parser.add_argument(
        "--split", default="validation", help="train, validation, test or all (default: %(default)s)"
    )
    parser.add_argument(
        "--skip-unknown-labels",
        action="store_true",
        help="leave out texts whose labels the model does not know",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    arguments = parse_arguments(argv)
    outputs = _check_outputs(arguments)
    import_tensorflow_quietly()
    trained = trained_with(arguments.model)
    config = data_settings(arguments, trained)
    for path in outputs:
        check_output(path, _input_files(config.data))
    data = _load(config)
    reviews = data.split(arguments.split)
    from sentiment.model.classifier import SentimentClassifier

    model = SentimentClassifier.from_any(arguments.model)
    reviews, notes = known_reviews(reviews, model.labels, data, arguments)
    rows = [measure_model(model, reviews)]
    if arguments.predictions is not None:
        lines = predictions(rows[0], reviews, model.labels)
        write_whole(arguments.predictions, "".join(f"{line}\n" for line in lines))
    notes = _notes(arguments.split, config, trained) + notes
    if arguments.baseline:
        row, reasons = measure_baseline(data, arguments.split, reviews, model.labels)
        rows, notes = rows + [row] * (row is not None), notes + reasons
    with open_output(None) as write:
        write(heading(arguments, model, data, reviews) + "\n\n")
        write(table(rows, model.labels) + "\n" + "".join(f"\n{note}" for note in notes) + "\n" * bool(notes))
    if arguments.json is not None:
        record = _record(arguments, model, data, config, rows, notes)
        write_whole(arguments.json, json.dumps(record, ensure_ascii=False, indent=1) + "\n")
    return 0


def _check_outputs(arguments) -> list[Path]:
    """The files to write, which can be written and are not the same one."""
    outputs = [path for path in (arguments.json, arguments.predictions) if path is not None]
    for path in outputs:
        check_output(path)
    if len(outputs) == 2 and outputs[0].resolve() == outputs[1].resolve() and not outputs[0].is_char_device():
        raise UserError(f"--json and --predictions both name {outputs[0]}. Name two files.")
    return outputs


def _input_files(sources: Sequence[str]) -> Iterator[Path]:
    for source in map(Path, sources):
        yield source.expanduser()
        yield from source.expanduser().rglob("*.txt")


def trained_with(name: str) -> SentimentConfig | None:
    """The settings that a preset or run was trained with; None for an exported model, which has none.

    Raises:
        UserError: there is no such model, or it is not one of this application.
    """
    from sentiment.model.classifier import PRESETS

    path = find_model(name, PRESETS, app="sentiment")
    if (path / "saved_model.pb").exists():
        return None
    return SentimentConfig.from_run(RunFolder.open(path, "sentiment"))


def data_settings(arguments: argparse.Namespace, trained: SentimentConfig | None) -> SentimentConfig:
    """The settings of a run, with the options about data that were given in place of its own.

    Raises:
        UserError: an exported model does not say what its data are, or an option has a value that cannot be.
    """
    if arguments.data is None and trained is None:
        raise UserError(
            f"{arguments.model} is an exported model, which does not say what it was trained on. "
            "Name labelled texts with --data."
        )
    given = {name: getattr(arguments, name) for name in DATA_SETTINGS if getattr(arguments, name) is not None}
    try:
        return dataclasses.replace(trained or SentimentConfig(), **given)
    except ValueError as error:
        raise UserError(f"{error}.") from error


def _load(config: SentimentConfig) -> ReviewData:
    settings = {name: getattr(config, name) for name in DATA_SETTINGS[1:]}
    data = load_reviews(config.data, **settings, trainable=False)
    print_problems(data.problems)
    return data


def known_reviews(
    reviews: Sequence[Review], labels: Sequence[str], data: ReviewData, arguments: argparse.Namespace
) -> tuple[list[Review], list[str]]:
    """The reviews whose labels a model knows, and a note on those that had to be left out.

    Raises:
        UserError: there are others, and they are not to be left out; or there are no others.
    """
    known = [review for review in reviews if review.label in labels]
    if len(known) == len(reviews):
        return known, []
    counts = Counter(review.label for review in reviews if review.label not in labels).most_common()
    named = ", ".join(f"{label!r} ({count:,})" for label, count in counts[:NAMED])
    named += f" and {len(counts) - NAMED} more" * (len(counts) > NAMED)
    what = f"{len(reviews) - len(known):,} of {len(reviews):,} texts"
    if known and arguments.skip_unknown_labels:
        return known, [f"{what} were left out, because the model does not know their labels: {named}."]
    remedy = "Leave them out with --skip-unknown-labels, or rename" if known else "Rename"
    raise UserError(
        f"{what} in the split {arguments.split!r} of {data.name} have labels that the model does not know: "
        f"{named}. Expected {_listed(labels)}. {remedy} the labels in the data."
    )


def _listed(labels: Sequence[str]) -> str:
    return ", ".join(map(repr, labels[:NAMED])) + f" and {len(labels) - NAMED} more" * (len(labels) > NAMED)


def _notes(split: str, config: SentimentConfig, trained: SentimentConfig | None) -> list[str]:
    """What to know where the model may have learned from what it is measured on."""
    if trained is None or config.data != trained.data:
        return []
    if config != trained and config.data != ("imdb",):
        return ["The model was trained on this source, read in another way: it may know parts of this split."]
    if split == "validation":
        return ["Training chose the best weights and the temperature by this split."]
    return ["The model was trained on these texts, or on most of them."] if split in ("train", "all") else []


def heading(arguments: argparse.Namespace, model, data: ReviewData, reviews: Sequence[Review]) -> str:
    """What is measured on what, in words."""
    settings, counts = model.settings, Counter(review.label for review in reviews)
    network = f"{settings['cell']}, {settings['depth']} x {settings['units']}, pooling {settings['pooling']}"
    network = "bidirectional " * settings["bidirectional"] + network
    classes = ", ".join(f"{short(label)} {counts[label]:,}" for label in model.labels)
    return (
        f"model  {arguments.model}: {network}, {len(model.vocabulary):,} words\n"
        f"data   {data.name}: {data.rule}\n"
        f"split  {arguments.split}: {len(reviews):,} texts"
        + f"; {classes}"
        * (len(model.labels) <= MOST_LABELS)
    )


def predictions(row: Row, reviews: Sequence[Review], labels: Sequence[str]) -> Iterator[str]:
    """What a classifier says of each text, one line of JSON for each."""
    for review, likely in zip(reviews, row.probabilities.tolist(), strict=True):
        predicted = labels[likely.index(max(likely))]
        record = {
            "place": review.place,
            "text": review.text,
            "label": review.label,
            "predicted": predicted,
            "right": predicted == review.label,
            "probabilities": {label: round(value, 6) for label, value in zip(labels, likely, strict=True)},
        }
        yield json.dumps(record, ensure_ascii=False)


def _record(arguments, model, data, config, rows: Sequence[Row], notes) -> dict[str, Any]:
    """All figures and settings."""
    return {
        "model": arguments.model,
        "network": dict(model.settings),
        "temperature": model.temperature,
        "labels": list(model.labels),
        **{name: getattr(config, name) for name in DATA_SETTINGS},
        "rule": data.rule,
        "split": arguments.split,
        "texts": rows[0].measures.examples,
        "scores": {row.kind: figures(row, model.labels) for row in rows},
        "notes": notes,
    }


if __name__ == "__main__":
    raise SystemExit(run_script(main))
