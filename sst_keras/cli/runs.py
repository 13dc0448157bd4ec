"""`sst-keras runs`: the list of runs and their scores."""

from __future__ import annotations

import logging

import click

from sst_keras.cli import options

log = logging.getLogger(__name__)


@click.command()
@click.option(
    "--dir", "folder", default="saved_models", show_default=True, help="The folder to search."
)
@options.as_json
def runs(folder: str, as_json: bool) -> None:
    """List the runs below a folder and their scores."""
    from sst_keras.errors import InputError
    from sst_keras.files import to_json
    from sst_keras.runs import find_runs

    rows = []
    for run in find_runs(folder):
        try:
            rows.append(run.summary())
        except InputError as error:  # a damaged run must not hide the others
            log.warning(f"Left out: {error}")
    if as_json:
        click.echo(to_json({"runs": rows}))
        return
    if not rows:
        click.echo(f"No runs below {folder}/. Train one with `sst-keras train`.")
        return

    from rich import box
    from rich.console import Console
    from rich.table import Table

    title = f"{len(rows)} run{'s' * (len(rows) != 1)} below {folder}/"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("run", "data", "vectors"):
        table.add_column(column, overflow="fold", min_width=8)
    for column in ("epoch", "dev", "test", "time"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        cells = ["unfinished", "", "", ""]
        if row["finished"]:
            cells = [
                f"{row['best_epoch']}/{row['epochs']}",
                f"{row['dev']['accuracy']:.1%}",
                f"{row['test']['accuracy']:.1%}",
                f"{row['seconds']:.0f} s",
            ]
        vectors = " + ".join(row["vectors"])
        table.add_row(row["run"], row["dataset"], vectors, *cells)
    Console().print(table)
