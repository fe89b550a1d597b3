"""One step of training as one graph."""

import contextlib
import functools
import itertools
import zlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from shared.training.averaging import WeightAverage
from shared.training.replicas import Replicas


def rows_of(batch: Any) -> int:
    """The rows of a batch: the length of its arrays."""
    return tf.nest.flatten(batch)[0].shape[0]


class TrainStep:
    """Loss, gradient, clipping, optimizer and weight average in one `tf.function`, and all that it changes.

    There is one graph for each shape of batch. Shapes are not generalised over batches: the graph of a step
    must not depend on which batches came before it, or a continued run would differ in the last bits.

    Args:
        model: a built model; its weights that are trainable now are trained.
        optimizer: the optimizer; is built here.
        compute_loss: `compute_loss(model, batch)`, or with state `compute_loss(model, batch, carry)`.
        clip_norm: largest global norm of the gradient, or `None`.
        average: decay of the weight average, or `None`.
        initial_carry: initial state, a nested structure of tensors, or `None` for no carried state.
        replicas: what shares the work. With several, the first axis of all arrays of a batch, and of the
            carried state, is cut among them. Each replica draws random numbers of its own. Batch norms use
            the statistics of the whole batch.
        weigh: with several replicas, how much the rows of a batch count in the mean that the loss is.

    Call arguments:
        batch: nested structure of arrays or tensors.

    Returns:
        Loss and global norm of the gradient before clipping, as Python numbers.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        compute_loss: Callable[..., Any],
        clip_norm: float | None = None,
        average: float | None = None,
        initial_carry: Any = None,
        replicas: Replicas | None = None,
        weigh: Callable[[Any], float] = rows_of,
    ):
        self.replicas, self._weigh = replicas or Replicas(), weigh
        self.model, self.optimizer, self.clip_norm = model, optimizer, clip_norm
        self._compute_loss = compute_loss
        self._trained = model.trainable_variables
        optimizer.build(self._trained)
        self.average = WeightAverage(self._trained, average) if average else None
        self._initial_carry = initial_carry
        self._carry = None if initial_carry is None else tf.nest.map_structure(_carry_variable, initial_carry)
        is_shared = self.replicas.count > 1
        if is_shared:
            _synchronize_norms(model)
        # No AutoGraph: it reads source files again, and they may change during a run.
        run = self._run_shared if is_shared else self._run
        self._graph = tf.function(run, jit_compile=False, autograph=False)
        self._traced: dict[Any, Callable[..., Any]] = {}

    def __call__(self, batch: Any) -> tuple[float, float]:
        shapes = tuple((np.shape(array), array.dtype) for array in tf.nest.flatten(batch))
        inputs = self._shares(batch) if self.replicas.count > 1 else (batch,)
        inputs = tf.nest.map_structure(tf.convert_to_tensor, inputs)
        with self.replicas.watched():
            # Asked for one by one, as TensorFlow warns of many graphs in a row. All processes trace at the
            # same step: whether one does depends on the shapes of the whole batch.
            if shapes not in self._traced:
                self._traced[shapes] = self._graph.get_concrete_function(*inputs)
            loss, norm = self._traced[shapes](*inputs)
            return float(loss), float(norm)

    def _shares(self, batch):
        """Of each replica here: its rows of the batch, and their share of the weight of the whole batch."""
        rows = self.replicas.slices(rows_of(batch))
        parts = [tf.nest.map_structure(lambda array, one=one: array[one], batch) for one in rows]
        weights = np.array([self._weigh(part) for part in parts], np.float32)
        here = slice(self.replicas.local.start, self.replicas.local.stop)
        return parts[here], list((weights / weights.sum())[here])

    @property
    def iterations(self) -> int:
        return int(self.optimizer.iterations)

    @property
    def groups(self) -> dict[str, list[keras.Variable]]:
        """The variables of a checkpoint."""
        return {
            "model": self.model.variables,
            "optimizer": self.optimizer.variables,
            "average": self.average.variables if self.average else [],
            "carry": [] if self._carry is None else tf.nest.flatten(self._carry),
        }

    def check_alike(self, steps_per_epoch: int) -> None:
        """Checks that all processes begin at the same step with the same variables.

        Raises:
            UserError: they do not.
        """
        variables = itertools.chain.from_iterable(self.groups.values())
        checksum = functools.reduce(lambda crc, each: zlib.crc32(each.numpy().tobytes(), crc), variables, 0)
        self.replicas.check_alike(
            {"steps an epoch": steps_per_epoch, "steps done": self.iterations, "weights (checksum)": checksum}
        )

    def reset_carry(self) -> None:
        """Resets the carried state to its initial value."""
        if self._carry is not None:
            tf.nest.map_structure(_assign, self._carry, self._initial_carry)

    def evaluating(self) -> contextlib.AbstractContextManager[None]:
        """The model holds the averaged weights inside."""
        return self.average.swapped() if self.average else contextlib.nullcontext()

    def _run(self, batch):
        loss, gradients, after = self._differentiate(batch, self._carry_values())
        return self._update(loss, gradients, after)

    def _run_shared(self, parts, shares):
        """The step of a batch that several replicas share; gives what `_run` does, up to rounding."""
        loss, gradients, after, states = self.replicas.sum(
            lambda index: self._run_replica(index, parts, shares)
        )
        for variable, value in zip(self.model.non_trainable_variables, states, strict=True):
            if value is not None:
                variable.assign(value)
        return self._update(loss, gradients, after)

    def _run_replica(self, index, parts, shares):
        """What a replica adds to the sums: loss, gradients, carried state, and what variables become."""
        here, variables = index - self.replicas.local.start, self.model.non_trainable_variables
        seeds = [variable for variable in variables if variable.path.endswith("seed_generator_state")]
        cut = None if self._carry is None else self.replicas.slices(rows_of(self._carry))[index]
        carry = tf.nest.map_structure(lambda state: state[cut], self._carry_values())
        # Nothing is assigned here. Of seeds and averages in batch norms, those of the first replica count.
        with keras.StatelessScope([(seed, _own_seed(seed, index)) for seed in seeds]) as scope:
            loss, gradients, after = self._differentiate(parts[here], carry, shares[here])
        after = tf.nest.map_structure(lambda state: _padded(state, cut, rows_of(self._carry)), after)
        states = [scope.state_mapping.get(id(variable)) for variable in variables]
        if index:
            states = [None if state is None else tf.zeros_like(state) for state in states]
        return loss, gradients, after, states

    def _differentiate(self, batch, carry, share=None):
        """Loss and gradients, times the share of the whole batch if this is a part, and the new state."""
        with tf.GradientTape() as tape:
            loss, after = self._loss(batch, carry)
            loss = loss if share is None else loss * tf.cast(share, loss.dtype)
        gradients = tape.gradient(loss, [variable.value for variable in self._trained])
        # A sparse gradient names a row as often as it was looked up; the norm is that of their sums.
        return loss, [None if each is None else tf.convert_to_tensor(each) for each in gradients], after

    def _loss(self, batch, carry):
        if self._carry is None:
            return self._compute_loss(self.model, batch), ()
        return self._compute_loss(self.model, batch, carry)

    def _update(self, loss, gradients, after):
        if self._carry is not None:
            tf.nest.map_structure(_assign, self._carry, after)
        norm = tf.linalg.global_norm(gradients)
        if self.clip_norm is not None:
            scale = self.clip_norm / tf.maximum(norm, self.clip_norm)
            gradients = [None if gradient is None else gradient * scale for gradient in gradients]
        self.optimizer.apply(gradients, self._trained)
        if self.average:
            self.average.update()
        return loss, norm

    def _carry_values(self):
        if self._carry is None:
            return ()
        return tf.nest.map_structure(lambda variable: tf.identity(variable.value), self._carry)


def _carry_variable(value: Any) -> keras.Variable:
    value = tf.convert_to_tensor(value)
    return keras.Variable(value, trainable=False, dtype=value.dtype.name, name="carry")


def _assign(variable: keras.Variable, value: tf.Tensor) -> None:
    variable.assign(value)


def _padded(state, rows, count):
    """The rows of one replica among zeros, `count` rows in all."""
    return tf.pad(state, [[rows.start, count - rows.stop]] + [[0, 0]] * (state.shape.rank - 1))


def _own_seed(seed, index):
    """A seed for each replica; that of the first is the model's own."""
    return tf.convert_to_tensor(seed.value) + np.array([7919 * index, 0])


def _synchronize_norms(model):
    """Batch norms use the statistics of the whole batch, not those of a replica's rows."""
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True
