import numpy as np
import pytest

from sst_keras.calibration import fit_temperature, rescaled


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


def test_a_model_without_an_error_is_not_made_certain():
    always = np.tile([0.6, 0.4], (100, 1))
    right = np.zeros(100, int)
    sure = rescaled(always, fit_temperature(right, always))[0, 0]
    assert sure == pytest.approx(101 / 102, rel=1e-4)  # as if 101 of 102 were right
    # And one that is always wrong knows nothing.
    assert fit_temperature(right + 1, always) == pytest.approx(20, rel=1e-3)
