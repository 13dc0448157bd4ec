import re

import numpy as np
import pytest
from report_records import by_key, experiment, record, sweep

from sst_keras.experiments.report.comparison import Runs
from sst_keras.experiments.report.published import (
    constant_classes,
    distances,
    variants_nearness,
)
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


def test_how_near_a_variant_is():
    rows = [experiment(name, published=score) for name, score in (("a", 41), ("b", 45), ("c", 40))]
    variants = [experiment(name, variant="v") for name in "abc"]
    of = {"a": 40, "b": 40, "a/v": 42, "b/v": 44, "c/v": 30}
    records = [
        record(one, seed, score + seed - 2)
        for one in rows + variants
        if (score := of.get(one.short_name))
        for seed in (1, 2, 3)
    ]
    published = sweep(*rows, *variants, published=Published("A Paper"))
    runs = Runs(published, by_key(*records))
    found = variants_nearness(runs, {"a/v": "a", "b/v": "b", "c/v": "c"})  # c itself was not run
    # 42 and 44 against 41 and 45; 40 and 40. The best epoch by dev has one point more.
    assert found.startswith("Averaged over these 2 rows")
    assert re.findall(r"[\d.]+ points \(ours are higher in \d\)", found) == [
        "1.0 points (ours are higher in 1)", "1.0 points (ours are higher in 1)",
        "3.0 points (ours are higher in 0)", "2.0 points (ours are higher in 0)",
    ]  # fmt: skip
    assert variants_nearness(runs, {"a/v": "a", "c/v": "c"}) == ""
    assert variants_nearness(Runs(sweep(*rows, *variants), by_key(*records)), {}) == ""


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
