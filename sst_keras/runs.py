"""A run's folder. No other module spells the names of its files."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sst_keras import files
from sst_keras.config import load_saved
from sst_keras.errors import UsageError
from sst_keras.settings import Pipeline

RUNS_DIR = Path("saved_models")


def _file(name: str, about: str) -> property:
    return property(lambda run: run.path / name, doc=about)


@dataclass(frozen=True)
class RunDirectory:
    """A folder with everything that a training run made. It can be copied anywhere."""

    path: Path

    pipeline_file = _file("pipeline.toml", "Every setting of the run.")
    vocabulary_file = _file("vocabulary.txt", "The words, one per line, in the order of their ids.")
    history_file = _file("history.csv", "Losses, accuracies, rates and times, one row per epoch.")
    model_file = _file("model.keras", "The model of the best epoch.")
    model_summary_file = _file("model.txt", "The layers, their output shapes, parameter counts.")
    metrics_file = _file("metrics.json", "The scores; written last, so a run with it is finished.")
    environment_file = _file("environment.json", "Versions, machine, commit, fingerprints.")
    plots_dir = _file("plots", "The plots.")
    logs_dir = _file("logs", "TensorBoard's event files, if they were asked for.")
    saved_model_dir = _file("saved_model/1", "The SavedModel; TensorFlow Serving needs the number.")

    @property
    def name(self) -> str:
        """`pipeline/run id` for a run below `saved_models/`, else the folder's name."""
        path = self.path.resolve()
        for folder in path.parents:
            if folder.name == RUNS_DIR.name:
                return path.relative_to(folder).as_posix()
        return path.name

    @property
    def is_finished(self) -> bool:
        """Whether training and evaluation are complete."""
        return self.metrics_file.is_file()

    @cached_property
    def pipeline(self) -> Pipeline:
        """The run's settings. A run of another version is read with one warning."""
        return load_saved(self.pipeline_file)

    def environment(self) -> dict[str, Any]:
        """Reads `environment.json`."""
        return files.read_json(self.environment_file)

    def metrics(self) -> dict[str, Any]:
        """Reads `metrics.json`; empty for a run that is not finished."""
        return files.read_json(self.metrics_file) if self.is_finished else {}

    def summary(self) -> dict[str, Any]:
        """Returns the run's name, main settings and main scores, for a list of runs."""
        pipeline, metrics = self.pipeline, self.metrics()
        return {
            "run": self.name,
            "path": str(self.path),
            "pipeline": pipeline.name,
            "dataset": pipeline.data.dataset,
            "vectors": list(pipeline.embedding.vectors),
            "seed": pipeline.training.seed,
            "finished": self.is_finished,
            "epochs": metrics.get("epochs"),
            "best_epoch": metrics.get("best_epoch"),
            "seconds": metrics.get("seconds"),
            **{
                split: {name: metrics[split][name] for name in ("n", "accuracy", "macro_f1")}
                for split in ("dev", "test")
                if split in metrics
            },
        }

    @classmethod
    def find(cls, path: str | Path) -> RunDirectory:
        """Returns the run at `path` or at `saved_models/<path>`.

        Raises:
            UsageError: If there is no such folder.
        """
        for folder in (Path(path), RUNS_DIR / path):
            if folder.is_dir():
                return cls(folder)
        raise UsageError(
            f"There is no run {str(path)!r}. `sst-keras runs` lists those below {RUNS_DIR}/."
        )

    def clear(self) -> None:
        """Removes the run's own files and leaves all others."""
        for file in (
            self.metrics_file, self.pipeline_file, self.vocabulary_file, self.history_file,
            self.model_file, self.model_summary_file, self.environment_file,
        ):  # fmt: skip
            file.unlink(missing_ok=True)
        for folder in (self.plots_dir, self.saved_model_dir.parent, self.logs_dir):
            shutil.rmtree(folder, ignore_errors=True)


def new_run(
    pipeline: Pipeline, path: str | Path | None = None, overwrite: bool = False
) -> RunDirectory:
    """Makes the folder of a new run.

    Args:
        pipeline: The run's settings; its name and seed become part of the folder's name.
        path: The run's folder; None for a new one below `saved_models/`.
        overwrite: Whether a finished run at `path` may be replaced.

    Raises:
        UsageError: If `path` holds a finished run, or files that are not a run's.
    """
    if path is None:
        stem = f"{time.strftime('%Y%m%d-%H%M%S')}-seed{pipeline.training.seed}"
        for number in itertools.count(1):
            run = RunDirectory(
                RUNS_DIR / pipeline.name / (f"{stem}-{number}" if number > 1 else stem)
            )
            with contextlib.suppress(FileExistsError):
                run.path.mkdir(parents=True)
                return run
    run = RunDirectory(Path(path))
    if run.path.exists() and not run.path.is_dir():
        raise UsageError(f"expected a folder. Received a file: {str(path)!r}", setting="run_dir")
    if run.is_finished and not overwrite:
        raise UsageError(
            f"{str(path)!r} holds a finished run. Choose another folder, or overwrite it.",
            setting="run_dir",
        )
    if run.path.is_dir() and any(run.path.iterdir()) and not run.pipeline_file.is_file():
        raise UsageError(
            f"{str(path)!r} holds files but no run. Choose a new or empty folder.",
            setting="run_dir",
        )
    run.path.mkdir(parents=True, exist_ok=True)
    run.clear()
    return run


def open_run(path: RunDirectory | str | Path) -> RunDirectory:
    """Returns the run at `path`, which must have a model.

    Raises:
        UsageError: If there is none, or it has no model yet.
    """
    run = path if isinstance(path, RunDirectory) else RunDirectory.find(path)
    path = run.path
    if (run.path / "saved_model.pb").is_file():
        raise UsageError(
            f"{str(path)!r} is an exported SavedModel, which `sst-keras predict` takes. Expected a "
            f"run's folder, which has {run.model_file.name}."
        )
    missing = [
        file.name
        for file in (run.model_file, run.pipeline_file, run.vocabulary_file)
        if not file.is_file()
    ]
    if missing:
        raise UsageError(
            f"{str(path)!r} is not a trained run: it has no {', '.join(missing)}. `sst-keras runs` "
            f"lists the runs, `sst-keras train` makes one."
        )
    return run


def find_runs(folder: str | Path = RUNS_DIR) -> Iterator[RunDirectory]:
    """Yields the runs below a folder, finished or not, sorted by name."""
    for file in sorted(Path(folder).rglob("pipeline.toml")):
        yield RunDirectory(file.parent)
