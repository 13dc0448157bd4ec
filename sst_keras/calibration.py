"""Temperature scaling, after which predictions are right about as often as they say.

Guo et al., "On Calibration of Modern Neural Networks", ICML 2017. One number, fitted on dev,
divides all logits. The most probable class stays the same.
"""

import numpy as np
from scipy.optimize import minimize_scalar

FEWEST = 100  # texts of dev; with fewer, chance decides on the temperature
_HIGHEST = 20.0
_SMALLEST = 1e-12  # as in `metrics`


def fit_temperature(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Returns the temperature with the lowest mean of -log(probability of the true class).

    It is between 1/20 and 20. Fewer than 100 texts give 1: no change.

    Args:
        labels: int[n], the true classes.
        probabilities: float[n, classes].
    """
    if len(labels) < FEWEST:
        return 1.0
    rows = np.arange(len(labels))

    def loss(logarithm: float) -> float:
        truth = rescaled(probabilities, np.exp(logarithm))[rows, labels]
        return -np.log(np.maximum(truth, _SMALLEST)).mean()

    bound = np.log(_HIGHEST)
    return float(np.exp(minimize_scalar(loss, bounds=(-bound, bound), method="bounded").x))


def rescaled(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Returns float64[n, classes]: `softmax(log(probabilities) / temperature)`."""
    logits = np.log(np.maximum(np.asarray(probabilities, np.float64), _SMALLEST)) / temperature
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
