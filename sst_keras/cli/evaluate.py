"""`sst-keras evaluate`: a run's scores on a split."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import click

from sst_keras.cli import options
from sst_keras.errors import UsageError
from sst_keras.files import to_json
from sst_keras.runs import open_run
from sst_keras.settings import Pipeline

if TYPE_CHECKING:
    from sst_keras.evaluation import Evaluation

log = logging.getLogger(__name__)


@click.command()
@options.run
@click.option(
    "--split",
    type=click.Choice(["dev", "test", "train"]),
    help="The texts to score.  [default: test; all texts of another data set that is one file]",
)
@options.dataset
@options.data_dir
@options.reading()
@options.as_json
def evaluate(
    run: str,
    split: str | None,
    dataset: str | None,
    data_dir: str | None,
    as_json: bool,
    **reading: object,
) -> None:
    """Score RUN on a split, and keep scores and plots in its folder.

    With --dataset, RUN is scored on another data set with the same classes and nothing is kept. All
    texts of a file are scored, unless it is the file that RUN was trained on.
    """
    directory = open_run(run)

    from sst_keras.evaluation import evaluate as evaluate_run
    from sst_keras.evaluation import save_evaluation
    from sst_keras.plotting import save_plots

    reading = {name: value for name, value in reading.items() if value not in (None, ())}
    if reading and dataset is None:
        raise UsageError("expected a data set to read with these options.", setting="dataset")
    changed = options.changed(Pipeline(), reading).data
    reading = {name: getattr(changed, name) for name in reading}
    evaluation = evaluate_run(directory, split, dataset, data_dir, **reading)
    for note in evaluation.notes:
        log.warning(note)
    if as_json:
        click.echo(to_json(evaluation.to_dict()))
    else:
        print_evaluation(evaluation)
    # After printing: the scores are seen even if the folder cannot be written to.
    if evaluation.is_own_data and directory.is_finished:
        save_evaluation(directory, evaluation)
        save_plots([directory])


def print_evaluation(evaluation: Evaluation) -> None:
    """Prints an evaluation as tables."""
    from rich.console import Console
    from rich.table import Table

    metrics, names = evaluation.metrics, evaluation.class_names
    title = f"{evaluation.dataset}, {evaluation.split}: {metrics.n:,} texts"
    scores = Table("class", title=title, title_justify="left")
    confusion = Table("", title="true class (row), predicted class (column)", title_justify="left")
    for heading in ("texts", "precision", "recall", "F1"):
        scores.add_column(heading, justify="right")
    for heading in names:
        confusion.add_column(heading, justify="right")
    for name, row, counts in zip(names, metrics.per_class, metrics.confusion_matrix, strict=True):
        shares = (f"{row[score]:.1%}" for score in ("precision", "recall", "f1"))
        scores.add_row(name, f"{row['support']:,}", *shares)
        confusion.add_row(name, *(f"{count:,}" for count in counts))
    console = Console()
    console.print(scores)
    # A cell takes its digits, two spaces and a line; narrower ones would lose digits.
    digits = max(len(f"{count:,}") for row in metrics.confusion_matrix for count in row)
    if len(names) * (digits + 3) + 12 <= console.width:
        console.print(confusion)
    else:
        click.echo("The confusion matrix is too wide for this screen: see the plot or --json.")
    low, high = (100 * end for end in metrics.accuracy_interval)
    before = ""
    if old := evaluation.uncalibrated:
        before = (
            f" ({old['expected_calibration_error']:.1%} without the temperature "
            f"{old['temperature']:.2f})"
        )
    lines = {
        "accuracy": f"{metrics.accuracy:.1%} ({low:.1f}-{high:.1f}%, 95 % interval of "
        f"{metrics.n:,} texts)",
        f"  always {evaluation.majority_class!r}": f"{metrics.majority:.1%}",
        "macro F1": f"{metrics.macro_f1:.1%}",
        "expected calibration error": f"{metrics.expected_calibration_error:.1%}{before}",
    }
    # With two classes, distances add nothing to accuracy.
    if evaluation.ordered and len(names) > 2:
        lines |= {
            "off by one class at most": f"{metrics.within_one_accuracy:.1%}",
            "mean absolute error": f"{metrics.mean_absolute_error:.3f} classes",
            "quadratic weighted kappa": f"{metrics.quadratic_weighted_kappa:.3f}",
        }
        if metrics.polarity_accuracy is not None:
            without = ", without the middle class" if len(names) % 2 else ""
            lines["right half of the scale"] = f"{metrics.polarity_accuracy:.1%}{without}"
    for name, value in lines.items():
        click.echo(f"{name:<27} {value}")
    for warning in evaluation.warnings():
        click.echo(warning)
    click.echo("")
