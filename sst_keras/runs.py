"""A run's folder. No other module spells the names of its files."""

from __future__ import annotations

import contextlib
import itertools
import json
import shlex
import shutil
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sst_keras import files, locks
from sst_keras.config import load_saved, read_toml
from sst_keras.errors import InputError, UsageError
from sst_keras.fields import NUMBER, check_fields, other_format
from sst_keras.history import History, read_history
from sst_keras.locations import bundled
from sst_keras.settings import Pipeline

if TYPE_CHECKING:
    import numpy as np

RUNS_DIR = Path("saved_models")
_PIPELINE = "pipeline.toml"
ONNX, LITERT = "onnx", "litert"  # the folders of exports for other runtimes
SMALL = "small"  # the name of the model that ships with the package
_SCORES = ("n", "accuracy", "macro_f1", "loss")  # of a summary
_PATIENCE = 60  # seconds to wait for another process that adds something to a run
METRICS_FORMAT = 1  # Raise it when this version would misread an earlier one's.
_AGAIN = "Train the run again, or copy the original here."
_SPLIT = {
    "n": int, "accuracy": NUMBER, "macro_f1": NUMBER, "loss": NUMBER, "dataset": str,
    "class_names": [str], "accuracy_interval?": (NUMBER, NUMBER), "majority?": NUMBER,
    "expected_calibration_error?": NUMBER, "confusion_matrix": [[int]],
    "per_class": [{"precision": NUMBER, "recall": NUMBER, "f1": NUMBER, "support": int}],
    "calibration?": [
        {
            "lower": NUMBER, "upper": NUMBER, "n": int, "confidence": NUMBER | None,
            "accuracy": NUMBER | None,
        },
    ],
    "uncalibrated?": {"temperature": NUMBER, "expected_calibration_error": NUMBER},
    "warnings?": [str],
}  # fmt: skip
_METRICS = {
    "dev": _SPLIT, "test": _SPLIT, "train?": _SPLIT, "seconds": NUMBER, "epochs?": NUMBER | None,
    "best_epoch?": NUMBER | None,
}  # fmt: skip
_SOURCE = {"name": str, "fingerprint?": str, "vectors?": [{"name": str, "dim": int}]}
_ENVIRONMENT = {
    "versions?": {"sst_keras?": str, "keras?": str, "tensorflow?": str}, "git_commit?": str | None,
    "seed?": int, "dataset?": str, "data_fingerprint?": str, "rows_fingerprint?": str,
    "examples?": {"train": int, "dev": int, "test": int}, "vocabulary_size?": int,
    "vectors?": [{"name": str, "dim": int}], "notes?": [str], "language_model?": _SOURCE,
    "pseudo_labels?": _SOURCE, "earlier_run?": {**_SOURCE, "frozen?": [str]},
    "members?": [{**_SOURCE, "pipeline": str, "seed": int}],
}  # fmt: skip


def file_of(name: str, about: str) -> property:
    """Returns a property of a run: the path of its file or folder `name`."""
    return property(lambda run: run.path / name, doc=about)


@dataclass(frozen=True)
class RunDirectory:
    """A folder with everything that a training run made. It can be copied anywhere.

    `replaces` says whether a training may replace what is there.
    """

    path: Path
    replaces: bool = field(default=False, compare=False)

    pipeline_file = file_of(_PIPELINE, "Every setting of the run.")
    vocabulary_file = file_of(
        "vocabulary.txt", "The words, one per line, in the order of their ids."
    )
    history_file = file_of("history.csv", "Losses, accuracies, rates and times, one row per check.")
    model_file = file_of("model.keras", "The model of the best epoch.")
    model_summary_file = file_of("model.txt", "The layers, their output shapes, parameter counts.")
    metrics_file = file_of(
        "metrics.json", "The scores; written last, so a run with it is finished."
    )
    checkpoint_file = file_of("checkpoint.npz", "The state of a training that is not finished.")
    environment_file = file_of("environment.json", "Versions, machine, commit, fingerprints.")
    training_texts_file = file_of("training_texts.npy", "uint64[texts], the training texts' keys.")
    checksums_file = file_of(
        "checksums.json", "The sha256 of settings, vocabulary and model, which loading compares."
    )
    behaviour_file = file_of("behaviour.json", "What it says of clear cases, if it was asked.")
    plots_dir = file_of("plots", "The plots.")
    logs_dir = file_of("logs", "TensorBoard's event files, if they were asked for.")
    replaced_dir = file_of(".replaced", "A finished run, while another one replaces it.")
    returning_dir = file_of(".returning", "What is left to put back of a run that was replaced.")
    saved_model_dir = file_of(
        "saved_model/1", "The SavedModel; TensorFlow Serving needs the number."
    )

    @property
    def name(self) -> str:
        """`pipeline/run id` for a run below `saved_models/`, else the folder's name."""
        path = self.path.resolve()
        for folder in path.parents:
            if folder.name == RUNS_DIR.name:
                return path.relative_to(folder).as_posix()
        return path.name

    @property
    def has_history(self) -> bool:
        """Whether there is a history; an ensemble of runs has none."""
        return self.history_file.is_file()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other processes from training into the folder.

        A finished run that was set aside comes back if the new one does not get to its end.

        Raises:
            UsageError: If one does, or has finished meanwhile.
        """
        with locks.locked(self.path, "run_dir"):
            self._recover()
            if self.is_finished and not self.replaces:
                raise UsageError(
                    f"{str(self.path)!r} holds a finished run. Choose another folder, or "
                    f"overwrite it.",
                    setting="run_dir",
                )
            try:
                yield
            except BaseException:
                if self.replaced_dir.is_dir() and not self.is_finished:
                    self._bring_back()
                raise

    @contextlib.contextmanager
    def added_to(self, digests: bytes | None = None) -> Iterator[None]:
        """Keeps other processes from writing into the folder while something is added to the run.

        It waits for those that add something to a finished run, too, but not for a training.

        Args:
            digests: `digests()` when the run was read, if it must be the same still.

        Raises:
            UsageError: If another process trains into the folder, or has done so meanwhile.
        """
        with locks.locked(self.path, seconds=_PATIENCE if self.is_finished else 0):
            if digests not in (None, self.digests()):
                raise UsageError(
                    f"{str(self.path)!r} holds another run than before: it was trained anew "
                    f"meanwhile. Nothing is kept of what was found out about the earlier one."
                )
            yield

    def digests(self) -> bytes:
        """Returns the checksums, which tell the run from a later one in the same folder."""
        return self.checksums_file.read_bytes() if self.checksums_file.is_file() else b""

    @property
    def is_begun(self) -> bool:
        """Whether the folder is that of a run, finished or not, whose files may be replaced.

        A person's folder may have a `pipeline.toml`, too, so a run must have another of its files,
        or nothing else if it was killed after the first one.
        """
        found, settings = list(self.path.iterdir()), self.pipeline_file
        if not settings.is_file():
            return found == [self.environment_file]
        others = [file for file in self._made()[0] if file != settings and file.is_file()]
        return bool(others) or (found == [settings] and "format" in read_toml(settings))

    @property
    def is_replaced(self) -> bool:
        """Whether there is a finished run that another training was to replace."""
        return self.replaced_dir.is_dir() or self.returning_dir.is_dir()

    def recover(self) -> None:
        """Brings a finished run back if the training that was to replace it was killed.

        Raises:
            UsageError: If that training is still at work.
        """
        if self.is_replaced:
            with locks.locked(self.path, "run_dir"):
                self._recover()

    def _recover(self) -> None:
        is_whole = (self.replaced_dir / self.metrics_file.name).is_file()
        has_model = self.is_finished or self.checkpoint_file.is_file()
        is_left = self.replaced_dir.is_dir() and not (is_whole and has_model)
        if is_left or self.returning_dir.is_dir():
            self._bring_back()

    def begin(self, goes_on: bool = False) -> None:
        """Removes what an earlier run has left, or only halves of files if the run `goes_on`.

        A finished run that is replaced is set aside, and comes back unless the new one is finished.
        """
        if self.replaces and self.is_finished:
            self._set_aside()
        self._remove(goes_on)

    def _made(self) -> tuple[list[Path], list[Path]]:
        """Returns the files and the folders that a run may have; the scores are the last file."""
        made = [
            self.pipeline_file, self.vocabulary_file, self.history_file, self.model_file,
            self.model_summary_file, self.environment_file, self.training_texts_file,
            self.checkpoint_file, self.behaviour_file, self.checksums_file, self.metrics_file,
        ]  # fmt: skip
        exports = [self.saved_model_dir.parent, self.path / ONNX, self.path / LITERT]
        return made, [self.plots_dir, self.logs_dir, *exports]

    def _remove(self, goes_on: bool) -> None:
        made, folders = self._made()
        for file in made:
            files.remove_partial(file)
            if not goes_on or file == self.checksums_file:  # the model will be another
                file.unlink(missing_ok=True)
        for folder in folders if not goes_on else ():
            shutil.rmtree(folder, ignore_errors=True)

    def _set_aside(self) -> None:
        """Moves the run into `replaced_dir`, the scores last: without them, it is not complete."""
        self._delete_replaced()
        self.replaced_dir.mkdir()
        made, folders = self._made()
        for path in (*folders, *made):
            if path.exists():
                path.rename(self.replaced_dir / path.name)

    def _bring_back(self) -> None:
        """Puts the run in `replaced_dir` back in place of what there is of another one.

        It moves through `returning_dir`: while there is one, what is in place is the run's own and
        must not be removed, however often this is interrupted.
        """
        if self.replaced_dir.is_dir():
            if (self.replaced_dir / self.metrics_file.name).is_file():
                self._remove(goes_on=False)
            self.replaced_dir.rename(self.returning_dir)
        for path in self.returning_dir.iterdir():
            path.rename(self.path / path.name)
        self.returning_dir.rmdir()

    def finish(self, metrics: Mapping[str, Any]) -> None:
        """Writes the checksums of what training made, and the scores, which make it finished."""
        self.seal()
        self.write_metrics(metrics)
        self._delete_replaced()

    def _delete_replaced(self) -> None:
        """Deletes `replaced_dir` in one step: half of it would be taken for a run to bring back."""
        if self.replaced_dir.is_dir():
            deleted = self.replaced_dir.with_name(".deleted")
            shutil.rmtree(deleted, ignore_errors=True)
            self.replaced_dir.rename(deleted)
            shutil.rmtree(deleted, ignore_errors=True)

    def seal(self) -> None:
        """Writes the checksums of what training made."""
        sealed = (
            self.pipeline_file, self.vocabulary_file, self.model_file, self.history_file,
            self.environment_file, self.training_texts_file,
        )  # fmt: skip
        names = [file.name for file in sealed if file.is_file()]
        files.write_checksums(self.checksums_file, self.path, names)

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Writes `metrics.json`."""
        files.write_sealed_json(self.metrics_file, {"format": METRICS_FORMAT, **metrics})

    def verify(self, *changed: Path) -> None:
        """Raises an `InputError` if a file, or one of those named, has changed since training."""
        needed = [file.name for file in (self.pipeline_file, self.vocabulary_file, self.model_file)]
        names = [file.name for file in changed] or None
        files.verify_checksums(self.checksums_file, self.path, needed, names)

    @property
    def is_finished(self) -> bool:
        """Whether training and evaluation are complete."""
        return self.metrics_file.is_file()

    @cached_property
    def pipeline(self) -> Pipeline:
        """The run's settings. A run of another version is read with one warning.

        If they have changed since training: `InputError`.
        """
        self.verify(self.pipeline_file)
        return load_saved(self.pipeline_file)

    def environment(self) -> dict[str, Any]:
        """Reads `environment.json`.

        Raises:
            InputError: If it is missing, damaged, or has changed since training.
        """
        self.verify(self.environment_file)
        found = files.read_json(self.environment_file)
        check_fields(found, _ENVIRONMENT, str(self.environment_file), _AGAIN)
        return found

    def history(self) -> History:
        """Reads `history.csv`.

        Raises:
            InputError: If it is missing, damaged, or has changed since training.
        """
        self.verify(self.history_file)
        has_settings = self.pipeline_file.is_file()
        monitor = self.pipeline.training.monitor if has_settings else "accuracy"
        return read_history(self.history_file, monitor)

    def sources(self) -> dict[str, Any]:
        """Returns what the run learned from besides its data, as `environment.json` has it."""
        names = ("vectors", "language_model", "pseudo_labels", "earlier_run", "members")
        about = self.environment()
        return {name: about[name] for name in names if about.get(name)}

    def metrics(self) -> dict[str, Any]:
        """Reads `metrics.json`; empty for a run that is not finished.

        Raises:
            InputError: If it is damaged, has changed since it was written, or has another format.
        """
        if not self.is_finished:
            return {}
        metrics = files.read_sealed_json(self.metrics_file)
        place = str(self.metrics_file)
        if metrics.get("format", METRICS_FORMAT) != METRICS_FORMAT:
            raise InputError(other_format(place, METRICS_FORMAT, metrics["format"]))
        check_fields(metrics, _METRICS, place, _AGAIN)
        for split in ("dev", "test"):
            scores = metrics[split]
            size = len(scores["class_names"])
            widths = [len(row) for row in scores["confusion_matrix"]]
            if widths != [size] * size or len(scores["per_class"]) != size:
                raise InputError(f"{place}: expected {size} classes on {split}. {_AGAIN}")
        return metrics

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, lowest first; empty if unknown. Those of an early run are in its scores."""
        return self.pipeline.data.labels or tuple(
            self.metrics().get("test", {}).get("class_names", ())
        )

    def training_texts(self) -> np.ndarray:
        """Returns uint64[texts], the keys of what the run was trained on; empty if unknown."""
        import numpy as np

        if not self.training_texts_file.is_file():  # a run of an earlier version
            return np.empty(0, np.uint64)
        self.verify(self.training_texts_file)
        try:
            return files.read_array(self.training_texts_file)
        except InputError as error:
            raise InputError(f"{error} Delete it.") from None

    def summary(self) -> dict[str, Any]:
        """Returns the run's name, main settings and main scores."""
        pipeline, metrics = self.pipeline, self.metrics()
        return {
            "run": self.name,
            "path": str(self.path),
            "pipeline": pipeline.name,
            "dataset": pipeline.data.dataset,
            "vectors": [Path(name).name for name in pipeline.embedding.vectors],
            "seed": pipeline.training.seed,
            "finished": self.is_finished,
            **{name: metrics.get(name) for name in ("epochs", "best_epoch", "seconds")},
            **{
                split: {name: metrics[split][name] for name in _SCORES}
                for split in ("dev", "test")
                if split in metrics
            },
        }

    @classmethod
    def find(cls, path: str | Path) -> Self:
        """Returns the run at `path` or `saved_models/<path>`. If it is missing: `UsageError`.

        Nothing is recovered, because a training may be at work: not all file systems have locks.
        """
        runs = [cls(folder) for folder in places(path) if folder.is_dir()]
        runs.sort(key=lambda run: not run.pipeline_file.is_file())  # runs first
        if runs:
            if not runs[0].pipeline_file.is_file() and runs[0].is_replaced:
                raise UsageError(
                    f"{str(path)!r} is being replaced, or was until that training was killed. "
                    f"`sst-keras train --run-dir {shlex.quote(str(runs[0].path))}` brings it back."
                )
            return runs[0]
        raise UsageError(
            f"There is no run {str(path)!r}. `sst-keras runs` lists those below {RUNS_DIR}/."
        )


def places(path: str | Path) -> tuple[Path, Path]:
    """Returns the folders that a run's name or path can mean: as it is, and below `saved_models/`.

    The same holds for language models and pseudo-labels.
    """
    return Path(path), RUNS_DIR / path


def is_run(path: str | Path) -> bool:
    """Returns whether there is a run of `sst-keras train` at `path` or `saved_models/<path>`."""
    return any(RunDirectory(folder).pipeline_file.is_file() for folder in places(path))


def find_export(path: str | Path) -> Path | None:
    """Returns the exported SavedModel at `path` or `saved_models/<path>`; None if there is none.

    Of a folder with numbered versions, it is the newest. `small` ships with the package.
    """
    for folder in model_places(path):
        for place in (folder, *reversed(versions_in(folder))):
            if (place / "saved_model.pb").is_file():
                return place
    return None


def model_places(path: str | Path) -> list[Path]:
    """Returns the folders that a model's name or path can mean, in the order of search."""
    own = [bundled(SMALL)] if str(path) == SMALL else []
    return [*places(path), *own]


def versions_in(folder: Path) -> list[Path]:
    """Returns the exported SavedModels of a folder that are named by numbers, in their order."""
    numbered = [each for each in folder.glob("*/") if each.name.isdecimal()]
    numbered.sort(key=lambda each: int(each.name))
    return [each for each in numbered if (each / "saved_model.pb").is_file()]


def new_run(
    pipeline: Pipeline,
    path: str | Path | None = None,
    overwrite: bool = False,
    sources: Collection[str | Path] = (),
) -> RunDirectory:
    """Makes the folder of a new run, or returns one that a training may go on in or replace.

    Nothing that is there is changed: `RunDirectory.begin` does that once the training has its data.
    But a finished run comes back that a killed training was to replace.

    Args:
        pipeline: The run's settings; its name and seed become part of the folder's name.
        path: The run's folder; None for a new one below `saved_models/`.
        overwrite: Whether a run at `path` that is finished or has a checkpoint is to be replaced.
        sources: Runs that the new one is made of, besides those that the settings name.

    Raises:
        UsageError: If `path` holds a finished run, files that are not a run's, or one of what the
            run starts or learns from, or if another process trains into it.
    """
    if path is None:
        folder = RUNS_DIR / pipeline.name
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise UsageError(
                f"expected a folder for runs. Received a file, or a link to nothing: "
                f"{error.filename!r}. Remove it, or choose another folder.",
                setting="run_dir",
            ) from None
        stem = f"{time.strftime('%Y%m%d-%H%M%S')}-seed{pipeline.training.seed}"
        for number in itertools.count(1):
            run = RunDirectory(folder / (f"{stem}-{number}" if number > 1 else stem))
            with contextlib.suppress(FileExistsError):
                run.path.mkdir()
                return run
    run, problem = RunDirectory(Path(path), replaces=overwrite), None
    sources = (pipeline.model.init, pipeline.data.pseudo_labels, *sources)
    made_from = {place.resolve() for name in sources if name for place in places(name)}
    run.recover()
    if run.is_finished:
        run.checkpoint_file.unlink(missing_ok=True)  # if it was killed before it did that
    if run.path.exists() and not run.path.is_dir():
        problem = f"expected a folder. Received a file: {str(path)!r}"
    elif run.path.resolve() in made_from:
        problem = f"{str(path)!r} is what the new run is made from. Choose another folder."
    elif run.is_finished and not overwrite:
        problem = f"{str(path)!r} holds a finished run. Choose another folder, or overwrite it."
    elif run.path.exists() and any(run.path.iterdir()) and not run.is_begun:
        problem = f"{str(path)!r} holds files but no run. Choose a new or empty folder."
    if problem:
        raise UsageError(problem, setting="run_dir")
    run.path.mkdir(parents=True, exist_ok=True)
    return run


def lasting_name(path: Path) -> str:
    """Returns what finds a folder from anywhere: its name below `saved_models/` or its path."""
    path, folder = path.resolve(), RUNS_DIR.resolve()
    return path.relative_to(folder).as_posix() if folder in path.parents else str(path)


def open_run(path: RunDirectory | str | Path) -> RunDirectory:
    """Returns the run at `path`. A missing run or one without a model raises a `UsageError`."""
    run = path if isinstance(path, RunDirectory) else RunDirectory.find(path)
    if (run.path / "saved_model.pb").is_file():
        raise UsageError(
            f"{str(run.path)!r} is an exported SavedModel, which `sst-keras predict` takes. "
            f"Expected a run's folder, which has {run.model_file.name}."
        )
    files_needed = (run.model_file, run.pipeline_file, run.vocabulary_file)
    if missing := [file.name for file in files_needed if not file.is_file()]:
        raise UsageError(
            f"{str(run.path)!r} is not a trained run: it has no {', '.join(missing)}. `sst-keras "
            f"runs` lists the runs, `sst-keras train` makes one."
        )
    return run


def check_folder(
    about_file: Path, about: Mapping[str, Any], what: str, setting: str, names: Collection[str] = ()
) -> None:
    """Checks that a folder is new, or has what was begun there with the same settings.

    Args:
        about_file: The JSON file in the folder that says what is there: key → value, or table
            → key → value.
        about: What it will say, with its `format`.
        what: What should be there, such as `a language model`.
        setting: The setting that names the folder, for error messages.
        names: The keys that may differ.

    Raises:
        UsageError: If the folder is a file, has other files, or other settings.
        InputError: If its JSON file is damaged or has another format.
    """
    folder = about_file.parent
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"expected a folder. Received a file: {str(folder)!r}", setting=setting)
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not about_file.is_file():
        raise UsageError(
            f"{str(folder)!r} holds files, but not {what}. Choose a new or empty folder.",
            setting=setting,
        )
    found = files.read_sealed_json(about_file)
    if found.get("format") != about["format"]:
        raise InputError(other_format(about_file, about["format"], found.get("format")))
    before, planned = _flat(found), _flat(json.loads(json.dumps(about)))
    differences = [
        f"{name} is {before.get(name)!r}, not {planned.get(name)!r}"
        for name in {**before, **planned}
        if before.get(name) != planned.get(name) and name not in names
    ]
    if differences:
        raise UsageError(
            f"{str(folder)!r} holds {what} with other settings: {'; '.join(differences)}. Choose "
            f"another folder, or delete this one.",
            setting=setting,
        )


def _flat(about: Mapping[str, Any]) -> dict[str, Any]:
    tables = {name: table for name, table in about.items() if isinstance(table, Mapping)}
    rest = {name: value for name, value in about.items() if name not in tables}
    return rest | {f"{name}.{key}": table[key] for name, table in tables.items() for key in table}


def find_runs(folder: str | Path = RUNS_DIR) -> Iterator[RunDirectory]:
    """Returns the runs below a folder, finished or not, sorted by name."""
    return map(RunDirectory, files.folders_with(_PIPELINE, folder))
