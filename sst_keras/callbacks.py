"""Callbacks: history, the best model, dev scores within epochs, progress, a stop at nan."""

import math
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from sst_keras import files
from sst_keras.errors import InputError
from sst_keras.history import rank, write_history
from sst_keras.metrics import Metrics
from sst_keras.runtime import keras


class TrainingDiverged(InputError):
    """The loss became nan or infinite."""


class HistoryLogger(keras.callbacks.Callback):
    """Rewrites `history.csv` (see `sst_keras.history`) after each epoch of `examples` examples."""

    def __init__(self, path: Path, examples: int) -> None:
        super().__init__()
        self.path, self.examples = path, examples
        self.rows: list[dict[str, float]] = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Starts the epoch's clock."""
        self._started = time.perf_counter()

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """Stops the epoch's clock: the time for scoring dev does not count."""
        self._seconds = time.perf_counter() - self._started

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Writes the epoch's row."""
        row = {"epoch": epoch + 1, "loss": logs["loss"], "accuracy": logs["accuracy"]}
        row |= {"dev_loss": logs["val_loss"], "dev_accuracy": logs["val_accuracy"]}
        if "val_macro_f1" in logs:
            row["dev_macro_f1"] = logs["val_macro_f1"]
        optimizers = getattr(self.model.optimizer, "groups", (self.model.optimizer,))
        columns = ("learning_rate", "embedding_learning_rate")
        for column, optimizer in zip(columns, optimizers, strict=False):
            row[column] = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
        row["seconds"] = self._seconds
        row["examples_per_second"] = self.examples / self._seconds
        self.rows.append(row)
        write_history(self.path, self.rows)


class BestModel(keras.callbacks.Callback):
    """Saves the model of the epoch that ranks best by `sst_keras.history.rank`.

    `monitor` names the Keras metric whose value on dev is ranked.

    Training stops after `patience` epochs without a better one; with 0, it never does. `epoch` is
    the best epoch so far, from 1; 0 before the first.
    """

    def __init__(self, path: Path, patience: int = 0, monitor: str = "accuracy") -> None:
        super().__init__()
        self.path, self.patience, self.monitor = path, patience, monitor
        self._best, self.epoch = (math.inf, math.inf), 0

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Saves the model if the epoch was the best so far."""
        order = rank(logs[f"val_{self.monitor}"], logs["val_loss"])
        if order < self._best:
            self._best, self.epoch = order, epoch + 1
            self.save(self.model)
        elif self.patience and epoch + 1 - self.epoch >= self.patience:
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
    """A bar for each epoch with loss and accuracy, and a line with the dev scores at its end."""

    def __init__(self, console: Console) -> None:
        super().__init__()
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
        self._name = f"Epoch {epoch + 1:>2}/{self.params['epochs']}"
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
