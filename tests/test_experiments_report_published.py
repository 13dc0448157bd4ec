import numpy as np
import pytest
from report_records import by_key, experiment, record, sweep

from sst_keras.experiments.report.comparison import Runs
from sst_keras.experiments.report.published import constant_classes, distances
from sst_keras.experiments.sweep import Published


@pytest.mark.parametrize(
    ("matrix", "constant"),
    [
        ([[0, 3], [0, 4]], ["good"]),
        ([[0, 3], [1, 3]], []),
        ([[1, 50], [0, 49]], ["good"]),  # 99 of 100
        ([[1, 50], [1, 48]], []),
    ],
)
def test_constant_class(matrix, constant):
    row = experiment("a")
    published = sweep(row, published=Published("A Paper"))
    runs = Runs(published, by_key(record(row, 1, 50, matrix=matrix), record(row, 2, 50)))
    assert constant_classes(runs, "a") == constant


def test_distance_by_hand():
    # |41 - 42| and |43 - 42|, for each of two seeds.
    found = distances(np.array([[[41.0, 43.0]]]), [42.0])
    assert found["distance"].tolist() == [[1, 1]]


def test_the_course_of_a_reading_is_compared_without_its_level():
    # Published 40, 46. Level: 3 above in both: distance 3, course 0. Turned: 46, 40: 6, and 6.
    scores = np.array([[[43.0], [49.0]], [[46.0], [40.0]]])  # [readings, rows, seeds]
    found = distances(scores, [40.0, 46.0])
    assert found["distance"].tolist() == [[3], [6]]
    assert found["course"].tolist() == [[0], [6]]
