"""Captions large collections: python -m captioning.pipeline --input PATTERN --output PREFIX [BEAM OPTIONS].

An Apache Beam pipeline: on this computer, or by --runner on Flink, Spark or Dataflow.
"""

from collections.abc import Sequence

from captioning.app import APP
from captioning.prediction.pipeline import caption_job
from shared.pipeline import parse_job, pipeline_parser, pipeline_script
from shared.system.cli import run_script


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    parser = pipeline_parser(
        APP, "Describe all photographs of a pattern, such as 'photos/**.jpg'.", batch_size=16
    )
    arguments, options = parse_job(parser, argv)
    APP.find(arguments.model)
    job = caption_job(arguments.model, arguments.batch_size)
    return pipeline_script(arguments.input, arguments.output, job, options)


if __name__ == "__main__":
    raise SystemExit(run_script(main))
