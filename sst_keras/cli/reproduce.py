"""`sst-keras reproduce`: trains the pipelines of a sweep, each with several seeds."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sst_keras.cli import cluster, options
from sst_keras.cli.terminal import say
from sst_keras.errors import UsageError
from sst_keras.history import shown

if TYPE_CHECKING:
    from sst_keras.experiments.records import RunKey, RunRecord
    from sst_keras.experiments.running import Job

log = logging.getLogger(__name__)
_NUMBER = {"type": click.IntRange(1), "metavar": "N"}
_SEVERAL = {"multiple": True, "metavar": "PATTERN"}


@click.command()
@click.argument("sweep", default="paper")
@click.option("--rows", **_SEVERAL, help="Only these rows, such as 'V2.*'.")
@click.option(
    "--variant", "variants", **_SEVERAL, help="Run these variants instead of the rows; '*' for all."
)
@click.option("--seeds", **_NUMBER, help="Run seeds 1 to N of each.  [default: the sweep's]")
@click.option(
    "--jobs", **_NUMBER, help="Runs at a time, about 1 GB each.  [default: one per core, at most 8]"
)
@cluster.options()
@options.data_dir
@options.vectors
@options.overrides
@click.option("--records", metavar="DIR", help="Folder of records.  [default: results/SWEEP]")
@click.option(
    "--keep",
    metavar="DIR",
    help="Keep the runs below DIR, to use them or to export them. A run that was killed goes on.",
)
@click.option("--retry", is_flag=True, help="Run failed runs again.")
@click.option("--dry-run", is_flag=True, help="Print what would run, and run nothing.")
@options.as_json
def reproduce(
    sweep: str,
    rows: tuple[str, ...],
    variants: tuple[str, ...],
    seeds: int | None,
    jobs: int | None,
    engine: str,
    data_dir: str | None,
    vectors: tuple[str, ...],
    settings: tuple[str, ...],
    records: str | None,
    keep: str | None,
    retry: bool,
    dry_run: bool,
    as_json: bool,
    **request: Any,
) -> None:
    """Run all pipelines and seeds of a sweep that have no record yet.

    SWEEP is the name of a sweep that `sst-keras pipelines` lists, or the path of a TOML file of
    your own. The default is paper: the 27 experiments of "SST Classification with RNN (LSTM)".

    Rows that learn their word vectors from scratch ignore --vectors.

    You can stop this command at any time. The next call runs what is missing. `sst-keras report`
    turns the records into tables and figures.

    With --engine ray, the runs are on a Ray cluster. Every node has this package in the same
    version. Data, vectors and earlier runs are copied to each node once. A run whose node dies
    starts again on another one.
    """
    from sst_keras import locations
    from sst_keras.engines import local
    from sst_keras.experiments.records import read_records
    from sst_keras.experiments.running import (
        check_data,
        check_sources,
        equal_experiments,
        pending_jobs,
        run_sweep,
        seconds_left,
    )
    from sst_keras.experiments.sweep import load_sweep
    from sst_keras.files import to_json
    from sst_keras.locks import locked

    loaded = load_sweep(sweep)
    if loaded.ranges:
        raise UsageError(
            f"expected a sweep with rows. `sst-keras search {sweep}` makes this search.",
            setting="sweep",
        )
    selected = [
        (experiment.changed(vectors, settings), seed)
        for experiment, seed in loaded.select(rows, variants, seeds)
    ]
    for one, other in equal_experiments(selected):
        log.warning(
            f"{one.short_name} and {other.short_name} train the same model: it does not read the "
            f"settings in which they differ."
        )
    locations.data_dirs(data_dir)  # a missing folder is one error here, not one per run
    folder = Path(records or f"results/{loaded.name}")
    cluster.check(engine, request, {"jobs": jobs, "keep": keep})
    with contextlib.ExitStack() as stack:
        if not dry_run:  # before the records are read, to which another command may add
            stack.enter_context(locked(folder, "records"))
        found = read_records(folder)
        pending = pending_jobs(selected, found, retry)
        if dry_run:
            left = seconds_left(pending, found.values(), jobs or min(local.cores(), 8))
            _print_plan(selected, pending, folder, left, as_json)
            return
        check_sources(pending, data_dir)
        check_data(pending, found, data_dir)
        if engine == "ray" and pending:
            place, pending, data_dir = cluster.for_sweep(stack, request, pending, data_dir)
            where = f" on {place.nodes} {'node' if place.nodes == 1 else 'nodes'}"
        else:
            place = local.Machine(min(jobs or min(local.cores(), 8), len(selected)))
            where = ""
        at_a_time = max(1, min(place.slots, len(pending)))
        log.info(
            f"{loaded.name}: {len(selected)} runs, {len(selected) - len(pending)} of them done "
            f"before; {at_a_time} at a time{where}; records in {folder}"
        )
        results = run_sweep(pending, folder, place, data_dir, keep)
        _show_progress(results, pending, len(selected), found, at_a_time)
    failed = [item.key(seed) for item, seed in selected if found[item.key(seed)].error is not None]
    if as_json:
        answer = {"records": str(folder), "runs": len(selected), "run_now": len(pending)}
        say(to_json(answer | {"failed": [key._asdict() for key in failed]}))
    else:
        say(f"{len(selected)} runs in {folder}, {len(pending)} of them new.")
    if failed:
        raise click.ClickException(
            f"{len(failed)} of the runs failed. Their records state why; --retry runs them again."
        )


def _print_plan(
    selected: Sequence[Job], pending: Sequence[Job], folder: Path, left: float | None, as_json: bool
) -> None:
    from sst_keras.files import to_json

    waiting = {experiment.key(seed) for experiment, seed in pending}
    keys = [experiment.key(seed) for experiment, seed in selected]
    if as_json:
        runs = [key._asdict() | {"done": key not in waiting} for key in keys]
        say(to_json({"records": str(folder), "runs": runs, "seconds_left": left}))
        return
    for key in keys:
        say(f"{str(key):<32} {'to run' if key in waiting else 'done'}")
    state = f"{len(waiting)} to run{_time(left)}" if waiting else "all done"
    say(f"{len(keys)} runs, {state}; records in {folder}")


def _show_progress(
    results: Iterable[RunRecord],
    pending: Sequence[Job],
    total: int,
    found: dict[RunKey, RunRecord],
    processes: int,
) -> None:
    """Adds the results to the records found, under a progress bar, and prints a line for each."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    from sst_keras.experiments.running import seconds_left

    left = {experiment.key(seed): (experiment, seed) for experiment, seed in pending}

    def about() -> str:
        estimate = _time(seconds_left(list(left.values()), found.values(), processes))
        return f"{estimate} left" if left and estimate else ""

    text = TextColumn("{task.completed}/{task.total} runs{task.fields[about]}")
    console = Console(stderr=True)
    with Progress(BarColumn(bar_width=24), text, console=console, transient=True) as progress:
        task = progress.add_task("", total=total, completed=total - len(left), about=about())
        for record in results:
            found[record.key] = record
            del left[record.key]
            progress.update(task, advance=1, about=about())
            line = f"{f'{total - len(left)}/{total}':>9}  {_line(record)}{about()}"
            progress.console.print(line, highlight=False, soft_wrap=True, markup=False)


def _line(record: RunRecord) -> str:
    if record.error is not None:
        return f"{str(record.key):<30}  FAILED: {record.error}"
    last, best = record.last, record.best
    return (
        f"{str(record.key):<30}  dev {last.dev:.1%}, test {last.test:.1%}; best epoch "
        f"{shown(best.epoch)} of {shown(record.epochs)}: {best.dev:.1%}, {best.test:.1%}; "
        f"{record.seconds:.0f} s"
    )


def _time(seconds: float | None) -> str:
    """Returns an estimate such as `, about 5 minutes`; empty if there is none."""
    if seconds is None:
        return ""
    if seconds < 90:
        return f", about {seconds:.0f} seconds"
    minutes = round(seconds / 60)
    return f", about {minutes} minutes" if minutes < 90 else f", about {minutes / 60:.1f} hours"
