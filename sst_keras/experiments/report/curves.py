"""The sections of a report that draw curves: by epoch, and dev scores within epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from sst_keras.experiments.report import figures, wording
from sst_keras.experiments.report.comparison import Band, Key, Runs, band, lowest
from sst_keras.experiments.report.page import Picture, Section
from sst_keras.plotting import PANELS


def epoch_curves(runs: Runs) -> Section:
    """Returns the loss and accuracy curves of the rows that the sweep names."""
    keys = [(row, None) for row in runs.sweep.curves if runs.of((row, None))]
    if not keys:
        return Section()
    lines, table = {}, []
    for key in keys:
        series = [record.history for record in runs.of(key)]
        bands = {column: band(series, column) for column in PANELS}
        lines[f"{key[0]} (n = {len(series)})"] = bands
        head = {
            "row": wording.name(key),
            "n": str(len(series)),
            "epochs": f"{bands['loss'].epochs[-1]:g}",
            "training accuracy, end": f"{100 * bands['accuracy'].means[-1]:.1f}",
        }
        table.append(head | _turns(bands))
    title = wording.title(runs, keys, "training and dev")
    alt = f"Loss and accuracy by epoch of {', '.join(key[0] for key in keys)}"
    picture = Picture("curves", alt, figures.plot_bands(lines, title))
    values = ("Values of the mean curves:", wording.table(table))
    return Section(("## Curves", wording.caption(runs, keys), picture, *values))


def dev_checks(runs: Runs, keys: Sequence[Key], file: str) -> Section:
    """Returns the dev scores within epochs of those experiments that have any.

    Args:
        runs: The runs.
        keys: The experiments.
        file: The name of the figure.
    """
    lines, table, cells = {}, [], {}
    for key in keys:
        if not (series := [record.checks for record in runs.of(key) if record.checks]):
            continue
        bands = {column: band(series, column) for column in ("dev_loss", "dev_accuracy")}
        lines["/".join(filter(None, key))] = bands
        falls = [one["dev_accuracy"][-1] - max(one["dev_accuracy"]) for one in series]
        end = {"end of a run minus its highest": wording.points(100 * float(np.mean(falls)))}
        table.append(
            {"row": wording.name(key), "n": str(len(series))} | _turns(bands, series) | end
        )
        cells[f"{wording.name(key)}: dev loss"] = _values(bands["dev_loss"], 1, 3)
        cells[f"{wording.name(key)}: dev accuracy"] = _values(bands["dev_accuracy"], 100, 1)
    if not lines:
        return Section()
    epochs = sorted({epoch for values in cells.values() for epoch in values})
    if len(epochs) > 20:  # most changes early; the figure shows the rest
        epochs = [epoch for epoch in epochs if epoch <= 2 or epoch.is_integer()]
    values = [
        {"epoch": f"{epoch:.4g}"} | {name: of.get(epoch, "–") for name, of in cells.items()}
        for epoch in epochs
    ]
    alt = f"Dev loss and accuracy within epochs of {', '.join(lines)}"
    return Section(
        (
            "Dev was scored several times per epoch. Overfitting starts where the dev loss is "
            "lowest: from there on, training makes the model more confident, and worse on texts "
            "that it has not seen. The dev accuracy may still rise for a while. Epochs are those "
            "of the mean curve, with the lowest and highest of single seeds in brackets.",
            wording.caption(runs, keys),
            Picture(file, alt, figures.plot_bands(lines, wording.title(runs, keys, "dev"))),
            wording.table(table),
            "Means ± standard deviations:",
            wording.table(values, "r"),
        )
    )


def _turns(
    bands: Mapping[str, Band], series: Sequence[Mapping[str, Sequence[float]]] = ()
) -> dict[str, str]:
    """Returns where mean curves turn, with the range over single seeds if there is a `series`."""
    epochs = {}
    for column, sign in (("dev_loss", 1), ("dev_accuracy", -1)):
        epochs[column] = f"{bands[column].epochs[lowest(bands[column].means, sign)]:.4g}"
        if len(series) > 1:
            single = [one["epoch"][lowest(one[column], sign)] for one in series]
            epochs[column] += f" [{min(single):.4g}–{max(single):.4g}]"
    accuracies = 100 * bands["dev_accuracy"].means
    return {
        "lowest dev loss: epoch": epochs["dev_loss"],
        "highest dev accuracy: epoch": epochs["dev_accuracy"],
        "dev accuracy there": f"{np.nanmax(accuracies):.1f}",
        "dev accuracy, end": f"{accuracies[-1]:.1f}",
    }


def _values(curve: Band, scale: int, digits: int) -> dict[float, str]:
    """Returns epoch → mean ± standard deviation."""
    return {
        epoch: f"{scale * mean:.{digits}f}"
        + ("" if math.isnan(sd) else f" ± {scale * sd:.{digits}f}")
        for epoch, mean, sd in zip(curve.epochs.tolist(), curve.means, curve.sds, strict=True)
    }
