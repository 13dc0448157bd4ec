"""What happens while a model trains: history, the best model, progress, and a stop on nan."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from sst_keras import files
from sst_keras.errors import InputError
from sst_keras.history import write_history
from sst_keras.runtime import keras


class TrainingDiverged(InputError):
    """The loss is no number any more."""


class HistoryLogger(keras.callbacks.Callback):
    """Writes `history.csv` anew after each epoch; see `sst_keras.history` for its columns.

    Args:
        path: The file.
        examples: Number of training examples in an epoch.
        learning_rates: Column → the optimizer whose rate it holds, read after each epoch.
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
        """Stops the clock of the epoch's training: the time for dev is not training's."""
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
    """Keeps the model of the epoch with the highest dev accuracy; equals by lower dev loss.

    What is saved has neither loss nor optimizer: it is what predicts.

    Args:
        path: The `.keras` file, replaced whole at each better epoch.
        patience: After so many epochs without a better one training stops; 0: never.
    """

    def __init__(self, path: Path, patience: int = 0) -> None:
        """Makes the callback; see the class for the arguments."""
        super().__init__()
        self.path = path
        self.patience = patience
        self.best = (-math.inf, -math.inf)
        self.epoch = 0

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Saves the model if the epoch was the best so far."""
        loss = logs["val_loss"] if math.isfinite(logs["val_loss"]) else math.inf
        score = (logs["val_accuracy"], -loss)
        if score > self.best:
            self.best, self.epoch = score, epoch + 1
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

    With several steps in an execution Keras counts a last, shorter one as if it were whole.
    """
    return min(batch + 1, callback.params["steps"])


class StopOnNaN(keras.callbacks.Callback):
    """Raises `TrainingDiverged` once the epoch's mean loss, where Keras tells it, is no number."""

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Checks the epoch's mean loss so far."""
        if not math.isfinite(logs["loss"]):
            raise TrainingDiverged(
                f"The training loss became {logs['loss']} by batch {_batches_done(self, batch)}. "
                f"What earlier "
                f"epochs gave is kept. Try a lower training.learning_rate, or training.clip_norm=1."
            )


class DevChecks(keras.callbacks.Callback):
    """Scores dev several times an epoch, at equal distances, the last time at its end.

    Training goes on as it would have without: nothing random is drawn, no weight moves.

    Args:
        score: Gives dev's loss and accuracy, with the weights as they are.
        per_epoch: How often an epoch.

    Attributes:
        rows: For each check the `epoch`, such as 0.25 after the first quarter, as exactly as the
            steps in an execution allow, `dev_loss` and `dev_accuracy`.
    """

    def __init__(self, score: Callable[[], tuple[float, float]], per_epoch: int) -> None:
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
        """Scores dev where a check is due."""
        done = _batches_done(self, batch) / self.params["steps"]
        if self._checks + 1 <= done * self.per_epoch:
            # A check that an execution's steps passed over together with this one is left out.
            self._checks = int(done * self.per_epoch)
            loss, accuracy = self.score()
            self.rows.append(
                {"epoch": self._epoch + done, "dev_loss": loss, "dev_accuracy": accuracy}
            )


class ProgressBar(keras.callbacks.Callback):
    """A bar for each epoch, with the loss and accuracy so far, and the dev figures at its end.

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
        """Sets the bar back."""
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
        """Leaves a line with the epoch's figures."""
        self.progress.console.print(
            f"Epoch {epoch + 1:>2}/{self.params['epochs']}  loss {logs['loss']:.3f}  "
            f"accuracy {logs['accuracy']:.1%}  dev loss {logs['val_loss']:.3f}  "
            f"dev accuracy {logs['val_accuracy']:.1%}",
            highlight=False,
        )

    def close(self) -> None:
        """Takes the bar away, whether training ended or was stopped."""
        if self.progress.live.is_started:
            self.progress.stop()
