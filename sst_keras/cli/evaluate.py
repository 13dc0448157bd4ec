"""`sst-keras evaluate`: a run's figures on a split."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import click

from sst_keras.cli import options

if TYPE_CHECKING:
    from sst_keras.evaluation import Report

log = logging.getLogger(__name__)


@click.command()
@options.run
@click.option(
    "--split",
    type=click.Choice(["dev", "test", "train"]),
    default="test",
    show_default=True,
    help="Which texts; always whole ones.",
)
@options.dataset
@options.data_dir
@options.as_json
def evaluate(
    run: str, split: str, dataset: str | None, data_dir: str | None, as_json: bool
) -> None:
    """Score the model of RUN, print a table, and keep figures and plots in the run's folder.

    With --dataset the model is scored on other data of the same classes, and nothing is kept.
    """
    from sst_keras.files import to_json
    from sst_keras.runs import open_run

    directory = open_run(run)

    from sst_keras.cli.plot import save_plots
    from sst_keras.evaluation import evaluate as evaluate_run
    from sst_keras.evaluation import save_report

    report = evaluate_run(directory, split, dataset, data_dir)
    for note in report.notes:
        log.warning(note)
    if report.is_own_data and directory.is_finished:
        save_report(directory, report)
        save_plots([directory])
    if as_json:
        click.echo(to_json(report.to_dict()))
    else:
        print_report(report)


def print_report(report: Report) -> None:
    """Prints a report as tables."""
    from rich.console import Console
    from rich.table import Table

    metrics = report.metrics
    console = Console()
    classes = Table(
        title=f"{report.dataset}, {report.split}: {metrics.n:,} texts", title_justify="left"
    )
    for heading in ("class", "texts", "precision", "recall", "F1"):
        classes.add_column(heading, justify="left" if heading == "class" else "right")
    for name, row in zip(report.class_names, metrics.per_class, strict=True):
        figures = (row["precision"], row["recall"], row["f1"])
        classes.add_row(name, f"{row['support']:,}", *(f"{figure:.1%}" for figure in figures))
    console.print(classes)

    confusion = Table(title="true class (row), predicted class (column)", title_justify="left")
    confusion.add_column("")
    for name in report.class_names:
        confusion.add_column(name, justify="right")
    for name, row in zip(report.class_names, metrics.confusion_matrix, strict=True):
        confusion.add_row(name, *(f"{count:,}" for count in row))
    console.print(confusion)

    figures = {
        "accuracy": f"{metrics.accuracy:.1%}",
        "macro F1": f"{metrics.macro_f1:.1%}",
        "expected calibration error": f"{metrics.expected_calibration_error:.1%}",
    }
    if len(report.class_names) > 2:  # distance on the scale says no more of two classes
        figures |= {
            "off by one class at most": f"{metrics.within_one_accuracy:.1%}",
            "mean absolute error": f"{metrics.mean_absolute_error:.3f} classes",
            "quadratic weighted kappa": f"{metrics.quadratic_weighted_kappa:.3f}",
        }
    for name, figure in figures.items():
        click.echo(f"{name:<27} {figure}")
    click.echo("")
