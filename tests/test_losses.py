import numpy as np
import pytest

from sst_keras.losses import LOSSES, Accuracy, CrossEntropy, EarthMover, Euclidean, MacroF1
from sst_keras.metrics import compute_metrics
from sst_keras.runtime import keras

LABELS = np.array([0, 1], "int32")
# softmax: (3/4, 1/4) and (1/2, 1/2).
LOGITS = np.array([[np.log(3.0), 0.0], [0.0, 0.0]], "float32")


def test_cross_entropy_by_hand():
    expected = (-np.log(0.75) - np.log(0.5)) / 2
    assert float(CrossEntropy()(LABELS, LOGITS)) == pytest.approx(expected, rel=1e-6)


def test_cross_entropy_of_smoothed_labels_by_hand():
    # Smoothing 0.2 over two classes: targets 0.9 and 0.1.
    first = -0.9 * np.log(0.75) - 0.1 * np.log(0.25)
    second = -np.log(0.5)
    loss = CrossEntropy(label_smoothing=0.2)(LABELS, LOGITS)
    assert float(loss) == pytest.approx((first + second) / 2, rel=1e-6)


def test_cross_entropy_of_probabilities_by_hand():
    targets = np.array([[0.5, 0.5], [0.0, 1.0]], "float32")
    expected = (-0.5 * np.log(0.75) - 0.5 * np.log(0.25) - np.log(0.5)) / 2
    assert float(CrossEntropy()(targets, LOGITS)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_labels_are_probabilities_of_1(loss):
    for smoothing in (0.0, 0.2):
        hard = loss(label_smoothing=smoothing)(LABELS, LOGITS)
        soft = loss(label_smoothing=smoothing)(np.eye(2, dtype="float32")[LABELS], LOGITS)
        assert float(soft) == float(hard)
    uncertain = loss()(np.full((2, 2), 0.5, "float32"), LOGITS)
    assert float(uncertain) != pytest.approx(float(loss()(LABELS, LOGITS)))


def test_macro_f1_of_probabilities():
    first, second = MacroF1(), MacroF1()
    first.update_state(LABELS, LOGITS)
    second.update_state(np.array([[0.6, 0.4], [0.3, 0.7]], "float32"), LOGITS)
    np.testing.assert_array_equal(first.result(), second.result())


def test_accuracy_of_labels_and_of_probabilities():
    metric = Accuracy()
    metric.update_state(np.array([0, 1]), LOGITS)  # of equal logits, the first counts
    assert float(metric.result()) == 0.5
    metric.update_state(np.array([[0.6, 0.4], [0.9, 0.1]], "float32"), LOGITS)
    assert float(metric.result()) == 0.75
    metric.reset_state()
    metric.update_state(np.array([[0], [1]]), LOGITS, np.array([3.0, 1.0]))
    assert float(metric.result()) == 0.75


def test_euclidean_by_hand():
    # (3/4 - 1)² + (1/4)² = 1/8, and (1/2)² + (1/2 - 1)² = 1/2.
    assert float(Euclidean()(LABELS, LOGITS)) == pytest.approx((1 / 8 + 1 / 2) / 2, rel=1e-6)


def test_earth_mover_by_hand():
    # Sums of probabilities 3/4 and 1/2 where the labels' are 1 and 0: (1/4)² and (1/2)².
    assert float(EarthMover()(LABELS, LOGITS)) == pytest.approx((1 / 16 + 1 / 4) / 2, rel=1e-6)
    # All probability two classes away costs 1 + 1, one class away 1.
    far = EarthMover()(np.array([0]), np.array([[0.0, 0.0, 99.0]], "float32"))
    near = EarthMover()(np.array([1]), np.array([[0.0, 0.0, 99.0]], "float32"))
    assert (float(far), float(near)) == pytest.approx((2, 1), rel=1e-6)


def test_cross_entropy_equals_kerass():
    theirs = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    logits = np.random.default_rng(0).normal(size=(7, 5)).astype("float32")
    labels = np.arange(7) % 5
    assert float(CrossEntropy()(labels, logits)) == pytest.approx(float(theirs(labels, logits)))


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_extreme_logits_give_finite_losses_and_configs_read_back(loss):
    logits = np.array([[1e4, -1e4], [-1e4, 1e4]], "float32")
    assert np.isfinite(float(loss()(np.array([1, 0]), logits)))
    again = loss.from_config(loss(label_smoothing=0.3).get_config())
    assert again.label_smoothing == 0.3


def test_macro_f1_is_that_of_metrics():
    labels = np.array([0, 0, 2, 2], "int32")
    logits = np.array([[1, 0, 0, 0], [0, 0, 0, 0], [-1, -3, -2, -2], [0, 0, 5, 0]], "float32")
    metric = MacroF1(name="macro_f1")
    metric.update_state(labels[:3], logits[:3])
    metric.update_state(labels[3:], logits[3:])
    # Predicted are 0, 0 (on a tie), 0, 2: F1 of 4/5 and 2/3, and 0 for two classes of four.
    assert float(metric.result()) == pytest.approx((4 / 5 + 2 / 3) / 4)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert float(metric.result()) == pytest.approx(compute_metrics(labels, shares).macro_f1)
