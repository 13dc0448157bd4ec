"""Runs → matplotlib figures, drawn from the runs' files. No model is loaded.

The `plot_` functions do not change matplotlib's state: `plot_history(...).savefig("history.png")`.
"""

import functools
import logging
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import count, cycle, product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import get_font_names
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from sst_keras import files
from sst_keras.errors import InputError, UsageError
from sst_keras.history import History
from sst_keras.runs import RunDirectory
from sst_keras.treebank import Tree

log = logging.getLogger(__name__)

# Okabe and Ito's colours, which colour-blind readers can distinguish, without their pale yellow.
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, BLACK, GREY = "#CC79A7", "#56B4E9", "#000000", "#666666"
_COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, BLACK)
STYLES = [(colour, line) for line, colour in product(("-", "--", ":", "-."), _COLOURS)]
PANELS = {
    "loss": "Training loss", "accuracy": "Training accuracy",
    "dev_loss": "Dev loss", "dev_accuracy": "Dev accuracy",
}  # fmt: skip
_PALE = "#E6E6E6"
# Fonts of other scripts and of symbols, on common systems.
_OTHER_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Microsoft YaHei", "PingFang SC", "Hiragino Sans GB",
    "WenQuanYi Zen Hei", "Arial Unicode MS", "Noto Sans Arabic", "Noto Sans Devanagari",
    "Segoe UI Symbol", "Apple Symbols", "Noto Sans Symbols2", "Noto Emoji",
)  # fmt: skip
_LONGEST_NAME = 30  # characters of a class's name


def plot_history(histories: Mapping[str, History]) -> Figure:
    """Draws loss (left) and accuracy (right) by epoch, of training (above) and dev (below).

    All runs, name → history, are drawn on the same axes. A ring marks each run's best epoch, and
    the legend gives its dev accuracy. A value of nan leaves a gap.

    Raises:
        ValueError: If there are no histories.
    """
    if not histories:
        raise ValueError("Expected a history to plot. Received none")
    figure = new_figure("", "", width=10, height=6.2)
    axes = figure.subplots(2, 2, sharex=True, sharey="col")
    handles, labels = {}, {}
    for axis, (column, title) in zip(axes.flat, PANELS.items(), strict=True):
        style_axis(axis, column)
        axis.set_title(title)
        for (name, history), (colour, line) in zip(histories.items(), cycle(STYLES), strict=False):
            scores = dict(zip(history.column("epoch"), history.column(column), strict=True))
            # The dots show epochs that have no neighbour to draw a line to.
            style = {"color": colour, "ls": line, "lw": 1.5, "marker": ".", "markersize": 5}
            (handles[name],) = axis.plot(list(scores), list(scores.values()), **style)
            labels[name] = name
            if best := history.best_epoch:
                axis.add_line(_ring(colour, [best], [scores[best]]))
                labels[name] = f"{name} ({scores[best]:.1%})"  # the last panel is dev accuracy
    epochs = [epoch for history in histories.values() for epoch in history.column("epoch")]
    last, left = max(epochs), 0.5 if min(epochs) >= 1 else 0.0
    for axis in axes[1]:
        axis.set_xlabel("Epoch")
        axis.set_xlim(left, last + max(0.5, 0.03 * last))  # there is no epoch 0, so no tick at 0
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ring = "best epoch (its dev accuracy)"
    add_legend(figure, [*handles.values(), _ring(GREY)], [*labels.values(), ring])
    return figure


def plot_perplexity(rows: Sequence[Mapping[str, float]]) -> Figure:
    """Draws a language model's perplexities on held-out sentences by epoch, from its history."""
    figure = new_figure("Perplexity on held-out sentences", "", width=6, height=4)
    axis = figure.subplots()
    style_axis(axis)
    columns = [name for name in rows[0] if name.endswith("_perplexity")]
    epochs, lines = [row["epoch"] for row in rows], []
    for name, (colour, line) in zip(columns, STYLES, strict=False):
        lines += axis.plot(epochs, [row[name] for row in rows], c=colour, ls=line, marker=".")
    axis.set_xlabel("Epoch")
    axis.set_xlim(left=0)
    labels = [
        f"{name.removesuffix('_perplexity')} ({rows[-1][name]:.1f} at the end)" for name in columns
    ]
    add_legend(figure, lines, labels)
    return figure


def save_perplexity(rows: Sequence[Mapping[str, float]], out: str | Path) -> list[Path]:
    """Saves the plot of a language model's history into a folder; returns the files."""
    return save_figures({"perplexity": plot_perplexity(rows)}, Path(out), dpi=150)


def plot_confusion_matrix(
    matrix: Sequence[Sequence[int]], class_names: Sequence[str], title: str = ""
) -> Figure:
    """Draws a confusion matrix: each cell shows a count and its share of the row.

    The shares set the colours, so that rare classes are as visible as frequent ones. The row of a
    class without examples has no shares and is grey. `matrix` is int[true class, predicted class],
    and `title` says what it is of, such as data set, split and run.

    Raises:
        ValueError: If the matrix is not square, or the number of names differs from its size.
    """
    counts = np.asarray(matrix)
    size = len(class_names)
    if counts.shape != (size, size) or size == 0:
        received = f"a matrix {counts.shape} and {size} names"
        raise ValueError(
            f"Expected a square matrix and a name for each class. Received: {received}"
        )
    totals = counts.sum(axis=1, keepdims=True)  # int[classes, 1]
    shares = np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0)

    names = [_cut(name) for name in class_names]
    row_names = [f"{name} ({total:,})" for name, total in zip(names, totals[:, 0], strict=True)]
    side = max(3.0, min(1.1 * size, 5.5), 0.45 * size)  # of the matrix, in inches
    cell = 72 * side / size  # in points
    column_names, upright = _column_names(names, cell)
    below = _inches(max(map(len, names)), 10) if upright else 0.5
    figure = new_figure(
        "Confusion matrix: counts, and shares of each true class",
        title,
        width=side + 0.9 + _inches(max(map(len, row_names)), 10),
        height=side + below + 1.1,
    )
    axis = figure.subplots()
    colours = colormaps["Blues"].with_extremes(bad=_PALE)
    image = axis.imshow(np.ma.masked_invalid(shares), cmap=colours, vmin=0, vmax=1, aspect="auto")
    cells = image.to_rgba(np.ma.masked_invalid(shares))  # float[classes, classes, rgba]

    texts = [
        f"{count:,}\n{share:.0%}" if count else "0"
        for count, share in zip(counts.flat, shares.flat, strict=True)
    ]
    longest = max(len(line) for text in texts for line in text.split("\n"))
    points = min(11.0, 0.9 * cell / (0.64 * longest), 0.8 * cell / 2.4)
    for (row, column), text in zip(np.ndindex(size, size), texts, strict=True):
        colour = _readable_on(cells[row, column, :3])
        axis.text(column, row, text, ha="center", va="center", fontsize=points, color=colour)
    axis.set_xticks(range(size), column_names, parse_math=False, rotation=90 if upright else 0)
    axis.set_yticks(range(size), row_names, parse_math=False)
    axis.set(xlabel="Predicted class", ylabel="True class (examples)")
    for set_ticks in (axis.set_xticks, axis.set_yticks):  # white lines between the cells
        set_ticks(np.arange(size - 1) + 0.5, minor=True)
    axis.grid(which="minor", color="white", linewidth=1.5)
    axis.tick_params(which="both", length=0)
    axis.spines[:].set_visible(False)
    return figure


def plot_reliability(
    bins: Sequence[Mapping[str, Any]], calibration_error: float, title: str = ""
) -> Figure:
    """Draws accuracy by confidence, to show how far the model's probabilities can be trusted.

    Above, each bin has a bar for its accuracy and a line at its mean confidence; the calibration
    error averages the gaps between them. Below, a bar for its number of examples. An empty bin has
    no bars. The bins are `Metrics.calibration`, with `Metrics.expected_calibration_error`.
    """
    filled = [row for row in bins if row["n"]]
    lower, upper, accuracies, confidences, examples = (
        [row[name] for row in filled] for name in ("lower", "upper", "accuracy", "confidence", "n")
    )
    widths = np.subtract(upper, lower)
    what = f"Accuracy by confidence: expected calibration error {calibration_error:.1%}"
    figure = new_figure(what, title, width=6.8, height=6.4)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))

    style_axis(above)
    bars = above.bar(lower, accuracies, widths, align="edge", color=SKY, edgecolor="white")
    lines = above.hlines(confidences, lower, upper, color=VERMILION, linewidth=2.5)
    diagonal = above.axline((0, 0), (1, 1), color=GREY, linestyle="--", linewidth=1)
    above.set(ylim=(0, 1), ylabel="Accuracy")
    above.yaxis.set_major_formatter(PercentFormatter(xmax=1))
    labels = ["accuracy", "mean confidence", "perfect calibration"]
    add_legend(figure, [bars, lines, diagonal], labels)

    style_axis(below)
    bars = below.bar(lower, examples, widths, align="edge", color=GREY, edgecolor="white")
    below.bar_label(bars, fmt="{:,.0f}", fontsize=8)
    below.margins(y=0.2)
    below.set(xlim=(0, 1), ylabel="Examples")
    below.set_xlabel("Confidence (probability of the predicted class)")
    below.xaxis.set_major_formatter(PercentFormatter(xmax=1))
    below.yaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))
    below.yaxis.set_major_formatter("{x:,.0f}")
    figure.align_ylabels()
    return figure


def plot_explanation(
    tokens: Sequence[str], effects: Sequence[float], attention: Sequence[float], title: str = ""
) -> Figure:
    """Draws what each token of a text does for its prediction, from the first at the top.

    `effects` are changes of a probability, `attention` are weights that sum to 1, or are empty.
    """
    panels = 2 if attention else 1
    figure = new_figure("", title, 3.4 * panels + 1.4, 0.24 * len(tokens) + 1.2)
    axes = figure.subplots(1, panels, sharey=True, squeeze=False)[0]
    places = np.arange(len(tokens))
    values = 100 * np.asarray(effects, float)
    axes[0].barh(places, values, color=[BLUE if value >= 0 else VERMILION for value in values])
    axes[0].axvline(0, color=GREY, linewidth=1)
    axes[0].set_xlabel("Effect on the predicted class, in points")
    if attention:
        axes[1].barh(places, 100 * np.asarray(attention, float), color=ORANGE)
        axes[1].set_xlabel("Attention, in percent")
    for axis in axes:
        style_axis(axis)
        axis.grid(axis="y", visible=False)
        axis.tick_params("y", length=0)
    axes[0].set_yticks(places, [_cut(token) for token in tokens], parse_math=False)
    axes[0].set_ylim(len(tokens) - 0.4, -0.6)  # the first token is at the top
    return figure


def plot_tree(
    tree: Tree, predicted: Sequence[int], class_names: Sequence[str], title: str = ""
) -> Figure:
    """Draws a sentiment tree; each node has its true class on the left, the predicted on the right.

    `predicted` has a class for each node in the order of `Tree.examples`: the sentence, then its
    parts from left to right.
    """
    nodes = list(_placed(tree, count(), iter(predicted)))
    right = sum(node.tree.label == node.predicted for node in nodes)
    what = f"Left: true class, right: predicted; {right} of {len(nodes)} nodes are the same"
    leaves, depth = sum(not node.below for node in nodes), max(node.y for node in nodes)
    figure = new_figure(what, title, max(0.62 * leaves + 0.6, 6), 0.42 * depth + 1.6)
    axis = figure.subplots()
    axis.set_axis_off()
    axis.set_xlim(-0.7, leaves - 0.3)
    axis.set_ylim(-1.4, depth + 0.5)
    colours = colormaps["RdBu"](np.linspace(0.1, 0.9, len(class_names)))
    for node in nodes:
        for child in node.below:
            axis.plot([node.x, child.x], [node.y, child.y], color=GREY, linewidth=1, zorder=1)
        axis.plot(
            node.x, node.y, ls="", marker="o", ms=15, mec=BLACK, mew=0.8, fillstyle="left",
            mfc=colours[node.tree.label], mfcalt=colours[node.predicted], zorder=2,
        )  # fmt: skip
        if node.tree.token is not None:
            token = _cut(node.tree.token)
            axis.text(
                node.x, -0.55, token, rotation=40, ha="right", va="top", fontsize=9,
                parse_math=False,
            )  # fmt: skip
    handles = [
        Line2D([], [], ls="", marker="o", ms=10, color=colour, mec=BLACK, mew=0.8)
        for colour in colours
    ]
    add_legend(figure, handles, list(class_names))
    return figure


class _Placed(NamedTuple):
    """A node of a tree, the first and the last leaf below it, its height, and its children."""

    tree: Tree
    predicted: int
    first: int
    last: int
    y: int
    below: list["_Placed"]

    @property
    def x(self) -> float:
        """The middle of its leaves."""
        return (self.first + self.last) / 2


def _placed(tree: Tree, leaves: Iterator[int], predicted: Iterator[int]) -> Iterator[_Placed]:
    """Yields the nodes, the root first; leaves are at the bottom, in order."""
    own = next(predicted)
    parts = [list(_placed(child, leaves, predicted)) for child in tree.children]
    tops = [part[0] for part in parts]
    if tops:
        height = 1 + max(top.y for top in tops)
        yield _Placed(tree, own, tops[0].first, tops[-1].last, height, tops)
    else:
        leaf = next(leaves)
        yield _Placed(tree, own, leaf, leaf, 0, [])
    for part in parts:
        yield from part


def save_plots(runs: Sequence[RunDirectory], out: str | Path | None = None) -> list[Path]:
    """Writes every plot that the files of some runs allow; returns the plots' files.

    The histories are drawn on the same axes; an ensemble has none. The default of `out` is the
    run's own folder for plots, or `plots/` for several runs.

    Raises:
        InputError: If there is nothing to draw, or a history is damaged.
    """
    folder = Path(out) if out else runs[0].plots_dir if len(runs) == 1 else Path("plots")
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        names = [str(run.path) for run in runs]
    named = dict(zip(names, runs, strict=True))
    histories = {n: r.history() for n, r in named.items() if r.has_history}
    figures = {"history": plot_history(histories)} if histories else {}
    for name, run in named.items():
        prefix = "" if len(runs) == 1 else f"{name.replace('/', '-')}-"
        metrics = run.metrics()
        for split in ("dev", "test", "train"):
            if scores := metrics.get(split):
                title = f"{scores['dataset']}, {split}, {scores['n']:,} texts: {name}"
                figures[f"{prefix}confusion-{split}"] = plot_confusion_matrix(
                    scores["confusion_matrix"], scores["class_names"], title
                )
                error = scores.get("expected_calibration_error")
                if "calibration" in scores and error is not None:  # not so in early versions
                    figures[f"{prefix}reliability-{split}"] = plot_reliability(
                        scores["calibration"], error, title
                    )
    if not figures:
        raise InputError(f"{runs[0].path}: expected a training history, or scores.")
    return save_figures(figures, folder, dpi=120)


def save_figures(figures: Mapping[str, Figure], folder: Path, dpi: int) -> list[Path]:
    """Writes figures to the files `<name>.png` of a folder; returns the files.

    A folder that is a link raises a `UsageError`: what it points to may be anything.
    """
    if folder.is_symlink():
        message = f"expected a folder to write plots to. {str(folder)!r} is a link."
        raise UsageError(message, setting="out")
    paths = {folder / f"{name}.png": figure for name, figure in figures.items()}
    # Class names may have letters that matplotlib's own font lacks.
    installed = set(get_font_names())
    families = ["DejaVu Sans", *(name for name in _OTHER_FONTS if name in installed)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for path, figure in paths.items():
            for text in figure.findobj(Text):
                text.set_fontfamily(families)
            files.remove_partial(path)
            with files.whole_file(path) as partial:
                figure.savefig(partial, dpi=dpi)
    if any("missing from font" in str(each.message) for each in caught):
        log.warning("The plots have boxes where no installed font has a character of a class name.")
    return list(paths)


# === What all figures share, those of `experiments/report/figures.py` too ===


def new_figure(what: str, title: str, width: float, height: float) -> Figure:
    """Returns a figure with a heading of `what` and `title`; further lines make it higher."""
    fitting = int(width / _inches(1, 11))
    wrap = functools.partial(textwrap.wrap, width=fitting, break_on_hyphens=False)
    lines = [*wrap(what), *wrap(title)]
    height += 0.2 * max(len(lines) - 1, 0)
    figure = Figure((width, height), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
    if lines:
        figure.suptitle("\n".join(lines), fontsize=11, parse_math=False)
    return figure


def style_axis(axis: Axes, column: str = "") -> None:
    """Removes what is not needed to read an axis, and shows a column of accuracies in percent."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(color=_PALE, linewidth=0.8)
    axis.set_axisbelow(True)
    if column.endswith("accuracy"):
        axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 * y:.4g}%"))


def add_legend(figure: Figure, handles: Sequence[Artist], labels: Sequence[str]) -> None:
    """Adds a legend below the axes and makes the figure higher by its lines."""
    # Labels are not cut: two paths may differ only at their ends.
    labels = [textwrap.fill(label, 58) for label in labels]
    longest = max(len(line) for label in labels for line in label.split("\n"))
    width, height = figure.get_size_inches()
    columns = max(1, min(len(labels), int(width / (_inches(longest, 9) + 0.7))))
    lines = sum(label.count("\n") + 1 for label in labels) / columns
    figure.set_size_inches(width, height + 0.18 * lines)
    legend = figure.legend(
        handles, ["-"] * len(labels), loc="outside lower center", ncols=columns, frameon=False,
        fontsize=9, handlelength=3,
    )  # fmt: skip
    # Set here because `legend` leaves out labels that begin with an underscore.
    for text, label in zip(legend.get_texts(), labels, strict=True):
        text.set_text(label)
        text.set_parse_math(False)


def _ring(colour: str, x: Sequence[float] = (), y: Sequence[float] = ()) -> Line2D:
    """Returns the mark of a best epoch."""
    style = {"markersize": 7, "markeredgewidth": 1.5, "markerfacecolor": "white", "zorder": 3}
    return Line2D(x, y, linestyle="", marker="o", color=colour, **style)


def _inches(characters: int, points: float) -> float:
    """Estimates the width of a text."""
    return characters * 0.56 * points / 72


def _column_names(names: Sequence[str], cell: float) -> tuple[list[str], bool]:
    """Returns the names, wrapped to their columns, and whether they must be upright to fit."""
    fitting = int(cell / 72 / _inches(1, 10))
    wrapped = [textwrap.wrap(name, fitting, break_long_words=False) or [""] for name in names]
    if any(len(lines) > 2 or max(map(len, lines)) > fitting for lines in wrapped):
        return list(names), True
    return ["\n".join(lines) for lines in wrapped], False


def _cut(name: str) -> str:
    """Shortens a long name in its middle: names often differ at their ends."""
    name = " ".join(name.split())
    half = (_LONGEST_NAME - 1) // 2
    return name if len(name) <= _LONGEST_NAME else f"{name[:half].rstrip()}…{name[-half:].lstrip()}"


def _readable_on(colour: Sequence[float]) -> str:
    """Returns black or white, whichever has the higher contrast (WCAG 2) with `colour`."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    luminance = np.dot([0.2126, 0.7152, 0.0722], linear)
    # Contrast with white is 1.05 / (luminance + 0.05), with black (luminance + 0.05) / 0.05.
    return "black" if (luminance + 0.05) ** 2 > 1.05 * 0.05 else "white"
