"""The command line of pipelines, without Beam; what they do is in tests/end_to_end/test_pipeline.py."""

import pytest

from sentiment.app import APP
from shared.pipeline import parse_job, pipeline_parser

OURS = ["--input", "*.jsonl", "--output", "out"]


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (["--batchsize", "8"], "Did you mean --batch-size?"),
        (["--modle=imdb"], "Did you mean --model?"),
        (["b.jsonl", "c.jsonl"], "b.jsonl belongs to no option; quote a pattern"),
        (["--runner=FlinkRunner", "b.jsonl"], "b.jsonl belongs to no option"),
        (["--runner", "FlinkRunner", "b.jsonl"], "b.jsonl belongs to no option"),
    ],
)
def test_a_mistake_is_not_left_to_beam_which_passes_over_it(capsys, mistake, message):
    with pytest.raises(SystemExit, match="2"):
        parse_job(pipeline_parser(APP, "Labels.", 64), [*OURS, *mistake])
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "options", [[], ["--runner", "FlinkRunner", "--streaming", "--temp_location=/tmp"], ["--streaming"]]
)
def test_other_options_are_for_beam(options):
    arguments, others = parse_job(pipeline_parser(APP, "Labels.", 64), [*OURS, *options])
    assert arguments.input == "*.jsonl"
    assert others == options
