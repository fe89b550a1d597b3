"""One step of training as one graph."""

import contextlib
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from shared.training.averaging import WeightAverage


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
    ):
        self.model, self.optimizer, self.clip_norm = model, optimizer, clip_norm
        self._compute_loss = compute_loss
        self._trained = model.trainable_variables
        optimizer.build(self._trained)
        self.average = WeightAverage(self._trained, average) if average else None
        self._initial_carry = initial_carry
        self._carry = None if initial_carry is None else tf.nest.map_structure(_carry_variable, initial_carry)
        # No AutoGraph: it reads source files again, and they may change during a run.
        self._graph = tf.function(self._run, jit_compile=False, autograph=False)
        self._traced: dict[Any, Callable[..., Any]] = {}

    def __call__(self, batch: Any) -> tuple[float, float]:
        batch = tf.nest.map_structure(tf.convert_to_tensor, batch)
        shapes = tuple((tensor.shape, tensor.dtype) for tensor in tf.nest.flatten(batch))
        if shapes not in self._traced:  # asked for one by one, as TensorFlow warns of many graphs in a row
            self._traced[shapes] = self._graph.get_concrete_function(batch)
        loss, norm = self._traced[shapes](batch)
        return float(loss), float(norm)

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

    def reset_carry(self) -> None:
        """Resets the carried state to its initial value."""
        if self._carry is not None:
            tf.nest.map_structure(_assign, self._carry, self._initial_carry)

    def evaluating(self) -> contextlib.AbstractContextManager[None]:
        """The model holds the averaged weights inside."""
        return self.average.swapped() if self.average else contextlib.nullcontext()

    def _run(self, batch):
        with tf.GradientTape() as tape:
            loss = self._loss(batch)
        gradients = tape.gradient(loss, [variable.value for variable in self._trained])
        # A sparse gradient names a row as often as it was looked up; the norm is that of their sums.
        gradients = [None if gradient is None else tf.convert_to_tensor(gradient) for gradient in gradients]
        norm = tf.linalg.global_norm(gradients)
        if self.clip_norm is not None:
            scale = self.clip_norm / tf.maximum(norm, self.clip_norm)
            gradients = [None if gradient is None else gradient * scale for gradient in gradients]
        self.optimizer.apply(gradients, self._trained)
        if self.average:
            self.average.update()
        return loss, norm

    def _loss(self, batch):
        if self._carry is None:
            return self._compute_loss(self.model, batch)
        before = tf.nest.map_structure(lambda variable: tf.identity(variable.value), self._carry)
        loss, after = self._compute_loss(self.model, batch, before)
        tf.nest.map_structure(_assign, self._carry, after)
        return loss


def _carry_variable(value: Any) -> keras.Variable:
    value = tf.convert_to_tensor(value)
    return keras.Variable(value, trainable=False, dtype=value.dtype.name, name="carry")


def _assign(variable: keras.Variable, value: tf.Tensor) -> None:
    variable.assign(value)
