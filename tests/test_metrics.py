import json
import math

import numpy as np
import pytest
from scipy.stats import binomtest

from sst_keras.metrics import (
    CALIBRATION_BINS,
    compute_metrics,
    confusion_matrix,
    paired_difference,
    polarity_accuracy,
    quadratic_weighted_kappa,
    wilson_interval,
)

# Predicted are 0 (right), 2 (two off), 1 (right), 1 (one off), 2 (right).
LABELS = np.array([0, 0, 1, 2, 2])
PROBABILITIES = np.array(
    [
        [0.5, 0.25, 0.25],
        [0.125, 0.125, 0.75],
        [0.25, 0.5, 0.25],
        [0.25, 0.5, 0.25],
        [0.25, 0.25, 0.5],
    ]
)


def test_scores_by_hand():
    metrics = compute_metrics(LABELS, PROBABILITIES)
    assert metrics.n == 5
    assert metrics.accuracy == 3 / 5
    # The true classes have probabilities 2^-1, 2^-3, 2^-1, 2^-2, 2^-1.
    assert metrics.loss == pytest.approx(8 / 5 * math.log(2))
    assert metrics.confusion_matrix == [[1, 0, 1], [0, 1, 0], [0, 1, 1]]
    assert metrics.macro_f1 == pytest.approx((2 / 3 + 2 / 3 + 1 / 2) / 3)
    assert metrics.mean_absolute_error == pytest.approx((2 + 1) / 5)
    assert metrics.within_one_accuracy == 4 / 5
    # Without the one of class 1: right, wrong, a tie that goes to the lower half, right.
    assert metrics.polarity_accuracy == 2 / 4
    # Seen: 1 · 2² + 1 · 1² = 5. By chance, from totals 2, 1, 2 and 1, 2, 2: (11 + 6 · 2²) / 5 = 7.
    assert metrics.quadratic_weighted_kappa == pytest.approx(1 - 5 / 7)
    # Four at confidence 0.5 of which three are right, one at 0.75 that is wrong.
    assert metrics.expected_calibration_error == pytest.approx((4 * 0.25 + 1 * 0.75) / 5)


def test_the_right_half_of_a_scale():
    certain = np.eye(5)
    # The middle's probability does not count, and the halves' sums decide.
    halves = np.array([[0.1, 0.2, 0.45, 0.25, 0.0], [0.35, 0.0, 0.0, 0.3, 0.35]])
    assert polarity_accuracy(np.array([0, 4]), halves) == 1.0
    assert polarity_accuracy(np.array([4, 1]), halves) == 0.0
    assert polarity_accuracy(np.array([2, 2, 1]), certain[[0, 4, 0]]) == 1.0
    assert polarity_accuracy(np.array([2]), certain[[0]]) is None
    # An even number of classes has no middle.
    assert polarity_accuracy(np.array([0, 1, 2, 3]), np.eye(4)[[1, 2, 3, 0]]) == 0.5


def test_scores_of_each_class():
    first, second, third = compute_metrics(LABELS, PROBABILITIES).per_class
    assert first == {
        "label": 0,
        "precision": 1.0,
        "recall": 0.5,
        "f1": pytest.approx(2 / 3),
        "support": 2,
        "predicted": 1,
    }
    assert (second["precision"], second["recall"], second["support"]) == (0.5, 1.0, 1)
    assert (third["precision"], third["recall"], third["f1"]) == (0.5, 0.5, 0.5)


def test_class_without_examples_counts_as_zero_in_macro_f1():
    metrics = compute_metrics([0, 1], [[0.8, 0.2, 0.0], [0.2, 0.8, 0.0]])
    absent = metrics.per_class[2]
    assert (absent["precision"], absent["recall"], absent["f1"]) == (0.0, 0.0, 0.0)
    assert (absent["support"], absent["predicted"]) == (0, 0)
    assert metrics.accuracy == 1.0
    assert metrics.macro_f1 == pytest.approx(2 / 3)


def test_class_without_examples_that_is_predicted():
    row = compute_metrics([0, 0], [[0.8, 0.2], [0.2, 0.8]]).per_class[1]
    assert (row["precision"], row["recall"], row["f1"], row["predicted"]) == (0.0, 0.0, 0.0, 1)


def test_loss_of_a_label_with_probability_0_is_finite():
    assert compute_metrics([1], [[1.0, 0.0]]).loss == pytest.approx(12 * math.log(10))


def test_a_tie_predicts_the_lowest_class():
    assert compute_metrics([1], [[0.2, 0.4, 0.4]]).confusion_matrix[1] == [0, 1, 0]


@pytest.mark.parametrize(
    ("matrix", "kappa"),
    [
        ([[3, 0], [0, 2]], 1.0),
        ([[1, 1], [1, 1]], 0.0),
        ([[0, 2], [2, 0]], -1.0),
        ([[4, 0], [0, 0]], 1.0),  # only one class, always predicted: 0/0
        ([[0, 4], [0, 0]], 0.0),  # only one class, another always predicted
    ],
)
def test_kappa(matrix, kappa):
    assert quadratic_weighted_kappa(matrix) == kappa


def test_rows_of_the_confusion_matrix_are_the_truth():
    assert confusion_matrix([0, 0, 2], [1, 1, 0], 3).tolist() == [[0, 2, 0], [0, 0, 0], [1, 0, 0]]


def test_calibration_bins():
    bins = compute_metrics(LABELS, PROBABILITIES).calibration
    assert len(bins) == CALIBRATION_BINS == 15
    assert (bins[0]["lower"], bins[-1]["upper"]) == (0.0, 1.0)
    assert [row["n"] for row in bins] == [0] * 7 + [4] + [0] * 3 + [1] + [0] * 3
    assert (bins[7]["lower"], bins[7]["upper"]) == pytest.approx((7 / 15, 8 / 15))
    assert (bins[7]["confidence"], bins[7]["accuracy"]) == (0.5, 0.75)
    assert (bins[11]["confidence"], bins[11]["accuracy"]) == (0.75, 0.0)
    assert (bins[0]["confidence"], bins[0]["accuracy"]) == (None, None)


def test_certainty_is_in_the_last_bin_and_an_edge_in_the_bin_below():
    assert compute_metrics([0], [[1.0, 0.0]]).calibration[14]["n"] == 1
    assert compute_metrics([0], [[0.6, 0.4]]).calibration[8]["n"] == 1  # (8/15, 9/15]
    # Rounding may leave a probability just above 1.
    assert compute_metrics([0], [[1.0000001, 0.0]]).calibration[14]["n"] == 1


def test_the_largest_class():
    metrics = compute_metrics([2, 1, 2, 0], np.eye(3)[[0, 0, 0, 0]])
    assert (metrics.majority, metrics.majority_label) == (1 / 2, 2)
    tied = compute_metrics([2, 1], np.eye(3)[[0, 0]])
    assert (tied.majority, tied.majority_label) == (1 / 2, 1)


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        # z² / n = 0.38415: (0.5 ± sqrt(0.38415 · 0.25 + 0.38415² / 4) / 1.38415)
        (5, 10, 0.2366, 0.7634),
        (0, 10, 0.0, 0.2775),  # z² / (n + z²)
        (10, 10, 0.7225, 1.0),
        # Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
    ],
)
def test_the_interval_of_the_accuracy(hits, n, low, high):
    assert wilson_interval(hits, n) == pytest.approx((low, high), abs=5e-5)
    predicted = np.eye(2)[(np.arange(n) >= hits).astype(int)]
    metrics = compute_metrics(np.zeros(n, int), predicted)
    assert metrics.accuracy_interval == list(wilson_interval(hits, n))


def test_two_classifiers_on_the_same_texts():
    # Approval of a prime minister, asked twice: Agresti, "An Introduction to Categorical Data
    # Analysis", table 8.1. Its Wald interval is 0.020 to 0.060.
    first = np.repeat([True, True, False, False], [794, 150, 86, 570])
    second = np.repeat([True, False, True, False], [794, 150, 86, 570])
    found = paired_difference(first, second)
    assert found.difference == pytest.approx(0.04)
    assert found.interval == pytest.approx((0.0212, 0.0587), abs=1e-4)
    assert (found.only_first, found.only_second) == (150, 86)
    assert found.p_value == pytest.approx(binomtest(86, 236).pvalue)
    back = paired_difference(second, first)
    assert back.difference == -found.difference and back.p_value == found.p_value
    assert back.interval == pytest.approx((-found.interval[1], -found.interval[0]))


def test_equal_classifiers_do_not_differ():
    hits = np.array([True] * 3)
    found = paired_difference(hits, hits)
    assert found.difference == 0 and found.p_value == 1
    assert found.interval[0] == -found.interval[1] < 0
    assert -1 <= paired_difference(~hits, hits).interval[0]
    with pytest.raises(ValueError, match=r"shape \[n\]"):
        paired_difference(hits, hits[:2])


def test_metrics_are_json():
    metrics = compute_metrics(LABELS.astype(np.int32), PROBABILITIES.astype(np.float32)).to_dict()
    assert json.loads(json.dumps(metrics)) == metrics


@pytest.mark.parametrize("seed", range(5))
def test_scikit_learn_agrees(seed):
    from sklearn import metrics as referee

    # Class 2 never occurs; with the last seed class 4 is never predicted either.
    random = np.random.default_rng(seed)
    labels = random.choice([0, 1, 3, 4], 300)
    logits = random.normal(size=(300, 5)) + 1.5 * np.eye(5)[labels]
    logits[:, 4] -= 20 * (seed == 4)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    predicted, classes = probabilities.argmax(axis=1), list(range(5))
    ours = compute_metrics(labels, probabilities)

    exact = {"labels": classes, "zero_division": 0}
    assert ours.accuracy == referee.accuracy_score(labels, predicted)
    matrix = referee.confusion_matrix(labels, predicted, labels=classes)
    assert ours.confusion_matrix == matrix.tolist()
    theirs = referee.precision_recall_fscore_support(labels, predicted, **exact)
    for name, values in zip(("precision", "recall", "f1", "support"), theirs, strict=True):
        assert [row[name] for row in ours.per_class] == pytest.approx(values.tolist())
    macro_f1 = referee.f1_score(labels, predicted, average="macro", **exact)
    kappa = referee.cohen_kappa_score(labels, predicted, labels=classes, weights="quadratic")
    assert ours.macro_f1 == pytest.approx(macro_f1)
    assert ours.quadratic_weighted_kappa == pytest.approx(kappa)
    assert ours.loss == pytest.approx(referee.log_loss(labels, probabilities, labels=classes))
    assert ours.mean_absolute_error == pytest.approx(referee.mean_absolute_error(labels, predicted))


def test_narrow_label_types_do_not_overflow():
    metrics = compute_metrics(np.array([19], np.int8), np.eye(20)[[19]])
    assert metrics.confusion_matrix[19][19] == 1


@pytest.mark.parametrize(
    ("labels", "probabilities", "message"),
    [
        ([], np.zeros([0, 2]), "at least one example"),
        ([0], [[math.nan, 0.5]], "row 0: .*nan"),
        ([0, 0], [[0.5, 0.5], [3.0, -2.0]], "row 1"),
        ([0], [[2.0, 5.0]], "summing to 1"),
        ([2], [[0.5, 0.5]], "from 0 to 1. Received 2 to 2"),
        ([-1], [[0.5, 0.5]], "Received -1 to -1"),
        ([0.5], [[0.5, 0.5]], "integer labels"),
        ([0, 1], [[0.5, 0.5]], "Expected labels"),
        ([0], [0.5], "Expected labels"),
    ],
)
def test_unsound_input(labels, probabilities, message):
    with pytest.raises(ValueError, match=message):
        compute_metrics(labels, probabilities)
