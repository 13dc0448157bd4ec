"""Many pipelines × seeds → a file of records, in several processes, stopped and gone on at will.

Each process runs one experiment after the other, and has cores of its own: on a CPU two small
models side by side, a core each, are done sooner than one after the other on both cores.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import multiprocessing
import os
import re
import shutil
import signal
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from sst_keras.errors import UsageError
from sst_keras.experiments.records import RecordsFile
from sst_keras.experiments.sweep import Experiment

Job = tuple[Experiment, int]  # and a seed
Record = dict[str, Any]

# Of a history; the others are times and rates.
_CURVES = ("epoch", "loss", "accuracy", "dev_loss", "dev_accuracy")


def pending_jobs(jobs: Sequence[Job], records: Sequence[Record]) -> list[Job]:
    """Returns the jobs that no record is of.

    Raises:
        UsageError: If a record is of the same row and seed, but of other settings.
    """
    done = {(record["pipeline"], record["variant"], record["seed"]): record for record in records}
    pending = []
    for experiment, seed in jobs:
        record = done.get((experiment.row, experiment.variant, seed))
        if record is None:
            pending.append((experiment, seed))
        elif record["settings"] != recorded_settings(experiment):
            old, new = record["settings"], recorded_settings(experiment)
            differing = [key for key in old | new if old.get(key) != new.get(key)]
            raise UsageError(
                f"The records have {experiment.pipeline.name}, seed {seed}, with other settings "
                f"({', '.join(differing)}). Give another file with --records, or take those lines "
                f"out of this one."
            )
    return pending


def check_sources(jobs: Sequence[Job], data_dir: str | Path | None = None) -> None:
    """Makes sure that the data sets and word vectors that jobs name can be had.

    What is missing would fail each of them, one after the other.

    Raises:
        UsageError: If one cannot.
    """
    from sst_keras.datasets.sst5 import source
    from sst_keras.vectors import sets as embeddings

    pipelines = [experiment.pipeline for experiment, _ in jobs]
    for name in {name for pipeline in pipelines for name in pipeline.embedding.vectors}:
        if name not in ("auto", "none"):
            embeddings.find_vectors(name, data_dir)
    for name in {pipeline.data.dataset for pipeline in pipelines}:
        if name == "sst5" and not source.is_available(data_dir):
            raise UsageError(
                "SST-5 cannot be had: it is not at hand, and its address does not answer. Get it "
                "by `sst-keras data fetch`, or name the folder that has it with --data-dir."
            )
        if name not in ("sst5", "sample", "auto") and not Path(name).exists():
            raise UsageError(f"data.dataset: there is no {name!r}. Correct the path.")


def recorded_settings(experiment: Experiment) -> dict[str, Any]:
    """Returns what an experiment's settings change in the defaults, as a record has it."""
    return {key: _plain(value) for key, value in experiment.pipeline.changes().items()}


def seconds_left(pending: Sequence[Job], records: Sequence[Record], processes: int) -> float | None:
    """Guesses how long the jobs will take, in seconds; None while there is nothing to go by.

    A job takes what others of its row and variant took; else its epochs' share of what an epoch
    took in all.
    """
    finished = [record for record in records if "error" not in record]
    if not finished:
        return None
    known: dict[tuple, list[float]] = {}
    for record in finished:
        known.setdefault((record["pipeline"], record["variant"]), []).append(record["seconds"])
    epoch = sum(record["seconds"] for record in finished) / sum(r["epochs"] for r in finished)
    total = 0.0
    for experiment, _ in pending:
        times = known.get((experiment.row, experiment.variant))
        total += statistics.median(times) if times else epoch * experiment.pipeline.training.epochs
    return total / processes


def reproduce(
    jobs: Sequence[Job],
    file: RecordsFile,
    processes: int = 1,
    data_dir: str | Path | None = None,
    prepare: Callable[[], None] | None = None,
) -> Iterator[Record]:
    """Runs the jobs that the file has no record of, and yields each one's record.

    A record is on the disk before it is given out, so that a kill loses the runs under way alone.
    A run that fails, or takes its process with it, is recorded with its `error`.

    Args:
        jobs: Experiments and seeds.
        file: Where the records are, and go; open.
        processes: How many runs go on at a time.
        data_dir: The folder that has `sst/` and `vectors/`, in place of the environment's.
        prepare: What each process calls first: a function that can be imported.

    Raises:
        UsageError: If the file has a job with other settings.
    """
    pending = deque(pending_jobs(jobs, file.records))
    scratch = file.path.with_name(f".{file.path.name}.runs")
    shutil.rmtree(scratch, ignore_errors=True)  # what a kill left
    cores = _shares(processes)
    workers: dict[Connection, _Worker] = {}
    try:
        for number in range(min(processes, len(pending))):
            worker = _Worker(cores[number], processes, data_dir, scratch, prepare)
            worker.give(pending.popleft())
            workers[worker.connection] = worker
        while workers:
            for connection in wait(list(workers)):
                worker = workers.pop(connection)
                try:
                    record = worker.connection.recv()
                except (EOFError, ConnectionError):  # the process is gone: out of memory, perhaps
                    record = worker.lost()
                    if pending:
                        worker = _Worker(worker.cores, processes, data_dir, scratch, prepare)
                if pending:
                    worker.give(pending.popleft())
                    workers[worker.connection] = worker
                else:
                    worker.end()
                file.append(record)
                yield record
    finally:
        for worker in workers.values():
            worker.end()
        shutil.rmtree(scratch, ignore_errors=True)


def _shares(processes: int) -> list[list[int]]:
    """Returns each process's cores; empty lists where the system does not tell, or has too few."""
    if not hasattr(os, "sched_getaffinity"):
        return [[] for _ in range(processes)]
    cores = sorted(os.sched_getaffinity(0))
    return [cores[number::processes] for number in range(processes)]


class _Worker:
    """A process that runs jobs.

    Attributes:
        cores: The numbers of its cores; empty for any.
        connection: Where its records come from.
        job: What it is at.
    """

    def __init__(self, cores: list[int], processes: int, *arguments: Any) -> None:
        """Starts the process."""
        # A new interpreter: TensorFlow does not outlive a fork.
        context = multiprocessing.get_context("spawn")
        self.cores = cores
        self.connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, cores, processes, *arguments), daemon=True
        )
        self._process.start()
        theirs.close()  # so that the end of the process is the end of the connection

    def give(self, job: Job) -> None:
        """Gives the process a job."""
        self.job = job
        self._started = time.perf_counter()
        with contextlib.suppress(ConnectionError):  # what reads from it finds the process gone
            self.connection.send(job)

    def lost(self) -> Record:
        """Returns the record of a job that its process did not outlive."""
        self._process.join()
        code = self._process.exitcode
        seconds = time.perf_counter() - self._started
        return _head(*self.job) | {
            "seconds": seconds,
            "error": f"The process ended with code {code}, without a word.",
        }

    def end(self) -> None:
        """Ends the process, whatever it is at."""
        self._process.kill()
        self._process.join()


def _serve(
    connection: Connection,
    cores: list[int],
    processes: int,
    data_dir: str | Path | None,
    scratch: Path,
    prepare: Callable[[], None] | None,
) -> None:
    """Runs jobs until the other end is closed: what a process of its own does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    threading.Thread(target=_end_with_parent, daemon=True).start()
    logging.getLogger("sst_keras").addHandler(logging.NullHandler())
    # It warns of a function traced anew for each model, which is what many runs a process are.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    if cores:
        os.sched_setaffinity(0, cores)
    if prepare is not None:
        prepare()
    for number in itertools.count():
        try:
            experiment, seed = connection.recv()
        except EOFError:
            return
        folder = scratch / f"{os.getpid()}-{number}"
        try:
            record = run_job(experiment, seed, folder, data_dir)
            ended = datetime.now(UTC).isoformat(timespec="seconds")
            record |= {"ended": ended, "jobs": processes, "cores": len(cores) or os.cpu_count()}
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        connection.send(record)


def _end_with_parent() -> None:
    """Ends this process as soon as the one that started it is gone, however it went."""
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def run_job(
    experiment: Experiment, seed: int, folder: Path, data_dir: str | Path | None = None
) -> Record:
    """Trains one experiment with one seed, and returns its record, an `error` in it if it failed.

    Args:
        experiment: The experiment.
        seed: The seed.
        folder: Where the run's files go.
        data_dir: The folder that has `sst/` and `vectors/`, in place of the environment's.
    """
    import keras

    from sst_keras.config import with_setting
    from sst_keras.runs import new_run
    from sst_keras.training import train

    pipeline = experiment.pipeline
    for key, value in (("seed", seed), ("score_last", True)):
        pipeline = with_setting(pipeline, "training", key, value)
    started = time.perf_counter()
    keras.utils.clear_session()
    try:
        result = train(pipeline, new_run(pipeline, folder), data_dir)
        history = _history(result.run.history_file)
        environment = result.run.environment()
    except Exception as error:  # a failed run stops no sweep; its record says why
        message = _without_paths(f"{type(error).__name__}: {error}")
        seconds = time.perf_counter() - started
        return _head(experiment, seed) | {"seconds": seconds, "error": message}
    return _head(experiment, seed) | {
        "epochs": result.epochs,
        "best_epoch": result.best_epoch,
        "dev": result.last_dev.metrics.accuracy,
        "test": result.last_test.metrics.accuracy,
        "dev_at_best": result.dev.metrics.accuracy,
        "test_at_best_dev": result.test.metrics.accuracy,
        "seconds": result.seconds,
        "commit": environment["git_commit"],
        "versions": environment["versions"],
        "dataset": Path(result.pipeline.data.dataset).name,
        "data_fingerprint": environment["data_fingerprint"],
        "vectors": list(result.pipeline.embedding.vectors),
        "class_names": list(result.test.class_names),
        "confusion_matrix": result.last_test.metrics.confusion_matrix,
        "confusion_matrix_at_best": result.test.metrics.confusion_matrix,
        "history": history,
        "checks": {key: [row[key] for row in result.checks] for key in result.checks[0]}
        if result.checks
        else None,
    }


def _head(experiment: Experiment, seed: int) -> Record:
    """Returns what a record begins with: which run it is."""
    return {
        "pipeline": experiment.row,
        "tag": experiment.tag,
        "variant": experiment.variant,
        "seed": seed,
        "settings": recorded_settings(experiment),
    }


def _history(path: Path) -> dict[str, list[float]]:
    """Returns the curves of a run's history."""
    from sst_keras.history import read_history

    history = read_history(path)
    return {name: history.column(name) for name in _CURVES}


def _plain(value: Any) -> Any:
    """Returns a setting's value as JSON reads it back, a path as its last part."""
    if isinstance(value, (tuple, list)):
        return [_plain(entry) for entry in value]
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def _without_paths(message: str) -> str:
    """Returns a message with the last part of each absolute path, which is all that matters."""
    return re.sub(r"(?<![\w.:/~])~?/(?:[^\s/'\":,]+/)+", "", message)
