"""Callbacks: history, the best model, dev scores within epochs, progress, a stop at nan."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from sst_keras import files
from sst_keras.errors import InputError
from sst_keras.history import SCORES, rank, write_history
from sst_keras.input_pipeline import TrainingParts
from sst_keras.metrics import Metrics
from sst_keras.runtime import keras, tf, uses_tensorflow


class TrainingDiverged(InputError):
    """The loss became nan or infinite."""


class PartLengths(keras.callbacks.Callback):
    """Tells the callbacks after it how many batches there are until the next check of dev.

    It sets `params["steps"]`, `params["later"]`, the batches of all later parts, and
    `params["checks_per_epoch"]`. Keras would expect as many batches in each part.
    """

    def __init__(self, parts: TrainingParts) -> None:
        super().__init__()
        self.parts = parts

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Sets the parameters, which all callbacks share, and goes to the part's place.

        Keras may have read a batch before, to see what batches are like.
        """
        self.parts.skip(epoch)
        self.params["steps"] = self.parts.steps(epoch)
        self.params["later"] = self.parts.later(epoch, self.params["epochs"])
        self.params["checks_per_epoch"] = self.parts.per_pass


class PartEnds(keras.callbacks.Callback):
    """Ends each part after its last batch, as the last of the callbacks.

    Keras expects as many batches in each part. Where they run out, one more step moves weights that
    decay. A stop that another callback asks for stays.
    """

    def __init__(self, parts: TrainingParts) -> None:
        super().__init__()
        self.parts, self._ended = parts, False

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Ends the part after its last batch."""
        if _batches_done(self, batch) == self.params["steps"] and not self.model.stop_training:
            self.model.stop_training = self._ended = True

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """Lets the next part begin."""
        if self._ended:
            self.model.stop_training = self._ended = False


class AveragedWeights(keras.callbacks.Callback):
    """Lets checks of dev, and what is saved, see a moving average of the weights.

    After `s` batches, `every` or an execution of them, `a ← m^s a + (1 - m^s) w` for each trained
    weight `w`. This is the average with momentum `m` per batch, as if `w` had its last value in all
    `s` batches.
    After `t` batches, `m = min(momentum, (1 + t) / (10 + t))`, as in TensorFlow's
    ExponentialMovingAverage: the random first weights are forgotten soon, so that the first checks
    mean something. Training goes on with the weights themselves. Source: Polyak and Juditsky,
    "Acceleration of Stochastic Approximation by Averaging", SIAM Journal on Control and
    Optimization 30 (1992).

    It must be before the callbacks that save models.
    """

    # Keras's `use_ema` updates the average in each step, which takes a pass over all rows of the
    # embeddings, starts from the first weights with full momentum, and does not work with its
    # MultiOptimizer, nor does its SwapEMAWeights.

    def __init__(self, momentum: float, every: int = 1) -> None:
        super().__init__()
        self.momentum, self.every, self.steps = momentum, every, 0  # the batches so far
        self.averages: list[keras.Variable] = []
        if uses_tensorflow():
            self._update = tf.function(self._update)

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Starts from the first weights, unless `restore` was called."""
        self._weights, self._apart = self.model.trainable_variables, True
        if not self.averages:  # copies: JAX takes the first weights' memory for the next ones
            self._set([keras.ops.convert_to_numpy(weight.value) for weight in self._weights])

    def restore(self, averages: Sequence[np.ndarray], steps: int) -> None:
        """Goes on from the averages after so many batches."""
        self._set(averages)
        self.steps = steps

    def _set(self, averages: Sequence[np.ndarray]) -> None:
        self.averages = [keras.Variable(average, trainable=False) for average in averages]

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Puts the weights themselves back into the model, after that of the averages was saved."""
        self.put_back()
        self._done = 0

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Updates the averages."""
        done = _batches_done(self, batch)
        if done % self.every and done < self.params["steps"]:
            return
        new, self._done = done - self._done, done
        self.steps += new
        momentum = min(self.momentum, (1 + self.steps) / (10 + self.steps))
        synchronize(self.model)
        self._update(keras.ops.convert_to_tensor(1 - momentum**new, "float32"))

    def _update(self, share: Any) -> None:
        for average, weight in zip(self.averages, self._weights, strict=True):
            average.assign(average + share * (keras.ops.stop_gradient(weight.value) - average))

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """Puts the averages into the model, before dev is scored."""
        self._swap(apart=False)

    @contextmanager
    def in_model(self) -> Iterator[None]:
        """Puts the averages into the model for as long as the context lasts."""
        self._swap(apart=False)
        try:
            yield
        finally:
            self._swap(apart=True)

    def put_back(self) -> None:
        """Puts the weights themselves back into the model."""
        self._swap(apart=True)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Leaves the averages in the model: they are the last model."""
        self._swap(apart=False)

    def _swap(self, apart: bool) -> None:
        if self._apart != apart:
            for average, weight in zip(self.averages, self._weights, strict=True):
                kept = average.numpy()
                average.assign(weight.value)
                weight.assign(kept)
            self._apart = apart


def synchronize(model: keras.Model) -> None:
    """Puts the present weights into a model that JAX trains, which has them elsewhere meanwhile."""
    if hasattr(model, "jax_state_sync"):
        model.jax_state_sync()


class HistoryLogger(keras.callbacks.Callback):
    """Rewrites `history.csv` (see `sst_keras.history`) after each part of the training."""

    def __init__(self, path: Path, parts: TrainingParts) -> None:
        super().__init__()
        self.path, self.parts = path, parts
        self.rows: list[dict[str, float]] = []

    def restore(self, rows: Sequence[dict[str, float]]) -> None:
        """Writes the rows of the first parts, to go on after them."""
        self.rows = list(rows)
        write_history(self.path, self.rows)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Starts the part's clock."""
        self._started = time.perf_counter()

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """Stops the part's clock: the time for scoring dev does not count."""
        self._seconds = time.perf_counter() - self._started

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Writes the part's row."""
        row = {"epoch": self.parts.epoch(epoch)}
        row |= {"loss": logs["loss"], "accuracy": logs["accuracy"]}
        row |= {"dev_loss": logs["val_loss"], "dev_accuracy": logs["val_accuracy"]}
        if "val_macro_f1" in logs:
            row["dev_macro_f1"] = logs["val_macro_f1"]
        optimizers = getattr(self.model.optimizer, "groups", (self.model.optimizer,))
        columns = ("learning_rate", "embedding_learning_rate")
        for column, optimizer in zip(columns, optimizers, strict=False):
            row[column] = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
        row["seconds"] = self._seconds
        row["examples_per_second"] = self.parts.examples / self._seconds
        self.rows.append(row)
        write_history(self.path, self.rows)


class BestModel(keras.callbacks.Callback):
    """Saves the model of the check that ranks best by `sst_keras.history.rank`.

    `monitor` is `training.monitor`, by which checks are ranked.

    Training stops after `patience` checks without a better one; with 0, it never does. `best` is
    the number of the best check so far, from 1; 0 before the first.
    """

    def __init__(self, path: Path, patience: int = 0, monitor: str = "accuracy") -> None:
        super().__init__()
        self.path, self.patience, self.monitor = path, patience, monitor
        self._order, self.best, self.checks = (math.inf, math.inf), 0, 0

    def restore(self, rows: Sequence[Mapping[str, float]], model: bytes) -> None:
        """Goes on after the checks of a history's rows, the best of which has the saved `model`."""
        for row in rows:
            self._is_best(row, "dev")
        with files.whole_file(self.path) as partial:
            partial.write_bytes(model)

    @property
    def out_of_patience(self) -> bool:
        """Whether training should stop."""
        return 0 < self.patience <= self.checks - self.best

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Saves the model if the check was the best so far."""
        if self._is_best(logs, "val"):
            self.save(self.model)
        self.model.stop_training |= self.out_of_patience

    def _is_best(self, scores: Mapping[str, float], split: str) -> bool:
        self.checks += 1
        score, loss = scores[f"{split}_{SCORES[self.monitor]}"], scores[f"{split}_loss"]
        order = rank(score, loss, self.monitor)
        if order < self._order:
            self._order, self.best = order, self.checks
        return self.best == self.checks

    def save(self, model: keras.Model) -> None:
        """Saves a model without its loss and optimizer."""
        bare = keras.Model(model.input, model.output, name=model.name)
        with files.whole_file(self.path) as partial:
            bare.save(partial)


def _batches_done(callback: keras.callbacks.Callback, batch: int) -> int:
    # With several steps per execution, Keras counts a shorter last execution as a full one.
    return min(batch + 1, callback.params["steps"])


class StopOnNaN(keras.callbacks.Callback):
    """Raises `TrainingDiverged` as soon as the epoch's mean loss is not finite."""

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Checks the epoch's mean loss so far."""
        if not math.isfinite(logs["loss"]):
            raise TrainingDiverged(
                f"The training loss became {logs['loss']} by batch {_batches_done(self, batch)}. "
                f"The best epoch before this one is kept. Try a lower training.learning_rate, or "
                f"training.clip_norm=1."
            )


class DevChecks(keras.callbacks.Callback):
    """Scores dev several times per epoch at equal intervals, the last time at its end.

    It does not change training: it draws no random numbers and moves no weights. `score` returns
    the metrics on dev with the present weights. `rows` has `dev_loss`, `dev_accuracy` and `epoch`
    of each check. The epoch is a fraction, such as 0.25 after the first quarter, as exact as the
    steps per execution allow.
    """

    def __init__(self, score: Callable[[], Metrics], per_epoch: int) -> None:
        super().__init__()
        self.score, self.per_epoch = score, per_epoch
        self.rows: list[dict[str, float]] = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Starts to count the epoch's checks."""
        self._epoch, self._checks = epoch, 0

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Scores dev if a check is due."""
        done = _batches_done(self, batch) / self.params["steps"]
        due = int(done * self.per_epoch)
        if due > self._checks:  # One execution may pass several checks; they become one.
            self._checks = due
            dev = self.score()
            scores = {"dev_loss": dev.loss, "dev_accuracy": dev.accuracy}
            self.rows.append({"epoch": self._epoch + done, **scores})


class ProgressBar(keras.callbacks.Callback):
    """A bar until each check of dev, and a line with the dev scores.

    The bar shows loss, accuracy, and the time left until the end of the training, at most.
    """

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed}/{task.total}  {task.fields[scores]}"),
            TextColumn("{task.fields[left]}"),
            console=console,
            transient=True,
        )
        self._started, self._batches = 0.0, 0  # of this process

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Shows the epoch's bar."""
        self._name = f"Epoch {epoch + 1:>2}/{self.params['epochs']}"
        if (per_epoch := self.params.get("checks_per_epoch", 1)) > 1:
            # The epochs at its end, so that the line fits into 80 columns.
            epochs = self.params["epochs"] // per_epoch
            self._name = f"Epoch {(epoch + 1) / per_epoch:.2f}/{epochs}"
        fields = {"scores": "", "left": ""}
        self._task = self.progress.add_task(self._name, total=self.params["steps"], **fields)
        self.progress.start()
        self._started, self._done = self._started or time.perf_counter(), 0

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Moves the bar."""
        scores = f"loss {logs['loss']:.3f}  accuracy {logs['accuracy']:.1%}"
        done = _batches_done(self, batch)
        self._batches, self._done = self._batches + done - self._done, done
        pace = (time.perf_counter() - self._started) / self._batches
        left = pace * (self.params["steps"] - done + self.params.get("later", 0))
        left = timedelta(seconds=round(left))
        self.progress.update(self._task, completed=done, scores=scores, left=str(left))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Replaces the bar by a line with the epoch's scores."""
        self.progress.remove_task(self._task)
        self.progress.console.print(
            f"{self._name}  loss {logs['loss']:.3f}  accuracy {logs['accuracy']:.1%}  dev loss "
            f"{logs['val_loss']:.3f}  dev accuracy {logs['val_accuracy']:.1%}",
            highlight=False,
            soft_wrap=True,
        )

    def close(self) -> None:
        """Removes the bar."""
        if self.progress.live.is_started:
            self.progress.stop()
