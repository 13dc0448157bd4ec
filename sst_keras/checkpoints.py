"""`checkpoint.npz`: the state of a training, from which it goes on after it was killed."""

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from sst_keras import files
from sst_keras.callbacks import AveragedWeights, BestModel, HistoryLogger
from sst_keras.errors import InputError, UsageError
from sst_keras.runtime import keras
from sst_keras.settings import SETTINGS

FORMAT = 1
# The least seconds between two checkpoints. One of 300 MB takes about a second.
SECONDS = 60.0


# Input of a task → what a user is told if it is not that of the checkpoint.
_OTHERS = {
    "data": "the data differ",
    "vectors": "the vectors differ",
    "language_model": "the language model is another",
    "pseudo_labels": "the pseudo-labels are different",
    "earlier_run": "the run that it starts from is another",
    "backend": "Keras computes with another backend (KERAS_BACKEND)",
    "devices": "another number of devices shares the batches (--strategy)",
}


@dataclass(frozen=True)
class Task:
    """What is trained. A training goes on only with the same settings and inputs.

    Attributes:
        settings: Every setting, as `section.key` → value.
        data: The fingerprint of the data set.
        vectors: The fingerprints of the word vectors.
        language_model: The fingerprint of the language model that the classifier starts from.
        pseudo_labels: The fingerprint of the pseudo-labels that it learns from.
        earlier_run: The fingerprint of the run that it starts from.
        backend: What Keras computes with.
        devices: How many devices share each batch.
    """

    settings: Mapping[str, Any]
    data: str
    vectors: Sequence[str]
    language_model: str | None = None
    pseudo_labels: str | None = None
    earlier_run: str | None = None
    backend: str = "tensorflow"
    devices: int = 1

    def differences(self, other: Mapping[str, Any]) -> list[str]:
        """Returns what is different in a task that was saved as JSON."""
        mine = json.loads(json.dumps(asdict(self)))
        new = mine["settings"]
        # An earlier version of the package lacked some settings, and did what their defaults do.
        defaults = {name: SETTINGS[name].default for name in new if name in SETTINGS}
        old = json.loads(json.dumps(defaults)) | other["settings"]
        found = [
            f"{name} is {old.get(name)!r}, not {new.get(name)!r}"
            for name in {**old, **new}
            if old.get(name) != new.get(name)
        ]
        # It also lacked some of the inputs.
        old = {name: other.get(name, getattr(Task, name, None)) for name in _OTHERS}
        return found + [what for name, what in _OTHERS.items() if mine[name] != old[name]]


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training after a check of dev.

    Attributes:
        rows: The rows of the history so far.
        seconds: How long the training took so far.
        variables: Those of the model, the states of its random numbers too, and of the optimizer.
        averages: The averaged weights, if they are averaged.
        model: The contents of the file of the best check's model.
    """

    rows: list[dict[str, float]]
    seconds: float
    variables: list[np.ndarray] = field(repr=False)
    averages: list[np.ndarray] = field(repr=False)
    model: bytes = field(repr=False)

    def save(self, path: Path, task: Task) -> None:
        """Writes the file, complete or not at all."""
        about = {"format": FORMAT, "task": asdict(task), "rows": self.rows, "seconds": self.seconds}
        arrays = {
            "about": np.frombuffer(json.dumps(about).encode(), np.uint8),
            "model": np.frombuffer(self.model, np.uint8),
        }
        for name in ("variables", "averages"):
            arrays |= {f"{name}/{n}": array for n, array in enumerate(getattr(self, name))}
        with files.whole_file(path) as partial:
            np.savez(partial, **arrays)

    @classmethod
    def load(cls, path: Path, task: Task) -> Self:
        """Reads the checkpoint of a task.

        Raises:
            UsageError: If it is another task's.
            InputError: If it cannot be read.
        """
        again = "To start anew, overwrite the run."
        try:
            arrays = files.read_arrays(path)
        except InputError as error:
            raise InputError(f"{error} {again}") from None
        try:
            about = json.loads(arrays["about"].tobytes())
            if about["format"] != FORMAT:
                raise InputError(
                    f"{path}: expected a checkpoint of format {FORMAT}. Received one of format "
                    f"{about['format']}, from another version of sst_keras. {again}"
                )
            if differences := task.differences(about["task"]):
                raise UsageError(
                    f"{str(path.parent)!r} holds an unfinished run with other settings: "
                    f"{'; '.join(differences)}. To go on, give it its own settings. {again}",
                    setting="run_dir",
                )
            numbered = [
                [array for name, array in arrays.items() if name.startswith(f"{kind}/")]
                for kind in ("variables", "averages")
            ]
            return cls(about["rows"], about["seconds"], *numbered, arrays["model"].tobytes())
        except InputError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: expected a checkpoint ({error}). {again}") from None


class Checkpoints(keras.callbacks.Callback):
    """Saves a checkpoint after the first check of dev, and when the last is `SECONDS` old.

    It must be after the callbacks whose state it saves. `started` is when the training started, by
    `time.perf_counter`, less the seconds that it took before it was killed.
    """

    def __init__(
        self,
        path: Path,
        task: Task,
        started: float,
        logger: HistoryLogger,
        best: BestModel,
        averaged: AveragedWeights | None = None,
    ) -> None:
        super().__init__()
        self.path, self.task, self.started = path, task, started
        self.logger, self.best, self.averaged = logger, best, averaged

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Makes a checkpoint due unless training goes on from one."""
        self._saved = time.perf_counter() if self.path.is_file() else -math.inf

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Saves a checkpoint if one is due."""
        if time.perf_counter() - self._saved < SECONDS:
            return
        averages = []
        if self.averaged:
            self.averaged.put_back()
            averages = [average.numpy() for average in self.averaged.averages]
        Checkpoint(
            self.logger.rows,
            time.perf_counter() - self.started,
            [variable.numpy() for variable in _variables(self.model)],
            averages,
            self.best.path.read_bytes(),
        ).save(self.path, self.task)
        self._saved = time.perf_counter()

    def restore(self, model: keras.Model, checkpoint: Checkpoint) -> None:
        """Puts the model and the callbacks into the state of a checkpoint.

        Raises:
            InputError: If the model has other variables.
        """
        model.optimizer.build(model.trainable_variables)
        variables = _variables(model)
        shapes = [tuple(variable.shape) for variable in variables]
        if shapes != [array.shape for array in checkpoint.variables]:
            raise InputError(
                f"{self.path}: expected the variables of this model. Another version of sst_keras "
                f"wrote the checkpoint. To start anew, overwrite the run."
            )
        for variable, array in zip(variables, checkpoint.variables, strict=True):
            variable.assign(array)
        self.logger.restore(checkpoint.rows)
        self.best.restore(checkpoint.rows, checkpoint.model)
        if self.averaged:
            steps = int(keras.ops.convert_to_numpy(model.optimizer.iterations))
            self.averaged.restore(checkpoint.averages, steps)


def _variables(model: keras.Model) -> list[keras.Variable]:
    """Returns all that training changes: weights, random states, and the optimizer's variables."""
    measures = {id(variable) for variable in model.metrics_variables}
    own = [variable for variable in model.variables if id(variable) not in measures]
    return [*own, *model.optimizer.variables]
