"""The one training loop of the suite.

It does what `keras.Model.fit` cannot: stop at any step and resume later, bit for bit as if nothing had
happened, and carry state from one batch to the next. It drives ordinary Keras models, optimizers and
callbacks.

What makes a run exact: the data of an epoch depend on its number alone; random numbers come from the model's
own seed generators, from which the evaluation must not draw; and weights, seed generators, optimizer,
averages, carried state, running sums and the history all are in the checkpoint. The best epoch
follows from the history; epoch and step from `optimizer.iterations`. On a GPU, call
`tf.config.experimental.enable_op_determinism()` first.
"""

import itertools
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import keras

from shared.runs.folder import RunFolder
from shared.system.cli import UserError
from shared.system.signals import BrokenOff, Interrupted, StopSignals
from shared.training.diagnostics import Climb, Diagnostics, Probe
from shared.training.history import History
from shared.training.pace import Pace
from shared.training.replicas import Replicas
from shared.training.reporting import EXAMPLES, EpochBar, ScalarLog, Size, print_epoch
from shared.training.saving import Saver
from shared.training.step import TrainStep, rows_of

SUMS = ("loss", "gradient_norm", "clip_rate")  # summed over the steps of an epoch


class TrainingError(UserError):
    """Training cannot continue."""


class TrainResult(NamedTuple):
    """The result of a run.

    Attributes:
        history: one row for each epoch, as in `history.csv`.
        best_epoch: number of the best epoch, from 1.
        best_metrics: its row, without the number.
    """

    history: list[dict[str, float]]
    best_epoch: int
    best_metrics: dict[str, float]


def train(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    compute_loss: Callable[..., Any],
    batches: Callable[[int], Iterable[Any]],
    *,
    epochs: int | None,
    steps_per_epoch: int,
    run: RunFolder,
    evaluate: Callable[[int], Mapping[str, float]],
    monitor: str,
    mode: str = "max",
    minutes: float | None = None,
    schedule: Callable[[float], float] | None = None,
    patience: int | None = None,
    clip_norm: float | None = None,
    average: float | None = None,
    initial_carry: Any = None,
    keep_carry: bool = False,
    size: Size = EXAMPLES,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    resume: bool = False,
    save_every: float | None = None,
    data: Mapping[str, str] = MappingProxyType({}),
    replicas: Replicas | None = None,
    weigh: Callable[[Any], float] = rows_of,
    probe: Probe | None = None,
    diagnostics: bool = True,
) -> TrainResult:
    """Trains a model in a run folder.

    After each epoch it writes `best.safetensors` (if the epoch was the best), `last.npz`, `history.csv`,
    TensorBoard scalars and what `shared.training.diagnostics` has. Ctrl-C, SIGTERM and SIGHUP let the current
    step finish and save; a second signal stops at once.

    Args:
        model: a built model. Its weights that are trainable now are trained.
        optimizer: a fresh optimizer.
        compute_loss: `compute_loss(model, batch)` returns a scalar; runs inside a `tf.function`, with one
            graph for each shape of batch, so pad to few shapes.
        batches: `batches(epoch)`, a function of the epoch's number alone, returns an iterable of at least
            `steps_per_epoch` batches (nested structures of arrays or tensors).
        epochs: the largest number of epochs; `None`, with `minutes`: as many as there is time for.
        steps_per_epoch: steps in each.
        run: folder of the run.
        evaluate: `evaluate(epoch)` returns validation metrics; the model holds the averaged weights then. May
            be broken off by Ctrl-C and called again.
        monitor: the metric that decides which epoch is best (one of `evaluate`, or `"loss"`).
        mode: `"max"` or `"min"`.
        minutes: time after which training ends, also in the middle of an epoch. It counts all of training, in
            every process that worked on the run, but not evaluation and saving; the history then has a column
            `minutes`. Such a run resumes exactly, but the number of steps depends on the machine's speed.
        schedule: the learning rate as a function of progress, from 0 at the beginning to 1 when the epochs,
            or the minutes if given, are over; `None`: that of the optimizer.
        patience: epochs without improvement after which the run stops; `None`: never.
        clip_norm: the gradient is scaled down to this global norm where it is larger; `None`: never.
        average: decay of the `WeightAverage` that is evaluated and kept; `None` or 0: the weights themselves.
        initial_carry: state carried between batches, a nested structure of tensors, with which each epoch
            begins. If given, the loss is `loss, carry = compute_loss(model, batch, carry)`.
        keep_carry: each epoch starts from the state in which the last one ended.
        size: what is counted in the progress bar.
        callbacks: Keras callbacks. Their epochs count from 0, those of everything else from 1. Their own
            state is not kept in the checkpoint. `model.stop_training` takes effect at the end of the epoch.
        resume: continue from `run.last_checkpoint`.
        save_every: minutes between two checkpoints within an epoch; None: only after each epoch.
        data: checksums of the data by the name of the part, such as `{"training texts": "3f5a..."}`; the run
            resumes only if they are the same.
        replicas: devices and machines that share each batch; `None`: one device.
        weigh: how much the rows of a part of a batch count in the loss, see `TrainStep`.
        probe: the gradient by distance in time, see `Diagnostics`.
        diagnostics: whether to write curves and measure gradients and matrices on the way.

    Returns:
        History, best epoch and its metrics.

    Raises:
        Interrupted: a signal stopped the run; all is saved.
        TrainingError: loss or gradient is not finite, the loss climbs for long, or no epoch gave a finite
            metric.
        RunError: the checkpoint is absent, damaged or of another model, or the data have changed.
        FileError: a file could not be written.
        WorkerLostError: another process of the run is gone.
        ValueError: an argument cannot be used.
    """
    history = History(monitor, mode, patience)
    if not model.trainable_variables:
        raise ValueError("the model has no trainable variables; build it (call it once) before training")
    if epochs is None and minutes is None:
        raise ValueError("the run has no end: give epochs, minutes or both")
    step = TrainStep(model, optimizer, compute_loss, clip_norm, average, initial_carry, replicas, weigh)
    model.stop_training = False
    pace = Pace(epochs, steps_per_epoch, minutes, schedule)
    saver = Saver(run, step.groups, steps_per_epoch, data, save_every)
    observer = Diagnostics(run, model, probe, clip_norm=clip_norm) if diagnostics else None
    loop = _Loop(step, batches, pace, run, saver, evaluate, history, keep_carry, size, observer)
    if resume:
        loop.load()
        if loop.is_over():
            print(f"The run in {run.path} is finished already; its results follow.", flush=True)
    elif step.iterations:
        raise ValueError("the optimizer has been used before; a new run needs a fresh one")
    step.check_alike(steps_per_epoch)
    return loop.run_all(callbacks)


class _Loop:
    """Epochs, checkpoints and early stopping around a `TrainStep`."""

    def __init__(self, step, batches, pace, run, saver, evaluate, history, keep_carry, size, observer):
        self._step, self._batches, self._run, self._evaluate = step, batches, run, evaluate
        self._saver = saver
        self._pace, self._steps = pace, pace.steps_per_epoch
        self._history, self._keep_carry, self._size = history, keep_carry, size
        self._sums = dict.fromkeys(SUMS, 0.0)
        self._observer, self._climb = observer, Climb()

    def load(self) -> None:
        state = self._saver.load()
        self._history.rows, self._sums = state["history"], state["sums"]
        self._pace.seconds = state.get("seconds", self._pace.seconds)
        self._climb.state = state.get("climb", self._climb.state)
        if self._observer:
            self._observer.load(self._step.iterations)
        if self._history.rows:  # the table may be one epoch behind, or damaged
            self._run.write_history(self._history.rows)

    @property
    def _done(self) -> int:
        """Steps done in the current epoch; negative if the last epoch was cut short."""
        return self._step.iterations - len(self._history) * self._steps

    def is_over(self) -> bool:
        """Whether there is no further step to make."""
        if self._history.is_stale or self._step.model.stop_training:
            return True
        # An epoch whose steps are done may have its evaluation still before it.
        return self._pace.is_over(len(self._history)) and self._done <= 0

    def run_all(self, callbacks: Sequence[keras.callbacks.Callback]) -> TrainResult:
        model = self._step.model
        callbacks = keras.callbacks.CallbackList(
            list(callbacks), model=model, epochs=self._pace.epochs or 1, steps=self._steps
        )
        with StopSignals() as stop, ScalarLog(self._run.tensorboard_dir) as log:
            callbacks.on_train_begin()
            try:
                while not self.is_over():
                    self._run_epoch(callbacks, stop, log)
            finally:
                callbacks.on_train_end()
        if self._observer:  # a finished run may have been killed before its curves were drawn
            self._observer.write(self._history.rows, self._history.monitor)
        return self._result()

    def _run_epoch(self, callbacks, stop, log) -> None:
        epoch, began = len(self._history) + 1, time.perf_counter()
        callbacks.on_epoch_begin(epoch - 1)
        training_seconds, rate = self._train_epoch(epoch, callbacks, stop)
        row, metrics = self._finish_epoch(epoch, stop)
        seconds = time.perf_counter() - began
        left = 0.0 if self.is_over() else self._pace.seconds_left(epoch, seconds)
        best = self._history.best is row
        print_epoch(row, metrics, self._pace.title(epoch), seconds, left, best)
        log.write(epoch, {**row, "seconds": training_seconds, f"{self._size.unit}_per_second": rate})
        if self._observer:
            measured = self._observer.after_epoch(
                self._step.iterations, self._history.rows, self._history.monitor
            )
            log.write(epoch, measured, self._observer.picture())
        callbacks.on_epoch_end(epoch - 1, {name: value for name, value in row.items() if name != "epoch"})
        if self._agree(stop) and not self.is_over():
            raise self._interrupted(stop, f"after epoch {epoch}")

    def _train_epoch(self, epoch, callbacks, stop) -> tuple[float, float]:
        done = self._done
        if done == 0 and (epoch == 1 or not self._keep_carry):
            self._step.reset_carry()
        self._pace.start_clock()
        with EpochBar(self._pace.title(epoch), self._steps, self._size, done) as bar:
            for batch in itertools.islice(self._batches(epoch), done, self._steps):
                if self._pace.is_out_of_time:
                    break
                callbacks.on_train_batch_begin(done)
                loss = self._train_batch(epoch, done + 1, batch)
                callbacks.on_train_batch_end(done, {"loss": loss})
                done += 1
                self._pace.tick()
                if self._observer and self._observer.after_step(self._step.iterations):
                    self._pace.start_clock()
                bar.advance(self._sums["loss"] / done, self._size.of(batch))
                if self._agree(stop):
                    self._save()
                    raise self._interrupted(stop, f"after step {done} of {self._steps} of epoch {epoch}")
                if self._saver.is_due:
                    self._save()
                    self._pace.start_clock()
        if done < self._steps and not self._pace.is_out_of_time:
            raise ValueError(f"batches({epoch}) gave {done} batches; steps_per_epoch is {self._steps}")
        return bar.seconds, bar.rate

    def _agree(self, stop) -> int:
        """The signal that any process received, 0 for none. The clock of all processes is the chief's."""
        numbers = self._step.replicas.gather([self._pace.seconds, stop.received])
        self._pace.seconds = float(numbers[0, 0])
        received = int(numbers[:, 1].max())
        stop.received = stop.received or received
        return received

    def _train_batch(self, epoch: int, number: int, batch) -> float:
        self._pace.set_rate(self._step.optimizer)
        loss, norm = self._step(batch)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise TrainingError(
                f"step {number} of epoch {epoch} gave a loss of {loss} and a gradient of norm {norm}. "
                f"Training stops; what {self._run.path} holds is unchanged. Try a lower learning rate or "
                "clip norm, a longer warm-up, or float32, and look for bad numbers in the data."
            )
        clipped = self._step.clip_norm is not None and norm > self._step.clip_norm
        for name, value in zip(SUMS, (loss, norm, float(clipped)), strict=True):
            self._sums[name] += value
        if self._climb.is_lost(loss):
            raise TrainingError(
                f"at step {number} of epoch {epoch} the loss has long been higher than at the start of the "
                f"run. Training stops; the best weights in {self._run.path} are kept. Try a lower learning "
                "rate, a longer warm-up, or a lower clip norm."
            )
        return loss

    def _finish_epoch(self, epoch: int, stop) -> tuple[dict[str, float], list[str]]:
        """Validates and saves; returns the row of the history and the names of the metrics in it."""
        done = max(self._done, 1)
        row = {
            "epoch": epoch,
            **self._pace.columns,
            "loss": self._sums["loss"] / done,
            "learning_rate": float(self._step.optimizer.learning_rate),
            "gradient_norm": self._sums["gradient_norm"] / done,
            "clip_rate": self._sums["clip_rate"] / done,
        }
        try:
            with self._step.evaluating():
                with stop.breaking_off():
                    metrics = self._evaluate(epoch)
                values = self._step.replicas.gather([float(value) for value in metrics.values()])[0]
                row.update(zip(metrics, values.tolist(), strict=True))  # of the chief, in all processes
                if self._history.append(row):
                    self._run.save_best_weights(self._step.model)
        except BrokenOff:
            self._save()  # all steps are done and the sums are there: the next process evaluates again
            raise self._interrupted(stop, f"before the evaluation of epoch {epoch}") from None
        self._sums = dict.fromkeys(SUMS, 0.0)
        self._saver.keep_samples()
        self._save()
        self._run.write_history(self._history.rows)
        return row, list(metrics)

    def _save(self) -> None:
        state = {"history": self._history.rows, "sums": self._sums, "climb": self._climb.state}
        self._saver.save({**state, **self._pace.state})

    def _interrupted(self, stop, where: str) -> Interrupted:
        return Interrupted(
            f"saved {where} in {self._run.path}. To continue, give the same command with --resume.",
            stop.received,
        )

    def _result(self) -> TrainResult:
        best = self._history.best
        if best is None:
            raise TrainingError(
                f"no epoch gave a finite {self._history.monitor}, so no weights were saved. "
                "Look for bad numbers in the data, or try a lower learning rate."
            )
        metrics = {name: value for name, value in best.items() if name != "epoch"}
        return TrainResult(self._history.rows, best["epoch"], metrics)
