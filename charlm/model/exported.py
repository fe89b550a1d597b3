"""A character model that runs an exported SavedModel: those calls of `CharLM` that need no weights."""

from pathlib import Path

import tensorflow as tf

from charlm.model.signatures import nested, state_names
from charlm.text.characters import CharacterVocabulary
from shared.export import ExportError, read_settings

SETTINGS_FILE = "charlm.json"
VOCABULARY_FILE = "vocabulary.json"


class ExportedCharLM:
    """Writes and scores text with a SavedModel folder that `charlm.export` wrote.

    It does for `charlm.generate.generate` and `Scorer` what a `CharLM` does, in Python and
    inside a `tf.function`.

    Args:
        path: the SavedModel folder.

    Raises:
        UserError: the folder was not written by `charlm.export`, does not load, or its vocabulary was
            changed.
    """

    def __init__(self, path: Path):
        self.path = Path(path)
        self.settings = read_settings(self.path, SETTINGS_FILE)
        self.vocabulary = CharacterVocabulary.load(self.path / VOCABULARY_FILE)
        try:
            self._loaded = tf.saved_model.load(str(self.path))  # the functions live as long as it does
            self._initial_state, self._step, self._read = (
                self._loaded.signatures[name] for name in ("initial_state", "step", "read")
            )
            size = self._step.structured_outputs["logits"].shape[-1]
        except (OSError, ValueError, KeyError, TypeError, tf.errors.OpError) as error:
            raise ExportError(
                f"{path} does not load as an exported character model ({error}). Export the model again."
            ) from error
        if size != len(self.vocabulary):
            raise ExportError(
                f"{path} has a model of {size} tokens and a vocabulary of {len(self.vocabulary)}. Expected "
                "the files of one export; export the model again."
            )

    def get_initial_state(self, batch_size):
        """States of zeros, a list over layers of lists of `(batch, units)`."""
        return nested(self._initial_state(batch_size=tf.cast(batch_size, tf.int32)))

    def step(self, tokens, states):
        """Logits `(rows, vocabulary)` after one more token `(rows,)`, and the new states."""
        return self._run(self._step, tokens, states)

    def read(self, tokens, states):
        """Logits `(batch, vocabulary)` after all of `tokens` `(batch, time)`, and the new states."""
        logits, states = self._run(self._read, tokens, states)
        return logits[:, -1], states

    def hidden(self, tokens, states=None):
        """What `score` makes logits of, after each of `tokens` `(batch, time)`, and the new states."""
        if states is None:
            states = self.get_initial_state(tf.shape(tokens)[0])
        # There is no way into the middle of the graph: these are the logits already.
        return self._run(self._read, tokens, states)

    def score(self, hidden):
        """Logits `(batch, time, vocabulary)` of what `hidden` gave."""
        return hidden

    def _run(self, function, tokens, states):
        given = dict(zip(state_names(states), tf.nest.flatten(states), strict=True))
        outputs = function(tokens=tf.cast(tokens, tf.int32), **given)
        return outputs.pop("logits"), nested(outputs)
