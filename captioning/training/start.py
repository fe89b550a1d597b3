"""Where a run begins: the settings that suit its data, its vocabulary and its first weights."""

import argparse
import dataclasses
from collections import Counter

import numpy as np

from captioning.app import APP
from captioning.config import FEW_IMAGES, SHAPE, CaptioningConfig, suited
from captioning.data.examples import CaptionData
from shared.runs.folder import RunFolder
from shared.start import adopt_network, differing, settle
from shared.system.cli import UserError
from shared.text.growth import check_growth, describe_growth, grow
from shared.text.tokens import TOKENIZERS, choose_tokenizer
from shared.text.vocabulary import Vocabulary


def settle_for(
    data: CaptionData, config: CaptioningConfig, run: RunFolder, arguments: argparse.Namespace
) -> CaptioningConfig:
    """The settings of a run, where the user chose none: those that suit the data, and the network.

    Args:
        data: of the run.
        config: the settings so far.
        run: its folder; gets the settings.
        arguments: of the command line; what was not given is not in it.

    Raises:
        UserError: `config.init_from` is of another network than the command line asks for.
    """
    if run.has_checkpoint:
        return config
    images = [example for example in data.split("train") if example.captions]
    captions = [caption for example in images for caption in example.captions]
    tokenizer = config.tokenizer or _tokenizer_of(config.init_from) or choose_tokenizer(captions)
    tokens = [TOKENIZERS[tokenizer](caption) for caption in captions]
    start = config.init_from
    if start is None:
        start = default_start(len(images), tokens, config, arguments)
    values = suited(len(images), tokenizer, max(map(len, tokens), default=0), start)
    if config.epochs is not None:  # who says how many epochs means passes
        values["repeats"] = 1
    if start and config.init_from is None:
        print(f"Few images: training starts from the preset {start}; --init-from none starts from nothing.")
    config = settle(run, config, values, f"{len(images):,} training images")
    adopted = adopt_network(APP, config, vars(arguments), SHAPE)
    if adopted != config:  # `settle` has saved the rest
        run.save_config(dataclasses.asdict(adopted))
    return adopted


def _tokenizer_of(model: str | None) -> str | None:
    """The tokenizer of a model, unless it is `words`: that of English says nothing about other languages."""
    tokenizer = APP.trained_with(model).tokenizer if model else None
    return None if tokenizer == "words" else tokenizer


def default_start(
    images: int, tokens: list[list[str]], config: CaptioningConfig, arguments: argparse.Namespace
) -> str:
    """The preset where images are few and it can be used, else an empty string.

    Args:
        images: training images.
        tokens: their captions.
        config: settings of the run.
        arguments: of the command line.
    """
    preset = APP.default_model
    is_other = hasattr(arguments, "encoder_weights") or config.teachers
    if images >= FEW_IMAGES or is_other or differing(APP, preset, config, vars(arguments), SHAPE):
        return ""
    known = Vocabulary.load(APP.find(preset) / "vocabulary.json")
    least = config.min_count or suited(images, "words", 0, preset)["min_count"]
    counts = Counter(token for caption in tokens for token in caption)
    new = [token for token, count in counts.items() if count >= least and token not in known]
    return preset if len(new) < len(known) else ""


def count_tokens(config: CaptioningConfig, data: CaptionData) -> Vocabulary:
    """The vocabulary of the training captions.

    Raises:
        UserError: no word is frequent enough.
    """
    captions = (caption for example in data.split("train") for caption in example.captions)
    vocabulary = Vocabulary.build(map(TOKENIZERS[config.tokenizer], captions), min_count=config.min_count)
    if len(vocabulary) == len(Vocabulary.SPECIALS):
        raise UserError(
            f"No word occurs {config.min_count} times in the training captions. Lower --min-count."
        )
    return vocabulary


def first_vocabulary(config: CaptioningConfig, data: CaptionData, known: Vocabulary | None) -> Vocabulary:
    """The vocabulary of a new run: that of the captions, or that of the model it starts from, extended."""
    return extend_vocabulary(config, data, known) if known else count_tokens(config, data)


def extend_vocabulary(config: CaptioningConfig, data: CaptionData, known: Vocabulary) -> Vocabulary:
    """The vocabulary of a model to start from, and the new words of the training captions.

    Self-critical training and teachers need exactly the vocabulary of the model.

    Raises:
        UserError: it would have twice the size.
    """
    if config.self_critical or config.teachers:
        return known
    wanted = count_tokens(config, data).tokens[len(Vocabulary.SPECIALS) :]
    new = [token for token in wanted if token not in known]
    check_growth(config.init_from, len(known), len(new))
    print(describe_growth(config.init_from, len(wanted), new, known.tokens), flush=True)
    return Vocabulary([*known.tokens, *new])


def copy_weights(start, captioner, seed: int) -> None:
    """Gives a captioner the weights of another; its vocabulary may have more words at the end.

    Args:
        start: the `Captioner` to copy.
        captioner: a `Captioner` of the same network.
        seed: seed of the rows of new words.

    Raises:
        UserError: the network is another one.
    """
    here, there = _sizes(captioner), _sizes(start)
    if wrong := [f"{option} {value}" for option, value in there.items() if here[option] != value]:
        raise UserError(
            f"The model to start from has other sizes. To start from it, train with {', '.join(wrong)}."
        )
    ids = {token: index for index, token in enumerate(start.vocabulary.tokens)}
    new = captioner.vocabulary.tokens[len(ids) :]
    words = start.decoder.embedding.embeddings
    for old, variable in zip(start.weights, captioner.weights, strict=True):
        value = np.asarray(old)
        if old is words and new:
            value = grow(value, new, _without_specials(ids), np.random.default_rng(seed))
        variable.assign(value)


def _sizes(captioner) -> dict[str, object]:
    """The options that the shapes of a captioner's weights depend on."""
    settings = {
        f"--{name.replace('_', '-')}": captioner.settings[name] for name in SHAPE if name != "encoder"
    }
    return {"--encoder": captioner.encoder.architecture, **settings}


def _without_specials(ids: dict[str, int]) -> dict[str, int]:
    return {token: index for token, index in ids.items() if token not in Vocabulary.SPECIALS}
