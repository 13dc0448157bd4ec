"""A report's scores → matplotlib figures: rows, curves, readings.

They are narrow, so that their letters can be read where a page is 370 pixels wide.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from sst_keras import plotting
from sst_keras.experiments.records import Weights
from sst_keras.experiments.report.comparison import Curve, Found, Summary

_WIDTH = 5.6  # inches


def plot_rows(
    found: Mapping[str, Found],
    title: str,
    source: str,
    published: Sequence[float | None],
    differences: bool = False,
) -> Figure:
    """Draws accuracies with their standard deviations, or differences with their intervals.

    `found` has each row's scores, from the top; `published` has those of the `source`. The
    interval of two seeds is so wide that others could hardly be read beside it: it may be cut.
    """
    what = "Test accuracy by row: mean ± standard deviation"
    if differences:
        what = "Differences of test accuracy: means and 95 % intervals"
    figure = plotting.new_figure(what, title, _WIDTH, 1.3 + 0.3 * len(found))
    axis, places = figure.subplots(), np.arange(len(found))
    plotting.style_axis(axis)
    axis.set_xlabel("Test accuracy")
    axis.xaxis.set_major_formatter("{x:.4g}%")
    if differences:
        axis.set_xlabel("Difference of test accuracy, in points")
        signed = FuncFormatter(lambda x, _: f"{x:+.4g}".replace("-", "−") if x else "0")
        axis.xaxis.set_major_formatter(signed)
        axis.axvline(0, color=plotting.GREY, linewidth=1.2)
    styles = ((plotting.BLUE, "o", -0.24), (plotting.ORANGE, "s", 0.24))
    for weights, (colour, marker, offset) in zip(Weights, styles, strict=True):
        values = [of[weights] for of in found.values()]
        means = np.array([one and one.mean for one in values], dtype=float)
        halves = [one and one.sd for one in values]
        if differences:
            halves = [one and one.interval and one.mean - one.interval[0] for one in values]
        halves = np.nan_to_num(np.array(halves, dtype=float))
        axis.errorbar(
            means, places + offset, xerr=halves, fmt=marker, color=colour, ms=5, capsize=2
        )
    handles, labels = [*axis.containers], [weights.value for weights in Weights]
    if any(value is not None for value in published):
        style = {"color": plotting.BLACK, "ms": 6, "mfc": "none", "mew": 1.5}
        handles += axis.plot(np.array(published, dtype=float), places, "D", **style)
        labels.append(source)
    if differences:
        summaries = [one for of in found.values() for one in of.values() if one]
        low, high = _span(summaries, [value for value in published if value is not None])
        axis.set_xlim(max(axis.get_xlim()[0], low), min(axis.get_xlim()[1], high))
    else:
        axis.set_xlim(right=min(axis.get_xlim()[1], 100))
    axis.set_yticks(places, list(found), parse_math=False)
    axis.set_ylim(len(found) - 0.4, -0.6)  # the first row is at the top
    axis.tick_params("y", length=0)
    plotting.add_legend(figure, handles, labels)
    return figure


def is_cut(found: Mapping[str, Found]) -> bool:
    """Returns whether `plot_rows` may cut intervals of these differences."""
    sizes = {one.n for of in found.values() for one in of.values() if one}
    return 2 in sizes and max(sizes) > 2


def _span(summaries: Sequence[Summary], published: Sequence[float]) -> tuple[float, float]:
    """Returns where an axis ends that shows all means, and the intervals of over two seeds."""
    ends = [0.0, *published, *(one.mean for one in summaries)]
    if all(one.n <= 2 for one in summaries):
        return -math.inf, math.inf
    ends += [end for one in summaries if one.n > 2 for end in one.interval]
    margin = 0.1 * (max(ends) - min(ends)) or math.inf
    return min(ends) - margin, max(ends) + margin


def plot_curves(curves: Mapping[str, Mapping[str, Curve]], title: str) -> Figure:
    """Draws curves by epoch, each as a mean over seeds in a band of ± one standard deviation.

    `curves` has label → column of the history → curve; all labels have the same columns.
    """
    columns = next(iter(curves.values()))
    lines = math.ceil(len(columns) / 2)
    what = "Mean over seeds ± standard deviation, by epoch"
    figure = plotting.new_figure(what, title, _WIDTH, 0.5 + 2.4 * lines)
    axes = figure.subplots(lines, 2, sharex=True, squeeze=False)
    for axis, column in zip(axes.flat, columns, strict=True):
        plotting.style_axis(axis)
        axis.set_title(plotting.PANELS[column], fontsize=11)
        if column.endswith("accuracy"):
            axis.yaxis.set_major_formatter("{x:.4g}%")
        for by_column, (colour, line) in zip(curves.values(), plotting.STYLES, strict=False):
            epochs, points = list(by_column[column]), by_column[column].values()
            means, sds = np.array([(one.mean, one.sd) for one in points], dtype=float).T
            axis.plot(epochs, means, color=colour, ls=line, marker=".", markersize=5)
            axis.fill_between(epochs, means - sds, means + sds, color=colour, alpha=0.2, lw=0)
    for axis in axes[-1]:
        axis.set_xlabel("Epoch")
        axis.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
        axis.set_xlim(left=0)
    plotting.add_legend(figure, axes[0, 0].lines, list(curves))
    return figure


def plot_pattern(places: Sequence[str], lines: Mapping[str, Sequence[float]], title: str) -> Figure:
    """Draws accuracies in percent over a few places, such as numbers of epochs.

    The first of the `lines`, label → float[places], is the reference: it is black and wider.
    """
    figure = plotting.new_figure("Test accuracy, means over seeds", title, _WIDTH, 3.6)
    axis = figure.subplots()
    plotting.style_axis(axis)
    styles = [(plotting.BLACK, "-"), *(one for one in plotting.STYLES if one[0] != plotting.BLACK)]
    for values, (colour, line) in zip(lines.values(), styles, strict=False):
        axis.plot(places, values, color=colour, ls=line, marker="o", lw=1.5)
    axis.lines[0].set_linewidth(2.5)
    axis.yaxis.set_major_formatter("{x:.4g}%")
    axis.margins(x=0.1)
    plotting.add_legend(figure, axis.lines, list(lines))
    return figure
