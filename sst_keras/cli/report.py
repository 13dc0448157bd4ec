"""`sst-keras report`: what a sweep's runs say, as Markdown, figures and one page."""

from __future__ import annotations

from pathlib import Path

import click

from sst_keras.cli import options


@click.command()
@click.argument("sweep", default="paper")
@click.option(
    "--records",
    metavar="FILE",
    help="The sweep's records, JSON lines.  [default: results/<sweep's name>.jsonl]",
)
@click.option(
    "--out", metavar="FILE", default="RESULTS.md", show_default=True, help="The Markdown file."
)
@click.option(
    "--html",
    metavar="FILE",
    default="docs/results.html",
    show_default=True,
    help="The page, with its figures inside; they go into a folder beside it too.",
)
@options.as_json
def report(sweep: str, records: str | None, out: str, html: str, as_json: bool) -> None:
    """Write the results of SWEEP, a sweep's name or file, out of its runs' records.

    Without SWEEP, those of the report's table. No model is loaded: the records say all.
    """
    from sst_keras.errors import UsageError
    from sst_keras.experiments.records import read_runs
    from sst_keras.experiments.report import write_report
    from sst_keras.experiments.sweep import load_sweep
    from sst_keras.files import to_json

    chosen = load_sweep(sweep)
    path = Path(records) if records else Path("results") / f"{chosen.name}.jsonl"
    if not path.is_file():
        raise UsageError(
            f"There is no file of records {str(path)!r}. Expected those of the sweep "
            f"{chosen.name!r}. Run it first, `sst-keras reproduce {sweep}`, or give --records FILE."
        )
    results, paths = write_report(chosen, read_runs(path), path, out, html)
    if as_json:
        click.echo(to_json(results.summary | {"files": [str(path) for path in paths]}))
        return
    for path in paths:
        click.echo(path)
