"""`sst-keras evaluate`: a run's scores on a split."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import click

from sst_keras.cli import options

if TYPE_CHECKING:
    from sst_keras.evaluation import Evaluation

log = logging.getLogger(__name__)


@click.command()
@options.run
@click.option(
    "--split",
    type=click.Choice(["dev", "test", "train"]),
    default="test",
    show_default=True,
    help="The texts to score; they are always complete.",
)
@options.dataset
@options.data_dir
@options.as_json
def evaluate(
    run: str, split: str, dataset: str | None, data_dir: str | None, as_json: bool
) -> None:
    """Score RUN on a split, and keep scores and plots in its folder.

    With --dataset, RUN is scored on another data set with the same classes and nothing is kept.
    """
    from sst_keras.files import to_json
    from sst_keras.runs import open_run

    directory = open_run(run)

    from sst_keras.evaluation import evaluate as evaluate_run
    from sst_keras.evaluation import save_evaluation
    from sst_keras.plotting import save_plots

    evaluation = evaluate_run(directory, split, dataset, data_dir)
    for note in evaluation.notes:
        log.warning(note)
    if as_json:
        click.echo(to_json(evaluation.to_dict()))
    else:
        print_evaluation(evaluation)
    # Printed first, so that a folder that cannot be written to costs no result.
    if evaluation.is_own_data and directory.is_finished:
        save_evaluation(directory, evaluation)
        save_plots([directory])


def print_evaluation(evaluation: Evaluation) -> None:
    """Prints an evaluation as tables."""
    from rich.console import Console
    from rich.table import Table

    metrics = evaluation.metrics
    console = Console()
    classes = Table(
        title=f"{evaluation.dataset}, {evaluation.split}: {metrics.n:,} texts", title_justify="left"
    )
    for heading in ("class", "texts", "precision", "recall", "F1"):
        classes.add_column(heading, justify="left" if heading == "class" else "right")
    for name, row in zip(evaluation.class_names, metrics.per_class, strict=True):
        scores = (row["precision"], row["recall"], row["f1"])
        classes.add_row(name, f"{row['support']:,}", *(f"{score:.1%}" for score in scores))
    console.print(classes)

    confusion = Table(title="true class (row), predicted class (column)", title_justify="left")
    confusion.add_column("")
    for name in evaluation.class_names:
        confusion.add_column(name, justify="right")
    for name, row in zip(evaluation.class_names, metrics.confusion_matrix, strict=True):
        confusion.add_row(name, *(f"{count:,}" for count in row))
    console.print(confusion)

    scores = {
        "accuracy": f"{metrics.accuracy:.1%}",
        "macro F1": f"{metrics.macro_f1:.1%}",
        "expected calibration error": f"{metrics.expected_calibration_error:.1%}",
    }
    if len(evaluation.class_names) > 2:  # with two classes, distances add nothing to accuracy
        scores |= {
            "off by one class at most": f"{metrics.within_one_accuracy:.1%}",
            "mean absolute error": f"{metrics.mean_absolute_error:.3f} classes",
            "quadratic weighted kappa": f"{metrics.quadratic_weighted_kappa:.3f}",
        }
    for name, score in scores.items():
        click.echo(f"{name:<27} {score}")
    click.echo("")
