"""`sst-keras search`: finds the settings that do best on dev, and trains them with more seeds."""

from __future__ import annotations

import contextlib
import logging
import statistics
from collections.abc import Mapping, Sequence
from functools import partial
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
    from sst_keras.experiments.searching import Search, Trial

log = logging.getLogger(__name__)


@click.command()
@click.argument("sweep")
@click.option(
    "--trials", type=click.IntRange(1), default=20, show_default=True, help="How many in all."
)
@click.option(
    "--jobs",
    type=click.IntRange(1),
    metavar="N",
    help="Trials at a time, drawn together; another number draws other trials.  [default: one per "
    "core, at most 8; a resumed search keeps its own]",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="The seed that draws the trials.",
)
@cluster.options()
@options.data_dir
@options.vectors
@options.overrides
@click.option(
    "--records", metavar="DIR", help="Folder of trials and records.  [default: results/SWEEP]"
)
@click.option(
    "--retry",
    is_flag=True,
    help="Rerun failed trials and runs. Later trials are kept, although they were drawn without "
    "them.",
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
    settings: tuple[str, ...],
    records: str | None,
    retry: bool,
    as_json: bool,
    **request: Any,
) -> None:
    """Try settings of a sweep's [search], and train the best with several seeds.

    Each trial trains once and is scored only on dev. One that is below the median of earlier ones
    is stopped early. The settings with the best score become the pipeline best.toml in the folder.
    Then that is trained with as many seeds as the sweep says, and only then scored on test.

    You can stop this command at any time. The next call goes on, to the same trials. It needs
    pip install 'sst-keras[search]'.
    """
    from sst_keras import locations
    from sst_keras.engines import local
    from sst_keras.experiments import searching
    from sst_keras.experiments.records import read_records
    from sst_keras.experiments.running import check_sources, pending_jobs
    from sst_keras.experiments.sweep import load_sweep
    from sst_keras.locks import locked

    loaded = load_sweep(sweep)
    if not loaded.ranges:
        raise UsageError(
            f"expected a sweep with [search]. `sst-keras reproduce {sweep}` runs this one.",
            setting="sweep",
        )
    loaded = searching.searched(loaded, vectors, settings)
    cluster.check(engine, request, {})
    locations.data_dirs(data_dir)
    folder = Path(records or f"results/{loaded.name}")
    choices = searching.choices_of_files(loaded)
    check_sources(choices, data_dir)
    with contextlib.ExitStack() as stack:
        stack.enter_context(locked(folder, "records"))
        known = read_records(folder)
        pending_jobs(choices[:1], known)  # another sweep's records are an error before all trials
        place: Machine | Cluster = local.Machine(local.cores())
        settled, found_in = choices, data_dir
        if engine == "ray":
            place, settled, found_in = cluster.for_sweep(stack, request, choices, data_dir)
        prepare = partial(searching.with_found, choices=choices, settled=settled)
        plan = searching.plan(loaded, folder, seed, jobs, place.slots, data_dir)
        batch = plan.drawn_together()
        if engine == "local":
            place = local.Machine(jobs or min(batch, local.cores()))
        log.info(
            f"{loaded.name}: {trials} trials, of which {batch} are drawn at a time; they are kept "
            f"in {folder}"
        )
        found = []
        for trial in plan.run(trials, place, found_in, retry, prepare):
            found.append(trial)
            say(_line(trial, plan), err=True)
        chosen = plan.best(found)
        for record in plan.run_best(chosen, known, place, found_in, retry, prepare):
            known[record.key] = record
            scores = record.error or f"dev {record.best.dev:.1%}"
            say(f"{record.key.row}, seed {record.key.seed}: {scores}", err=True)
    scored = [known[item.key(number)] for item, number in plan.runs(chosen)]
    good = [record for record in scored if record.error is None]
    _print(plan, chosen, found, good, as_json)
    if len(good) < len(scored):
        raise click.ClickException(
            f"{len(scored) - len(good)} of the {len(scored)} runs of the best settings failed. "
            f"Their records state why; --retry runs them again."
        )


def _line(trial: Trial, plan: Search) -> str:
    settings = ", ".join(f"{name}={_shown(value)}" for name, value in trial.drawn.items())
    if trial.error:
        return f"trial {trial.number:>3}  FAILED: {trial.error}; {settings}"
    end = f", stopped after {len(trial.scores)}" if trial.is_pruned else ""
    return f"trial {trial.number:>3}  dev {_score(trial, plan)}{end}; {settings}"


def _score(trial: Trial, plan: Search) -> str:
    score = trial.score(plan.lower_is_better)
    return f"loss {score:.3f}" if plan.lower_is_better else f"{score:.1%}"


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _print(
    plan: Search,
    chosen: Trial,
    trials: Sequence[Trial],
    runs: Sequence[RunRecord],
    as_json: bool,
) -> None:
    from sst_keras.experiments.searching import BEST
    from sst_keras.files import to_json

    dev, test = [run.best.dev for run in runs], [run.best.test for run in runs]
    pipeline, settings = plan.folder / BEST, plan.sweep.settings(chosen.drawn)
    if as_json:
        score = chosen.score(plan.lower_is_better)
        answer: Mapping[str, Any] = {
            "pipeline": str(pipeline),
            "best": {"trial": chosen.number, "dev": score, "settings": settings},
            "trials": [vars(trial) for trial in sorted(trials, key=lambda trial: trial.number)],
            "dev": dev,
            "test": test,
        }
        say(to_json(answer))
        return
    say(f"Best: trial {chosen.number} of {len(trials)}. {pipeline} has its settings:")
    for name, value in settings.items():
        say(f"  {name} = {_shown(value)}")
    if runs:
        say(f"With seeds 1 to {len(runs)}: dev {_mean(dev)}, test {_mean(test)}")


def _mean(scores: Sequence[float]) -> str:
    percent = [100 * score for score in scores]
    if len(percent) == 1:
        return f"{percent[0]:.1f} % (1)"
    return f"{statistics.mean(percent):.1f} ± {statistics.stdev(percent):.1f} % ({len(percent)})"
