"""A run's figures → matplotlib `Figure`; what is drawn is in the run's files, no model is needed.

The functions neither show nor save, and leave matplotlib's global state alone:
`plot_history(...).savefig("history.png")` does the rest.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from sst_keras.history import History

# Okabe and Ito's colours, which the colour-blind can tell apart; their yellow is too pale on white.
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, BLACK = "#CC79A7", "#56B4E9", "#000000"
_COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, BLACK)
_LINES = ("-", "--", ":", "-.")
_STYLES = [(colour, line) for line, colour in product(_LINES, _COLOURS)]  # 28 different ones
_GREY, _PALE = "#666666", "#E6E6E6"

_PANELS = (
    ("loss", "Training loss"),
    ("accuracy", "Training accuracy"),
    ("dev_loss", "Dev loss"),
    ("dev_accuracy", "Dev accuracy"),
)
_NARROW = 5.6  # inches: letters are still read where a page gives a figure 370 pixels
_LONGEST_NAME = 30  # of a class; what is longer is cut short


def plot_history(histories: Mapping[str, History]) -> Figure:
    """Draws training loss, training accuracy, dev loss and dev accuracy by epoch.

    A ring marks each run's best epoch; the legend tells its dev accuracy. An epoch whose value is
    nan leaves a gap.

    Args:
        histories: A run's name → its history; all runs go on the same axes.

    Returns:
        A figure with four axes: loss left, accuracy right, training above, dev below.

    Raises:
        ValueError: If there are no histories.
    """
    if not histories:
        raise ValueError("Expected a history to plot. Received none")
    width = 10.0
    # Names are wrapped, not cut: the ends of two paths may be all that tells them apart.
    labels = [textwrap.fill(_legend_label(*item), 58) for item in histories.items()]
    labels.append("best epoch (its dev accuracy)")
    columns = _legend_columns(labels, width)
    legend_lines = sum(label.count("\n") + 1 for label in labels) / columns
    figure = Figure(figsize=(width, 6.2 + 0.18 * legend_lines), layout=_layout())
    axes = figure.subplots(2, 2, sharex=True)
    last = max(max(history.column("epoch")) for history in histories.values())
    handles = []
    for axis, (column, title) in zip(axes.flat, _PANELS, strict=True):
        _style(axis)
        axis.set_title(title)
        if column.endswith("accuracy"):
            axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 * y:.4g}%"))
        handles = [
            _draw_run(axis, history, column, *_STYLES[number % len(_STYLES)])
            for number, history in enumerate(histories.values())
        ]
    for axis in axes[1]:
        axis.set_xlabel("Epoch")
        axis.set_xlim(0.5, last + max(0.5, 0.03 * last))  # no tick at 0, which is no epoch
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    handles.append(_ring(_GREY))
    legend = figure.legend(
        handles,
        ["-"] * len(labels),
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        fontsize=9,
        handlelength=3,
    )
    # Set here because a legend leaves out labels that begin with an underscore.
    for text, label in zip(legend.get_texts(), labels, strict=True):
        text.set_text(label)
        text.set_parse_math(False)
    return figure


def plot_confusion_matrix(
    matrix: Sequence[Sequence[int]], class_names: Sequence[str], title: str = ""
) -> Figure:
    """Draws a confusion matrix: in each cell the count, and its share of the row.

    The shares colour the cells, so that rare classes are as plain to see as frequent ones. The row
    of a class without examples has no shares and is grey.

    Args:
        matrix: int[classes, classes]. Row i, column j: how many examples of class i were said to be
            class j.
        class_names: The classes' names, in the order of their numbers.
        title: What the matrix is of, such as data set, split and run.

    Raises:
        ValueError: If the matrix is not square, or there is not a name for each row.
    """
    counts = np.asarray(matrix)
    size = len(class_names)
    if counts.shape != (size, size) or size == 0:
        raise ValueError(
            f"Expected a matrix [classes, classes] and a name for each class. Received: a matrix "
            f"{counts.shape} and {size} names"
        )
    totals = counts.sum(axis=1, keepdims=True)  # int[classes, 1]
    shares = np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0)

    names = [_cut(name) for name in class_names]
    row_names = [f"{name} ({total:,})" for name, total in zip(names, totals[:, 0], strict=True)]
    side = max(3.0, min(1.1 * size, 5.5), 0.45 * size)  # of the matrix, in inches
    cell = 72 * side / size  # in points
    width = side + 0.9 + _inches(max(map(len, row_names)), 10)
    column_names, turned = _column_names(names, cell)
    below = _inches(max(map(len, names)), 10) if turned else 0.5
    heading = _heading("Confusion matrix: counts, and shares of each true class", title, width)
    above = 0.25 * (heading.count("\n") + 1)
    figure = Figure(figsize=(width, side + below + above + 0.6), layout=_layout())
    figure.suptitle(heading, fontsize=11, parse_math=False)
    axis = figure.subplots()
    colours = colormaps["Blues"].with_extremes(bad=_PALE)
    image = axis.imshow(np.ma.masked_invalid(shares), cmap=colours, vmin=0, vmax=1, aspect="auto")
    cells = image.to_rgba(np.ma.masked_invalid(shares))  # float[classes, classes, rgba]

    texts = [_cell_text(*pair) for pair in zip(counts.flat, shares.flat, strict=True)]
    longest = max(len(line) for text in texts for line in text.split("\n"))
    points = min(11.0, 0.9 * cell / (0.64 * longest), 0.8 * cell / 2.4)
    for (row, column), text in zip(np.ndindex(size, size), texts, strict=True):
        colour = _readable_on(cells[row, column, :3])
        axis.text(column, row, text, ha="center", va="center", fontsize=points, color=colour)
    axis.set_xticks(range(size), column_names, parse_math=False)
    if turned:
        axis.tick_params("x", rotation=90)
    axis.set_yticks(range(size), row_names, parse_math=False)
    axis.set_xlabel("Predicted class")
    axis.set_ylabel("True class (examples)")
    axis.tick_params(length=0)
    # White lines between the cells.
    axis.set_xticks(np.arange(size - 1) + 0.5, minor=True)
    axis.set_yticks(np.arange(size - 1) + 0.5, minor=True)
    axis.grid(which="minor", color="white", linewidth=1.5)
    axis.tick_params(which="minor", length=0)
    axis.spines[:].set_visible(False)
    return figure


def plot_reliability(
    calibration_bins: Sequence[Mapping[str, Any]],
    expected_calibration_error: float,
    title: str = "",
) -> Figure:
    """Draws how often predictions are right, by how sure the model was of them.

    Above: a bar of accuracy for each bin, a line across it at the bin's mean confidence (the gap of
    the two is what the error averages), and the diagonal where both are the same. Below: how many
    examples each bin has. A bin without examples has no bar.

    Args:
        calibration_bins: `Metrics.calibration`.
        expected_calibration_error: `Metrics.expected_calibration_error`.
        title: What the figure is of, such as data set, split and run.

    Returns:
        A figure with two axes, accuracy and number of examples.
    """
    filled = [row for row in calibration_bins if row["n"]]
    lower = [row["lower"] for row in filled]
    upper = [row["upper"] for row in filled]
    widths = np.subtract(upper, lower)
    width = 6.8
    heading = _heading(
        f"Accuracy by confidence: expected calibration error {expected_calibration_error:.1%}",
        title,
        width,
    )
    figure = Figure(figsize=(width, 6.4 + 0.2 * heading.count("\n")), layout=_layout())
    figure.suptitle(heading, fontsize=11, parse_math=False)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))

    _style(above)
    above.bar(
        lower,
        [row["accuracy"] for row in filled],
        widths,
        align="edge",
        color=SKY,
        edgecolor="white",
        label="accuracy",
    )
    above.hlines(
        [row["confidence"] for row in filled],
        lower,
        upper,
        color=VERMILION,
        linewidth=2.5,
        label="mean confidence",
    )
    above.axline((0, 0), (1, 1), color=_GREY, linestyle="--", lw=1, label="perfect calibration")
    above.set_ylim(0, 1)
    above.set_ylabel("Accuracy")
    above.yaxis.set_major_formatter(PercentFormatter(xmax=1))

    _style(below)
    examples = [row["n"] for row in filled]
    bars = below.bar(lower, examples, widths, align="edge", color=_GREY, edgecolor="white")
    below.bar_label(bars, fmt="{:,.0f}", fontsize=8)
    below.margins(y=0.2)
    below.set_xlim(0, 1)
    below.set_xlabel("Confidence (probability of the predicted class)")
    below.set_ylabel("Examples")
    below.xaxis.set_major_formatter(PercentFormatter(xmax=1))
    below.yaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))
    below.yaxis.set_major_formatter("{x:,.0f}")
    figure.align_ylabels()
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


def plot_accuracies(
    rows: Sequence[str],
    published: Sequence[float | None],
    figures: Mapping[str, Sequence[tuple[float, float | None] | None]],
    title: str = "",
) -> Figure:
    """Draws each row's accuracies side by side: the published one, and ours with their spread.

    Args:
        rows: The rows' names, from the top.
        published: The published accuracies in percent; None where there is none.
        figures: What a figure is → each row's mean and standard deviation over seeds, in percent;
            None where there are no runs, and a standard deviation of None for one seed alone.
        title: What the figure is of, such as data set, split and vectors.
    """
    figure, axis = _rows_figure(rows, "Test accuracy by row: mean ± standard deviation", title)
    _draw_rows(axis, figures, published, "the report (one run)")
    axis.xaxis.set_major_formatter(PercentFormatter(decimals=0))
    axis.set_xlabel("Test accuracy")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def plot_intervals(
    rows: Sequence[str],
    figures: Mapping[str, Sequence[tuple[float, float | None, float | None] | None]],
    title: str = "",
    reference: Sequence[float | None] = (),
) -> Figure:
    """Draws differences with their intervals about 0, a row each.

    Args:
        rows: What is compared, from the top.
        figures: What a figure is → each row's mean difference and its interval's ends, in points;
            None where there is no figure, and ends of None where there is no interval.
        title: What the figure is of, such as data set, split and vectors.
        reference: The report's own differences; None where there is none.
    """
    what = "Differences of test accuracy: means and 95 % intervals"
    figure, axis = _rows_figure(rows, what, title)
    axis.axvline(0, color=_GREY, linewidth=1.2)
    halves = {
        name: [v if v is None else (v[0], None if v[1] is None else v[0] - v[1]) for v in values]
        for name, values in figures.items()
    }
    _draw_rows(axis, halves, reference, "the report (single runs)")
    axis.set_xlabel("Difference of test accuracy, in points")
    axis.xaxis.set_major_formatter(
        FuncFormatter(lambda x, _: f"{x:+.4g}".replace("-", "−") if x else "0")
    )
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def plot_bands(
    curves: Mapping[str, Mapping[str, Sequence[Sequence[float]]]], title: str = ""
) -> Figure:
    """Draws curves by epoch, each the mean over seeds in a band of ± one standard deviation.

    Args:
        curves: A curve's name → column of the history → epochs, means and standard deviations,
            each float[epochs]; a standard deviation of nan has no band.
        title: What the figure is of, such as data set and vectors.

    Returns:
        A figure with an axis for each column that the first curve has of training loss, training
        accuracy, dev loss and dev accuracy.

    Raises:
        ValueError: If there are no curves.
    """
    if not curves:
        raise ValueError("Expected a curve to plot. Received none")
    columns = next(iter(curves.values()))
    panels = [panel for panel in _PANELS if panel[0] in columns]
    width = _NARROW
    heading = _heading("Mean over seeds ± standard deviation, by epoch", title, width)
    lines = math.ceil(len(panels) / 2)
    figure = Figure(
        figsize=(width, 0.7 + 2.4 * lines + 0.25 * heading.count("\n")), layout=_layout()
    )
    figure.suptitle(heading, fontsize=11, parse_math=False)
    axes = figure.subplots(lines, 2, sharex=True, squeeze=False)
    for axis, (column, name) in zip(axes.flat, panels, strict=True):
        _style(axis)
        axis.set_title(name, fontsize=11)
        if column.endswith("accuracy"):
            axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 * y:.4g}%"))
        for number, (label, of_column) in enumerate(curves.items()):
            colour, line = _STYLES[number % len(_STYLES)]
            epochs, means, sds = map(np.asarray, of_column[column])
            label = label if axis is axes[0, 0] else None
            axis.plot(epochs, means, color=colour, ls=line, marker=".", markersize=5, label=label)
            axis.fill_between(epochs, means - sds, means + sds, color=colour, alpha=0.2, lw=0)
    for axis in axes[-1]:
        axis.set_xlabel("Epoch")
        axis.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
        axis.set_xlim(left=0)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def plot_pattern(
    places: Sequence[str], figures: Mapping[str, Sequence[float]], title: str = ""
) -> Figure:
    """Draws accuracies along a few places, such as numbers of epochs, a line each.

    Args:
        places: The places' names, from the left.
        figures: A line's name → its accuracies in percent, float[places]. The first line is what
            the others stand beside, and is drawn in black.
        title: What the figure is of, such as data set, split and vectors.
    """
    width = _NARROW
    heading = _heading("Test accuracy, means over seeds", title, width)
    figure = Figure(
        figsize=(width, 3.6 + 0.2 * heading.count("\n") + 0.22 * len(figures)), layout=_layout()
    )
    figure.suptitle(heading, fontsize=11, parse_math=False)
    axis = figure.subplots()
    _style(axis)
    styles = [(BLACK, "-"), *(style for style in _STYLES if style[0] != BLACK)]
    for number, (name, values) in enumerate(figures.items()):
        colour, line = styles[number % len(styles)]
        wide = 2.5 if number == 0 else 1.5
        axis.plot(places, values, color=colour, ls=line, linewidth=wide, marker="o", label=name)
    axis.yaxis.set_major_formatter(PercentFormatter(decimals=0))
    axis.margins(x=0.1)
    columns = _legend_columns(list(figures), width)
    figure.legend(loc="outside lower center", ncols=columns, frameon=False)
    return figure


def _rows_figure(rows: Sequence[str], what: str, title: str) -> tuple[Figure, Axes]:
    """Returns a figure of rows with names at the left, the first one at the top, and its axis."""
    width = _NARROW
    heading = _heading(what, title, width)
    figure = Figure(
        figsize=(width, 1.6 + 0.3 * len(rows) + 0.2 * heading.count("\n")), layout=_layout()
    )
    figure.suptitle(heading, fontsize=11, parse_math=False)
    axis = figure.subplots()
    _style(axis)
    axis.set_yticks(range(len(rows)), rows, parse_math=False)
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.tick_params("y", length=0)
    return figure, axis


def _draw_rows(
    axis: Axes,
    figures: Mapping[str, Sequence[tuple[float, float | None] | None]],
    reference: Sequence[float | None],
    reference_label: str,
) -> None:
    """Draws each figure's dots, with bars to both sides, and the report's diamonds, row by row."""
    offsets = np.linspace(-0.24, 0.24, len(figures)) if len(figures) > 1 else [0.0]
    styles = zip(figures.items(), (BLUE, ORANGE, GREEN), "os^", offsets, strict=False)
    for (label, values), colour, marker, offset in styles:
        means, halves = zip(*((None, None) if v is None else v for v in values), strict=True)
        axis.errorbar(
            np.array(means, dtype=float),
            np.arange(len(values)) + offset,
            xerr=np.nan_to_num(np.array(halves, dtype=float)),
            fmt=marker,
            color=colour,
            markersize=5,
            capsize=2,
            label=label,
        )
    if any(value is not None for value in reference):
        there = np.array(reference, dtype=float)
        (line,) = axis.plot(there, np.arange(len(there)), "D", color=BLACK, label=reference_label)
        line.set(markersize=6, markerfacecolor="none", markeredgewidth=1.5)


def _draw_run(axis: Axes, history: History, column: str, colour: str, line: str) -> Line2D:
    """Draws a run's column with its best epoch ringed; returns the curve."""
    epochs, values = history.column("epoch"), history.column(column)
    # The dots show an epoch that has no neighbour to draw a line to.
    (curve,) = axis.plot(
        epochs, values, color=colour, linestyle=line, linewidth=1.5, marker=".", markersize=5
    )
    best = history.best_epoch
    if best:
        ring = _ring(colour)
        ring.set_data([best], [values[epochs.index(best)]])
        axis.add_line(ring)
    return curve


def _ring(colour: str) -> Line2D:
    """Returns the mark of a best epoch, nowhere yet."""
    return Line2D(
        [],
        [],
        linestyle="",
        marker="o",
        markersize=7,
        markeredgewidth=1.5,
        markerfacecolor="white",
        color=colour,
        zorder=3,
    )


def _layout() -> ConstrainedLayoutEngine:
    """Returns what places axes, titles and legend so that nothing overlaps or is cut off."""
    return ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)


def _style(axis: Axes) -> None:
    """Takes away what is not needed to read an axis."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(color=_PALE, linewidth=0.8)
    axis.set_axisbelow(True)


def _legend_label(name: str, history: History) -> str:
    """Returns a run's name with its best epoch's dev accuracy."""
    best = history.best_epoch
    if not best:
        return name
    return f"{name} ({history.column('dev_accuracy')[history.column('epoch').index(best)]:.1%})"


def _legend_columns(labels: Sequence[str], width: float) -> int:
    """Returns how many columns of labels fit side by side into `width` inches."""
    longest = max(len(line) for label in labels for line in label.split("\n"))
    return max(1, min(len(labels), int(width / (_inches(longest, 9) + 0.7))))


def _heading(what: str, title: str, width: float) -> str:
    """Returns a figure's title, wrapped to its width."""
    lines = textwrap.wrap(what, int(width / _inches(1, 11)))
    return "\n".join([*lines, *textwrap.wrap(title, int(width / _inches(1, 11)))])


def _inches(characters: int, points: float) -> float:
    """Returns about how wide a text is."""
    return characters * 0.56 * points / 72


def _column_names(names: Sequence[str], cell: float) -> tuple[list[str], bool]:
    """Returns the names as the columns have them, and whether they must stand upright to fit."""
    fitting = int(cell / 72 / _inches(1, 10))
    wrapped = [textwrap.wrap(name, fitting, break_long_words=False) or [""] for name in names]
    if any(len(lines) > 2 or max(map(len, lines)) > fitting for lines in wrapped):
        return list(names), True
    return ["\n".join(lines) for lines in wrapped], False


def _cut(name: str) -> str:
    """Returns a class's name on one line, cut short if it is very long."""
    name = " ".join(name.split())
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1].rstrip() + "…"


def _cell_text(count: int, share: float) -> str:
    """Returns what stands in a cell; where the count is 0 it says all."""
    return f"{count:,}\n{share:.0%}" if count and not math.isnan(share) else f"{count:,}"


def _readable_on(colour: Sequence[float]) -> str:
    """Returns black or white, whichever has the higher contrast (WCAG 2) on `colour`."""

    def luminance(rgb: Sequence[float]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(text: str) -> float:
        dark, light = sorted((luminance(to_rgb(text)), luminance(colour)))
        return (light + 0.05) / (dark + 0.05)

    return max("black", "white", key=contrast)
