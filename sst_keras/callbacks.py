"""Callbacks: history, the best model, dev scores within epochs, progress, a stop at nan."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from sst_keras import files
from sst_keras.errors import InputError
from sst_keras.history import rank, write_history
from sst_keras.metrics import Metrics
from sst_keras.runtime import keras, tf
from sst_keras.settings import TrainingConfig


class TrainingDiverged(InputError):
    """The loss became nan or infinite."""


@dataclass(frozen=True)
class CheckPeriod:
    """How much is trained between two checks of dev. To Keras, this is an epoch.

    Attributes:
        steps: The batches of a period; None for all batches.
        epochs: The part of an epoch that a period is; 1 for all batches.
        count: The number of periods in a training.
    """

    steps: int | None
    epochs: float
    count: int

    @classmethod
    def of(cls, training: TrainingConfig, batches: int, multiple: int) -> Self:
        """Divides the epochs of `batches` batches into periods.

        The steps of several checks per epoch are a multiple of `multiple`, Keras's steps per
        execution. They are rounded down, so that a few more checks may fit into all epochs. What is
        left at the end of the last epoch is not trained on.
        """
        if training.checks_per_epoch == 1:
            return cls(None, 1, training.epochs)
        steps = max(1, batches // (training.checks_per_epoch * multiple)) * multiple
        return cls(steps, steps / batches, max(1, training.epochs * batches // steps))


class AveragedWeights(keras.callbacks.Callback):
    """Lets dev checks and what is saved see the moving average of the weights.

    Every `steps` batches, `a ← m^steps a + (1 - m^steps) w` for each trained weight `w`. The
    momentum after `t` batches is `m = min(momentum, (1 + t) / (10 + t))`, so that the first weights
    are soon forgotten: TensorFlow's ExponentialMovingAverage has the same formula. Training goes on
    with the weights themselves. Source: Polyak and Juditsky, "Acceleration of Stochastic
    Approximation by Averaging", SIAM Journal on Control and Optimization 30 (1992).

    Keras's `use_ema` updates the average at each step, which reads every row of an embedding.
    """

    def __init__(self, momentum: float, steps: int) -> None:
        super().__init__()
        self.momentum, self.steps = momentum, steps
        self.averages: list[keras.Variable] = []

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Starts from the first weights."""
        self._weights = self.model.trainable_variables
        self.averages = [tf.Variable(weight.value) for weight in self._weights]
        self._step, self._swapped = 0, False

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Updates the averages after each execution."""
        self._step += self.steps
        momentum = min(self.momentum, (1 + self._step) / (10 + self._step)) ** self.steps
        self._update(tf.constant(1 - momentum, tf.float32))

    @tf.function
    def _update(self, share: tf.Tensor) -> None:
        for average, weight in zip(self.averages, self._weights, strict=True):
            average.assign_add(share * (weight.value - average))

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """Puts the averages into the model, before dev is scored."""
        self._swap(True)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Puts the weights back, after the model of the averages was saved."""
        self._swap(False)

    def _swap(self, wanted: bool) -> None:
        if self._swapped != wanted:
            for average, weight in zip(self.averages, self._weights, strict=True):
                kept = weight.numpy()
                weight.assign(average)
                average.assign(kept)
            self._swapped = wanted


class HistoryLogger(keras.callbacks.Callback):
    """Rewrites `history.csv` (see `sst_keras.history`) after each check of dev.

    An epoch has `examples` examples, and a check comes after each `period` of an epoch.
    """

    def __init__(self, path: Path, examples: int, period: float = 1) -> None:
        super().__init__()
        self.path, self.examples, self.period = path, examples, period
        self.rows: list[dict[str, float]] = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Starts the epoch's clock."""
        self._started = time.perf_counter()

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """Stops the epoch's clock: the time for scoring dev does not count."""
        self._seconds = time.perf_counter() - self._started

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Writes the epoch's row."""
        row = {
            "epoch": (epoch + 1) * self.period,
            "loss": logs["loss"],
            "accuracy": logs["accuracy"],
        }
        row |= {"dev_loss": logs["val_loss"], "dev_accuracy": logs["val_accuracy"]}
        if "val_macro_f1" in logs:
            row["dev_macro_f1"] = logs["val_macro_f1"]
        optimizers = getattr(self.model.optimizer, "groups", (self.model.optimizer,))
        columns = ("learning_rate", "embedding_learning_rate")
        for column, optimizer in zip(columns, optimizers, strict=False):
            row[column] = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
        row["seconds"] = self._seconds
        row["examples_per_second"] = self.examples * self.period / self._seconds
        self.rows.append(row)
        write_history(self.path, self.rows)


class BestModel(keras.callbacks.Callback):
    """Saves the model of the check that ranks best by `sst_keras.history.rank`.

    `monitor` names the Keras metric whose value on dev is ranked.

    Training stops after `patience` checks without a better one; with 0, it never does. `row` is
    that of the best check so far in the history, from 1; 0 before the first.
    """

    def __init__(self, path: Path, patience: int = 0, monitor: str = "accuracy") -> None:
        super().__init__()
        self.path, self.patience, self.monitor = path, patience, monitor
        self._best, self.row = (math.inf, math.inf), 0

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Saves the model if the check was the best so far."""
        order = rank(logs[f"val_{self.monitor}"], logs["val_loss"])
        if order < self._best:
            self._best, self.row = order, epoch + 1
            self.save(self.model)
        elif self.patience and epoch + 1 - self.row >= self.patience:
            self.model.stop_training = True

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
    """A bar until each check of dev, with loss and accuracy, and a line with the dev scores."""

    def __init__(self, console: Console, checks_per_epoch: int = 1) -> None:
        super().__init__()
        self.checks_per_epoch = checks_per_epoch
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed}/{task.total}  {task.fields[scores]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Shows the epoch's bar."""
        number, count = epoch + 1, self.params["epochs"]
        self._name = f"Epoch {number:>2}/{count}"
        if self.checks_per_epoch > 1:
            epochs = number / self.checks_per_epoch
            self._name = f"Epoch {epochs:5.2f}, check {number:>2}/{count}"
        self._task = self.progress.add_task(self._name, total=self.params["steps"], scores="")
        self.progress.start()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Moves the bar."""
        scores = f"loss {logs['loss']:.3f}  accuracy {logs['accuracy']:.1%}"
        self.progress.update(self._task, completed=_batches_done(self, batch), scores=scores)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Replaces the bar by a line with the epoch's scores."""
        self.progress.remove_task(self._task)
        self.progress.console.print(
            f"{self._name}  loss {logs['loss']:.3f}  accuracy {logs['accuracy']:.1%}  dev loss "
            f"{logs['val_loss']:.3f}  dev accuracy {logs['val_accuracy']:.1%}",
            highlight=False,
        )

    def close(self) -> None:
        """Removes the bar."""
        if self.progress.live.is_started:
            self.progress.stop()
