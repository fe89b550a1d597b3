"""A character model that runs an exported SavedModel: those calls of `CharLM` that need no weights."""

from pathlib import Path

import tensorflow as tf

from charlm.model.answers import Answers
from charlm.text.characters import CharacterVocabulary
from shared.export import ExportError, open_export

SETTINGS_FILE = "charlm.json"
VOCABULARY_FILE = "vocabulary.json"


class ExportedCharLM(Answers):
    """Generates text and computes logits with a SavedModel folder that `charlm.export` wrote.

    `generate` and `Scorer` take it in place of a `CharLM`. It works in Python and inside a `tf.function`.

    Args:
        path: the SavedModel folder.

    Raises:
        UserError: the folder was not written by `charlm.export`, does not load, or its vocabulary was
            changed.
    """

    def __init__(self, path: Path):
        self.path = Path(path)
        self._export = open_export(self.path, SETTINGS_FILE, ("initial_state", "step", "read"))
        self.settings = self._export.settings
        self.vocabulary = CharacterVocabulary.load(self.path / VOCABULARY_FILE)
        size = self._export.signatures["step"].structured_outputs["logits"].shape[-1]
        if size != len(self.vocabulary):
            raise ExportError(
                f"{path} has a model of {size} tokens and a vocabulary of {len(self.vocabulary)}. Expected "
                "the files of one export; export the model again."
            )

    def get_initial_state(self, batch_size):
        """States of zeros, a list over layers of lists of `(batch, units)`."""
        return nested(self._export.signatures["initial_state"](batch_size=tf.cast(batch_size, tf.int32)))

    def logits(self, tokens, states=None):
        """Logits `(batch, time, vocabulary)` of the token that follows each of `tokens` `(batch, time)`, and
        the state after the last one; `states` None: zeros."""
        if states is None:
            states = self.get_initial_state(tf.shape(tokens)[0])
        return self._run("read", tokens, states)

    def step(self, tokens, states):
        """Logits `(rows, vocabulary)` after one more token `(rows,)`, and the new states."""
        return self._run("step", tokens, states)

    def read(self, tokens, states):
        """Logits `(batch, vocabulary)` of the token after all of `tokens` `(batch, time)`, and the new
        states."""
        logits, states = self._run("read", tokens, states)
        return logits[:, -1], states

    def _run(self, signature, tokens, states):
        states = dict(zip(state_names(states), tf.nest.flatten(states), strict=True))
        outputs = self._export.signatures[signature](tokens=tf.cast(tokens, tf.int32), **states)
        return outputs.pop("logits"), nested(outputs)


def state_names(states) -> list[str]:
    """The flat names of states, a list over layers of lists, in a SavedModel's signatures."""
    return [f"state_{layer}_{part}" for layer, parts in enumerate(states) for part in range(len(parts))]


def nested(states: dict) -> list[list]:
    """States by their flat names as a list over layers of lists."""
    layers: dict[int, dict[int, object]] = {}
    for name, state in states.items():
        _, layer, part = name.split("_")
        layers.setdefault(int(layer), {})[int(part)] = state
    return [[layers[layer][part] for part in sorted(layers[layer])] for layer in sorted(layers)]
