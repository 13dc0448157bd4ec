"""The scores of a classifier in NumPy: labels and probabilities → `Metrics`.

The classes are an ordered scale, so some scores weigh a far miss more than a near one.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sst_keras.errors import InputError

CALIBRATION_BINS = 15
_SMALLEST = 1e-12  # a probability of 0 would make the loss infinite


@dataclass(frozen=True)
class Metrics:
    """The result of `compute_metrics`. Shares are from 0 to 1.

    Attributes:
        n: Number of examples.
        accuracy: Share of examples whose most probable class is the true one.
        loss: Mean of -log(probability of the true class), in nats. Probabilities below 1e-12 count
            as 1e-12, so no example adds more than 27.6.
        macro_f1: Unweighted mean of all classes' F1. A class that is never true and never
            predicted counts as 0, as in scikit-learn's `f1_score` with every class in `labels` and
            `zero_division=0`.
        mean_absolute_error: Mean distance between predicted and true class, in classes.
        within_one_accuracy: Share of examples at most one class off.
        quadratic_weighted_kappa: Agreement beyond chance; 1 is perfect, 0 is chance. See
            `quadratic_weighted_kappa`.
        expected_calibration_error: `Σ n_bin / n |accuracy - confidence|` over the bins of
            `calibration`.
        per_class: For each class `label`, `precision`, `recall`, `f1`, `support` (examples of the
            class) and `predicted` (examples predicted as it); a share is 0 where it is 0/0.
        confusion_matrix: Row i, column j: number of examples of class i predicted as class j.
        calibration: For each bin of confidence `lower`, `upper`, `n`, and the means `confidence`
            and `accuracy` of its examples, or None if it is empty.
    """

    n: int
    accuracy: float
    loss: float
    macro_f1: float
    mean_absolute_error: float
    within_one_accuracy: float
    quadratic_weighted_kappa: float
    expected_calibration_error: float
    per_class: list[dict[str, Any]]
    confusion_matrix: list[list[int]]
    calibration: list[dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """Returns the scores by name, for JSON."""
        return asdict(self)


def compute_metrics(labels: np.ndarray, probabilities: np.ndarray) -> Metrics:
    """Scores predictions. The predicted class is the most probable one, the lowest on a tie.

    Args:
        labels: int[n], the true classes, from 0.
        probabilities: float[n, classes], each row summing to 1.

    Raises:
        InputError: If there are no examples, or a row holds nan or does not sum to 1.
        ValueError: If the shapes do not match, or a label is out of range.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, np.float64)
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1]:
        raise ValueError(
            f"Expected labels [n] and probabilities [n, classes]. Received: labels "
            f"{labels.shape}, probabilities {probabilities.shape}"
        )
    n, classes = probabilities.shape
    if n == 0:
        raise InputError("Expected at least one example to score. Received none")
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"Expected labels that are whole numbers. Received {labels.dtype}")
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(
            f"Expected labels from 0 to {classes - 1}. Received {labels.min()} to {labels.max()}"
        )
    # The bound leaves room for half precision. A comparison with nan is never true.
    sound = (probabilities >= 0).all(axis=1) & (np.abs(probabilities.sum(axis=1) - 1) < 0.01)
    if not sound.all():
        row = int(sound.argmin())
        raise InputError(
            f"Expected probabilities, each row summing to 1. Received in row {row}: "
            f"{probabilities[row].tolist()}. If they are nan, training diverged: lower the "
            f"learning rate."
        )
    labels = labels.astype(np.int64)
    predicted = probabilities.argmax(axis=1)
    matrix = confusion_matrix(labels, predicted, classes)
    per_class = _per_class(matrix)
    calibration = _calibration(probabilities.max(axis=1), predicted == labels)
    distance = np.abs(predicted - labels)
    truth = probabilities[np.arange(n), labels]
    return Metrics(
        n=n,
        accuracy=float((distance == 0).mean()),
        loss=float(-np.log(np.maximum(truth, _SMALLEST)).mean()),
        macro_f1=float(np.mean([row["f1"] for row in per_class])),
        mean_absolute_error=float(distance.mean()),
        within_one_accuracy=float((distance <= 1).mean()),
        quadratic_weighted_kappa=quadratic_weighted_kappa(matrix),
        expected_calibration_error=sum(
            row["n"] / n * abs(row["accuracy"] - row["confidence"])
            for row in calibration
            if row["n"]
        ),
        per_class=per_class,
        confusion_matrix=matrix.tolist(),
        calibration=calibration,
    )


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts pairs of true class int[n] and predicted class int[n].

    Returns:
        int[classes, classes]: row i, column j counts examples of class i predicted as class j.
    """
    pairs = np.asarray(labels) * classes + np.asarray(predicted)
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def quadratic_weighted_kappa(matrix: np.ndarray) -> float:
    """Returns Cohen's kappa with squared distances as weights, from int[classes, classes].

    `1 - Σ w O / Σ w E`, where `O` is the confusion matrix, `E` its expectation if truth and
    prediction were independent, and `w_ij = (i - j)²`. It is 1 if the denominator is 0: then all
    examples and predictions are the same class.

    Reference:
        Cohen, "Weighted kappa: Nominal scale agreement with provision for scaled disagreement or
        partial credit", Psychological Bulletin 70 (1968).
    """
    matrix = np.asarray(matrix, np.float64)
    scale = np.arange(len(matrix))
    weights = (scale[:, None] - scale[None, :]) ** 2
    chance = np.outer(matrix.sum(axis=1), matrix.sum(axis=0)) / matrix.sum()
    expected = (weights * chance).sum()
    return float(1 - (weights * matrix).sum() / expected) if expected else 1.0


def _per_class(matrix: np.ndarray) -> list[dict[str, Any]]:
    rows = []
    for label in range(len(matrix)):
        hits, support, predicted = matrix[label, label], matrix[label].sum(), matrix[:, label].sum()
        rows.append(
            {
                "label": label,
                "precision": float(hits / predicted) if predicted else 0.0,
                "recall": float(hits / support) if support else 0.0,
                "f1": float(2 * hits / (support + predicted)) if support + predicted else 0.0,
                "support": int(support),
                "predicted": int(predicted),
            }
        )
    return rows


def _calibration(confidence: np.ndarray, hit: np.ndarray) -> list[dict[str, Any]]:
    """Groups examples by confidence float[n] into bins of equal width, each (lower, upper].

    Reference:
        Naeini et al., "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015;
        Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """
    edges = np.linspace(0.0, 1.0, CALIBRATION_BINS + 1)
    places = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, CALIBRATION_BINS - 1)
    bins = []
    for place in range(CALIBRATION_BINS):
        members = places == place
        has_any = bool(members.any())
        bins.append(
            {
                "lower": float(edges[place]),
                "upper": float(edges[place + 1]),
                "n": int(members.sum()),
                "confidence": float(confidence[members].mean()) if has_any else None,
                "accuracy": float(hit[members].mean()) if has_any else None,
            }
        )
    return bins
