"""Settings that suit the amount of data.

| training reviews    | start from         | trained                                                    |
|---------------------|--------------------|------------------------------------------------------------|
| under `FEW_FOR_ALL` | the default preset | the output layer: one reading of the reviews, a convex fit |
| under `FEW`         | the default preset | the output layer, then all layers in three passes          |
| more                | nothing            | all layers in four passes, batches of 64                   |

A run that starts from nothing with few reviews has smaller batches and more passes, so that it has a few
hundred steps. The thresholds were measured, see `docs/results/few-reviews`. Imports neither Keras nor
TensorFlow.
"""

import dataclasses
from collections.abc import Collection

from sentiment.app import APP
from sentiment.config import NETWORK, SHAPE, SentimentConfig
from sentiment.data.reviews import Review, ReviewData
from sentiment.text.words import split_words
from shared.runs.folder import RunFolder
from shared.start import adopt_network, differing, settle
from shared.text.vocabulary import Vocabulary

FEW_FOR_ALL = 1000  # training reviews from which on training the whole network is better
FEW = 5000  # training reviews from which on a network learns from nothing
FEW_TO_VALIDATE = 200  # validation texts with which chance chooses the best epoch
STEPS = 300  # of a run that starts from nothing
LEAST_KNOWN = 0.5  # share of the running words that a preset must know to be worth starting from
LOOKED_AT = 1000  # training reviews in which these are counted


def recipe(examples: int, validation: int, start: bool, layers: str | None = None) -> dict[str, object]:
    """The settings that suit a number of reviews.

    Args:
        examples: training reviews.
        validation: validation reviews.
        start: whether the run starts from a trained model.
        layers: what is trained, if that is decided.

    Returns:
        Values by the names of settings.

    Example:

    >>> recipe(20, 2, start=True), recipe(20_000, 2_000, start=False)["epochs"]
    ({'layers': 'output'}, 4)
    """
    if layers is None:
        layers = "output" if start and examples < FEW_FOR_ALL else "all"
    if layers in ("output", "temperature"):
        return {"layers": layers}
    batch_size = 32 if start else min(64, max(8, examples // 25))
    epochs = 3 if start else min(20, max(4, round(STEPS * batch_size / examples)))
    return {
        "layers": layers,
        "batch_size": batch_size,
        "epochs": epochs,
        "learning_rate": 0.001,
        "saved_epoch": "last" if validation < FEW_TO_VALIDATE else "best",
    }


def suit(
    run: RunFolder, config: SentimentConfig, data: ReviewData, given: Collection[str]
) -> SentimentConfig:
    """The settings with values that suit the data, printed and saved in the run; see `suited`."""
    if run.has_checkpoint:
        return config
    chosen = suited(config, data, given)
    config = dataclasses.replace(config, **chosen.pick(NETWORK))
    return settle(run, config, dataclasses.asdict(chosen), f"{len(data.split('train')):,} training reviews")


def suited(config: SentimentConfig, data: ReviewData, given: Collection[str] = ()) -> SentimentConfig:
    """The settings of a run with values that suit its data wherever there are none yet.

    Args:
        config: the settings.
        data: the reviews.
        given: names of settings that the user chose, which the model to start from does not change.

    Raises:
        UserError: `config.init_from` names no model, or one of another network than the user asks for.
    """
    examples, validation = len(data.split("train")), len(data.split("validation"))
    if config.init_from is None:
        config = dataclasses.replace(config, init_from=_default_start(config, data.split("train"), given))
    config = with_network_of_start(config, given)
    layers = config.layers
    if config.batch_size or config.epochs or config.learning_rate or config.pieces:
        layers = layers or "all"  # whoever says how to train the network wants it trained
    return config.filled(recipe(examples, validation, bool(config.init_from), layers))


def _default_start(config: SentimentConfig, reviews: list[Review], given: Collection[str]) -> str:
    """The default preset, where the data are few and it can help; otherwise nothing."""
    if len(reviews) >= FEW or config.pretrain or config.language_model:
        return ""
    if differing(APP, APP.default_model, config, given, SHAPE):
        return ""
    vocabulary = Vocabulary.load(RunFolder.open(APP.find(APP.default_model), APP.name).vocabulary_file)
    words = [word for review in reviews[:LOOKED_AT] for word in split_words(review.text)]
    known = sum(word in vocabulary for word in words)
    return APP.default_model if known >= LEAST_KNOWN * len(words) else ""


def with_network_of_start(config: SentimentConfig, given: Collection[str] = ()) -> SentimentConfig:
    """The settings with the network of the model that the run starts from, if it starts from one.

    Args:
        config: the settings.
        given: names of settings that the user chose. Those of weights must be the model's own.

    Raises:
        UserError: `config.init_from` names no model, or one with another network.
    """
    return adopt_network(APP, config, given, SHAPE, [name for name in NETWORK if name != "seed"])
