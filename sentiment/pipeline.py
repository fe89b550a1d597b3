"""Classifies large collections: python -m sentiment.pipeline --input PATTERN --output PREFIX [BEAM OPTIONS].

An Apache Beam pipeline: on this computer, or by --runner on Flink, Spark or Dataflow.
"""

from collections.abc import Sequence

from sentiment.app import APP
from sentiment.prediction.pipeline import sentiment_job
from shared.pipeline import parse_job, pipeline_parser, pipeline_script
from shared.system.cli import run_script


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    parser = pipeline_parser(
        APP,
        "Predict the labels of all texts in the files of a pattern, such as 'reviews/*.jsonl'.",
        batch_size=64,
    )
    parser.add_argument(
        "--text-column",
        default="text",
        metavar="NAME",
        help="column or field of the text (default: %(default)s)",
    )
    parser.add_argument(
        "--force", action="store_true", help="give a label also to texts with too few known words"
    )
    arguments, options = parse_job(parser, argv)
    APP.find(arguments.model)
    job = sentiment_job(arguments.model, arguments.text_column, arguments.batch_size, arguments.force)
    return pipeline_script(arguments.input, arguments.output, job, options)


if __name__ == "__main__":
    raise SystemExit(run_script(main))
