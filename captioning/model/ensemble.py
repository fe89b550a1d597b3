"""Several captioners that write each caption together."""

from collections.abc import Sequence

from keras import ops

from captioning.model.captioner import Captioner
from captioning.model.search import CaptionSearch
from shared.system.cli import UserError
from shared.text.vocabulary import Vocabulary


class Ensemble(CaptionSearch):
    """Captions with several captioners: the probability of each next word is the mean of theirs.

    It has the calls of a `Captioner` but no calibration, as its confidence is not that of a member. An image
    is read at the largest size of the members; the others resize it in the graph.

    Args:
        members: captioners with one vocabulary.

    Raises:
        UserError: their vocabularies differ.

    Example:

    ```python
    from captioning import load_model

    ensemble = load_model("runs/one", "runs/two")
    print(ensemble.caption("dog.jpg")[0].text)
    ```
    """

    def __init__(self, members: Sequence[Captioner]):
        first, *others = members
        for number, other in enumerate(others, start=2):
            check_vocabulary(other, first.vocabulary, f"Model {number} of the ensemble")
        self.vocabulary, self.no_repeat_ngram = first.vocabulary, first.no_repeat_ngram
        self.encoder = _Encoders([member.encoder for member in members])
        self.decoder = _Decoders([member.decoder for member in members])
        self.image_size = self.encoder.largest.image_size
        self.variables = [variable for member in members for variable in member.variables]
        self._searches = {}


class _Encoders:
    """The encoders of the members: the features of each, as a list."""

    def __init__(self, encoders):
        self.encoders = encoders
        self.largest = max(encoders, key=lambda encoder: encoder.image_size)
        self.resize_in_graph = self.largest.resize_in_graph

    def __call__(self, images, training=False):
        return [encoder(images, training=training) for encoder in self.encoders]


class _Decoders:
    """The decoders of the members, side by side: memories and states are lists of theirs."""

    def __init__(self, decoders):
        self.decoders = decoders

    def read(self, features):
        return [decoder.read(part) for decoder, part in zip(self.decoders, features, strict=True)]

    def start(self, memory):
        return [decoder.start(part) for decoder, part in zip(self.decoders, memory, strict=True)]

    def step(self, tokens, states, memory):
        """Logarithms of the mean probabilities `(rows, vocabulary)`, and the new states."""
        parts = zip(self.decoders, states, memory, strict=True)
        logits, states = zip(*(decoder.step(tokens, *part) for decoder, *part in parts), strict=True)
        return mean_log_probs(logits), list(states)


def mean_log_probs(logits):
    """The logarithm of the mean of several models' probabilities.

    Args:
        logits: of each model, `(..., vocabulary)`.

    Returns:
        `(..., vocabulary)` float32.

    Example:

    >>> import numpy as np
    >>> certain, undecided = np.array([[50.0, 0.0]]), np.array([[0.0, 0.0]])
    >>> np.exp(mean_log_probs([certain, undecided])).round(2).tolist()
    [[0.75, 0.25]]
    """
    log_probs = ops.stack([ops.log_softmax(ops.cast(each, "float32"), axis=-1) for each in logits])
    return ops.logsumexp(log_probs, axis=0) - ops.log(float(len(logits)))


def check_vocabulary(captioner: Captioner, vocabulary: Vocabulary, what: str) -> None:
    """Checks that a captioner, which the message calls `what`, has a certain vocabulary.

    Raises:
        UserError: it has another one.
    """
    if captioner.vocabulary.tokens != vocabulary.tokens:
        raise UserError(
            f"{what} has other words: a vocabulary of {len(captioner.vocabulary)} tokens, expected the same "
            f"{len(vocabulary)}. Name models that were trained on the same captions with the same "
            "--min-count, or one that starts from the other by --init-from."
        )
