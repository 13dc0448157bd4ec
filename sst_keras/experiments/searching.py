"""Searches for the settings that do best on dev, by Optuna.

Akiba et al., "Optuna: A Next-generation Hyperparameter Optimization Framework", KDD 2019. Settings
are drawn by its tree-structured Parzen estimator (Bergstra et al., "Algorithms for Hyper-Parameter
Optimization", NeurIPS 2011). A trial that is below the median of earlier ones is stopped early.

The trials of a batch run at the same time. They know those of earlier batches only, so that the
same seed gives the same trials, however long each takes and however often the search is killed.
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sst_keras.config import with_settings
from sst_keras.engines.local import JobError
from sst_keras.errors import InputError, UsageError
from sst_keras.experiments.sweep import Experiment, Sweep
from sst_keras.history import SCORES
from sst_keras.settings import Pipeline

if TYPE_CHECKING:
    import optuna

    from sst_keras.engines.local import Machine
    from sst_keras.engines.ray import Cluster

JOURNAL = "trials.journal"
_FORMAT = 1  # of what the journal says about the search
_UNPRUNED = 5  # trials that are never stopped early, and the first from which others can be
_SEEDS = 1_000_003  # keeps the random numbers of trials and of searches apart


@dataclass(frozen=True)
class Trial:
    """Settings that were tried.

    Attributes:
        number: The number, from 0.
        settings: Setting → value, of those that are searched.
        scores: The score on dev at each check.
        score: The best of them; None if training failed.
        is_pruned: Whether it was stopped early.
        error: Why it failed.
    """

    number: int
    settings: Mapping[str, Any]
    scores: tuple[float, ...] = ()
    score: float | None = None
    is_pruned: bool = False
    error: str = ""


@dataclass(frozen=True)
class _Job:
    number: int
    pipeline: Pipeline
    earlier: tuple[optuna.trial.FrozenTrial, ...]
    lower_is_better: bool


def search(
    sweep: Sweep,
    folder: Path,
    engine: Machine | Cluster,
    trials: int,
    seed: int = 1,
    batch: int = 1,
    data_dir: str | Path | None = None,
    prepare: Callable[[Experiment], Experiment] = lambda experiment: experiment,
) -> Iterator[Trial]:
    """Yields the trials, the earlier ones of a search that goes on first.

    Only dev is looked at. A search that was stopped or killed goes on from `trials.journal` in the
    folder, and ends with the same trials.

    Args:
        sweep: A sweep with ranges.
        folder: The folder of the journal.
        engine: Where trainings run.
        trials: How many are made in all.
        seed: That of the drawn settings. Each training has the pipeline's own.
        batch: How many trials are drawn at a time.
        data_dir: As `locations.data_dirs` takes it, where the trainings run.
        prepare: Changes the experiment of a trial before it runs.

    Raises:
        UsageError: If Optuna is not installed, or the folder has the journal of another search.
        InputError: If the journal is damaged.
    """
    optuna = _optuna()
    (base,) = sweep.experiments
    lower = base.pipeline.training.monitor == "loss"
    study = _study(sweep, folder, seed, batch, lower)
    for trial in study.get_trials():
        if trial.state.is_finished():
            yield _found(trial, sweep)
    while (start := _first_unfinished(study)) < trials:
        start -= start % batch
        earlier = tuple(t for t in study.get_trials() if t.number < start and t.values)
        numbers = range(start, min(start + batch, trials))
        for number in range(len(study.get_trials()), numbers.stop):
            study.sampler = optuna.samplers.TPESampler(seed=(seed * _SEEDS + number) % 2**32)
            study.ask(_distributions(sweep))
        waiting = [study.get_trials()[number] for number in numbers]
        waiting = [trial for trial in waiting if not trial.state.is_finished()]
        jobs = []
        for trial in waiting:
            settings = sweep.settings(trial.params)
            pipeline = with_settings(base.pipeline, settings, f"trial {trial.number}")
            item = prepare(replace(base, pipeline=pipeline))
            jobs.append(_Job(trial.number, item.pipeline, earlier, lower))
        work = partial(_run, data_dir=data_dir)
        results = {job.number: result for job, result in engine.run(jobs, work)}
        for trial in waiting:
            yield _tell(study, trial.number, results[trial.number], sweep)


def best(trials: Sequence[Trial], lower_is_better: bool = False) -> Trial:
    """Returns the trial with the best score; of several, the first.

    Raises:
        InputError: If all trials failed.
    """
    scored = [trial for trial in trials if trial.score is not None]
    if not scored:
        reason = f" The first: {trials[0].error}" if trials else ""
        raise InputError(f"all {len(trials)} trials failed.{reason}")
    sign = 1 if lower_is_better else -1
    return min(scored, key=lambda trial: (sign * trial.score, trial.number))


def _optuna() -> Any:
    try:
        import optuna
    except ModuleNotFoundError:
        raise UsageError(
            "the search needs Optuna. Install it with `pip install 'sst-keras[search]'`."
        ) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def _study(sweep: Sweep, folder: Path, seed: int, batch: int, lower: bool) -> optuna.Study:
    """Opens or begins the study of a folder, and checks that it is of this search."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / JOURNAL
    (base,) = sweep.experiments
    about = {
        "format": _FORMAT,
        "settings": base.pipeline.settings(),
        "ranges": {name: vars(one) for name, one in sweep.ranges.items()},
        "seed": seed,
        "batch": batch,
    }
    about = json.loads(json.dumps(about))  # JSON has no tuples
    try:
        study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(path))),
            study_name=sweep.name,
            direction="minimize" if lower else "maximize",
            load_if_exists=True,
        )
        known = study.user_attrs.get("about")
    except (ValueError, KeyError, OSError) as error:
        raise InputError(
            f"{path}: expected the journal of a search ({error}). Delete it to start anew."
        ) from None
    if known is None:
        study.set_user_attr("about", about)
    elif different := [name for name in about if known.get(name) != about[name]]:
        raise UsageError(
            f"{path} is of a search with other {different[0]}. Choose another folder, or delete it "
            f"to start anew.",
            setting="records",
        )
    return study


def _first_unfinished(study: optuna.Study) -> int:
    trials = study.get_trials(deepcopy=False)
    numbers = [trial.number for trial in trials if not trial.state.is_finished()]
    return min(numbers, default=len(trials))


def _distributions(sweep: Sweep) -> dict[str, Any]:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    found: dict[str, Any] = {}
    for name, one in sweep.ranges.items():
        if one.choices:
            found[name] = CategoricalDistribution(tuple(one.labels))
        elif isinstance(one.low, int):
            found[name] = IntDistribution(one.low, one.high, log=one.log)
        else:
            found[name] = FloatDistribution(one.low, one.high, log=one.log)
    return found


def _tell(study: optuna.Study, number: int, result: Any, sweep: Sweep) -> Trial:
    """Writes a trial's result into the journal, and returns it."""
    import optuna

    trial = study.get_trials()[number]
    live = optuna.trial.Trial(study, trial._trial_id)
    if isinstance(result, JobError):
        live.set_user_attr("error", str(result))
        study.tell(number, state=optuna.trial.TrialState.FAIL)
    else:
        scores, is_pruned = result
        known = trial.intermediate_values
        for step, score in enumerate(scores, start=1):
            if step not in known:  # a search that was killed here has told some
                live.report(score, step)
        state = optuna.trial.TrialState
        if is_pruned:
            study.tell(number, state=state.PRUNED)
        else:
            study.tell(number, _best_of(scores, study.direction.name == "MINIMIZE"))
    return _found(study.get_trials()[number], sweep)


def _best_of(scores: Sequence[float], lower: bool) -> float:
    return min(scores) if lower else max(scores)


def _found(trial: optuna.trial.FrozenTrial, sweep: Sweep) -> Trial:
    scores = tuple(score for _, score in sorted(trial.intermediate_values.items()))
    lower = sweep.experiments[0].pipeline.training.monitor == "loss"
    return Trial(
        trial.number,
        sweep.settings(trial.params),
        scores,
        _best_of(scores, lower) if scores else None,
        trial.state.name == "PRUNED",
        trial.user_attrs.get("error", ""),
    )


def _run(job: _Job, data_dir: str | Path | None) -> tuple[list[float], bool]:
    """Trains a trial's pipeline; returns the scores on dev, and whether it was stopped early."""
    import optuna

    from sst_keras.runs import new_run
    from sst_keras.runtime import keras
    from sst_keras.training import train

    logging.getLogger("sst_keras").addHandler(logging.NullHandler())
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    # A study of its own, so that a trial needs nothing but what is in its job.
    study = optuna.create_study(
        direction="minimize" if job.lower_is_better else "maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=_UNPRUNED, n_warmup_steps=1),
    )
    study.add_trials(job.earlier)
    trial, scores = study.ask(), []
    monitor = job.pipeline.training.monitor
    column = "val_loss" if monitor == "loss" else f"val_{SCORES[monitor]}"

    class Prune(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
            scores.append(float(logs[column]))
            trial.report(scores[-1], len(scores))
            if trial.should_prune():
                raise optuna.TrialPruned

    with tempfile.TemporaryDirectory(prefix="sst_keras-") as folder:
        try:
            train(job.pipeline, new_run(job.pipeline, Path(folder) / "run"), data_dir, [Prune()])
        except optuna.TrialPruned:
            return scores, True
    return scores, False
