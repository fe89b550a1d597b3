"""Where a run begins: the settings that suit its text, its vocabulary and its first weights."""

import argparse
import dataclasses

import numpy as np

from charlm.app import APP
from charlm.config import FEW_CHARACTERS, SHAPE, CharLMConfig, suited
from charlm.data.text_data import TextData
from charlm.text.characters import CharacterVocabulary
from shared.runs.folder import RunFolder
from shared.start import adopt_network, differing, settle
from shared.text.growth import check_growth, describe_growth, grow


def settle_for(
    data: TextData, config: CharLMConfig, run: RunFolder, arguments: argparse.Namespace
) -> CharLMConfig:
    """The settings of a run, where the user chose none: those that suit the text, and the network.

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
    characters, start = data.characters("train"), config.init_from
    if start is None:
        start = default_start(data, config, arguments)
        if start:
            print(f"A short text: training starts from {start}; --init-from none starts from nothing.")
    values = suited(characters, config.optimizer, start)
    config = settle(run, config, values, f"{characters:,} training characters")
    adopted = adopt_network(APP, config, vars(arguments), SHAPE)
    if adopted != config:  # `settle` has saved the rest
        run.save_config(dataclasses.asdict(adopted))
    return adopted


def default_start(data: TextData, config: CharLMConfig, arguments: argparse.Namespace) -> str:
    """The preset where the text is short and the preset can be used, else an empty string."""
    preset = APP.default_model
    is_long = data.characters("train") >= FEW_CHARACTERS
    if is_long or config.tie_embeddings or differing(APP, preset, config, vars(arguments), SHAPE):
        return ""
    known = CharacterVocabulary.load(APP.find(preset) / "vocabulary.json")
    wanted = CharacterVocabulary.build(data.chunks("train"), min_count=config.min_count)
    return preset if len(known.extended(wanted)) - len(known) < len(known.characters) else ""


def extend_vocabulary(
    name: str, known: CharacterVocabulary, wanted: CharacterVocabulary
) -> CharacterVocabulary:
    """The vocabulary of a model to start from, and the new characters of the training text.

    Args:
        name: of the model.
        known: its vocabulary.
        wanted: the characters of the text.

    Raises:
        UserError: it would have twice as many characters.
    """
    vocabulary = known.extended(wanted)
    new = vocabulary.characters[len(known.characters) :]
    check_growth(name, len(known.characters), len(new))
    print(describe_growth(name, len(wanted.characters), new, known.characters), flush=True)
    return vocabulary


def copy_weights(start, model, seed: int) -> None:
    """Gives a model the weights of another; its vocabulary may have more characters at the end.

    Args:
        start: the `CharLM` to copy.
        model: a `CharLM` of the same network.
        seed: seed of the weights of new characters.
    """
    new = model.vocabulary.characters[len(start.vocabulary.characters) :]
    first = len(start.vocabulary) - len(start.vocabulary.characters)
    ids = {character: first + index for index, character in enumerate(start.vocabulary.characters)}
    axes = {id(start.embedding.embeddings): 0}  # of characters
    if start.output_layer is not None:
        axes |= {id(start.output_layer.kernel): 1, id(start.output_layer.bias): 0}
    for old, variable in zip(start.weights, model.weights, strict=True):
        value = np.asarray(old)
        if new and id(old) in axes:
            value = grow(value, new, ids, np.random.default_rng(seed), axis=axes[id(old)])
        variable.assign(value)
