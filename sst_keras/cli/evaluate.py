"""`sst-keras evaluate`: a run's scores on a split."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
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

    def print_table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        table = Table(title=title, title_justify="left")
        for number, heading in enumerate(headings):
            table.add_column(heading, justify="right" if number else "left")
        for name, cells in zip(names, rows, strict=True):
            table.add_row(name, *cells)
        Console().print(table)

    metrics, names = evaluation.metrics, evaluation.class_names
    print_table(
        f"{evaluation.dataset}, {evaluation.split}: {metrics.n:,} texts",
        ("class", "texts", "precision", "recall", "F1"),
        (
            (f"{row['support']:,}", *(f"{row[name]:.1%}" for name in ("precision", "recall", "f1")))
            for row in metrics.per_class
        ),
    )
    print_table(
        "true class (row), predicted class (column)",
        ("", *names),
        ([f"{count:,}" for count in row] for row in metrics.confusion_matrix),
    )
    scores = {
        "accuracy": f"{metrics.accuracy:.1%}",
        "macro F1": f"{metrics.macro_f1:.1%}",
        "expected calibration error": f"{metrics.expected_calibration_error:.1%}",
    }
    if len(names) > 2:  # with two classes, distances add nothing to accuracy
        scores |= {
            "off by one class at most": f"{metrics.within_one_accuracy:.1%}",
            "mean absolute error": f"{metrics.mean_absolute_error:.3f} classes",
            "quadratic weighted kappa": f"{metrics.quadratic_weighted_kappa:.3f}",
        }
    for name, score in scores.items():
        click.echo(f"{name:<27} {score}")
    click.echo("")
