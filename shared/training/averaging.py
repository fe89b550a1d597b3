"""Averages of weights over the course of training."""

import contextlib
from collections.abc import Iterator, Sequence

import keras
from keras import ops


class WeightAverage:
    """Exponential moving average of variables, which evaluates better than the weights of the last step.

    The n-th update (from 0) moves each average towards its variable with decay
    min(`decay`, (1 + n) / (10 + n)), so that the random weights of the beginning are soon forgotten.
    Source: Polyak and Juditsky 1992 for the idea; the warm-up is that of `tf.train.ExponentialMovingAverage`.

    Args:
        variables: Keras variables to average; their present values are where the averages begin.
        decay: share of the old average that an update keeps, in (0, 1).

    Attributes:
        averages: the averages, in the order of the variables, as Keras variables.
        variables: the averages and the number of updates: all that a checkpoint needs.

    Raises:
        ValueError: `decay` is outside (0, 1).

    Example:

    >>> weight = keras.Variable([1.0, 2.0])
    >>> average = WeightAverage([weight], decay=0.99)
    >>> _ = weight.assign([2.0, 4.0])
    >>> average.update()
    >>> with average.swapped():
    ...     print(weight.numpy().round(3))
    [1.9 3.8]
    >>> weight.numpy().tolist()
    [2.0, 4.0]
    """

    def __init__(self, variables: Sequence[keras.Variable], decay: float):
        if not 0.0 < decay < 1.0:
            raise ValueError(f"decay must be between 0 and 1; it is {decay}")
        self.decay = decay
        self._averaged = list(variables)
        self._updates = keras.Variable(0, trainable=False, dtype="int64", name="updates")
        # A copy: a Keras variable made from another's value would share its storage.
        self.averages = [
            keras.Variable(ops.copy(variable.value), trainable=False, dtype=variable.dtype, name="average")
            for variable in self._averaged
        ]

    @property
    def variables(self) -> list[keras.Variable]:
        return [*self.averages, self._updates]

    def update(self) -> None:
        """Moves every average towards its variable; may be called inside a `tf.function`."""
        done = ops.cast(self._updates, "float32")
        rate = 1.0 - ops.minimum(self.decay, (1.0 + done) / (10.0 + done))
        for variable, average in zip(self._averaged, self.averages, strict=True):
            average.assign_add(ops.cast(rate, average.dtype) * (variable.value - average.value))
        self._updates.assign_add(1)

    @contextlib.contextmanager
    def swapped(self) -> Iterator[None]:
        """Puts the averages into the variables, and the variables' own values back at the end."""
        own = [ops.copy(variable.value) for variable in self._averaged]
        try:
            for variable, average in zip(self._averaged, self.averages, strict=True):
                variable.assign(average.value)
            yield
        finally:
            for variable, value in zip(self._averaged, own, strict=True):
                variable.assign(value)
