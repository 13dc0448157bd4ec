import numpy as np
import pytest

from sst_keras.calibration import FEWEST, fit_temperature, rescaled


def test_rescaled_by_hand():
    given = np.array([[0.8, 0.2], [0.5, 0.5]])
    np.testing.assert_allclose(rescaled(given, 1.0), given)
    np.testing.assert_allclose(rescaled(given, 2.0)[0], [2 / 3, 1 / 3])  # odds of 4 become 2
    np.testing.assert_allclose(rescaled(given, 0.5)[0], [16 / 17, 1 / 17])
    assert np.isfinite(rescaled([[1.0, 0.0]], 0.1)).all()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_made_the_probabilities_is_found(temperature):
    random = np.random.default_rng(0)
    true = random.dirichlet([1.0, 1.0, 1.0], size=20_000)
    labels = (random.random((20_000, 1)) > true.cumsum(axis=1)).sum(axis=1)
    given = rescaled(true, 1 / temperature)  # sharper for a high temperature
    assert fit_temperature(labels, given) == pytest.approx(temperature, rel=0.05)


def test_it_has_bounds_and_needs_texts():
    always = np.tile([0.6, 0.4], (FEWEST, 1))
    right = np.zeros(FEWEST, int)
    assert fit_temperature(right, always) == pytest.approx(1 / 20, rel=1e-3)
    assert fit_temperature(right + 1, always) == pytest.approx(20, rel=1e-3)
    assert fit_temperature(right[1:], always[1:]) == 1.0
