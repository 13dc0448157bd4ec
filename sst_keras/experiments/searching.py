"""Searches for the settings that do best on dev, by Optuna.

Akiba et al., "Optuna: A Next-generation Hyperparameter Optimization Framework", KDD 2019. Settings
are drawn by its tree-structured Parzen estimator (Bergstra et al., "Algorithms for Hyper-Parameter
Optimization", NeurIPS 2011). A trial that is below the median of earlier ones is stopped early.

The trials of a batch run at the same time. Each is drawn with a seed of its own from the trials of
earlier batches, and known to nothing else. So the same search makes the same trials, however long
each takes and however often it is killed. Optuna's own storages do not promise that, because they
draw from what has ended by then; so the trials are kept in a file of ours, a line each.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sst_keras import files
from sst_keras.config import with_settings
from sst_keras.engines.local import JobError, Machine
from sst_keras.errors import InputError, UsageError
from sst_keras.experiments import sweep as sweeps
from sst_keras.experiments.running import (
    Job,
    check_reason,
    data_sets,
    elsewhere,
    pending_jobs,
    run_sweep,
)
from sst_keras.experiments.sweep import Experiment, Sweep
from sst_keras.fields import Kind, OneOf, Range, check_fields
from sst_keras.history import SCORES
from sst_keras.locks import scratch_folder
from sst_keras.registration import check_backend
from sst_keras.settings import Pipeline

if TYPE_CHECKING:
    from sst_keras.engines.ray import Cluster
    from sst_keras.experiments.records import RunKey, RunRecord

TRIALS, BEST = "trials.jsonl", "best.toml"
_FORMAT = 1  # of that file
_MOST_AT_A_TIME = 8  # trials of a new search
_UNPRUNED = 5  # trials that end before any is stopped early
_FIRST_JUDGED = 2  # check by whose score a trial may be stopped; its first one says little
_SEEDS = 1_000_003  # keeps the random numbers of trials and of searches apart
_ADDED = ("backend", "data")  # to the first line; files of earlier versions lack them
_MOST = 10**6  # trials
# Settings whose values name files.
_NAMES_OF_FILES = ("data.dataset", "data.pseudo_labels", "embedding.vectors", "model.init")
_FIELDS = {
    "number": Range(0, _MOST), "drawn": dict, "scores": [float], "is_pruned": bool, "error": str,
}  # fmt: skip
_ANEW = "Delete the file to start anew."


@dataclass(frozen=True)
class Trial:
    """Settings that were tried.

    Attributes:
        number: The number, from 0.
        drawn: Setting → value, of those that are searched. A choice is named by its label.
        scores: The score on dev at each check.
        is_pruned: Whether it was stopped early.
        error: Why it failed.
    """

    number: int
    drawn: Mapping[str, Any]
    scores: tuple[float, ...] = ()
    is_pruned: bool = False
    error: str = ""

    def score(self, lower_is_better: bool) -> float | None:
        """Returns the best score on dev; None if the trial failed."""
        scores = [score for score in self.scores if math.isfinite(score)]
        if self.error or not scores:
            return None
        return min(scores) if lower_is_better else max(scores)


@dataclass(frozen=True)
class Search:
    """A search, and the folder that has its trials.

    Attributes:
        sweep: A sweep with ranges.
        folder: Where `trials.jsonl` is.
        seed: That of the draws. Each training has the pipeline's own.
        batch: How many trials are drawn at a time; None for that of the file, or else 1.
        data: What tells the data sets from others; empty if that is not known.
    """

    sweep: Sweep
    folder: Path
    seed: int = 1
    batch: int | None = None
    data: str = ""

    @property
    def lower_is_better(self) -> bool:
        """Whether the score on dev is a loss."""
        return self.sweep.experiments[0].pipeline.training.monitor == "loss"

    def drawn_together(self) -> int:
        """Returns how many trials are drawn at a time, which the file may say.

        Raises:
            InputError: If the file is damaged.
            UsageError: If it has the trials of another search.
        """
        return self._read()[0]

    def best(self, trials: Sequence[Trial]) -> Trial:
        """Returns the trial with the best score; of several, the first.

        Raises:
            InputError: If all trials failed.
        """
        sign = 1 if self.lower_is_better else -1
        scored = [trial for trial in trials if trial.score(self.lower_is_better) is not None]
        if not scored:
            reason = f" The first: {trials[0].error}" if trials else ""
            raise InputError(f"all {len(trials)} trials failed.{reason} --retry makes them again.")
        return min(
            scored, key=lambda trial: (sign * trial.score(self.lower_is_better), trial.number)
        )

    def experiment(self, trial: Trial) -> Experiment:
        """Returns the experiment with a trial's settings. Its row is named after the trial."""
        (base,) = self.sweep.experiments
        settings = self.sweep.settings(trial.drawn)
        pipeline = with_settings(base.pipeline, settings, f"trial {trial.number}")
        found = replace(base, row=f"trial-{trial.number}", pipeline=pipeline)
        return replace(found, pipeline=replace(pipeline, name=found.name))

    def runs(self, trial: Trial) -> list[Job]:
        """Returns a trial's experiment with each of the sweep's seeds."""
        found = self.experiment(trial)
        return [(found, number + 1) for number in range(found.seeds)]

    def run_best(
        self,
        trial: Trial,
        known: Mapping[RunKey, RunRecord],
        engine: Machine | Cluster,
        data_dir: str | Path | None = None,
        retry: bool = False,
        prepare: Callable[[Experiment], Experiment] = lambda experiment: experiment,
    ) -> Iterator[RunRecord]:
        """Writes the pipeline of the best trial, and yields the records of its runs as they end.

        Args:
            trial: The best one.
            known: The records in the folder; runs that have one are not made again.
            engine: Where the runs are.
            data_dir: As `locations.data_dirs` takes it, where the runs are.
            retry: Whether runs that failed are made again.
            prepare: Changes the experiment before it runs.

        Raises:
            UsageError: If a record of a run has other settings.
        """
        runs = self.runs(trial)
        files.write_text(self.folder / BEST, self.experiment(trial).pipeline.to_toml())
        pending = [(prepare(item), seed) for item, seed in pending_jobs(runs, known, retry)]
        if isinstance(engine, Machine):
            engine = Machine(min(engine.slots, len(runs)))
        yield from run_sweep(pending, self.folder, engine, data_dir)

    def run(
        self,
        trials: int,
        engine: Machine | Cluster,
        data_dir: str | Path | None = None,
        retry: bool = False,
        prepare: Callable[[Experiment], Experiment] = lambda experiment: experiment,
    ) -> Iterator[Trial]:
        """Yields the trials, those of an earlier call first. Only dev is looked at.

        Each is in the file before it is yielded. A search that was killed makes those again that
        were running. The caller keeps other processes from searching in the folder.

        Args:
            trials: How many are made in all.
            engine: Where trainings run.
            data_dir: As `locations.data_dirs` takes it, where the trainings run.
            retry: Whether trials that failed are made again.
            prepare: Changes the experiment of a trial before it runs.

        Raises:
            UsageError: If Optuna is not installed, or the folder has the trials of another search.
            InputError: If the file is damaged, a disk is full, or a node has another version.
        """
        optuna = _optuna()
        with contextlib.ExitStack() as stack:
            batch, known = self._read()
            known = {n: trial for n, trial in known.items() if not (retry and trial.error)}
            self._write(batch, known)
            yield from (known[number] for number in sorted(known))
            scratch = stack.enter_context(scratch_folder())
            work = partial(_train, data_dir=data_dir, lower_is_better=self.lower_is_better)
            if isinstance(engine, Machine):
                work = partial(work, folder=scratch)
            else:
                work = elsewhere(work)
            for start in range(0, trials, batch):
                earlier = [known[number] for number in range(start)]
                numbers = range(start, min(start + batch, trials))
                missing = [
                    Trial(number, self._draw(optuna, number, earlier))
                    for number in numbers
                    if number not in known
                ]
                jobs = [
                    (trial, prepare(self.experiment(trial)).pipeline, earlier) for trial in missing
                ]
                with contextlib.closing(engine.run(jobs, work)) as results:
                    for (trial, *_), result in results:
                        if isinstance(result, JobError):
                            check_reason(f"trial {trial.number}", result)
                            trial = replace(trial, error=str(result))
                        else:
                            scores, is_pruned = result
                            trial = replace(trial, scores=tuple(scores), is_pruned=is_pruned)
                        trial = known[trial.number] = _judged(trial)
                        with (self.folder / TRIALS).open("a", encoding="utf-8") as file:
                            file.write(files.sealed_line(asdict(trial)))
                        yield trial

    def _draw(self, optuna: Any, number: int, earlier: Sequence[Trial]) -> dict[str, Any]:
        """Draws the settings of a trial."""
        ranges = self._distributions(optuna)
        study = _study(optuna, earlier, self.lower_is_better, ranges)
        study.sampler = optuna.samplers.TPESampler(seed=(self.seed * _SEEDS + number) % 2**32)
        return study.ask(ranges).params

    def _distributions(self, optuna: Any) -> dict[str, Any]:
        kinds = optuna.distributions
        found: dict[str, Any] = {}
        for name, one in self.sweep.ranges.items():
            if one.choices:
                found[name] = kinds.CategoricalDistribution(tuple(one.labels))
            elif isinstance(one.low, int):
                found[name] = kinds.IntDistribution(one.low, one.high, log=one.log)
            else:
                found[name] = kinds.FloatDistribution(one.low, one.high, log=one.log)
        return found

    def _about(self, batch: int) -> dict[str, Any]:
        (base,) = self.sweep.experiments
        about = {
            "format": _FORMAT,
            "settings": base.pipeline.settings(),
            "ranges": {name: asdict(one) for name, one in self.sweep.ranges.items()},
            "seed": self.seed,
            "batch": batch,
            "backend": check_backend(),
        } | ({"data": self.data} if self.data else {})
        return json.loads(json.dumps(about))  # JSON has no tuples

    def _read(self) -> tuple[int, dict[int, Trial]]:
        """Returns the batch, and the trials that have ended, by number."""
        path = self.folder / TRIALS
        lines = files.read_sealed_lines(path, _ANEW)
        if not lines:
            return self.batch or 1, {}
        known, *rows = lines
        check_fields(known, {"batch": Range(1, _MOST)}, f"{path}, line 1", _ANEW)
        batch = self.batch or known["batch"]
        about = self._about(batch)
        present = known | {name: about[name] for name in _ADDED if name in about.keys() - known}
        if different := [name for name in about if present.get(name) != about[name]]:
            values = f"{present.get(different[0])}, not {about[different[0]]}"
            shown = f" ({values})" if different[0] in ("seed", "batch", "backend") else ""
            raise UsageError(
                f"{path} is of a search with other {different[0]}{shown}. Choose another folder, "
                f"or delete it to start anew.",
                setting="jobs" if different[0] == "batch" else "records",
            )
        return batch, self._trials(rows, path)

    def _trials(self, rows: Sequence[Mapping[str, Any]], path: Path) -> dict[int, Trial]:
        """Returns the trials of the lines of a file from the second one, by number."""
        drawn = {name: _kind(one) for name, one in self.sweep.ranges.items()}
        trials = {}
        for line, row in enumerate(rows, 2):
            place = f"{path}, line {line}"
            check_fields(row, _FIELDS | {"drawn": drawn}, place, _ANEW)
            if others := row["drawn"].keys() - drawn.keys():
                raise InputError(f"{place}: {min(others)} is not searched. {_ANEW}")
            if row["number"] in trials:
                raise InputError(f"{place}: expected one trial {row['number']}, not two. {_ANEW}")
            fields = {name: row[name] for name in _FIELDS}
            trials[row["number"]] = _judged(Trial(**fields | {"scores": tuple(row["scores"])}))
        return trials

    def _write(self, batch: int, trials: Mapping[int, Trial]) -> None:
        rows = [self._about(batch), *(asdict(trials[number]) for number in sorted(trials))]
        files.write_text(self.folder / TRIALS, "".join(map(files.sealed_line, rows)))


def _kind(one: sweeps.Range) -> Kind:
    """Returns what may have been drawn from a range."""
    if one.choices:
        return OneOf(tuple(one.labels))
    return Range(one.low, one.high, int if isinstance(one.low, int) else float)


def searched(sweep: Sweep, vectors: Sequence[str] = (), overrides: Sequence[str] = ()) -> Sweep:
    """Returns the sweep of a search with other settings, as `Experiment.changed` takes them.

    Raises:
        UsageError: If one of them is searched.
    """
    (base,) = sweep.experiments
    given = {override.partition("=")[0].strip() for override in overrides}
    given |= {"embedding.vectors"} if vectors else set()
    if both := sweep.ranges.keys() & given:
        raise UsageError(f"{min(both)} is searched. Expected other settings.", "settings")
    return replace(sweep, experiments=(base.changed(vectors, overrides),))


def choices_of_files(sweep: Sweep) -> list[Job]:
    """Returns the experiment of a search, and that with each choice of a setting that names files.

    They stand for all trials where data sets, vectors and earlier runs are looked for.
    """
    (base,) = sweep.experiments
    found = [base]
    for name in _NAMES_OF_FILES:
        for value in sweep.ranges[name].choices if name in sweep.ranges else ():
            pipeline = with_settings(base.pipeline, {name: value}, "search")
            found.append(replace(base, pipeline=pipeline))
    return [(experiment, 1) for experiment in found]


def with_found(
    experiment: Experiment, choices: Sequence[Job], settled: Sequence[Job]
) -> Experiment:
    """Returns a trial's experiment with what was found for `auto`.

    Args:
        experiment: The experiment.
        choices: What `choices_of_files` returns.
        settled: The same jobs with what was found.
    """
    pipeline = experiment.pipeline
    for (before, _), (after, _) in zip(choices, settled, strict=True):
        if before.pipeline.embedding.vectors == pipeline.embedding.vectors:
            data, embedding = after.pipeline.data, after.pipeline.embedding
            pipeline = replace(
                pipeline,
                data=replace(pipeline.data, dataset=data.dataset),
                embedding=replace(pipeline.embedding, vectors=embedding.vectors),
            )
            break
    return replace(experiment, pipeline=pipeline)


def plan(
    sweep: Sweep,
    folder: Path,
    seed: int,
    batch: int | None,
    slots: int,
    data_dir: str | Path | None = None,
) -> Search:
    """Returns the search in a folder.

    If `batch` is None, as many trials are drawn at a time as the search there began with. A new one
    draws one for each of the `slots` that there are, at most 8.

    Raises:
        InputError: If a data set cannot be read.
    """
    if not batch and not (folder / TRIALS).is_file():
        batch = min(slots, _MOST_AT_A_TIME)
    prints = (corpus.fingerprint() for _, corpus in data_sets(choices_of_files(sweep), data_dir))
    return Search(sweep, folder, seed, batch, " ".join(prints))


def _judged(trial: Trial) -> Trial:
    """Returns a trial that has ended, with an error if none of its scores is finite."""
    if trial.error or any(map(math.isfinite, trial.scores)):
        return trial
    return replace(trial, error="expected a finite score on dev. Received none.")


def _optuna() -> Any:
    try:
        import optuna
    except ModuleNotFoundError:
        raise UsageError(
            "the search needs Optuna. Install it with `pip install 'sst-keras[search]'`."
        ) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def _study(
    optuna: Any,
    trials: Sequence[Trial],
    lower_is_better: bool,
    distributions: Mapping[str, Any] | None = None,
) -> Any:
    """Returns a study in memory that knows some trials."""
    study = optuna.create_study(
        direction="minimize" if lower_is_better else "maximize",
        # Checks are numbered from 1.
        pruner=optuna.pruners.MedianPruner(_UNPRUNED, n_warmup_steps=_FIRST_JUDGED),
    )
    states = optuna.trial.TrialState
    for trial in trials:
        if trial.error:
            continue
        study.add_trial(
            optuna.create_trial(
                state=states.PRUNED if trial.is_pruned else states.COMPLETE,
                value=trial.score(lower_is_better),
                params=dict(trial.drawn) if distributions else {},
                distributions=distributions or {},
                intermediate_values=dict(enumerate(trial.scores, start=1)),
            )
        )
    return study


def _train(
    job: tuple[Trial, Pipeline, Sequence[Trial]],
    data_dir: str | Path | None,
    lower_is_better: bool,
    folder: Path | None = None,
) -> tuple[list[float], bool]:
    """Trains a trial's pipeline; returns the scores on dev, and whether it was stopped early."""
    from sst_keras.runs import new_run
    from sst_keras.runtime import keras
    from sst_keras.training import train

    logging.getLogger("sst_keras").addHandler(logging.NullHandler())
    _, pipeline, earlier = job
    watched = _study(_optuna(), earlier, lower_is_better).ask()
    monitor = pipeline.training.monitor
    column = "val_loss" if monitor == "loss" else f"val_{SCORES[monitor]}"
    scores: list[float] = []

    class Ended(Exception):  # before test is scored
        pass

    class Pruned(Ended):
        pass

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
            scores.append(float(logs[column]))
            watched.report(scores[-1], len(scores))
            if watched.should_prune():
                raise Pruned

        def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
            raise Ended

    with scratch_folder(folder) as place:
        run = new_run(pipeline, place / "run")
        try:
            train(pipeline, run, data_dir, [Watch()])
        except Ended as end:
            return scores, isinstance(end, Pruned)
    raise AssertionError("Training did not end.")
