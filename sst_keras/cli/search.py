"""`sst-keras search`: finds the settings that do best on dev, and trains them with more seeds."""

from __future__ import annotations

import contextlib
import logging
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sst_keras.cli import cluster, options
from sst_keras.cli.terminal import say
from sst_keras.errors import UsageError

if TYPE_CHECKING:
    from sst_keras.engines.local import Machine
    from sst_keras.engines.ray import Cluster
    from sst_keras.experiments.records import RunRecord
    from sst_keras.experiments.searching import Trial
    from sst_keras.experiments.sweep import Experiment, Sweep

log = logging.getLogger(__name__)
# Settings whose values name files.
_NAMES_OF_FILES = ("data.dataset", "data.pseudo_labels", "embedding.vectors", "model.init")


@click.command()
@click.argument("sweep")
@click.option(
    "--trials", type=click.IntRange(1), default=20, show_default=True, help="How many in all."
)
@click.option(
    "--jobs",
    type=click.IntRange(1),
    metavar="N",
    help="Trials at a time. They are drawn together, so others are drawn with another number.  "
    "[default: one per core, at most 8]",
)
@click.option(
    "--seed", type=click.IntRange(0), default=1, show_default=True, help="That of the draws."
)
@cluster.options()
@options.data_dir
@options.vectors
@options.overrides
@click.option(
    "--records", metavar="DIR", help="Folder of trials and records.  [default: results/SWEEP]"
)
@options.as_json
def search(
    sweep: str,
    trials: int,
    jobs: int | None,
    seed: int,
    engine: str,
    data_dir: str | None,
    vectors: tuple[str, ...],
    overrides: tuple[str, ...],
    records: str | None,
    as_json: bool,
    **request: Any,
) -> None:
    """Try settings of a sweep's [search], and train the best with several seeds.

    Each trial trains once and is scored on dev alone. One that is below the median of earlier ones
    is stopped early. The settings with the best score become the pipeline best.toml in the folder.
    Then that is trained with as many seeds as the sweep says, and only then scored on test.

    You can stop this command at any time. The next call goes on, to the same trials. It needs
    pip install 'sst-keras[search]'.
    """
    from sst_keras import files, locations
    from sst_keras.engines import local
    from sst_keras.experiments import searching
    from sst_keras.experiments.records import read_records
    from sst_keras.experiments.running import check_sources, pending_jobs, run_sweep
    from sst_keras.experiments.sweep import load_sweep

    loaded = load_sweep(sweep)
    if not loaded.ranges:
        raise UsageError(
            f"expected a sweep with [search]. `sst-keras reproduce {sweep}` runs this one.",
            setting="sweep",
        )
    base = loaded.experiments[0].changed(vectors, overrides)
    loaded = replace(loaded, experiments=(base,))
    cluster.check(engine, request, {})
    locations.data_dirs(data_dir)
    folder = Path(records or f"results/{loaded.name}")
    batch = min(jobs or min(local.cores(), 8), trials)
    every = [(item, 1) for item in _each_choice(loaded)]
    check_sources(every, data_dir)
    with contextlib.ExitStack() as stack:
        place: Machine | Cluster = local.Machine(batch)
        prepare, found_in = _as_it_is, data_dir
        if engine == "ray":
            place, _, found_in = cluster.for_sweep(stack, request, every, data_dir)
            prepare = _settled(data_dir)
        log.info(f"{loaded.name}: {trials} trials, {batch} at a time; trials in {folder}")
        found = []
        results = searching.search(loaded, folder, place, trials, seed, batch, found_in, prepare)
        for trial in results:
            found.append(trial)
            click.echo(_line(trial, loaded), err=True)
        lower = base.pipeline.training.monitor == "loss"
        chosen = searching.best(found, lower)
        from sst_keras.config import with_settings

        pipeline = with_settings(base.pipeline, chosen.settings, "best trial")
        files.write_text(folder / "best.toml", pipeline.to_toml())
        winner = replace(base, pipeline=pipeline)
        runs = [(winner, number + 1) for number in range(winner.seeds)]
        known = read_records(folder)
        pending = [(prepare(item), number) for item, number in pending_jobs(runs, known)]
        for record in run_sweep(pending, folder, place, found_in):
            known[record.key] = record
            log.info(f"seed {record.key.seed}: {record.error or f'dev {record.best.dev:.1%}'}")
    scored = [known[winner.key(number)] for _, number in runs]
    _print(chosen, found, [record for record in scored if record.error is None], folder, as_json)
    if failed := [record for record in scored if record.error is not None]:
        raise click.ClickException(
            f"{len(failed)} of the {len(scored)} runs of the best settings failed: "
            f"{failed[0].error}. `sst-keras search` again does not repeat them; delete their "
            f"records to run them again."
        )


def _as_it_is(experiment: Experiment) -> Experiment:
    return experiment


def _settled(data_dir: str | None) -> Any:
    from sst_keras.experiments import shipping

    return lambda experiment: shipping.settle([(experiment, 1)], data_dir)[0][0]


def _each_choice(sweep: Sweep) -> list[Experiment]:
    """Returns the experiment with each choice of the settings that name files."""
    from sst_keras.config import with_settings

    (base,) = sweep.experiments
    found = [base]
    for name in _NAMES_OF_FILES:
        for value in sweep.ranges[name].choices if name in sweep.ranges else ():
            pipeline = with_settings(base.pipeline, {name: value}, "search")
            found.append(replace(base, pipeline=pipeline))
    return found


def _line(trial: Trial, sweep: Sweep) -> str:
    settings = ", ".join(f"{name}={_shown(value)}" for name, value in trial.settings.items())
    if trial.error:
        return f"trial {trial.number:>3}  FAILED: {trial.error}; {settings}"
    is_loss = sweep.experiments[0].pipeline.training.monitor == "loss"
    score = f"loss {trial.score:.3f}" if is_loss else f"{trial.score:.1%}"
    end = f", stopped after {len(trial.scores)}" if trial.is_pruned else ""
    return f"trial {trial.number:>3}  dev {score}{end}; {settings}"


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _print(
    chosen: Trial, trials: Sequence[Trial], runs: Sequence[RunRecord], folder: Path, as_json: bool
) -> None:
    from sst_keras.files import to_json

    dev, test = [run.best.dev for run in runs], [run.best.test for run in runs]
    if as_json:
        answer: Mapping[str, Any] = {
            "pipeline": str(folder / "best.toml"),
            "best": {"trial": chosen.number, "dev": chosen.score, "settings": chosen.settings},
            "trials": [vars(trial) for trial in trials],
            "dev": dev,
            "test": test,
        }
        say(to_json(answer))
        return
    say(f"Best: trial {chosen.number} of {len(trials)}. {folder / 'best.toml'} has its settings:")
    for name, value in chosen.settings.items():
        say(f"  {name} = {_shown(value)}")
    if runs:
        say(f"With seeds 1 to {len(runs)}: dev {_mean(dev)}, test {_mean(test)}")


def _mean(scores: Sequence[float]) -> str:
    percent = [100 * score for score in scores]
    if len(percent) == 1:
        return f"{percent[0]:.1f} % (1)"
    return f"{statistics.mean(percent):.1f} ± {statistics.stdev(percent):.1f} % ({len(percent)})"
