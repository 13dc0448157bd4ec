"""`sst-keras plot`: the plots of one run, or of several on the same axes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sst_keras.runs import RunDirectory

_DPI = 120


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option(
    "--out",
    metavar="DIR",
    help="Folder for the plots.  [default: RUN/plots; plots/ for several runs]",
)
def plot(runs: tuple[str, ...], out: str | None) -> None:
    """Plot training and dev loss and accuracy, and each RUN's confusion matrix and calibration.

    The history of several runs is drawn on the same axes. Plots are made from the runs' files; no
    model is loaded.
    """
    from sst_keras.errors import UsageError
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


def save_plots(runs: Sequence[RunDirectory], out: str | Path | None = None) -> list[Path]:
    """Draws all that the runs' files allow.

    Args:
        runs: The runs; their histories go on the same axes.
        out: The folder for the plots; None for the run's own, or `plots/` for several.

    Returns:
        The files written.
    """
    from sst_keras import files, plotting
    from sst_keras.history import read_history

    folder = Path(out) if out else runs[0].plots_dir if len(runs) == 1 else Path("plots")
    names = _distinct_names(runs)
    figures = {
        "history": plotting.plot_history(
            {name: read_history(run.history_file) for name, run in zip(names, runs, strict=True)}
        )
    }
    for name, run in zip(names, runs, strict=True):
        prefix = "" if len(runs) == 1 else f"{name.replace('/', '-')}-"
        metrics = run.metrics()
        for split in ("dev", "test", "train"):
            if split not in metrics:
                continue
            report = metrics[split]
            title = f"{report['dataset']}, {split}, {report['n']:,} texts: {name}"
            figures[f"{prefix}confusion-{split}"] = plotting.plot_confusion_matrix(
                report["confusion_matrix"], report["class_names"], title
            )
            figures[f"{prefix}reliability-{split}"] = plotting.plot_reliability(
                report["calibration"], report["expected_calibration_error"], title
            )
    paths = []
    for name, figure in figures.items():
        path = folder / f"{name}.png"
        with files.whole_file(path) as partial:
            figure.savefig(partial, dpi=_DPI)
        paths.append(path)
    return paths


def _distinct_names(runs: Sequence[RunDirectory]) -> list[str]:
    """Returns a name for each run: its usual one, or its path where two would be alike."""
    names = [run.name for run in runs]
    return names if len(set(names)) == len(names) else [str(run.path) for run in runs]
