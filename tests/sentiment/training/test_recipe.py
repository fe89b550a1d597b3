"""Settings that suit the amount of data: where a run starts, what it trains, and what the user decides."""

import pytest

from sentiment.config import SHAPE, SentimentConfig
from sentiment.data.reviews import Review, ReviewData
from sentiment.training.recipe import FEW, FEW_FOR_ALL, FEW_TO_VALIDATE, recipe, suited

KNOWN, FOREIGN = "not a bad film at all", "Eine Geschichte zum Einschlafen"
LARGE = {
    "init_from": "",
    "layers": "all",
    "batch_size": 64,
    "epochs": 4,
    "learning_rate": 0.001,
    "saved_epoch": "best",
}


def reviews(train, validation=2, text=KNOWN):
    parts = {"train": train, "validation": validation}
    return ReviewData("x", "", {name: (Review(text, "good", ""),) * size for name, size in parts.items()})


def chosen(config, names=LARGE):
    return config.pick(tuple(names))


def test_many_reviews_are_trained_on_as_ever():
    assert chosen(suited(SentimentConfig(), reviews(FEW, FEW_TO_VALIDATE))) == LARGE


@pytest.mark.parametrize(("size", "layers"), [(2, "output"), (FEW_FOR_ALL, "all"), (FEW - 1, "all")])
def test_few_reviews_start_from_the_preset(size, layers):
    config = suited(SentimentConfig(), reviews(size))
    assert (config.init_from, config.layers) == ("imdb", layers)
    assert config.saved_epoch == (None if layers == "output" else "last")


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"init_from": ""}, KNOWN),
        ({"language_model": "runs/a"}, KNOWN),
        ({"pretrain": ("more.txt",)}, KNOWN),
        ({"cell": "gru"}, KNOWN),
        ({"units": 7}, KNOWN),
        ({}, FOREIGN),
    ],
)
def test_a_run_starts_from_nothing_where_the_user_or_the_words_say_so(settings, text):
    config = suited(SentimentConfig(**settings), reviews(40, text=text), given=settings)
    assert (config.init_from, config.layers) == ("", "all")


@pytest.mark.parametrize(
    "settings",
    [{"epochs": 7}, {"batch_size": 3}, {"learning_rate": 0.5}, {"layers": "all"}, {"saved_epoch": "best"}],
)
def test_what_the_user_gave_stays(settings):
    config = suited(SentimentConfig(**settings), reviews(40), given=settings)
    assert chosen(config, settings) == settings
    assert config.layers == ("output" if "saved_epoch" in settings else "all")
    assert suited(config, reviews(FEW)) == config


def test_whoever_starts_from_nothing_has_a_few_hundred_steps():
    for size in (20, 200, 400, 2000):
        values = recipe(size, 2, start=False)
        assert values["batch_size"] <= max(8, size / 25)
        assert values["epochs"] * (size // values["batch_size"]) <= 320
    assert values["epochs"] * (size // values["batch_size"]) >= 124


def test_the_network_is_that_of_the_start(small_run):
    config = suited(SentimentConfig(init_from=str(small_run.path)), reviews(40))
    assert config.pick(SHAPE) == SentimentConfig.from_run(small_run).pick(SHAPE)
