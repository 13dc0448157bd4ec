"""A report's scores → matplotlib figures: rows, effects, curves, readings.

They are narrow, so that their letters can be read where a page is 370 pixels wide.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from sst_keras.experiments.report.comparison import Band, Difference, Summary
from sst_keras.plotting import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    PANELS,
    STYLES,
    add_legend,
    new_figure,
    style_axis,
)

_WIDTH = 5.6  # inches


def plot_accuracies(
    rows: Sequence[str],
    accuracies: Mapping[str, Sequence[Summary | None]],
    title: str,
    published: Sequence[float | None] = (),
    source: str = "",
) -> Figure:
    """Draws the accuracies of each row: mean ± standard deviation, and the published one.

    Args:
        rows: The names of the rows, from the top.
        accuracies: Label → each row's accuracy; None if it has no runs.
        title: What the figure is of, such as data set, split and vectors.
        published: The published accuracies in percent; None for a row without one.
        source: The label of the published accuracies.
    """
    bars = {
        label: [one and (one.mean, one.sd) for one in values]
        for label, values in accuracies.items()
    }
    what = "Test accuracy by row: mean ± standard deviation"
    figure, axis = _plot_rows(rows, bars, (what, title), published, source)
    axis.set_xlabel("Test accuracy")
    axis.xaxis.set_major_formatter(PercentFormatter(decimals=0))
    return figure


def plot_differences(
    rows: Sequence[str],
    differences: Mapping[str, Sequence[Difference | None]],
    title: str,
    published: Sequence[float | None] = (),
    source: str = "",
) -> Figure:
    """Draws differences of accuracy with their 95 % intervals; see `plot_accuracies`."""
    bars = {
        label: [one and (one.mean, None if one.low is None else one.mean - one.low) for one in some]
        for label, some in differences.items()
    }
    what = "Differences of test accuracy: means and 95 % intervals"
    figure, axis = _plot_rows(rows, bars, (what, title), published, source)
    axis.axvline(0, color=GREY, linewidth=1.2)
    axis.set_xlabel("Difference of test accuracy, in points")
    axis.xaxis.set_major_formatter(
        FuncFormatter(lambda x, _: f"{x:+.4g}".replace("-", "−") if x else "0")
    )
    return figure


def plot_bands(curves: Mapping[str, Mapping[str, Band]], title: str) -> Figure:
    """Draws curves by epoch, each as a mean over seeds in a band of ± one standard deviation.

    Args:
        curves: Label → column of the history → its band.
        title: What the figure is of.

    Returns:
        A figure with an axis for each column of the first curve.
    """
    columns = next(iter(curves.values()))
    lines = math.ceil(len(columns) / 2)
    what = "Mean over seeds ± standard deviation, by epoch"
    figure = new_figure(what, title, _WIDTH, 0.5 + 2.4 * lines)
    axes = figure.subplots(lines, 2, sharex=True, squeeze=False)
    for axis, column in zip(axes.flat, columns, strict=True):
        style_axis(axis, column)
        axis.set_title(PANELS[column], fontsize=11)
        for of_label, (colour, line) in zip(curves.values(), STYLES, strict=False):
            one = of_label[column]
            axis.plot(one.epochs, one.means, color=colour, ls=line, marker=".", markersize=5)
            low, high = one.means - one.sds, one.means + one.sds
            axis.fill_between(one.epochs, low, high, color=colour, alpha=0.2, lw=0)
    for axis in axes[-1]:
        axis.set_xlabel("Epoch")
        axis.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
        axis.set_xlim(left=0)
    add_legend(figure, axes[0, 0].lines, list(curves))
    return figure


def plot_pattern(places: Sequence[str], lines: Mapping[str, Sequence[float]], title: str) -> Figure:
    """Draws accuracies over a few places, such as numbers of epochs.

    Args:
        places: The names of the places, from the left.
        lines: Label → accuracies in percent, float[places]. The first line is the reference: it
            is black and wider.
        title: What the figure is of.
    """
    figure = new_figure("Test accuracy, means over seeds", title, _WIDTH, 3.6)
    axis = figure.subplots()
    style_axis(axis)
    styles = [(BLACK, "-"), *(style for style in STYLES if style[0] != BLACK)]
    for values, (colour, line) in zip(lines.values(), styles, strict=False):
        axis.plot(places, values, color=colour, ls=line, marker="o", lw=1.5)
    axis.lines[0].set_linewidth(2.5)
    axis.yaxis.set_major_formatter(PercentFormatter(decimals=0))
    axis.margins(x=0.1)
    add_legend(figure, axis.lines, list(lines))
    return figure


def _plot_rows(
    rows: Sequence[str],
    bars: Mapping[str, Sequence[tuple[float, float | None] | None]],
    heading: tuple[str, str],
    published: Sequence[float | None],
    source: str,
) -> tuple[Figure, Axes]:
    """Draws a mean with a bar to both sides for each label and row, and published diamonds."""
    figure = new_figure(*heading, _WIDTH, 1.3 + 0.3 * len(rows))
    axis = figure.subplots()
    style_axis(axis)
    offsets = np.linspace(-0.24, 0.24, len(bars)) if len(bars) > 1 else [0.0]
    styles = zip(bars.values(), (BLUE, ORANGE), "os", offsets, strict=False)
    for values, colour, marker, offset in styles:
        means, halves = np.array([value or (None, None) for value in values], dtype=float).T
        places = np.arange(len(values)) + offset
        halves = np.nan_to_num(halves)
        axis.errorbar(means, places, xerr=halves, fmt=marker, color=colour, ms=5, capsize=2)
    handles, labels = list(axis.containers), list(bars)
    if any(value is not None for value in published):
        scores = np.array(published, dtype=float)
        handles += axis.plot(
            scores, range(len(scores)), "D", color=BLACK, ms=6, mfc="none", mew=1.5
        )
        labels.append(source)
    axis.set_yticks(range(len(rows)), rows, parse_math=False)
    axis.set_ylim(len(rows) - 0.4, -0.6)  # the first row is at the top
    axis.tick_params("y", length=0)
    add_legend(figure, handles, labels)
    return figure, axis
