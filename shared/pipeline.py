"""Collections too large for one machine: an Apache Beam pipeline around a model, by Beam's `RunInference`.

Inputs that an earlier job answered are left out, so a second run of a half-done job does what is missing.
The results lie in files of at most `PART` lines, written whole or not at all while the job runs:

    PREFIX-results-NAME.jsonl   a JSON object for each input
    PREFIX-errors-NAME.jsonl    an object with `error` for each input that cannot be read

Needs the extra `beam`, which is imported when a pipeline runs.
"""

import argparse
import hashlib
import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple

from shared.application import Application
from shared.system.cli import Parser, UserError, did_you_mean
from shared.system.options import whole_number

PART = 200


class Job(NamedTuple):
    """What an application does with its inputs. The functions travel to the workers.

    Attributes:
        read: `read(path)` yields pairs of a key and an example, for each input in a file.
        load: `load()` gives the model.
        predict: `predict(model, pairs)` returns the record of each pair, ready for JSON; one with `error` is
            that of a bad input.
        key_of: `key_of(record)` is the key of its input.
        batch_size: examples that the model reads at once.
    """

    read: Callable[[str], Iterable[tuple[str, Any]]]
    load: Callable[[], Any]
    predict: Callable[[Any, Sequence[tuple[str, Any]]], list[dict]]
    key_of: Callable[[dict], str]
    batch_size: int


def import_beam() -> Any:
    """The module `apache_beam`.

    Raises:
        UserError: it is not installed.
    """
    try:
        import apache_beam
        import apache_beam.io.fileio
        import apache_beam.ml.inference.base
    except ImportError as error:
        raise UserError(
            f"Pipelines need Apache Beam ({error}). Install it: pip install 'unrolled[beam]', in a checkout "
            "pip install '.[beam]'."
        ) from error
    return apache_beam


def run_pipeline(pattern: str, prefix: str, job: Job, options: Sequence[str] = ()) -> dict[str, int]:
    """Runs a job over all files of a pattern, and waits until it is done.

    Args:
        pattern: files to read, on any file system that Beam knows.
        prefix: how the names of the result files begin.
        job: what is done.
        options: options of Beam, such as `["--runner", "FlinkRunner"]`.

    Returns:
        How many inputs were `done` now, are `bad`, and were done `before`; empty where the runner counts
        nothing.

    Raises:
        UserError: Beam is not installed, or no file matches.
    """
    beam = import_beam()
    from apache_beam.io.filesystems import FileSystems

    if not FileSystems.match([pattern], limits=[1])[0].metadata_list:
        raise UserError(f"No file matches {pattern}. Quote a pattern, so that the shell does not expand it.")
    pipeline = beam.Pipeline(options=beam.options.pipeline_options.PipelineOptions(list(options)))
    records = _missing(beam, pipeline, pattern, prefix, job) | beam.ml.inference.base.RunInference(
        _handler(beam, job)
    )
    bad, good = records | beam.Partition(lambda record, _: 0 if "error" in record else 1, 2)
    for kind, some in (("results", good), ("errors", bad)):
        parts = some | f"{kind} in parts" >> beam.BatchElements(min_batch_size=PART, max_batch_size=PART)
        _ = parts | f"write {kind}" >> beam.Map(write_part, f"{prefix}-{kind}", job.key_of)
    result = pipeline.run()
    result.wait_until_finish()
    counters = result.metrics().query()["counters"]
    return {
        each.key.metric.name: each.committed for each in counters if each.key.metric.namespace == __name__
    }


def _missing(beam, pipeline, pattern, prefix, job):
    """The pairs of key and example that no earlier job has answered."""
    from apache_beam.io.filesystems import FileSystems

    paths = pipeline | beam.io.fileio.MatchFiles(pattern) | beam.Map(lambda file: file.path)
    inputs = paths | "read inputs" >> beam.FlatMap(job.read)
    matches = FileSystems.match([f"{prefix}-{kind}-*.jsonl" for kind in ("results", "errors")])
    parts = [file.path for match in matches for file in match.metadata_list]
    records = pipeline | beam.Create(parts) | beam.Reshuffle() | beam.FlatMap(read_part)
    done = records | beam.Map(lambda record: (job.key_of(record), None))
    return {"examples": inputs, "done": done} | beam.CoGroupByKey() | beam.FlatMap(_unless_done)


def _unless_done(group):
    """The pair of a key and its example, unless a result has this key."""
    key, columns = group
    if not columns["done"]:
        for example in list(columns["examples"])[:1]:
            yield key, example
    elif columns["examples"]:
        _count("before")


def _handler(beam, job):
    """Beam's handler of a model, which each worker process loads once."""

    class Handler(beam.ml.inference.base.ModelHandler):
        def load_model(self):
            return job.load()

        def run_inference(self, batch, model, inference_args=None):
            records = job.predict(model, batch)
            for record in records:
                _count("bad" if "error" in record else "done")
            return records

        def batch_elements_kwargs(self):
            return {"min_batch_size": job.batch_size, "max_batch_size": job.batch_size}

    return Handler()


def _count(name):
    import_beam().metrics.Metrics.counter(__name__, name).inc()


def write_part(records: Sequence[dict], prefix: str, key_of: Callable[[dict], str]) -> None:
    """Writes a file of results, whole or not at all; the same inputs in the same order have the same name.

    Args:
        records: the results.
        prefix: how the name of the file begins.
        key_of: the key of a result.
    """
    from apache_beam.io.filesystems import FileSystems

    name = hashlib.sha256("\n".join(map(key_of, records)).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    temporary = f"{prefix}-{uuid.uuid4().hex}.partial"
    with FileSystems.create(temporary, compression_type="uncompressed") as file:
        for record in records:
            file.write(json.dumps(record).encode() + b"\n")
    FileSystems.rename([temporary], [f"{prefix}-{name}.jsonl"])


def read_part(path: str) -> Iterator[dict]:
    """The results in a file that `write_part` wrote."""
    with open_file(path) as file:
        for line in file.read().decode().splitlines():
            yield json.loads(line)


def open_file(path: str) -> BinaryIO:
    """Opens a file to read, on any file system that Beam knows, with its bytes as they are."""
    from apache_beam.io.filesystems import FileSystems

    return FileSystems.open(path, compression_type="uncompressed")


def pipeline_parser(app: Application, description: str, batch_size: int) -> Parser:
    """The parser of `APP.pipeline`; what it does not know is for Beam. `batch_size` is the default."""
    parser = Parser(
        f"{app.name}.pipeline",
        description=description,
        usage="%(prog)s --input PATTERN --output PREFIX [--model MODEL] [--batch-size N] [BEAM OPTIONS]",
        epilog="All other options are Beam's, such as --runner FlinkRunner. A second run does what is "
        "missing; to try bad inputs again, delete the files of errors. Needs the extra beam. Exit status: 0; "
        "1 if some inputs could not be read; 2 if nothing could be done.",
    )
    app.add_model_option(parser)
    parser.add_argument("--input", required=True, metavar="PATTERN", help="quoted pattern of files to read")
    parser.add_argument(
        "--output",
        required=True,
        metavar="PREFIX",
        help="results go to PREFIX-results-*.jsonl and PREFIX-errors-*.jsonl",
    )
    parser.add_argument(
        "--batch-size",
        type=whole_number,
        default=batch_size,
        metavar="N",
        help="inputs that the model reads at once (default: %(default)s)",
    )
    return parser


def parse_job(parser: Parser, argv: Sequence[str] | None = None) -> tuple[argparse.Namespace, Sequence[str]]:
    """The arguments of `APP.pipeline`, and the options that are Beam's.

    Beam ignores what it does not know. So an option that resembles one of ours is an error, and so is a word
    that belongs to no option, such as the second file of a pattern that the shell expanded.
    """
    arguments, options = parser.parse_known_args(argv)
    before = ""
    for word in options:
        if word.startswith("--") and did_you_mean(word.partition("=")[0], parser.options):
            parser.error(f"unrecognized arguments: {word}")
        if not word.startswith("--") and (not before.startswith("--") or "=" in before):
            parser.error(
                f"{word} belongs to no option; quote a pattern, so that the shell does not expand it"
            )
        before = word
    return arguments, options


def pipeline_script(pattern: str, prefix: str, job: Job, options: Sequence[str]) -> int:
    """Runs a job and prints what was done; returns the exit status of `APP.pipeline`."""
    counts = run_pipeline(pattern, prefix, job, options)
    done, bad, before = (counts.get(name, 0) for name in ("done", "bad", "before"))
    print(f"{done} done, {bad} with errors, {before} done before. See {prefix}-results-*.jsonl.")
    return 1 if bad else 0
