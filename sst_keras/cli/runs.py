"""`sst-keras runs`: the list of runs and their scores."""

import logging

import click

from sst_keras.cli import options
from sst_keras.errors import InputError
from sst_keras.files import to_json
from sst_keras.history import shown
from sst_keras.runs import find_runs

log = logging.getLogger(__name__)


@click.command()
@click.option(
    "--dir", "folder", default="saved_models", show_default=True, help="The folder to search."
)
@options.as_json
def runs(folder: str, as_json: bool) -> None:
    """List the runs below a folder and their scores."""
    rows = []
    for run in find_runs(folder):
        try:
            rows.append(run.summary())
        except InputError as error:  # A damaged run must not hide the others.
            log.warning(f"Left out: {error}")
    if as_json:
        click.echo(to_json({"runs": rows}))
        return
    if not rows:
        click.echo(f"No runs below {folder}/. Train one with `sst-keras train`.")
    for row in rows:
        click.secho(row["run"], bold=True)  # on its own line, so that it can be copied
        scores = "unfinished"
        if row["finished"]:
            scores = (
                f"dev {row['dev']['accuracy']:.1%}, test {row['test']['accuracy']:.1%}, epoch "
                f"{shown(row['best_epoch'])} of {shown(row['epochs'])}, {row['seconds']:.0f} s"
            )
        click.echo(f"    {row['dataset']}, {' + '.join(row['vectors'])}: {scores}")
