"""The sections of a report that draw curves: by epoch, and dev scores within epochs."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from sst_keras.experiments.report import figures, wording
from sst_keras.experiments.report.comparison import Runs, curve, lowest
from sst_keras.experiments.report.page import Part, Picture
from sst_keras.history import rank
from sst_keras.plotting import PANELS

Series = Sequence[Mapping[str, list[float]]]  # per seed: column → values


def epoch_curves(runs: Runs) -> Iterator[Part]:
    """Yields the loss and accuracy curves of the rows that the sweep names."""
    rows = runs.sweep.curves
    series = {row: [one.history for one in runs.of([row]) if one.history] for row in rows}
    series = {name: some for name, some in series.items() if some}
    if series:
        yield "## Curves"
        yield from _curves(runs, series, PANELS, "curves", "training and dev")


def dev_checks(runs: Runs, names: Sequence[str], file: str) -> Iterator[Part]:
    """Yields the dev scores within epochs of those experiments that have any.

    `file` is the name of the figure.
    """
    series = {name: [one.checks for one in runs.of([name]) if one.checks] for name in names}
    series = {name: some for name, some in series.items() if some}
    if not series:
        return
    yield (
        "Dev was scored several times per epoch. Overfitting starts where the dev loss is lowest: "
        "from there on, training makes the model more confident, and worse on texts that it has "
        "not seen. The dev accuracy may still rise for a while."
    )
    yield from _curves(runs, series, ("dev_loss", "dev_accuracy"), file, "dev")
    scores = {
        f"{wording.text(name)}: {column.replace('_', ' ')}": {
            epoch: wording.spread(one, digits) for epoch, one in curve(some, column).items()
        }
        for name, some in series.items()
        for column, digits in (("dev_loss", 3), ("dev_accuracy", 1))
    }
    epochs = sorted({epoch for values in scores.values() for epoch in values})
    if len(epochs) > 20:  # most changes early; the figure shows the rest
        epochs = [epoch for epoch in epochs if epoch <= 2 or epoch.is_integer()]
    yield "Mean ± standard deviation:"
    table = [
        {"epoch": f"{epoch:.4g}"} | {name: of.get(epoch, "–") for name, of in scores.items()}
        for epoch in epochs
    ]
    yield wording.table(table, "r")


def _turn(one: Mapping[str, list[float]], column: str) -> float:
    """Returns the epoch with a run's best score on dev, as training chooses between equals."""
    monitor = "loss" if column == "dev_loss" else "accuracy"
    accuracies = np.nan_to_num(one["dev_accuracy"], nan=-1.0)
    keys = [rank(*both, monitor) for both in zip(accuracies, one["dev_loss"], strict=True)]
    return one["epoch"][keys.index(min(keys))]


def _curves(
    runs: Runs, series: Mapping[str, Series], columns: Sequence[str], file: str, split: str
) -> Iterator[Part]:
    """Yields the figure of the mean curves, and the table of where they turn."""
    curves = {name: {c: curve(some, c) for c in columns} for name, some in series.items()}
    table = []
    for name, by_column in curves.items():
        last = max(by_column["dev_loss"])
        cells = {"row": wording.text(name), "n": str(len(series[name])), "epochs": f"{last:g}"}
        if "accuracy" in by_column:
            cells["training accuracy, end"] = f"{by_column['accuracy'][last].mean:.1f}"
        for column, sign, what in (("dev_loss", 1, "lowest"), ("dev_accuracy", -1, "highest")):
            turn = lowest(by_column[column], sign)
            single = [_turn(one, column) for one in series[name]]
            cells[f"{what} {column.replace('_', ' ')}: epoch"] = (
                f"{turn:.4g} [{min(single):.4g}–{max(single):.4g}]"
            )
        accuracies = by_column["dev_accuracy"]
        falls = [one["dev_accuracy"][-1] - max(one["dev_accuracy"]) for one in series[name]]
        table.append(
            cells
            | {
                "dev accuracy there": f"{accuracies[turn].mean:.1f}",
                "dev accuracy, end": f"{accuracies[last].mean:.1f}",
                "end of a run minus its highest": wording.points(100 * float(np.mean(falls))),
            }
        )
    yield wording.caption(runs, series)
    labels = {f"{name} (n = {len(series[name])})": one for name, one in curves.items()}
    figure = figures.plot_curves(labels, wording.title(runs, series, split))
    yield Picture(file, f"Loss and accuracy by epoch, {split}: {', '.join(series)}", figure)
    yield "Where the mean curves turn, with the range over single seeds in brackets:"
    yield wording.table(table)
