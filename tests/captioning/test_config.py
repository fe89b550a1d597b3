"""Settings of a run: what is refused and how, and where defaults come from."""

import dataclasses
import math
from pathlib import Path

import pytest

from captioning import train
from captioning.config import DECODER_NAMES, CaptioningConfig, recipe
from shared.commands import open_run
from shared.runs.config import CELLS
from shared.runs.folder import RunFolder
from shared.system.cli import UserError


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("units", 0, "--units must be at least 1, not 0"),
        ("max_length", 1, "--max-length must be at least 2, not 1"),
        ("image_size", -1, "--image-size must be at least 0"),
        ("seed", -1, "--seed must lie in"),
        ("seed", 2**32, "--seed must lie in"),
        ("validation_beams", 0, "--validation-beams must be at least 1"),
        ("patience", 0, "--patience must be at least 1"),
        ("warmup_steps", -1, "--warmup-steps must be at least 0"),
        ("learning_rate", 0.0, "--learning-rate must be a number above 0, not 0.0"),
        ("learning_rate", math.nan, "--learning-rate must be a number above 0, not nan"),
        ("clip_norm", -1.0, "--clip-norm must be a number above 0"),
        ("weight_decay", -0.1, "--weight-decay must be a number of at least 0"),
        ("dropout", 1.0, r"--dropout must lie in \[0, 1\), not 1.0"),
        ("average_decay", 1.0, "--average-decay must lie"),
        ("label_smoothing", -0.1, "--label-smoothing must lie"),
        (
            "decoder",
            "late",
            "--decoder must be one of late_attention, soft_attention, show_and_tell, not late",
        ),
        ("cell", "ltsm", "--cell must be one of lstm, gru, simple, not ltsm"),
        ("num_heads", 7, "--units 512 must be a multiple of --num-heads 7"),
        ("encoder_rate", 0.0, "--encoder-rate must be a number above 0"),
        ("encoder_blocks", -1, "--encoder-blocks must be at least 0"),
        ("crop", 0.0, "--crop must be a number above 0"),
        ("crop", 1.5, r"--crop must lie in \(0, 1\], not 1.5"),
        ("brightness", 1.0, r"--brightness must lie in \[0, 1\)"),
        ("mix", (1.0, 2.0), "--mix needs a number for each of 1 sources, not 2"),
        ("mix", (0.0,), "--mix must be numbers above 0, not 0.0"),
        ("mix", (-1.0,), "--mix must be numbers above 0, not -1.0"),
        ("source_weights", (-1.0,), "--source-weights must be numbers above 0, not -1.0"),
        ("source_weights", (math.inf,), "--source-weights must be numbers above 0, not inf"),
    ],
)
def test_a_value_out_of_range_is_named_with_its_option(name, value, message):
    with pytest.raises(ValueError, match=message):
        CaptioningConfig(**{name: value})


def test_an_encoder_that_would_never_learn_is_refused():
    with pytest.raises(ValueError, match="--encoder-from-epoch 3 is after the last of --epochs 2"):
        CaptioningConfig(train_encoder=True, encoder_from_epoch=3, epochs=2)
    assert CaptioningConfig(encoder_from_epoch=3, epochs=2).epochs == 2  # it is frozen


def test_heads_count_only_where_there_are_heads():
    assert CaptioningConfig(decoder="show_and_tell", units=7).units == 7


def test_the_names_are_those_of_the_layers():
    from captioning.model.decoders import DECODERS
    from shared.layers import RecurrentStack

    assert set(DECODER_NAMES) == set(DECODERS)
    for cell in CELLS:
        RecurrentStack(3, cell=cell)


def test_every_field_is_explained():
    assert all(field.metadata["help"] for field in dataclasses.fields(CaptioningConfig))


def test_where_the_encoder_starts():
    assert CaptioningConfig().pretrained_encoder
    assert CaptioningConfig(encoder_weights="file.h5").pretrained_encoder
    assert not CaptioningConfig(encoder_weights="none").pretrained_encoder
    assert CaptioningConfig(encoder_weights="none", init_from="runs/before").pretrained_encoder


def test_recipes():
    shapes = recipe(("shapes",))
    assert (shapes.data, shapes.encoder, shapes.encoder_weights) == (("shapes",), "small_cnn", "none")
    assert shapes.train_encoder
    assert not shapes.mirror  # left is not right
    assert recipe(("flickr",)) == CaptioningConfig(data=("flickr",))


def test_a_run_folder_gives_its_settings_back(tmp_path):
    config = CaptioningConfig(units=24, decoder="soft_attention", mirror=False)
    run = RunFolder.create(tmp_path / "run", dataclasses.asdict(config), "captioning")
    assert CaptioningConfig.from_run(run) == config
    assert CaptioningConfig.from_run(RunFolder.open(run.path, "captioning")) == config


def test_a_run_of_an_earlier_version_continues_as_it_began(tmp_path):
    """It had one source, whose name was no list, and fewer settings."""
    names = (
        "mix",
        "source_weights",
        "encoder_blocks",
        "encoder_rate",
        "encoder_from_epoch",
        "crop",
        "brightness",
    )
    now = dataclasses.asdict(CaptioningConfig(data=("photos.json",), train_encoder=True, units=24))
    old = {name: value for name, value in now.items() if name not in names} | {"data": "photos.json"}
    path = RunFolder.create(tmp_path / "run", old, "captioning").path
    arguments, config = train.parse_arguments(["--resume", "--out", str(path)])
    assert (config.data, config.units) == (("photos.json",), 24)
    assert (config.encoder_rate, config.encoder_from_epoch, config.encoder_blocks) == (1.0, 1, 0)
    assert (config.crop, config.brightness, config.mix) == (1.0, 0.0, ())
    with open_run(train.APP, arguments, config) as run:
        assert CaptioningConfig.from_run(run) == config
    arguments, other = train.parse_arguments(["--resume", "--out", str(path), "--crop", "0.5"])
    with (
        pytest.raises(UserError, match=r"other settings \(crop: 1.0 -> 0.5\)"),
        open_run(train.APP, arguments, other),
    ):
        pass


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"wings": 2}, "wings"),
        ({"units": "many"}, "not .many."),
        ({"units": 0}, "--units must be at least 1"),
    ],
)
def test_settings_of_another_version_are_refused(change, message, tmp_path):
    run = RunFolder.create(tmp_path / "run", change, "captioning")
    with pytest.raises(UserError, match=rf"config\.json are not those of this version.*{message}"):
        CaptioningConfig.from_run(run)


def test_the_data_decide_on_the_defaults():
    arguments, config = train.parse_arguments([])
    assert config == recipe(("shapes",))
    assert arguments.out == Path("runs/shapes")
    assert not arguments.resume
    _, config = train.parse_arguments(["--data", "photos.json"])
    assert config == CaptioningConfig(data=("photos.json",))
    _, config = train.parse_arguments(["--data", "shapes", "photos.json", "--mix", "1", "3"])
    assert config == CaptioningConfig(data=("shapes", "photos.json"), mix=(1.0, 3.0))


def test_options_have_the_last_word():
    _, config = train.parse_arguments(["--data", "shapes", "--units", "64", "--mirror", "--no-train-encoder"])
    assert config == dataclasses.replace(recipe(("shapes",)), units=64, mirror=True, train_encoder=False)
    _, config = train.parse_arguments(["--data", "photos.json", "--units", "512", "--init-from", "photos"])
    assert config == CaptioningConfig(data=("photos.json",), init_from="photos")
    with pytest.raises(UserError, match="--units 512 must be a multiple of --num-heads 5"):
        train.parse_arguments(["--data", "photos.json", "--num-heads", "5"])


@pytest.mark.parametrize(
    ("data", "name"),
    [("tfds:coco/2014", "tfds-coco-2014"), ("{}/set.json", "set"), ("{}/folder/", "folder"), ("{}", "here")],
)
def test_the_run_is_named_for_the_data(data, name, tmp_path):
    here = tmp_path / "here"
    (here / "folder").mkdir(parents=True)
    (here / "set.json").touch()
    arguments, _ = train.parse_arguments(["--data", data.format(here)])
    assert arguments.out == Path("runs") / name
    arguments, _ = train.parse_arguments(["--data", data.format(here), "--out", "mine"])
    assert arguments.out == Path("mine")


def test_resume_takes_the_settings_of_the_run(tmp_path):
    config = CaptioningConfig(data=("photos.json",), units=24, epochs=3)
    run = RunFolder.create(tmp_path / "run", dataclasses.asdict(config), "captioning")
    arguments, resumed = train.parse_arguments(["--resume", "--out", str(run.path)])
    assert arguments.resume
    assert resumed == config
    with pytest.raises(UserError, match="no run folder"):
        train.parse_arguments(["--resume", "--out", str(tmp_path / "other")])


def test_resume_with_other_settings_is_refused(tmp_path):
    RunFolder.create(tmp_path / "run", dataclasses.asdict(CaptioningConfig()), "captioning")
    with pytest.raises(UserError, match="units: 512 -> 24"):
        train.main(["--resume", "--out", str(tmp_path / "run"), "--units", "24"])


def test_self_critical_training_takes_data_and_network_from_where_it_starts(tmp_path):
    start = CaptioningConfig(data=("photos/",), units=64, dropout=0.5, train_encoder=True)
    RunFolder.create(tmp_path / "start", dataclasses.asdict(start), "captioning")
    options = ["--init-from", str(tmp_path / "start"), "--self-critical", "4"]
    _, config = train.parse_arguments([*options, "--warmup-steps", "7"])
    assert (config.data, config.units, config.self_critical, config.warmup_steps) == (("photos/",), 64, 4, 7)
    assert (config.learning_rate, config.dropout, config.train_encoder) == (5e-5, pytest.approx(0.15), False)
    with pytest.raises(UserError, match="needs a trained captioner"):
        train.parse_arguments(["--self-critical", "4"])
