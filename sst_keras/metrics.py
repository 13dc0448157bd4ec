"""The scores of a classifier in NumPy: labels and probabilities → `Metrics`; two compared.

Some scores measure distances between classes. They mean something only if the order of the classes
is a scale; otherwise `sst_keras.evaluation` replaces them by None.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import bdtr

from sst_keras.errors import InputError

CALIBRATION_BINS = 15
_QUANTILE = 1.959963984540054  # of the standard normal distribution at 97.5 %
_SMALLEST = 1e-12  # a probability of 0 would make the loss infinite


@dataclass(frozen=True)
class Metrics:
    """The result of `compute_metrics`. Shares are from 0 to 1.

    Attributes:
        n: Number of examples.
        accuracy: Share of examples whose most probable class is the true one.
        accuracy_interval: Lower and upper end of the accuracy's 95 % interval; see
            `wilson_interval`.
        majority: The accuracy of always predicting the largest class.
        majority_label: The largest class by true labels, the lowest on a tie.
        loss: Mean of -log(probability of the true class), in nats. Probabilities below 1e-12 count
            as 1e-12, so no example adds more than 27.6.
        macro_f1: Unweighted mean of all classes' F1; a class that is never true and never predicted
            counts as 0. This is scikit-learn's `f1_score` with all classes and `zero_division=0`.
        mean_absolute_error: Mean distance between predicted and true class, in classes.
        within_one_accuracy: Share of examples at most one class off.
        polarity_accuracy: See `polarity_accuracy`.
        quadratic_weighted_kappa: Agreement beyond chance: 1 is perfect, 0 is chance.
        expected_calibration_error: `Σ n_bin / n |accuracy - confidence|` over `calibration`.
        per_class: For each class `label`, `precision`, `recall`, `f1`, `support` (examples of the
            class) and `predicted` (examples predicted as it). A share of 0/0 is 0.
        confusion_matrix: Row i, column j: number of examples of class i predicted as class j.
        calibration: For each bin of confidence `lower`, `upper`, `n`, and the means `confidence`
            and `accuracy` of its examples, or None if it is empty.
    """

    n: int
    accuracy: float
    accuracy_interval: list[float]
    majority: float
    majority_label: int
    loss: float
    macro_f1: float
    mean_absolute_error: float
    within_one_accuracy: float
    polarity_accuracy: float | None
    quadratic_weighted_kappa: float
    expected_calibration_error: float
    per_class: list[dict[str, Any]]
    confusion_matrix: list[list[int]]
    calibration: list[dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """Returns the scores by name, for JSON."""
        return asdict(self)


def compute_metrics(labels: np.ndarray, probabilities: np.ndarray) -> Metrics:
    """Scores predictions: `labels` int[n], the true classes, and `probabilities` float[n, classes].

    The predicted class is the most probable one, the lowest on a tie.

    Raises:
        InputError: If there are no examples, or a row holds nan or does not sum to 1.
        ValueError: If the shapes do not match, or a label is out of range.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, np.float64)
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1]:
        shapes = f"labels {labels.shape}, probabilities {probabilities.shape}"
        raise ValueError(f"Expected labels [n], probabilities [n, classes]. Received: {shapes}")
    n, classes = probabilities.shape
    if n == 0:
        raise InputError("Expected at least one example to score. Received none")
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"Expected integer labels. Received {labels.dtype}")
    if labels.min() < 0 or labels.max() >= classes:
        found = f"{labels.min()} to {labels.max()}"
        raise ValueError(f"Expected labels from 0 to {classes - 1}. Received {found}")
    # The bound leaves room for half precision. A comparison with nan is never true.
    sound = (probabilities >= 0).all(axis=1) & (np.abs(probabilities.sum(axis=1) - 1) < 0.01)
    if not sound.all():
        row = int(sound.argmin())
        raise InputError(
            f"Expected probabilities summing to 1. Received in row {row}: "
            f"{probabilities[row].tolist()}. If nan, training diverged: lower the learning rate."
        )
    labels = labels.astype(np.int64)
    predicted = probabilities.argmax(axis=1)
    matrix = confusion_matrix(labels, predicted, classes)
    per_class = _per_class(matrix)
    calibration = _calibration(probabilities.max(axis=1), predicted == labels)
    distance = np.abs(predicted - labels)
    truth = probabilities[np.arange(n), labels]
    supports = matrix.sum(axis=1)
    filled = [row for row in calibration if row["n"]]
    gaps = [row["n"] / n * abs(row["accuracy"] - row["confidence"]) for row in filled]
    return Metrics(
        n=n,
        accuracy=float((distance == 0).mean()),
        accuracy_interval=list(wilson_interval(int((distance == 0).sum()), n)),
        majority=float(supports.max() / n),
        majority_label=int(supports.argmax()),
        loss=float(-np.log(np.maximum(truth, _SMALLEST)).mean()),
        macro_f1=float(np.mean([row["f1"] for row in per_class])),
        mean_absolute_error=float(distance.mean()),
        within_one_accuracy=float((distance <= 1).mean()),
        polarity_accuracy=polarity_accuracy(labels, probabilities),
        quadratic_weighted_kappa=quadratic_weighted_kappa(matrix),
        expected_calibration_error=sum(gaps),
        per_class=per_class,
        confusion_matrix=matrix.tolist(),
        calibration=calibration,
    )


def polarity_accuracy(labels: np.ndarray, probabilities: np.ndarray) -> float | None:
    """Returns how often the right half of a scale is predicted, of examples not in its middle.

    The prediction is the half whose classes are more probable together, the lower one on a tie. A
    middle class, such as *neutral*, is left out of the examples and of the predictions. With the
    five classes of SST-5, this is accuracy on SST-2, as a classifier of five classes can be scored
    on it: Socher et al., "Recursive Deep Models for Semantic Compositionality Over a Sentiment
    Treebank", EMNLP 2013.

    Args:
        labels: The true classes, int[n], lowest first.
        probabilities: float[n, classes].

    Returns:
        A share from 0 to 1; None if all examples are in the middle.
    """
    classes = probabilities.shape[1]
    half = classes // 2
    side = np.sign(2 * labels - (classes - 1))  # -1, 0 in the middle, 1
    polar = side != 0
    if not polar.any():
        return None
    higher = probabilities[:, -half:].sum(axis=1) > probabilities[:, :half].sum(axis=1)
    return float((higher == (side > 0))[polar].mean())


def wilson_interval(hits: int, n: int) -> tuple[float, float]:
    """Returns the 95 % score interval of a share of `hits` in `n` independent trials.

    It holds the shares that a two-sided test at 5 % does not reject, so it stays within 0 and 1.
    Source: Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", Journal
    of the American Statistical Association 22 (1927).
    """
    share, z2_n = hits / n, _QUANTILE**2 / n
    middle = (share + z2_n / 2) / (1 + z2_n)
    half = math.sqrt(z2_n * share * (1 - share) + z2_n**2 / 4) / (1 + z2_n)
    # Rounding must not leave an end outside.
    return min(max(middle - half, 0.0), share), max(min(middle + half, 1.0), share)


@dataclass(frozen=True)
class PairedDifference:
    """How two classifiers differ on the same texts; the result of `paired_difference`.

    Attributes:
        difference: The accuracy of the first minus that of the second, from -1 to 1.
        interval: Lower and upper end of the difference's 95 % interval.
        only_first: Number of texts that only the first gets right.
        only_second: Number of texts that only the second gets right.
        p_value: The probability of so unequal numbers, or more unequal ones, if both were right
            equally often.
    """

    difference: float
    interval: tuple[float, float]
    only_first: int
    only_second: int
    p_value: float


def paired_difference(first: np.ndarray, second: np.ndarray) -> PairedDifference:
    """Compares two classifiers by whether each is right about each text, bool[n] and bool[n].

    The interval is the adjusted Wald interval of Bonett and Price, "Adjusted Wald Confidence
    Interval for a Difference of Binomial Proportions Based on Paired Data", Journal of Educational
    and Behavioral Statistics 37 (2012). The p-value is that of the exact, two-sided test of
    McNemar, "Note on the Sampling Error of the Difference Between Correlated Proportions or
    Percentages", Psychometrika 12 (1947). Both are about the choice of texts, not of seeds.

    Raises:
        ValueError: If the shapes are not the same [n].
    """
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"Expected two of shape [n]. Received: {first.shape}, {second.shape}")
    n, ahead, behind = len(first), int((first & ~second).sum()), int((second & ~first).sum())
    high, low = (ahead + 1) / (n + 2), (behind + 1) / (n + 2)
    middle = high - low
    half = _QUANTILE * math.sqrt((high + low - middle**2) / (n + 2))
    interval = max(middle - half, -1.0), min(middle + half, 1.0)
    both_tails = 2 * float(bdtr(min(ahead, behind), ahead + behind, 0.5))
    return PairedDifference((ahead - behind) / n, interval, ahead, behind, min(both_tails, 1.0))


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts pairs of true class int[n] and predicted class int[n].

    Returns int[classes, classes]; row i, column j counts examples of class i predicted as class j.
    """
    pairs = np.asarray(labels) * classes + np.asarray(predicted)
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def quadratic_weighted_kappa(matrix: np.ndarray) -> float:
    """Returns Cohen's kappa with squared distances as weights, from int[classes, classes].

    `1 - Σ w O / Σ w E`, where `O` is the confusion matrix, `E` its expectation if truth and
    prediction were independent, and `w_ij = (i - j)²`. It is 1 if the denominator is 0: then all
    examples and predictions are the same class. Source: Cohen, "Weighted kappa: Nominal scale
    agreement with provision for scaled disagreement", Psychological Bulletin 70 (1968).
    """
    matrix = np.asarray(matrix, np.float64)
    scale = np.arange(len(matrix))
    weights = (scale[:, None] - scale[None, :]) ** 2
    chance = np.outer(matrix.sum(axis=1), matrix.sum(axis=0)) / matrix.sum()
    expected = (weights * chance).sum()
    return float(1 - (weights * matrix).sum() / expected) if expected else 1.0


def _per_class(matrix: np.ndarray) -> list[dict[str, Any]]:
    rows = []
    for label, (row, column) in enumerate(zip(matrix, matrix.T, strict=True)):
        hits, support, predicted = row[label], int(row.sum()), int(column.sum())
        shares = {
            "precision": float(hits / predicted) if predicted else 0.0,
            "recall": float(hits / support) if support else 0.0,
            "f1": float(2 * hits / (support + predicted)) if support + predicted else 0.0,
        }
        rows.append({"label": label, **shares, "support": support, "predicted": predicted})
    return rows


def _calibration(confidence: np.ndarray, hit: np.ndarray) -> list[dict[str, Any]]:
    """Groups examples by confidence float[n] into bins of equal width, each (lower, upper].

    Source: Naeini et al., "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI
    2015; Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """
    edges = np.linspace(0.0, 1.0, CALIBRATION_BINS + 1)
    places = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, CALIBRATION_BINS - 1)
    bins = []
    for place in range(CALIBRATION_BINS):
        members = places == place
        lower, upper = edges[place : place + 2].tolist()
        row = {"lower": lower, "upper": upper, "n": int(members.sum())}
        for name, values in (("confidence", confidence), ("accuracy", hit)):
            row[name] = float(values[members].mean()) if row["n"] else None
        bins.append(row)
    return bins
