"""`sst-keras plot`: the plots of one run, or of several runs on the same axes."""

import click

from sst_keras.cli.terminal import say
from sst_keras.errors import UsageError
from sst_keras.runs import RunDirectory


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option(
    "--out", metavar="DIR", help="Folder for the plots.  [default: RUN/plots; plots/ for several]"
)
def plot(runs: tuple[str, ...], out: str | None) -> None:
    """Plot the history, confusion matrix and calibration of runs.

    The histories of several runs are on the same axes. Plots are made from the runs' files: no
    model is loaded. A language model has a plot of its perplexity.
    """
    from sst_keras.plotting import save_perplexity, save_plots
    from sst_keras.pretrained import LanguageModelRun

    directories = [RunDirectory.find(run) for run in runs]
    models = [LanguageModelRun(directory.path) for directory in directories]
    models = [model for model in models if model.settings_file.is_file()]
    if models and len(runs) > 1:
        raise UsageError(
            f"{str(models[0].path)!r} is a language model. Expected it alone. Received: "
            f"{len(runs)} runs."
        )
    if models:
        for path in save_perplexity(models[0].history(), out or models[0].plots_dir):
            say(path)
        return
    for directory in directories:
        if not (directory.has_history or directory.is_finished):
            name = directory.history_file.name
            raise UsageError(
                f"{str(directory.path)!r} has no {name} to plot: none of its epochs was finished."
            )
    for path in save_plots(directories, out):
        say(path)
