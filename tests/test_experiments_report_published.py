import pytest
from report_records import by_key, experiment, record, sweep

from sst_keras.experiments.records import Weights
from sst_keras.experiments.report import comparison, published


@pytest.mark.parametrize(
    ("matrix", "constant"),
    [
        ([[0, 3], [0, 4]], 1),
        ([[0, 3], [1, 3]], None),
        ([[1, 50], [0, 49]], 1),  # 99 of 100
        ([[1, 50], [1, 48]], None),
    ],
)
def test_constant_class(matrix, constant):
    assert published.constant_class(record(experiment("a"), 1, 50, matrix=matrix)) == constant


def runs_of(tests):
    """The runs of rows a and b, by (row, variant), with test scores in percent by seed."""
    planned = {
        (row, variant): experiment(row, f"model.units={len(variant or '') + 1}", variant=variant)
        for row, variant in tests
    }
    records = [
        record(planned[key], seed, test)
        for key, scores in tests.items()
        for seed, test in enumerate(scores, start=1)
    ]
    return comparison.sort_records(sweep(*planned.values()), by_key(*records))


def test_nearest_reading_by_hand():
    runs = runs_of({("a", None): (40, 40, 40), ("a", "other"): (41, 43)})
    readings = {"row": (None, Weights.LAST), "other": ("other", Weights.LAST)}
    found = published.compare_readings(runs, {"a": 42.0}, readings)
    assert list(found) == ["other", "row"]
    # |41 - 42| and |43 - 42|; the seed that only the row has does not count.
    assert found["other"].distance.mean == pytest.approx(1)
    assert found["other"].beyond is None and found["other"].means == {"a": pytest.approx(42)}
    assert (found["row"].distance.n, found["row"].beyond.mean) == (2, pytest.approx(1))


def test_no_common_seed_is_no_comparison():
    runs = runs_of({("a", None): (40,), ("a", "other"): ()})
    readings = {"row": (None, Weights.LAST), "other": ("other", Weights.LAST)}
    assert published.compare_readings(runs, {"a": 42.0}, readings) == {}


def test_the_course_of_a_reading_is_compared_without_its_level():
    # Published 40, 46. Level: 3 above in both: distance 3, course 0. Turned: 46, 40: 6, and 6.
    tests = {("a", "level"): (43, 43), ("b", "level"): (49, 49)}
    tests |= {("a", "turned"): (46, 46), ("b", "turned"): (40, 40)}
    readings = {name: (name, Weights.LAST) for name in ("turned", "level")}
    found = published.compare_readings(runs_of(tests), {"a": 40.0, "b": 46.0}, readings)
    level, turned = found.values()
    assert list(found) == ["level", "turned"]
    assert (level.distance.mean, level.course.mean) == (pytest.approx(3), pytest.approx(0))
    assert (turned.distance.mean, turned.course.mean) == (pytest.approx(6), pytest.approx(6))
    assert level.course_beyond is None and turned.course_beyond.mean == pytest.approx(6)
