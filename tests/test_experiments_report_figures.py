import numpy as np
import pytest
from matplotlib.colors import to_rgb
from test_plotting import draw, legend_texts, texts_outside

from sst_keras.experiments.records import Weights
from sst_keras.experiments.report.comparison import Summary, summarize
from sst_keras.experiments.report.figures import plot_curves, plot_pattern, plot_rows


def both(last, best):
    """What was found with each set of weights."""
    return {Weights.LAST: last, Weights.BEST: best}


def bars(axis):
    """Each label's dots, and the two ends of the bars of those that are there."""
    found = []
    for container in axis.containers:
        dots, _, (lines,) = container
        ends = [segment[:, 0].tolist() for segment in lines.get_segments() if len(segment)]
        found.append((dots.get_xdata().tolist(), ends))
    return found


def test_accuracies_have_bars_of_one_standard_deviation():
    found = {
        "V1": both(Summary(41.0, 0.5, 3), Summary(42.0, 0.0, 3)),
        "V2": both(Summary(39.0, None, 1), None),
        "V3": both(None, None),
    }
    published = [40.0, None, 42.0]
    figure = draw(plot_rows(found, "sst5, test; vectors", "the paper", published))
    (axis,) = figure.axes
    dots, ends = bars(axis)[0]
    assert (dots[:2], np.isnan(dots[2])) == ([41.0, 39.0], True)
    assert ends == [[40.5, 41.5], [39.0, 39.0]]
    diamonds = axis.lines[-1].get_xdata()
    assert diamonds[[0, 2]].tolist() == [40.0, 42.0] and np.isnan(diamonds[1])
    assert [label.get_text() for label in axis.get_yticklabels()] == ["V1", "V2", "V3"]
    low, high = axis.get_ylim()
    assert low > high  # the first row is at the top
    assert figure.get_suptitle().endswith("sst5, test; vectors")
    assert legend_texts(figure) == ["last epoch", "best epoch by dev", "the paper"]


def test_differences_have_bars_of_their_intervals():
    values = summarize([1, 2, 3])  # 2.484 to both sides
    found = {"units": both(values, None), "epochs": both(Summary(2.0, None, 1), values)}
    figure = draw(plot_rows(found, "", "the paper", [None, None], differences=True))
    (axis,) = figure.axes
    assert legend_texts(figure) == ["last epoch", "best epoch by dev"]
    last, best = bars(axis)
    assert np.array(last[1]) == pytest.approx(np.array([[-0.484, 4.484], [2, 2]]), abs=1e-3)
    assert np.array(best[1]) == pytest.approx(np.array([[-0.484, 4.484]]), abs=1e-3)
    assert axis.xaxis.get_major_formatter()(-2.0) == "−2"
    assert axis.xaxis.get_major_formatter()(0.0) == "0"


def test_intervals_of_two_seeds_do_not_set_the_scale():
    found = {"units": both(summarize([1, 2, 3]), None), "epochs": both(summarize([-3, 3]), None)}
    figure = draw(plot_rows(found, "", "", [None, None], differences=True))
    low, high = figure.axes[0].get_xlim()
    assert -1.5 < low < -0.484 and 4.484 < high < 5.5
    figure = draw(plot_rows(found, "", "the paper", [None, 20], differences=True))
    assert 20 < figure.axes[0].get_xlim()[1] < 23


@pytest.mark.parametrize("count", [1, 27, 60])
def test_rows_are_complete(count):
    found = {
        f"vectors' learning rate: 0.0005 → {n}": both(Summary(n, 1.0, 3), None)
        for n in range(count)
    }
    figure = draw(plot_rows(found, "a title " * 12, "_$x$", [1.0] * count, True))
    assert texts_outside(figure) == []
    assert legend_texts(figure)[-1] == "_$x$"
    boxes = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert all(one.y0 > other.y1 for one, other in zip(boxes, boxes[1:], strict=False))


def test_bands_are_around_their_means():
    curve = {1.0: Summary(0.4, 0.1, 2), 2.0: Summary(0.5, None, 1)}
    figure = draw(plot_curves({"a": {"accuracy": curve, "dev_loss": curve}}, "sst5, dev"))
    assert [axis.get_title() for axis in figure.axes] == ["Training accuracy", "Dev loss"]
    assert figure.axes[0].yaxis.get_major_formatter()(40.5) == "40.5%"
    axis = figure.axes[1]
    assert axis.lines[0].get_ydata().tolist() == [0.4, 0.5]
    assert axis.get_ylim()[0] < 0.3 and axis.get_ylim()[1] > 0.5
    assert legend_texts(figure) == ["a"]
    assert texts_outside(figure) == []


def test_first_line_of_a_pattern_is_black():
    lines = {"the paper": [43.9, 45.6, 40.6], "frozen": [42.0, 43.0, 44.0]}
    places = ["1 epoch", "2 epochs", "10 epochs"]
    figure = draw(plot_pattern(places, lines, ""))
    (axis,) = figure.axes
    assert [line.get_ydata().tolist() for line in axis.lines] == list(lines.values())
    assert to_rgb(axis.lines[0].get_color()) == (0, 0, 0)
    assert [label.get_text() for label in axis.get_xticklabels()] == places
    assert texts_outside(figure) == []
