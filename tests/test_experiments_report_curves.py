"""Where the curves of a report turn."""

import math

from sst_keras.experiments.report.curves import _turn


def test_of_epochs_with_equal_accuracies_the_one_with_the_lower_loss():
    run = {
        "epoch": [1.0, 2.0, 3.0, 4.0],
        "dev_accuracy": [math.nan, 0.5, 0.5, 0.4],
        "dev_loss": [math.nan, 1.2, 1.1, 1.0],
    }
    assert (_turn(run, "dev_accuracy"), _turn(run, "dev_loss")) == (3, 4)
