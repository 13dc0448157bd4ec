"""`sst-keras plot`: the plots of one run, or of several runs on the same axes."""

from __future__ import annotations

import click


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option(
    "--out",
    metavar="DIR",
    help="Folder for the plots.  [default: RUN/plots; plots/ for several runs]",
)
def plot(runs: tuple[str, ...], out: str | None) -> None:
    """Plot the history, confusion matrix and calibration of runs.

    The histories of several runs are on the same axes. Plots are made from the runs' files: no
    model is loaded.
    """
    from sst_keras.errors import UsageError
    from sst_keras.plotting import save_plots
    from sst_keras.runs import RunDirectory

    directories = [RunDirectory.find(run) for run in runs]
    for directory in directories:
        if not directory.history_file.is_file():
            raise UsageError(
                f"{str(directory.path)!r} has no {directory.history_file.name} to plot: no epoch "
                f"of it was finished."
            )
    for path in save_plots(directories, out):
        click.echo(path)
