"""Figures of a run: what its files hold → matplotlib `Figure`s. Nothing is shown or saved here."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from sst_keras.history import History

# Okabe and Ito, "Color Universal Design": told apart by colour-blind readers too.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_STYLES = ("-", "--", ":", "-.")
_PANELS = (
    ("loss", "Training loss"),
    ("accuracy", "Training accuracy"),
    ("dev_loss", "Dev loss"),
    ("dev_accuracy", "Dev accuracy"),
)
_INK = "#333333"


def plot_history(histories: Mapping[str, History]) -> Figure:
    """Draws training and dev loss and accuracy by epoch, several runs on the same axes.

    A ring marks each run's best epoch, that of the highest dev accuracy. Training figures are means
    over the epoch, with dropout; dev figures are taken after it.

    Args:
        histories: What a run is called → its history.
    """
    labels = [textwrap.shorten(name, 48, placeholder="…") for name in histories]
    legend_rows = -(-len(labels) // 2) if len(labels) > 1 else 0
    figure = Figure(figsize=(9, 6.4 + 0.22 * legend_rows), layout="constrained")
    figure.suptitle("Training history" if len(labels) > 1 else f"Training history: {labels[0]}")
    panels = figure.subplots(2, 2, sharex=True)
    for axes, (column, title) in zip(panels.flat, _PANELS, strict=True):
        for number, (history, label) in enumerate(zip(histories.values(), labels, strict=True)):
            color = _COLORS[number % len(_COLORS)]
            style = _STYLES[number // len(_COLORS) % len(_STYLES)]
            epochs, values = history.column("epoch"), history.column(column)
            axes.plot(epochs, values, style, color=color, marker=".", label=label)
            if best := history.best_epoch:
                value = values[epochs.index(best)]
                axes.plot(best, value, "o", ms=9, mfc="none", mec=color, gid="best")
        axes.set_title(title, fontsize=11)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if "accuracy" in column:
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        else:
            axes.set_ylabel("loss")
        _plain(axes)
        axes.grid(axis="y", color="#dddddd", linewidth=0.7)
    for axes in panels[1]:
        axes.set_xlabel("epoch (ring: best on dev)")
    if len(labels) > 1:
        handles, texts = panels[0, 0].get_legend_handles_labels()
        figure.legend(
            handles, texts, loc="outside lower center", ncols=2, fontsize=8, frameon=False
        )
    return figure


def plot_confusion_matrix(
    matrix: Sequence[Sequence[int]], class_names: Sequence[str], title: str = ""
) -> Figure:
    """Draws a confusion matrix: counts, and each row's shares as colour and per cent.

    Args:
        matrix: int[classes, classes]; row i, column j counts texts of class i said to be class j.
        class_names: The classes, in the order of the rows.
        title: What is shown.
    """
    counts = np.asarray(matrix)
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    size = len(class_names)
    side = max(5.0, 1.1 * size) if size <= 8 else 0.45 * size + 2.5
    figure = Figure(figsize=(side + 1.8, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [textwrap.fill(textwrap.shorten(name, 24, placeholder="…"), 12) for name in class_names]
    axes.set_xticks(range(size), names, rotation=90 if size > 8 else 0)
    axes.set_yticks(range(size), names)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title("\n".join(textwrap.wrap(title, 60)), fontsize=11)
    for row in range(size):
        for column in range(size):
            text = f"{counts[row, column]:,}"
            if size <= 8 and totals[row, 0]:
                text += f"\n{shares[row, column]:.0%}"
            ink = "white" if shares[row, column] > 0.5 else _INK
            axes.text(
                column,
                row,
                text,
                ha="center",
                va="center",
                color=ink,
                fontsize=9 if size <= 8 else 7,
            )
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0)
    bar = figure.colorbar(image, shrink=0.8, format=PercentFormatter(1.0, decimals=0))
    bar.set_label("share of the true class")
    bar.outline.set_visible(False)
    return figure


def plot_reliability(
    calibration: Sequence[Mapping[str, Any]], expected_calibration_error: float, title: str = ""
) -> Figure:
    """Draws accuracy by confidence, and below it how many texts have that confidence.

    On the diagonal a model is right as often as it says. A bar that stays below is overconfident.

    Args:
        calibration: The bins, as `metrics.Metrics.calibration` has them.
        expected_calibration_error: The mean gap, 0 to 1.
        title: What is shown.
    """
    figure = Figure(figsize=(6.4, 6.4), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    middles = [(bin["lower"] + bin["upper"]) / 2 for bin in calibration]
    width = 0.9 * (calibration[0]["upper"] - calibration[0]["lower"])
    full = [(middle, bin) for middle, bin in zip(middles, calibration, strict=True) if bin["n"]]
    upper.bar(
        [middle for middle, _ in full],
        [bin["accuracy"] for _, bin in full],
        width,
        color=_COLORS[0],
        label="accuracy",
    )
    upper.plot(
        [bin["confidence"] for _, bin in full],
        [bin["confidence"] for _, bin in full],
        "o",
        color=_COLORS[1],
        ms=4,
        label="confidence",
    )
    upper.plot((0, 1), (0, 1), color=_INK, linewidth=0.8, linestyle="--", label="as it should be")
    upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy")
    upper.set_title("\n".join(textwrap.wrap(title, 60)), fontsize=11)
    upper.text(
        0.98,
        0.04,
        f"expected calibration error {expected_calibration_error:.1%}",
        ha="right",
        transform=upper.transAxes,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8},
    )
    upper.legend(loc="upper left", frameon=False)
    lower.bar(middles, [bin["n"] for bin in calibration], width, color="#999999")
    lower.set_ylabel("texts")
    lower.set_xlabel("confidence: probability of the predicted class")
    lower.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    upper.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    _plain(upper)
    _plain(lower)
    return figure


def _plain(axes: Axes) -> None:
    """Takes the frame's upper and right side away."""
    axes.spines[["top", "right"]].set_visible(False)
