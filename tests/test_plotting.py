import math

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb

from sst_keras import files
from sst_keras.errors import InputError
from sst_keras.history import History, write_history
from sst_keras.metrics import compute_metrics
from sst_keras.plotting import (
    plot_confusion_matrix,
    plot_explanation,
    plot_history,
    plot_perplexity,
    plot_reliability,
    plot_tree,
    save_plots,
)
from sst_keras.runs import RunDirectory
from sst_keras.treebank import LABEL_NAMES, parse_tree


def history(dev_accuracy, loss=None):
    """A history with the dev accuracies given; its other columns follow from the epoch."""
    return History(
        tuple(
            {
                "epoch": float(epoch),
                "loss": (loss or [2.0 / n for n in range(1, 99)])[epoch - 1],
                "accuracy": epoch / 10,
                "dev_loss": 1.0 + epoch,
                "dev_accuracy": score,
                "learning_rate": 0.001,
                "seconds": 1.0,
                "examples_per_second": 100.0,
            }
            for epoch, score in enumerate(dev_accuracy, start=1)
        )
    )


def draw(figure):
    """Draws a figure as saving it does: layout, ticks and texts are settled after."""
    FigureCanvasAgg(figure).draw()
    return figure


def legend_texts(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def texts_outside(figure):
    """The texts that are cut off at the edge of the figure."""
    texts = list(figure.texts)  # the title
    for axis in figure.axes:
        texts += [axis.title, axis.xaxis.label, axis.yaxis.label, *axis.texts]
        for side in (axis.xaxis, axis.yaxis):
            low, high = sorted(side.get_view_interval())
            shown = [tick for tick in side.get_major_ticks() if low <= tick.get_loc() <= high]
            texts += [tick.label1 for tick in shown]
    for legend in figure.legends:
        texts += legend.get_texts()
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts if text.get_text()]
    whole = figure.bbox
    return [
        text
        for text, box in boxes
        if box.x0 < 0 or box.y0 < 0 or box.x1 > whole.x1 or box.y1 > whole.y1
    ]


def curves(axis):
    """The lines of an axis that are runs, not the rings on them."""
    return [line for line in axis.lines if line.get_linestyle() != "None"]


def rings(axis):
    return [line for line in axis.lines if line.get_linestyle() == "None"]


# === History ===


def test_history_has_four_panels_with_the_runs_numbers():
    figure = draw(plot_history({"a": history([0.3, 0.5, 0.4]), "b": history([0.2, 0.1])}))
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == ["Training loss", "Training accuracy", "Dev loss", "Dev accuracy"]
    data = [[line.get_ydata().tolist() for line in curves(axis)] for axis in figure.axes]
    assert data == [
        [[2.0, 1.0, 2 / 3], [2.0, 1.0]],
        [[0.1, 0.2, 0.3], [0.1, 0.2]],
        [[2.0, 3.0, 4.0], [2.0, 3.0]],
        [[0.3, 0.5, 0.4], [0.2, 0.1]],
    ]
    assert curves(figure.axes[0])[0].get_xdata().tolist() == [1, 2, 3]


def test_best_epoch_is_ringed_and_named():
    figure = plot_history({"a": history([0.3, 0.5, 0.4]), "b": history([0.2, 0.1])})
    places = [[line.get_xydata().tolist()[0] for line in rings(axis)] for axis in figure.axes]
    assert places == [[[2, 1.0], [1, 2.0]], [[2, 0.2], [1, 0.1]], [[2, 3.0], [1, 2.0]]] + [
        [[2, 0.5], [1, 0.2]]
    ]
    assert legend_texts(figure) == ["a (50.0%)", "b (20.0%)", "best epoch (its dev accuracy)"]


def test_one_epoch_is_a_visible_mark_on_one_whole_tick():
    figure = draw(plot_history({"a": history([0.4])}))
    for axis in figure.axes:
        assert curves(axis)[0].get_marker() == "."
        low, high = axis.get_xlim()
        assert [tick for tick in axis.get_xticks() if low <= tick <= high] == [1]


@pytest.mark.parametrize("epochs", [3, 90])
def test_epoch_ticks_are_whole_and_from_1(epochs):
    axis = draw(plot_history({"a": history([0.4] * epochs)})).axes[3]
    low, high = axis.get_xlim()
    ticks = [tick for tick in axis.get_xticks() if low <= tick <= high]
    assert min(ticks) >= 1
    assert all(float(tick).is_integer() for tick in ticks)


def test_accuracy_is_in_percent_and_loss_is_not():
    figure = draw(plot_history({"a": history([0.35, 0.36, 0.365])}))
    loss, accuracy = figure.axes[2:]
    assert all(label.get_text().endswith("%") for label in accuracy.get_yticklabels())
    assert not any("%" in label.get_text() for label in loss.get_yticklabels())
    assert accuracy.yaxis.get_major_formatter()(0.365) == "36.5%"
    assert accuracy.yaxis.get_major_formatter()(0.4) == "40%"


def test_checks_within_epochs_are_drawn_at_their_places():
    rows = history([0.2, 0.5, 0.4, 0.3]).rows
    halves = History(tuple(row | {"epoch": row["epoch"] / 2} for row in rows))
    axis = draw(plot_history({"a": halves})).axes[3]
    line, ring = axis.lines
    assert line.get_xdata().tolist() == [0.5, 1, 1.5, 2] and list(ring.get_xdata()) == [1]
    assert axis.get_xlim()[0] == 0


def test_nan_epoch_is_a_gap():
    figure = draw(plot_history({"a": history([0.3, math.nan, 0.4], [1.0, math.nan, math.inf])}))
    shown = curves(figure.axes[3])[0].get_ydata()
    assert np.isnan(shown).tolist() == [False, True, False]
    assert rings(figure.axes[3])[0].get_xydata().tolist() == [[3, 0.4]]


def test_run_without_a_number_has_no_best_epoch():
    figure = draw(plot_history({"a": history([math.nan])}))
    assert not rings(figure.axes[3])
    assert legend_texts(figure)[0] == "a"


def test_perplexities_of_both_directions():
    rows = [
        {"epoch": 0.5, "forward_perplexity": 90.0, "backward_perplexity": 110.0},
        {"epoch": 1.0, "forward_perplexity": 80.0, "backward_perplexity": 100.25},
    ]
    figure = plot_perplexity(rows)
    (axis,) = figure.axes
    lines = [(line.get_xdata().tolist(), line.get_ydata().tolist()) for line in axis.lines]
    assert lines == [([0.5, 1.0], [90.0, 80.0]), ([0.5, 1.0], [110.0, 100.25])]
    (legend,) = figure.legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels == ["forward (80.0 at the end)", "backward (100.2 at the end)"]


def test_checks_within_the_first_epoch_are_on_the_axes():
    names = ("loss", "accuracy", "dev_loss", "dev_accuracy")
    rows = tuple({"epoch": epoch, **dict.fromkeys(names, 0.5)} for epoch in (0.25, 0.5))
    axes = plot_history({"run": History(rows)}).axes
    assert all(axis.get_xlim()[0] < 0.25 for axis in axes)


def test_names_are_shown_as_they_are():
    names = ["_hidden", "$x_1$", "lstm/20250101-seed1"]
    figure = draw(plot_history({name: history([0.25]) for name in names}))
    assert legend_texts(figure)[:3] == [f"{name} (25.0%)" for name in names]
    assert not any(text.get_parse_math() for text in figure.legends[0].get_texts())


@pytest.mark.parametrize("name", ["{}", "pipeline/20250101-000000-seed{}", "folder/" * 12 + "{}"])
def test_27_runs_differ_and_nothing_is_cut_off(name):
    figure = draw(plot_history({name.format(n): history([0.3, 0.4]) for n in range(27)}))
    looks = {(line.get_color(), line.get_linestyle()) for line in curves(figure.axes[0])}
    assert len(looks) == 27
    assert texts_outside(figure) == []
    height = figure.axes[0].get_window_extent().height
    assert height > 0.9 * 2.0 * figure.dpi  # two inches: the legend does not eat the panels


def test_no_histories():
    with pytest.raises(ValueError, match="Received none"):
        plot_history({})


# === Confusion matrix ===


def cell_texts(figure, size):
    texts = [text.get_text() for text in figure.axes[0].texts]
    return [texts[start : start + size] for start in range(0, size * size, size)]


def test_cells_have_counts_and_shares_of_the_row():
    figure = draw(plot_confusion_matrix([[3, 1], [0, 1200]], ["bad", "good"], "sst5, dev"))
    assert cell_texts(figure, 2) == [["3\n75%", "1\n25%"], ["0", "1,200\n100%"]]
    axis = figure.axes[0]
    assert axis.images[0].get_array().tolist() == [[0.75, 0.25], [0.0, 1.0]]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["bad (4)", "good (1,200)"]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["bad", "good"]
    assert (axis.get_ylabel(), axis.get_xlabel()) == ("True class (examples)", "Predicted class")
    assert figure.get_suptitle().endswith("sst5, dev")


def test_row_without_examples_has_no_shares():
    figure = draw(plot_confusion_matrix([[2, 2], [0, 0]], ["bad", "good"]))
    assert cell_texts(figure, 2)[1] == ["0", "0"]
    assert figure.axes[0].images[0].get_array().mask.tolist() == [[False, False], [True, True]]


def test_texts_are_readable_on_every_shade():
    matrix = np.array([[n, 100 - n] for n in range(0, 100, 5)] + [[0, 0]])
    matrix = np.pad(matrix, [(0, 0), (0, len(matrix) - 2)])
    figure = draw(plot_confusion_matrix(matrix, [str(n) for n in range(len(matrix))]))
    image = figure.axes[0].images[0]
    cells = image.to_rgba(image.get_array())[..., :3].reshape(-1, 3)
    ratios = [
        contrast(to_rgb(text.get_color()), cell)
        for text, cell in zip(figure.axes[0].texts, cells, strict=True)
    ]
    assert min(ratios) >= 4.5  # WCAG 2, level AA


def contrast(one, other):
    linear = [
        [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
        for rgb in (one, other)
    ]
    dark, light = sorted(np.array(linear) @ [0.2126, 0.7152, 0.0722])
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize(
    ("names", "count"),
    [
        (["no", "yes"], 5),
        (["very negative", "negative", "neutral", "positive", "very positive"], 100),
        ([f"class {n}" for n in range(20)], 12345),
        (["a class with a name that will not end " * 3, "$5", "_x"], 7),
        (["Donaudampfschifffahrtsgesellschaft"] * 12, 7),
    ],
)
def test_nothing_is_cut_off_and_texts_stay_in_their_cells(names, count):
    size = len(names)
    figure = draw(plot_confusion_matrix(np.full((size, size), count), names, "a title " * 12))
    assert texts_outside(figure) == []
    box = figure.axes[0].get_window_extent()
    assert 0.75 < box.width / box.height < 1.25
    for text in figure.axes[0].texts:
        extent = text.get_window_extent()
        assert extent.width < box.width / size
        assert extent.height < box.height / size


def test_upright_names_where_they_do_not_fit_side_by_side():
    few = draw(plot_confusion_matrix(np.eye(2, dtype=int), ["very negative", "positive"]))
    many = draw(plot_confusion_matrix(np.eye(20, dtype=int), ["very negative"] * 20))
    assert {label.get_rotation() for label in few.axes[0].get_xticklabels()} == {0}
    assert {label.get_rotation() for label in many.axes[0].get_xticklabels()} == {90}


@pytest.mark.parametrize(
    ("matrix", "names"), [([[1, 2], [3, 4]], ["a"]), ([[1, 2]], ["a", "b"]), ([], [])]
)
def test_matrix_that_does_not_fit_its_names(matrix, names):
    with pytest.raises(ValueError, match="a name for each class"):
        plot_confusion_matrix(matrix, names)


# === Reliability ===


def test_reliability_bars():
    # Confidence 0.5 twice, one of them right; 0.95 once, right.
    metrics = compute_metrics([0, 1, 0], [[0.5, 0.5], [0.5, 0.5], [0.95, 0.05]])
    error = metrics.expected_calibration_error
    figure = draw(plot_reliability(metrics.calibration, error, "sst5, dev"))
    above, below = figure.axes
    assert [bar.get_height() for bar in above.patches] == [0.5, 1.0]
    assert [bar.get_x() for bar in above.patches] == pytest.approx([7 / 15, 14 / 15])
    assert [bar.get_width() for bar in above.patches] == pytest.approx([1 / 15, 1 / 15])
    marks = [segment[:, 1].tolist() for segment in above.collections[0].get_segments()]
    assert marks == [[0.5, 0.5], [0.95, 0.95]]
    assert [bar.get_height() for bar in below.patches] == [2, 1]
    assert [text.get_text() for text in below.texts] == ["2", "1"]
    # (2 · |0.5 - 0.5| + 1 · |1 - 0.95|) / 3 = 1.7 %
    assert "expected calibration error 1.7%" in figure.get_suptitle()
    assert figure.get_suptitle().endswith("sst5, dev")
    assert texts_outside(figure) == []


def test_reliability_axes():
    bins = compute_metrics([0], [[1.0, 0.0]]).calibration
    figure = draw(plot_reliability(bins, 0.0))
    above, below = figure.axes
    assert above.get_ylim() == above.get_xlim() == below.get_xlim() == (0, 1)
    assert "100%" in [label.get_text() for label in above.get_yticklabels()]
    (diagonal,) = above.lines
    assert (diagonal.get_xy1(), diagonal.get_xy2()) == ((0, 0), (1, 1))
    assert sorted(legend_texts(figure)) == ["accuracy", "mean confidence", "perfect calibration"]


def test_bin_that_is_always_wrong_still_counts():
    figure = draw(plot_reliability(compute_metrics([1], [[0.9, 0.1]]).calibration, 0.9))
    assert [bar.get_height() for bar in figure.axes[0].patches] == [0.0]
    assert [bar.get_height() for bar in figure.axes[1].patches] == [1]


# === Saving ===


@pytest.fixture
def runs(tmp_path):
    """Two runs of the same name in different folders, with scores."""
    metrics = compute_metrics([0, 1, 0], [[0.5, 0.5], [0.5, 0.5], [0.95, 0.05]])
    scores = vars(metrics) | {"dataset": "toy", "class_names": ["bad", "good"]}
    runs = []
    for folder in ("one", "two"):
        run = RunDirectory(tmp_path / folder / "run")
        write_history(run.history_file, history([0.3, 0.4]).rows)
        files.write_json(run.metrics_file, {"seconds": 1.0, "dev": scores, "test": scores})
        runs.append(run)
    return runs


def test_plots_of_a_run_are_in_its_folder(runs):
    written = save_plots(runs[:1])
    assert [path.name for path in written] == [
        "history.png", "confusion-dev.png", "reliability-dev.png", "confusion-test.png",
        "reliability-test.png",
    ]  # fmt: skip
    assert all(path.parent == runs[0].plots_dir and path.is_file() for path in written)


def test_plots_of_several_runs_have_their_names(runs, tmp_path):
    written = save_plots(runs, tmp_path / "plots")
    assert len(set(written)) == 9 and all(path.is_file() for path in written)
    names = " ".join(path.name for path in written)
    assert "one-run-confusion-dev.png" in names and "two-run-reliability-dev.png" in names


def test_run_without_a_history(tmp_path):
    with pytest.raises(InputError, match="expected a training history"):
        save_plots([RunDirectory(tmp_path)])


@pytest.mark.parametrize("attention", [(0.25, 0.75), ()])
def test_an_explanation_of_a_text(attention):
    figure = draw(plot_explanation(["$not$", "bad"], [-0.02, 0.3], attention, "good (70%)"))
    first, *others = figure.axes
    assert [bar.get_width() for bar in first.patches] == pytest.approx([-2, 30])
    colours = {bar.get_facecolor() for bar in first.patches}
    assert len(colours) == 2 and first.get_ylim()[0] > first.get_ylim()[1]  # from the top
    assert [label.get_text() for label in first.get_yticklabels()] == ["$not$", "bad"]
    assert len(others) == bool(attention)
    if attention:
        assert [bar.get_width() for bar in others[0].patches] == [25, 75]


def test_a_tree_has_its_nodes_over_their_words():
    tree = parse_tree("(4 (2 A) (4 (4 great) (2 $film$)))")
    figure = draw(plot_tree(tree, [4, 2, 3, 4, 2], LABEL_NAMES, "seed 1"))
    assert "4 of 5 nodes are the same" in figure.get_suptitle()
    (axis,) = figure.axes
    nodes = [line for line in axis.lines if line.get_marker() == "o"]
    places = [(line.get_xdata()[0], line.get_ydata()[0]) for line in nodes]
    assert places == [(1, 2), (0, 0), (1.5, 1), (1, 0), (2, 0)]  # over the middle of their words
    halves = [line.get_markerfacecolor() == line.get_markerfacecoloralt() for line in nodes]
    assert [bool(np.all(half)) for half in halves] == [True, True, False, True, True]
    assert [text.get_text() for text in axis.texts] == ["A", "great", "$film$"]
    assert legend_texts(figure) == list(LABEL_NAMES)
