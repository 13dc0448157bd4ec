"""Runs the experiments of a sweep that have no record yet, and writes a record for each run.

To continue a sweep that was stopped, run the jobs that `pending_jobs` returns.
"""

import contextlib
import dataclasses
import errno
import logging
import os
import platform
import re
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sst_keras.config import with_settings
from sst_keras.engines.local import JobError, Machine, cores
from sst_keras.errors import InputError, UsageError
from sst_keras.experiments.records import (
    RunKey,
    RunRecord,
    Scores,
    differing_settings,
    recorded_settings,
    write_record,
)
from sst_keras.experiments.sweep import Experiment
from sst_keras.locks import scratch_folder
from sst_keras.registration import check_backend
from sst_keras.settings import READING, DataConfig, Pipeline, is_read

if TYPE_CHECKING:
    from sst_keras.corpora import Corpus
    from sst_keras.engines.ray import Cluster

Job = tuple[Experiment, int]  # and a seed

_FULL = os.strerror(errno.ENOSPC)
_SAME_VERSION = "Install the same version on every node."
_READING = ("dataset", *READING)  # what says how a data set is read
# What a run may learn or start from, in its environment.
_EARLIER = ("language_model", "pseudo_labels", "earlier_run")
# The columns of a history that a record keeps; the others are times and learning rates.
_CURVES = ("epoch", "loss", "accuracy", "dev_loss", "dev_accuracy")


def pending_jobs(
    jobs: Iterable[Job], records: Mapping[RunKey, RunRecord], retry: bool = False
) -> list[Job]:
    """Returns the jobs without a record and, to `retry` them, those that failed.

    Raises:
        UsageError: If a record of one of the jobs has other settings, or is another sweep's. If
            jobs are pending, and a record is of another backend of Keras than `KERAS_BACKEND`.
    """
    pending = []
    sweeps = {key.sweep for key in records}
    for experiment, seed in jobs:
        if others := sweeps - {experiment.sweep}:
            raise UsageError(
                f"expected records of the sweep {experiment.sweep}. Received those of "
                f"{', '.join(others)}. Choose another folder.",
                setting="records",
            )
        record = records.get(experiment.key(seed))
        if record is None or (retry and record.error is not None):
            pending.append((experiment, seed))
            continue
        planned, recorded = recorded_settings(experiment.pipeline), record.settings
        differences = ", ".join(
            f"{name} is {recorded.get(name)!r}, not {planned.get(name)!r}"
            for name in differing_settings(planned, recorded)
        )
        if differences:
            raise UsageError(
                f"the record of {record.key} has other settings: {differences}. Choose another "
                f"folder, or delete the record to run it again.",
                setting="records",
            )
    if pending:
        _check_backend(records)
    return pending


def _check_backend(records: Mapping[RunKey, RunRecord]) -> None:
    here = check_backend()
    found = {record.backend: record for record in records.values() if record.backend}
    if len(found) > 1:
        raise UsageError(
            f"there are records that were computed by {' and by '.join(sorted(found))}. Choose "
            f"another folder.",
            setting="records",
        )
    for name, record in found.items():
        if name != here:
            raise UsageError(
                f"the record of {record.key} was computed by {name}, and this command computes by "
                f"{here}. Set KERAS_BACKEND={name}, or choose another folder.",
                setting="records",
            )


def data_sets(
    jobs: Iterable[Job], data_dir: str | Path | None = None
) -> "Iterator[tuple[DataConfig, Corpus]]":
    """Yields how a data set of jobs is read, and the data set, in the order of the jobs.

    Phrases are left out. They take long to read, and are of the same sentences.

    Raises:
        InputError: If a data set cannot be read.
    """
    from sst_keras.corpora import load_corpus

    ways = [
        DataConfig(**{name: getattr(experiment.pipeline.data, name) for name in _READING})
        for experiment, _ in jobs
    ]
    for data in dict.fromkeys(ways):
        yield data, load_corpus(data, data_dir)


def check_data(
    jobs: Iterable[Job], records: Mapping[RunKey, RunRecord], data_dir: str | Path | None = None
) -> None:
    """Checks that the data sets of jobs have not changed since the records were written.

    Raises:
        InputError: If a data set cannot be read.
        UsageError: If one has changed.
    """
    known = {
        _reading(record.settings): record for record in records.values() if record.data_fingerprint
    }
    if not known:
        return
    for data, corpus in data_sets(jobs, data_dir):
        if data.dataset == "auto":
            data = dataclasses.replace(data, dataset=corpus.name)
        record = known.get(_reading(recorded_settings(Pipeline(data=data))))
        if record and record.data_fingerprint != corpus.fingerprint():
            raise UsageError(
                f"{corpus.name} has changed since the record of {record.key} was written. Choose "
                f"another folder, or restore the data.",
                setting="records",
            )


def _reading(settings: Mapping[str, Any]) -> tuple:
    values = (settings.get(f"data.{name}") for name in _READING)
    return tuple(tuple(value) if isinstance(value, list) else value for value in values)


def equal_experiments(jobs: Iterable[Job]) -> list[tuple[Experiment, Experiment]]:
    """Returns pairs of experiments that differ only in settings that their model does not read."""
    known: dict[tuple, Experiment] = {}
    found = []
    for experiment in dict.fromkeys(experiment for experiment, _ in jobs):
        settings = experiment.pipeline.settings()
        read = tuple((name, value) for name, value in settings.items() if is_read(name, settings))
        read += (("dev_checks", experiment.dev_checks),)
        if (other := known.setdefault(read, experiment)) is not experiment:
            found.append((other, experiment))
    return found


def check_sources(jobs: Iterable[Job], data_dir: str | Path | None = None) -> None:
    """Checks that data sets, vectors and earlier runs are there: not every run must fail.

    Raises:
        InputError: If one cannot be found.
    """
    from sst_keras.datasets.sst5 import source
    from sst_keras.experiments.shipping import vectors_of
    from sst_keras.pretrained import LanguageModelRun
    from sst_keras.pseudo_labels import PseudoLabels
    from sst_keras.runs import is_run, open_run
    from sst_keras.vectors import sets

    pipelines = [experiment.pipeline for experiment, _ in jobs]
    for name in vectors_of(pipelines):
        sets.find_vectors(name, data_dir)
    for name in {pipeline.model.init for pipeline in pipelines} - {""}:
        open_run(name) if is_run(name) else LanguageModelRun.find(name)
    for name in {pipeline.data.pseudo_labels for pipeline in pipelines} - {""}:
        PseudoLabels.find(name)
    for name in {pipeline.data.dataset for pipeline in pipelines}:
        if name == "sst5" and not source.is_available(data_dir):
            raise source.unavailable(data_dir)
        if name == "sst5" and data_dir and source.locate(data_dir) is None:
            source.require(data_dir)
        if name not in ("sst5", "sample", "auto") and not Path(name).exists():
            raise UsageError(
                f"expected a data set. There is no file or folder {name!r}. Correct the path.",
                setting="data.dataset",
            )


def seconds_left(
    pending: Sequence[Job], records: Iterable[RunRecord], processes: int
) -> float | None:
    """Estimates how many seconds the pending jobs take; None if no run has finished yet.

    The estimate of a job is the median time of the finished runs of its row and variant. Without
    any, it is the job's number of epochs times the mean time per epoch of all finished runs.
    """
    finished = [record for record in records if record.error is None]
    if not finished:
        return None
    times: dict[tuple, list[float]] = {}
    for record in finished:
        times.setdefault(record.key[:3], []).append(record.seconds)
    per_epoch = sum(record.seconds for record in finished) / sum(run.epochs for run in finished)
    estimates = []
    for experiment, seed in pending:
        own = times.get(experiment.key(seed)[:3])
        epochs = experiment.pipeline.training.epochs
        estimates.append(statistics.median(own) if own else per_epoch * epochs)
    return sum(estimates) / processes


def run_sweep(
    jobs: Sequence[Job],
    folder: str | Path,
    engine: "Machine | Cluster",
    data_dir: str | Path | None = None,
    keep: str | Path | None = None,
) -> Iterator[RunRecord]:
    """Runs jobs and yields each one's record as soon as it is written to the folder.

    If this process is killed, only the runs in progress are lost, and not even these if runs are
    kept. A run that fails, or whose process dies, is recorded with its `error`.

    Args:
        jobs: Experiments and seeds. Existing records of them are replaced.
        folder: The folder of records.
        engine: Where the runs are.
        data_dir: As `locations.data_dirs` takes it, where the runs are.
        keep: The folder below which the runs' own files stay, in folders that are named like the
            records; None to keep none.
    """
    if not jobs:
        return
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    at_once = min(engine.slots, len(jobs))
    with scratch_folder() as scratch:
        work = partial(run_job, data_dir=data_dir, processes=at_once, keep=keep)
        if isinstance(engine, Machine):  # which removes what killed jobs leave
            work = partial(work, folder=scratch)
        else:
            work = elsewhere(partial(work, cpus=engine.cpus))
        with contextlib.closing(engine.run(jobs, work)) as results:
            for (experiment, seed), record in results:
                if isinstance(record, JobError):
                    check_reason(experiment.key(seed), record)
                    record = RunRecord(
                        experiment.key(seed),
                        recorded_settings(experiment.pipeline) | {"training.seed": seed},
                        record.seconds,
                        _now(),
                        jobs=at_once,
                        cores=engine.cpus,
                        error=_without_paths(str(record)),
                    )
                write_record(folder, record)
                yield record


def check_reason(job: object, error: JobError) -> None:
    """Raises an `InputError` if a job failed for a reason that has nothing to do with it.

    It would make others fail, too: a full disk, or a node with another version of the package.
    """
    if _FULL in str(error):
        raise InputError(
            f"{job} stopped: {error}. Free some space, and give the same command again."
        )
    if _SAME_VERSION in str(error):
        raise InputError(f"{job} stopped: {error} Then give the same command again.")


def elsewhere(work: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Returns what does the same on another machine, if that has this version of the package."""
    return partial(_run_elsewhere, work=work, version=metadata.version("sst-keras"))


def _run_elsewhere(job: Any, work: Callable[[Any], Any], version: str) -> Any:
    if (here := metadata.version("sst-keras")) != version:
        raise UsageError(
            f"{platform.node()} has sst_keras {here}, and the command has {version}. "
            f"{_SAME_VERSION}"
        )
    return work(job)


def run_job(
    job: Job,
    folder: Path | None = None,
    data_dir: str | Path | None = None,
    processes: int = 1,
    keep: str | Path | None = None,
    cpus: int | None = None,
) -> RunRecord:
    """Trains one experiment with one seed and returns its record.

    The run's files are in a temporary folder, in `folder` if that is given, or stay below `keep`.
    There, a training that was killed goes on. The record states that `processes` runs were in
    progress, and the job had `cpus` cores, by default all that the process may use. Whatever
    `training.train` raises passes.
    """
    from sst_keras.runs import RunDirectory, new_run
    from sst_keras.training import train

    logging.getLogger("sst_keras").addHandler(logging.NullHandler())  # the parent reports errors
    experiment, seed = job
    pipeline = with_settings(experiment.pipeline, {"training.seed": seed})
    with contextlib.ExitStack() as stack:
        if keep:
            place = experiment.key(seed).file(Path(keep)).with_suffix("")
        else:
            place = stack.enter_context(scratch_folder(folder)) / "run"
        # A finished run without a record lacks the scores of its last epoch.
        kept = RunDirectory(place)
        kept.recover()
        run = new_run(pipeline, place, overwrite=kept.is_finished)
        result = train(pipeline, run, data_dir, dev_checks=experiment.dev_checks)
        environment = result.run.environment()
    epochs = result.history.rows[-1]["epoch"]
    columns = result.checks[0] if result.checks else ()
    checks = {name: [row[name] for row in result.checks] for name in columns}

    def scores(epoch: float, found: Mapping) -> Scores:
        dev, test = found["dev"].metrics, found["test"].metrics
        polarity = test.polarity_accuracy if found["test"].ordered else None
        return Scores(epoch, dev.accuracy, test.accuracy, test.confusion_matrix, polarity)

    return RunRecord(
        key=experiment.key(seed),
        settings=recorded_settings(pipeline, result.pipeline),
        seconds=result.seconds,
        ended=_now(),
        jobs=processes,
        cores=cpus or cores(),
        epochs=epochs,
        last=scores(epochs, result.last),
        best=scores(result.best_epoch, result.best),
        commit=environment["git_commit"],
        versions=environment["versions"],
        data_fingerprint=environment["data_fingerprint"],
        class_names=tuple(result.best["test"].class_names),
        history={name: result.history.column(name) for name in _CURVES},
        checks=checks or None,
        learned_from={
            name: environment[name]["fingerprint"] for name in _EARLIER if name in environment
        },
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _without_paths(message: str) -> str:
    """Returns a message with each absolute path cut to its last part."""
    return re.sub(r"(?<![\w.:/~])~?/(?:[^\s/'\":,]+/)+", "", message)
