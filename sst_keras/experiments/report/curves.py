"""The sections of a report that draw curves: by epoch, and dev scores within epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from sst_keras.experiments.report import figures, wording
from sst_keras.experiments.report.comparison import Band, Key, Runs, band, lowest
from sst_keras.experiments.report.page import Section
from sst_keras.plotting import PANELS


def epoch_curves(runs: Runs) -> Section:
    """Returns the loss and accuracy curves of the rows that the sweep names."""
    keys = [(row, None) for row in runs.sweep.curves if runs.of((row, None))]
    if not keys:
        return Section()
    bands = {
        key: {name: band([record.history for record in runs.of(key)], name) for name in PANELS}
        for key in keys
    }
    table = []
    for key, curves in bands.items():
        scores = curves["dev_accuracy"]
        table.append(
            [
                wording.name(key),
                str(len(runs.of(key))),
                f"{scores.epochs[-1]:g}",
                f"{100 * curves['accuracy'].means[-1]:.1f}",
                f"{scores.epochs[lowest(curves['dev_loss'].means)]:g}",
                f"{scores.epochs[lowest(-scores.means)]:g}",
                f"{100 * np.nanmax(scores.means):.1f}",
                f"{100 * scores.means[-1]:.1f}",
            ]
        )
    headings = [
        "row", "n", "epochs", "training accuracy, end", "lowest dev loss: epoch",
        "highest dev accuracy: epoch", "dev accuracy there", "dev accuracy, end",
    ]  # fmt: skip
    lines = {f"{key[0]} (n = {len(runs.of(key))})": curves for key, curves in bands.items()}
    return Section(
        (
            "## Curves",
            wording.caption(runs, keys),
            wording.image(
                "curves", f"Loss and accuracy by epoch of {', '.join(k[0] for k in keys)}"
            ),
            "Values of the mean curves:",
            wording.table(headings, table, "lr"),
        ),
        {"curves": figures.plot_bands(lines, wording.title(runs, keys, "training and dev"))},
    )


def dev_checks(runs: Runs, keys: Sequence[Key], file: str) -> Section:
    """Returns the dev scores within epochs of those experiments that have any.

    Args:
        runs: The runs.
        keys: The experiments.
        file: The name of the figure.
    """
    series = {key: [one.checks for one in runs.of(key) if one.checks] for key in keys}
    series = {key: some for key, some in series.items() if some}
    if not series:
        return Section()
    columns = ("dev_loss", "dev_accuracy")
    bands = {key: {name: band(some, name) for name in columns} for key, some in series.items()}
    turns = []
    for key, some in series.items():
        scores = bands[key]["dev_accuracy"].means
        ends = [100 * (one["dev_accuracy"][-1] - max(one["dev_accuracy"])) for one in some]
        turns.append(
            [
                wording.name(key),
                str(len(some)),
                _turn(bands[key]["dev_loss"], some, "dev_loss", 1),
                _turn(bands[key]["dev_accuracy"], some, "dev_accuracy", -1),
                f"{100 * np.nanmax(scores):.1f}",
                f"{100 * scores[-1]:.1f}",
                wording.points(float(np.mean(ends))),
            ]
        )
    headings = [
        "row", "n", "lowest dev loss: epoch", "highest dev accuracy: epoch",
        "dev accuracy there", "dev accuracy, end", "end of a run minus its highest",
    ]  # fmt: skip
    epochs = sorted({epoch for one in bands.values() for epoch in one["dev_loss"].epochs.tolist()})
    if len(epochs) > 20:  # most changes early; the figure shows the rest
        epochs = [epoch for epoch in epochs if epoch <= 2 or epoch.is_integer()]
    table = [
        [
            f"{epoch:.4g}",
            *(_at(one[name], epoch, name) for one in bands.values() for name in columns),
        ]
        for epoch in epochs
    ]
    names = {key: wording.name(key) for key in bands}
    lines = {"/".join(filter(None, key)): curves for key, curves in bands.items()}
    return Section(
        (
            "Dev was scored several times per epoch. Overfitting starts where the dev loss is "
            "lowest: from there on, training makes the model more confident, and worse on texts "
            "that it has not seen. The dev accuracy may still rise for a while. Epochs are those "
            "of the mean curve, with the lowest and highest of single seeds in brackets.",
            wording.caption(runs, names),
            wording.image(file, f"Dev loss and accuracy within epochs of {', '.join(lines)}"),
            wording.table(headings, turns, "lr"),
            "Means ± standard deviations:",
            wording.table(
                [
                    "epoch",
                    *(f"{n}: {w}" for n in names.values() for w in ("dev loss", "dev accuracy")),
                ],
                table,
                "r",
            ),
        ),
        {file: figures.plot_bands(lines, wording.title(runs, names, "dev"))},
    )


def _turn(
    curve: Band, series: Sequence[Mapping[str, Sequence[float]]], column: str, sign: int
) -> str:
    """Returns the epoch of a mean curve's lowest point and the range over single seeds.

    With a `sign` of -1 it is the highest point.
    """
    at = curve.epochs[lowest(sign * curve.means)]
    single = [one["epoch"][lowest(sign * np.array(one[column], dtype=float))] for one in series]
    return f"{at:.4g}" + (f" [{min(single):.4g}–{max(single):.4g}]" if len(single) > 1 else "")


def _at(curve: Band, epoch: float, column: str) -> str:
    """Returns a mean curve's value at an epoch, with its standard deviation."""
    if epoch not in curve.epochs:
        return "–"
    place = curve.epochs.tolist().index(epoch)
    scale, digits = (100, 1) if column.endswith("accuracy") else (1, 3)
    mean, sd = scale * curve.means[place], scale * curve.sds[place]
    return f"{mean:.{digits}f}" + ("" if math.isnan(sd) else f" ± {sd:.{digits}f}")
