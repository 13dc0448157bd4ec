"""Curves over epochs, and dev scores within them: the sections of a report that draw them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sst_keras import plotting
from sst_keras.experiments.report import comparison, wording
from sst_keras.experiments.report.comparison import Key
from sst_keras.experiments.report.document import Document


def add_curves(report: Document) -> None:
    """Curves of the rows that the sweep names, and dev checks within epochs of any row."""
    keys = [(tag, None) for tag in report.sweep.curves if report.runs.of((tag, None))]
    if keys:
        report.add("## Curves", report.caption(keys))
        names = {key: f"{key[0]} (n = {len(report.runs.of(key))})" for key in keys}
        columns = ("loss", "accuracy", "dev_loss", "dev_accuracy")
        bands = {
            key: {name: _band(report, key, "history", name) for name in columns} for key in keys
        }
        table = []
        for key in keys:
            epochs, losses, _ = bands[key]["dev_loss"]
            _, scores, _ = bands[key]["dev_accuracy"]
            table.append(
                [
                    wording.text(key[0]),
                    str(len(report.runs.of(key))),
                    f"{epochs[-1]:g}",
                    f"{100 * bands[key]['accuracy'][1][-1]:.1f}",
                    f"{epochs[comparison.lowest(losses)]:g}",
                    f"{epochs[comparison.lowest(scores, -1)]:g}",
                    f"{100 * np.nanmax(scores):.1f}",
                    f"{100 * scores[-1]:.1f}",
                ]
            )
        report.figure(
            "curves",
            f"Loss and accuracy by epoch of {', '.join(key[0] for key in keys)}",
            plotting.plot_bands(
                {names[key]: bands[key] for key in keys}, report.title(keys, "training and dev")
            ),
        )
        headings = [
            "row", "n", "epochs", "training accuracy, end", "lowest dev loss: epoch",
            "highest dev accuracy: epoch", "dev accuracy there", "dev accuracy, end",
        ]  # fmt: skip
        report.add("Of the mean curves:", wording.table(headings, table, "l" + "r" * 7))
    add_checks(report, [key for key in report.run_rows if has_checks(report, key)], "checks")


def _band(report: Document, key: Key, part: str, column: str) -> tuple[list[float], ...]:
    """Returns epochs, means and standard deviations of a column of an experiment's runs."""
    series = [record[part] for record in report.runs.of(key) if record.get(part)]
    return comparison.band(series, column)


def has_checks(report: Document, key: Key) -> bool:
    """Returns whether dev was scored within epochs."""
    return any(record.get("checks") for record in report.runs.of(key))


def add_checks(report: Document, keys: Sequence[Key], name: str) -> None:
    """Dev accuracy within epochs: figure, where it turns, and a table."""
    if not keys:
        return
    columns = ("dev_loss", "dev_accuracy")
    bands = {
        key: {column: _band(report, key, "checks", column) for column in columns} for key in keys
    }
    report.add(
        "Dev was scored several times an epoch. Overfitting starts where the dev loss is "
        "lowest: from there on training makes the model surer, and worse on what it has not "
        "seen. The dev accuracy may rise for a while yet. Places are those of the mean curve, "
        "with the lowest and highest of single seeds in brackets.",
        report.caption(keys),
    )
    report.figure(
        name,
        f"Dev loss and accuracy within epochs of {', '.join(map(wording.name, keys))}",
        plotting.plot_bands(
            {wording.name(key): bands[key] for key in keys}, report.title(keys, "dev")
        ),
    )
    turns = []
    for key in keys:
        series = [record["checks"] for record in report.runs.of(key) if record.get("checks")]
        epochs, scores, _ = bands[key]["dev_accuracy"]
        ends = [100 * (one["dev_accuracy"][-1] - max(one["dev_accuracy"])) for one in series]
        turns.append(
            [
                wording.name(key),
                str(len(series)),
                wording.turn(bands[key]["dev_loss"], series, "dev_loss", 1),
                wording.turn(bands[key]["dev_accuracy"], series, "dev_accuracy", -1),
                f"{100 * np.nanmax(scores):.1f}",
                f"{100 * scores[-1]:.1f}",
                wording.points(float(np.mean(ends))),
            ]
        )
    headings = [
        "row", "n", "lowest dev loss: epoch", "highest dev accuracy: epoch",
        "dev accuracy there", "dev accuracy, end", "a run's end against its highest",
    ]  # fmt: skip
    report.add(wording.table(headings, turns, "l" + "r" * 6))
    epochs = sorted({epoch for key in keys for epoch in bands[key]["dev_accuracy"][0]})
    if len(epochs) > 20:  # what happens, happens early; the figure has the rest
        epochs = [epoch for epoch in epochs if epoch <= 2 or float(epoch).is_integer()]
    table = []
    for epoch in epochs:
        cells = [f"{epoch:.4g}"]
        for key in keys:
            for column in columns:
                cells.append(_at(bands[key][column], epoch, column))
        table.append(cells)
    headings = ["epoch"]
    headings += [
        f"{wording.name(key)}: {what}" for key in keys for what in ("dev loss", "dev accuracy")
    ]
    report.add("Means ± standard deviations:", wording.table(headings, table, "r" * len(headings)))


def _at(curve: Sequence[Sequence[float]], epoch: float, column: str) -> str:
    """Returns a mean curve's value at an epoch, with its standard deviation."""
    if epoch not in curve[0]:
        return "–"
    place = curve[0].index(epoch)
    mean, sd = (values[place] for values in curve[1:])
    scale, digits = (100, 1) if column.endswith("accuracy") else (1, 3)
    spread = "" if math.isnan(sd) else f" ± {scale * sd:.{digits}f}"
    return f"{scale * mean:.{digits}f}{spread}"
