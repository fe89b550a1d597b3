"""Training batches that read a text in parallel streams, as a function of the step alone."""

from collections.abc import Iterator

import numpy as np

from shared.system.cli import UserError


class TextWindows:
    """Windows for truncated back-propagation through time: each batch continues where the last one ended.

    The text is closed to a ring and read by `batch_size` streams, which start at equal distances and never
    end. So the state carried from one window to the next fits, and window boundaries are different in each
    pass over the text. A pass is over when each stream has reached the start of the next one. Now and
    then a stream forgets its state: a model that never started from zeros in training would not know how.

    Source of the method: Williams and Peng 1990, "An Efficient Gradient-Based Algorithm for On-Line Training
    of Recurrent Network Trajectories".

    Args:
        ids: `(tokens,)` ids of the text, an array or a memory map.
        batch_size: streams; fewer if the text is too short for this many windows.
        window: steps of a window.
        steps_between: steps of an epoch; 0: one pass over the text, at most 1,000.
        forget_rate: probability that a stream starts a window from zeros.
        seed: decides where in the ring the streams start, and when they forget.

    Raises:
        UserError: the text is shorter than a window and the token that follows it.

    Example:

    >>> windows = TextWindows(np.arange(20), batch_size=2, window=5, seed=0)
    >>> windows.steps_per_pass
    2
    >>> first, second = windows(epoch=1)
    >>> ((second["tokens"] - first["tokens"])[:, 0] % 20).tolist()
    [5, 5]
    """

    def __init__(
        self,
        ids: np.ndarray,
        batch_size: int,
        window: int,
        steps_between: int = 0,
        forget_rate: float = 0.0,
        seed: int = 0,
    ):
        if len(ids) <= window:
            raise UserError(
                f"The training text has {len(ids)} tokens. Expected more than --window {window}: give more "
                "text, or a shorter window."
            )
        self._ids, self.window = ids, window
        self._forget_rate, self._seed = forget_rate, seed
        self.batch_size = min(batch_size, len(ids) // window)
        self._distance = len(ids) // self.batch_size
        self._begin = int(np.random.default_rng(seed).integers(len(ids)))
        self.steps_per_pass = -(-self._distance // window)
        self.steps_per_epoch = steps_between or min(self.steps_per_pass, 1000)

    def __call__(self, epoch: int) -> Iterator[dict[str, np.ndarray]]:
        """The batches of an epoch, counted from 1.

        Yields:
            `tokens` `(batch_size, window + 1)` int32, of which the last is the first of the next window:
            inputs are all but the last, targets all but the first; `keeps_state` `(batch_size,)` bool.
        """
        first = (epoch - 1) * self.steps_per_epoch
        for step in range(first, first + self.steps_per_epoch):
            yield self._batch(step)

    def _batch(self, step):
        begins = self._begin + self._distance * np.arange(self.batch_size) + step * self.window
        indices = begins[:, None] + np.arange(self.window + 1)
        chances = np.random.default_rng((self._seed, step)).random(self.batch_size)
        return {
            "tokens": self._ids[indices % len(self._ids)].astype(np.int32),
            "keeps_state": chances >= self._forget_rate,
        }
