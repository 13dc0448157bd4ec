"""`sst-keras reproduce`: a sweep of many pipelines and seeds, into one file of records."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sst_keras.cli import options
from sst_keras.cli.terminal import console

if TYPE_CHECKING:
    from sst_keras.experiments.running import Job, Record

log = logging.getLogger(__name__)


@click.command()
@click.argument("sweep", default="paper")
@click.option(
    "--rows", multiple=True, metavar="PATTERN", help="Rows, such as 'V2.*'.  [default: all]"
)
@click.option(
    "--variant",
    "variants",
    multiple=True,
    metavar="PATTERN",
    help="Run these variants of the rows in place of the rows; '*' for all.",
)
@click.option(
    "--seeds",
    type=click.IntRange(1),
    metavar="N",
    help="Seeds 1 to N of each.  [default: the sweep's]",
)
@click.option(
    "--jobs",
    type=click.IntRange(1),
    metavar="N",
    help="Runs at a time, each about 1 GB.  [default: one a core, at most 8]",
)
@options.data_dir
@click.option(
    "--vectors",
    multiple=True,
    metavar="NAME|PATH",
    help="Word vectors, in place of the sweep's, for all that have any.",
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="SECTION.KEY=VALUE",
    help="A setting of all of them, such as training.epochs=1.",
)
@click.option(
    "--records", metavar="FILE", help="Where the records go.  [default: results/SWEEP.jsonl]"
)
@click.option("--retry", is_flag=True, help="Run again what failed.")
@click.option("--dry-run", is_flag=True, help="Tell what would be run, and run nothing.")
@options.as_json
def reproduce(
    sweep: str,
    rows: tuple[str, ...],
    variants: tuple[str, ...],
    seeds: int | None,
    jobs: int | None,
    data_dir: str | None,
    vectors: tuple[str, ...],
    overrides: tuple[str, ...],
    records: str | None,
    retry: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Run SWEEP, many pipelines with several seeds each; what is recorded is not run again.

    SWEEP is paper, the report's table of 27 experiments, or the path of a TOML file of your own:
    settings, rows or a grid of values, and seeds. Stopped at any moment, it goes on where it was
    when it is called again. `sst-keras report` makes tables and figures of the records.
    """
    from sst_keras import locations
    from sst_keras.experiments import records as record_files
    from sst_keras.experiments.running import check_sources, pending_jobs, seconds_left
    from sst_keras.experiments.running import reproduce as run_jobs
    from sst_keras.experiments.sweep import load_sweep
    from sst_keras.files import to_json

    loaded = load_sweep(sweep)
    selected = [
        (_changed(experiment, vectors, overrides), seed)
        for experiment, seed in loaded.select(rows, variants, seeds)
    ]
    locations.data_dirs(data_dir)  # a folder that is not there is told now, not once a run
    path = Path(records or f"results/{loaded.name}.jsonl")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    processes = jobs or min(cores or 1, 8)

    wanted = {_key(_named(*job)) for job in selected}

    def is_retried(record: Mapping[str, Any]) -> bool:
        return "error" in record and _key(record) in wanted

    if dry_run:
        found = record_files.read_runs(path) if path.exists() else []
        if retry:
            found = [record for record in found if not is_retried(record)]
        pending = pending_jobs(selected, found)
        left = seconds_left(pending, found, processes)
        if as_json:
            planned = [_named(*job) | {"done": job not in pending} for job in selected]
            click.echo(to_json({"records": str(path), "runs": planned, "seconds_left": left}))
            return
        for experiment, seed in selected:
            state = "to run" if (experiment, seed) in pending else "done"
            click.echo(f"{experiment.pipeline.name:<24} seed {seed:<3} {state}")
        click.echo(f"{len(selected)} runs, {len(pending)} of them to run{_about(left)}; {path}")
        return

    with record_files.RecordsFile(path) as file:
        if retry:
            file.keep(record for record in file.records if not is_retried(record))
        pending = pending_jobs(selected, file.records)
        check_sources(pending, data_dir)
        log.info(
            f"{loaded.name}: {len(selected)} runs, {len(selected) - len(pending)} of them done "
            f"before; {min(processes, len(pending))} at a time; records in {path}"
        )
        done = _run_with_progress(
            pending,
            len(selected),
            lambda left: seconds_left(left, file.records, processes),
            run_jobs(pending, file, processes, data_dir),
        )
        found = [record for record in file.records if _key(record) in wanted]
    failed = [record for record in found if "error" in record]
    if as_json:
        click.echo(
            to_json(
                {
                    "records": str(path),
                    "runs": len(found),
                    "run_now": len(done),
                    "failed": [_key(record) for record in failed],
                }
            )
        )
    else:
        click.echo(f"{len(found)} runs in {path}, {len(done)} of them now.")
    if failed:
        raise click.ClickException(
            f"{len(failed)} of the runs failed; their records say why, and --retry runs them again."
        )


def _changed(experiment: Any, vectors: Sequence[str], overrides: Sequence[str]) -> Any:
    """Returns the experiment with the command's own settings."""
    from dataclasses import replace

    from sst_keras.config import with_override, with_setting

    pipeline = experiment.pipeline
    if vectors and pipeline.embedding.vectors != ("none",):
        pipeline = with_setting(pipeline, "embedding", "vectors", vectors, source="--vectors")
    for override in overrides:
        pipeline = with_override(pipeline, override)
    return replace(experiment, pipeline=pipeline)


def _named(experiment: Any, seed: int) -> dict[str, Any]:
    """Returns what a record and a plan call a run by."""
    return {"pipeline": experiment.row, "variant": experiment.variant, "seed": seed}


def _key(record: Mapping[str, Any]) -> tuple:
    """Returns what tells a run from all others of a sweep."""
    return record["pipeline"], record["variant"], record["seed"]


def _about(seconds: float | None) -> str:
    """Returns a guess of the time that is left, in words; nothing where there is none."""
    if seconds is None:
        return ""
    if seconds < 90:
        return f", about {seconds:.0f} seconds"
    minutes = round(seconds / 60)
    return f", about {minutes} minutes" if minutes < 90 else f", about {minutes / 60:.1f} hours"


def _run_with_progress(
    pending: Sequence[Job], total: int, seconds_left: Any, records: Any
) -> list[Record]:
    """Runs the jobs under a progress bar, with a line for each run that is done."""
    from rich.progress import BarColumn, Progress, TextColumn

    left = {(job[0].row, job[0].variant, job[1]): job for job in pending}
    done = []
    with Progress(
        BarColumn(bar_width=24),
        TextColumn("{task.completed}/{task.total} runs{task.fields[about]}"),
        console=console(),
        transient=True,
    ) as progress:
        task = progress.add_task(
            "",
            total=total,
            completed=total - len(pending),
            about=_about(seconds_left(list(left.values()))),
        )
        for record in records:
            done.append(record)
            del left[_key(record)]
            about = _about(seconds_left(list(left.values()))) if left else ""
            progress.update(task, advance=1, about=about)
            number = f"{total - len(left)}/{total}"
            progress.console.print(
                f"{number:>9}  {_line(record)}{about}", highlight=False, soft_wrap=True
            )
    return done


def _line(record: Record) -> str:
    """Returns what is told of a run that is done."""
    name = f"{record['pipeline']}{'/' + record['variant'] if record['variant'] else ''}"
    start = f"{name:<22} seed {record['seed']}"
    if "error" in record:
        return f"{start}  FAILED: {record['error']}"
    return (
        f"{start}  dev {record['dev']:.1%}, test {record['test']:.1%}; best epoch "
        f"{record['best_epoch']} of {record['epochs']}: {record['dev_at_best']:.1%}, "
        f"{record['test_at_best_dev']:.1%}; {record['seconds']:.0f} s"
    )
