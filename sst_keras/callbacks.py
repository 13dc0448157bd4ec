"""Callbacks: history, the best model, dev scores within epochs, progress, a stop on nan."""

from __future__ import annotations

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
    """Rewrites `history.csv` after each epoch; see `sst_keras.history` for its columns.

    Args:
        path: The file.
        examples: Number of training examples per epoch.
        learning_rates: Column → the optimizer whose learning rate it holds.
    """

    def __init__(
        self, path: Path, examples: int, learning_rates: dict[str, keras.optimizers.Optimizer]
    ) -> None:
        """Makes the callback; see the class for the arguments."""
        super().__init__()
        self.path = path
        self.examples = examples
        self.learning_rates = learning_rates
        self.rows: list[dict[str, float]] = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Starts the epoch's clock."""
        self._started = time.perf_counter()

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """Stops the epoch's clock: the time for scoring dev does not count."""
        self._trained = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Writes the epoch's row."""
        seconds = self._trained - self._started
        self.rows.append(
            {
                "epoch": epoch + 1,
                "loss": logs["loss"],
                "accuracy": logs["accuracy"],
                "dev_loss": logs["val_loss"],
                "dev_accuracy": logs["val_accuracy"],
                **{
                    name: float(keras.ops.convert_to_numpy(optimizer.learning_rate))
                    for name, optimizer in self.learning_rates.items()
                },
                "seconds": seconds,
                "examples_per_second": self.examples / seconds,
            }
        )
        write_history(self.path, self.rows)


class BestModel(keras.callbacks.Callback):
    """Saves the model of the epoch that ranks best by `sst_keras.history.rank`.

    The saved model has neither loss nor optimizer.

    Args:
        path: The `.keras` file, which appears complete at each better epoch.
        patience: Training stops after this many epochs without a better one; 0: never.

    Attributes:
        epoch: The best epoch so far, from 1; 0 before the first.
    """

    def __init__(self, path: Path, patience: int = 0) -> None:
        """Makes the callback; see the class for the arguments."""
        super().__init__()
        self.path = path
        self.patience = patience
        self.best = (math.inf, math.inf)
        self.epoch = 0

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Saves the model if the epoch was the best so far."""
        order = rank(logs["val_accuracy"], logs["val_loss"])
        if order < self.best:
            self.best, self.epoch = order, epoch + 1
            self.save()
        elif self.patience and epoch + 1 - self.epoch >= self.patience:
            self.model.stop_training = True

    def save(self) -> None:
        """Saves the model as it is."""
        bare = keras.Model(self.model.input, self.model.output, name=self.model.name)
        with files.whole_file(self.path) as partial:
            bare.save(partial)


def _batches_done(callback: keras.callbacks.Callback, batch: int) -> int:
    """Returns how many batches of the epoch are done.

    With several steps per execution, Keras counts a shorter last execution as a full one.
    """
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

    It does not change training: it draws no random numbers and moves no weights.

    Args:
        score: Returns the metrics on dev with the present weights.
        per_epoch: How many times per epoch.

    Attributes:
        rows: For each check `dev_loss`, `dev_accuracy` and the `epoch`, such as 0.25 after the
            first quarter, as exactly as the steps per execution allow.
    """

    def __init__(self, score: Callable[[], Metrics], per_epoch: int) -> None:
        """Makes the callback; see the class for the arguments."""
        super().__init__()
        self.score = score
        self.per_epoch = per_epoch
        self.rows: list[dict[str, float]] = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Starts to count the epoch's checks."""
        self._epoch = epoch
        self._checks = 0

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Scores dev if a check is due."""
        done = _batches_done(self, batch) / self.params["steps"]
        if self._checks + 1 <= done * self.per_epoch:
            # One execution may pass several checks; they become one.
            self._checks = int(done * self.per_epoch)
            dev = self.score()
            row = {"epoch": self._epoch + done, "dev_loss": dev.loss, "dev_accuracy": dev.accuracy}
            self.rows.append(row)


class ProgressBar(keras.callbacks.Callback):
    """A bar for each epoch with loss and accuracy, and a line with the dev scores at its end.

    Args:
        console: The `rich.console.Console` to write to.
    """

    def __init__(self, console: Console) -> None:
        """Makes the callback; see the class for the argument."""
        super().__init__()
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed}/{task.total}  {task.fields[figures]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self.task = self.progress.add_task("", figures="", visible=False)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Resets the bar."""
        self.progress.start()
        self.progress.reset(
            self.task,
            total=self.params["steps"],
            description=f"Epoch {epoch + 1:>2}/{self.params['epochs']}",
            figures="",
            visible=True,
        )

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Moves the bar."""
        figures = f"loss {logs['loss']:.3f}  accuracy {logs['accuracy']:.1%}"
        self.progress.update(self.task, completed=_batches_done(self, batch), figures=figures)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Prints a line with the epoch's scores."""
        self.progress.console.print(
            f"Epoch {epoch + 1:>2}/{self.params['epochs']}  loss {logs['loss']:.3f}  "
            f"accuracy {logs['accuracy']:.1%}  dev loss {logs['val_loss']:.3f}  "
            f"dev accuracy {logs['val_accuracy']:.1%}",
            highlight=False,
        )

    def close(self) -> None:
        """Removes the bar."""
        if self.progress.live.is_started:
            self.progress.stop()
