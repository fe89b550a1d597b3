"""The settings of a sentiment model's run: which values hold, and the way from a run folder."""

import dataclasses
import json

import pytest

from sentiment.config import EARLIER, SentimentConfig
from shared.runs.folder import RunFolder
from shared.system.cli import UserError

NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"min_count": 0}, "--min-count must be at least 1, not 0"),
        ({"max_vocabulary": 4}, "--max-vocabulary must be at least 5"),
        ({"units": 0}, "--units must be at least 1"),
        ({"depth": 0}, "--depth must be at least 1"),
        ({"embedding_size": 0}, "--embedding-size must be at least 1"),
        ({"window": 1}, "--window must be at least 2"),
        ({"batch_size": 1}, "--batch-size must be at least 2"),
        ({"epochs": 0}, "--epochs must be at least 1"),
        ({"patience": 0}, "--patience must be at least 1"),
        ({"pretrain_window": 1}, "--pretrain-window must be at least 2"),
        ({"pretrain_batch_size": 0}, "--pretrain-batch-size must be at least 1"),
        ({"pretrain_epochs": 0}, "--pretrain-epochs must be at least 1"),
        ({"samples": 0}, "--samples must be at least 1"),
        ({"seed": -1}, "--seed must lie in"),
        ({"seed": 2**32}, r"--seed must lie in"),
        ({"learning_rate": 0.0}, "--learning-rate must be a number above 0, not 0.0"),
        ({"learning_rate": NAN}, "--learning-rate must be a number above 0"),
        ({"clip_norm": INFINITE}, "--clip-norm must be a number above 0"),
        ({"layer_rate_decay": 0.0}, "--layer-rate-decay must be a number above 0"),
        ({"pretrain_learning_rate": -0.1}, "--pretrain-learning-rate must be a number above 0"),
        ({"pretrain_minutes": 0.0}, "--pretrain-minutes must be a number above 0"),
        ({"pretrain_minutes": NAN}, "--pretrain-minutes must be a number above 0"),
        ({"weight_decay": -0.1}, "--weight-decay must be a number of at least 0"),
        ({"adversarial": INFINITE}, "--adversarial must be a number of at least 0"),
        ({"dropout": 1.0}, r"--dropout must lie in \[0, 1\)"),
        ({"word_dropout": -0.1}, "--word-dropout must lie in"),
        ({"input_dropout": NAN}, "--input-dropout must lie in"),
        ({"output_dropout": 1.0}, "--output-dropout must lie in"),
        ({"recurrent_weight_dropout": 1.0}, "--recurrent-weight-dropout must lie in"),
        ({"pretrain_dropout": 1.0}, "--pretrain-dropout must lie in"),
        ({"average_decay": 1.0}, "--average-decay must lie in"),
        ({"warmup": 1.0}, "--warmup must lie in"),
        ({"label_smoothing": 1.0}, "--label-smoothing must lie in"),
        ({"gradual_unfreezing": 1.0}, "--gradual-unfreezing must lie in"),
        ({"validation_fraction": 0.0}, r"--validation-fraction must lie in \(0, 1\)"),
        ({"validation_fraction": 1.0}, r"--validation-fraction must lie in \(0, 1\)"),
        ({"cell": "rnn"}, "--cell must be one of lstm, gru, simple, not rnn"),
        ({"pooling": "sum"}, "--pooling must be one of concat, last, mean, max, attention, not sum"),
        ({"precision": "float16"}, "--precision must be one of auto, float32, mixed_bfloat16"),
        ({"pretrain": ("a.txt",), "language_model": "runs/a"}, "--pretrain .* --language-model .* one of"),
        ({"init_from": "imdb", "pretrain": ("a.txt",)}, "--init-from imdb is a whole classifier"),
        ({"init_from": "imdb", "language_model": "runs/a"}, "--init-from imdb is a whole classifier"),
        ({"init_from": "", "layers": "output"}, "--layers output needs a trained network"),
        ({"layers": "output", "epochs": 3}, "--layers output has no steps"),
        ({"layers": "top"}, "--layers must be one of all, output, temperature, not top"),
        ({"pretrain": ("a.txt",), "depth": 2}, "--pretrain needs --depth 1, not 2, or --no-bidirectional"),
    ],
)
def test_values_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        SentimentConfig(**changes)


def test_the_smallest_values_hold():
    smallest = dict.fromkeys(("min_count", "units", "depth", "embedding_size", "epochs", "patience"), 1)
    smallest |= {"pretrain_batch_size": 1, "pretrain_epochs": 1, "samples": 1, "max_vocabulary": 5, "seed": 0}
    smallest |= {
        "window": 2,
        "batch_size": 2,
        "pretrain_window": 2,
        "pretrain_minutes": 0.01,
        "validation_fraction": 0.01,
    }
    rates = ("dropout", "word_dropout", "input_dropout", "output_dropout", "recurrent_weight_dropout")
    rates += ("pretrain_dropout", "average_decay", "warmup", "label_smoothing", "gradual_unfreezing")
    smallest |= dict.fromkeys((*rates, "weight_decay", "adversarial"), 0.0)
    config = SentimentConfig(**smallest)
    assert {name: getattr(config, name) for name in smallest} == smallest


def test_a_language_model_of_several_layers_reads_one_way():
    assert SentimentConfig(pretrain=("a.txt",), depth=2, bidirectional=False).depth == 2
    assert SentimentConfig(depth=2).bidirectional  # without a language model, layers may see both ways


def test_lists_become_tuples_as_json_gives_lists_back():
    config = SentimentConfig(data=["a.csv", "b.csv"], pretrain=["x.txt"], bidirectional=False)
    assert (config.data, config.pretrain) == (("a.csv", "b.csv"), ("x.txt",))
    assert SentimentConfig(**json.loads(json.dumps(dataclasses.asdict(config)))) == config


def test_every_setting_says_what_it_is():
    for field in dataclasses.fields(SentimentConfig):
        assert field.metadata["help"], field.name


def test_a_run_folder_gives_its_settings_back(tmp_path):
    config = SentimentConfig(data=("a.csv", "b"), units=7, pretrain_minutes=1.5, patience=3, pretrain=("c",))
    RunFolder.create(tmp_path / "run", dataclasses.asdict(config), "sentiment")
    assert SentimentConfig.from_run(RunFolder.open(tmp_path / "run", "sentiment")) == config


def test_settings_that_a_run_does_not_name_have_their_defaults(tmp_path):
    run = RunFolder.create(tmp_path / "run", {"units": 7}, "sentiment")
    assert SentimentConfig.from_run(run) == SentimentConfig(units=7, **EARLIER)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"unitz": 7}, "unitz"),
        ({"units": 0}, "--units must be at least 1"),
        ({"units": "7"}, "number, not '7'"),
    ],
)
def test_settings_of_another_version_are_an_error_of_the_user(tmp_path, settings, reason):
    run = RunFolder.create(tmp_path / "run", settings, "sentiment")
    with pytest.raises(UserError, match=rf"config\.json are not those of this version: .*{reason}"):
        SentimentConfig.from_run(run)
