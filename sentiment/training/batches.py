"""Training batches of reviews of like lengths, as a function of seed and epoch."""

from collections.abc import Iterator, Sequence

import numpy as np

from sentiment.model.batching import pad
from sentiment.training.pieces import TaughtPieces

# Batches whose reviews are sorted by length together: more save padding, fewer mix lengths better.
SORTED_BATCHES = 32


class ReviewBatches:
    """Batches of an epoch: the reviews in a new order, sorted by length within stretches of that order.

    Each batch is padded on the right to one of a few lengths, so that few graphs are traced. An epoch omits
    its last reviews if they do not fill a batch; they are different ones in each epoch. In place of some
    reviews, others in each epoch, a piece of each is read.

    Args:
        sequences: the ids of each review, `(tokens,)` int32.
        targets: `(reviews, labels)` the probability of each label.
        batch_size: reviews in a batch; all of them where there are fewer.
        window: of the model: longer batches are padded to a multiple of it.
        seed: of the order, and of the pieces.
        pieces: draws pieces of the reviews; None: all are read as a whole.
        share: of the reviews of which only a piece is read.

    Example:

    >>> reviews = [np.arange(size) for size in (3, 9, 4, 8)]
    >>> batches = ReviewBatches(reviews, np.eye(2)[[0, 1, 0, 1]], batch_size=2, window=64, seed=1)
    >>> [sorted(batch["mask"].sum(axis=1).tolist()) for batch in batches(epoch=1)]
    [[3, 4], [8, 9]]
    """

    def __init__(
        self,
        sequences: Sequence[np.ndarray],
        targets: np.ndarray,
        batch_size: int,
        window: int,
        seed: int,
        pieces: TaughtPieces | None = None,
        share: float = 0.0,
    ):
        self._sequences, self._targets = sequences, np.asarray(targets, np.float32)
        self._window, self._seed = window, seed
        self._pieces, self._share = pieces, share
        self.batch_size = min(batch_size, len(sequences))
        self.steps_per_epoch = len(sequences) // self.batch_size

    def __call__(self, epoch: int) -> Iterator[dict[str, np.ndarray]]:
        """The batches of an epoch, counted from 1.

        Yields:
            `tokens` `(batch_size, time)` int32, `mask` `(batch_size, time)` bool, `targets`
            `(batch_size, labels)` float32.
        """
        rng = np.random.default_rng((self._seed, epoch))
        order = rng.permutation(len(self._sequences))[: self.steps_per_epoch * self.batch_size]
        sequences, targets = [self._sequences[index] for index in order], self._targets[order]
        if self._pieces:
            cut = rng.permutation(len(order))[: round(self._share * len(order))]
            drawn, targets[cut] = self._pieces.draw(order[cut], rng)
            for number, piece in zip(cut, drawn, strict=True):
                sequences[number] = piece
        stretch = np.arange(len(order)) // (SORTED_BATCHES * self.batch_size)
        by_length = np.lexsort((list(map(len, sequences)), stretch))
        for batch in rng.permutation(by_length.reshape(self.steps_per_epoch, self.batch_size)):
            yield self._batch([sequences[number] for number in batch], targets[batch])

    def _batch(self, sequences, targets):
        tokens, mask = pad(sequences, padded_length(max(map(len, sequences)), self._window))
        return {"tokens": tokens, "mask": mask, "targets": targets}


def padded_length(length: int, window: int) -> int:
    """The next longer of a few lengths: parts of the window up to it, then multiples of it.

    The parts are multiples of an eighth, and below that, of a 32nd.

    Example:

    >>> [padded_length(length, window=512) for length in (3, 40, 64, 65, 512, 513)]
    [16, 48, 64, 128, 512, 1024]
    """
    eighth = -(-window // 8)
    step = window
    if length <= window:
        step = eighth if length > eighth else -(-window // 32)
    padded = -(-length // step) * step
    return min(padded, window) if length <= window else padded
