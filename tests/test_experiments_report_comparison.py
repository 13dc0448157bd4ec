import math

import pytest

from sst_keras.config import with_override
from sst_keras.experiments.report import comparison
from sst_keras.experiments.report.comparison import BEST, LAST
from sst_keras.experiments.sweep import Experiment, Finding, Sweep
from sst_keras.settings import Pipeline

T2 = 4.30265  # the 97.5 % point of Student's distribution with 2 degrees of freedom, from a table


def experiment(tag, *settings, variant=None, published=None, seeds=3):
    pipeline = Pipeline()
    for setting in settings:
        pipeline = with_override(pipeline, setting)
    return Experiment("small", tag, variant, published, seeds, pipeline)


def sweep(*experiments):
    return Sweep("small", "", (), experiments, {}, (), ())


def record(tag, seed, test, *, variant=None, settings=None, **more):
    return {
        "pipeline": f"small/{tag}", "tag": tag, "variant": variant, "seed": seed,
        "test": test, "test_at_best_dev": test + 0.01, "settings": settings or {}, **more,
    }  # fmt: skip


# === Means and differences ===


def test_summary_by_hand():
    assert comparison.summarize([1, 2, 3]) == comparison.Summary(2.0, 1.0, 3)
    assert comparison.summarize([5]) == comparison.Summary(5.0, None, 1)


def test_interval_by_hand():
    found = comparison.difference([1, 2, 3])
    assert (found.mean, found.n, found.sign) == (2.0, 3, 0)
    assert found.low == pytest.approx(2 - T2 / math.sqrt(3), abs=1e-4)  # -0.484
    assert found.high == pytest.approx(2 + T2 / math.sqrt(3), abs=1e-4)


@pytest.mark.parametrize(("values", "sign"), [([3, 3.1, 3.2], 1), ([-3, -3.1], -1), ([0, 0], 0)])
def test_sign_is_that_of_a_whole_interval(values, sign):
    assert comparison.difference(values).sign == sign


def test_one_seed_shows_nothing():
    found = comparison.difference([9.0])
    assert (found.low, found.high, found.sign) == (None, None, 0)
    assert comparison.expected_range(comparison.summarize([9.0])) is None


def test_range_of_further_runs_by_hand():
    low, high = comparison.expected_range(comparison.summarize([1, 2, 3]))
    assert (high - low) / 2 == pytest.approx(T2 * math.sqrt(4 / 3), abs=1e-4)
    assert (low + high) / 2 == pytest.approx(2)


def test_band_of_seeds_of_different_length():
    series = [{"epoch": [1, 2], "loss": [1.0, 2.0]}, {"epoch": [1], "loss": [3.0]}]
    epochs, means, sds = comparison.band(series, "loss")
    assert (epochs, means) == ([1.0, 2.0], [2.0, 2.0])
    assert sds[0] == pytest.approx(math.sqrt(2)) and math.isnan(sds[1])


def test_lowest_and_highest_pass_over_nan():
    assert comparison.lowest([math.nan, 2.0, 1.0]) == 2
    assert comparison.lowest([math.nan, 2.0, 1.0], -1) == 1


# === Runs ===


def test_records_are_sorted_and_nothing_is_lost():
    runs = comparison.sort_records(
        sweep(experiment("a"), experiment("b")),
        [
            record("a", 2, 0.2),
            record("a", 1, 0.1),
            record("a", 3, 0.0, error="out of memory"),
            record("b", 1, 0.0, error="killed"),
            record("b", 1, 0.4),  # the same run, tried again
            record("a", 2, 0.3),  # and one run twice
            record("c", 1, 0.5),
            record("b", 2, 0.5, settings={"model.units": 7}),
        ],
    )
    assert runs.figures(("a", None), LAST) == pytest.approx({1: 10, 2: 30})
    assert runs.figures(("b", None), BEST) == pytest.approx({1: 41})
    assert [one["seed"] for one in runs.failed] == [3]
    assert [(one["tag"], reason) for one, reason in runs.unused] == [
        ("a", "run again later"),
        ("c", "the sweep has no such row"),
        ("b", "run with other settings than the sweep's: model.units"),
    ]


def test_settings_that_change_nothing_learned_may_differ():
    planned = sweep(experiment("a", "data.labels=['x','y']"))
    recorded = {"data.labels": ["x", "y"], "training.seed": 5, "training.score_last": True}
    runs = comparison.sort_records(planned, [record("a", 5, 0.1, settings=recorded)])
    assert len(runs.records()) == 1


def test_constant_class():
    assert comparison.constant_class({"confusion_matrix": [[0, 3], [0, 4]]}) == 1
    assert comparison.constant_class({"confusion_matrix": [[0, 3], [1, 3]]}) is None
    assert comparison.constant_class({"confusion_matrix": [[1, 50], [0, 49]]}) == 1  # of 100
    assert comparison.constant_class({"confusion_matrix": [[1, 50], [1, 48]]}) is None


# === Effects ===


def test_pairs_differ_in_one_setting_alone():
    pairs = comparison.find_pairs(
        [
            experiment("wide", "model.units=256"),
            experiment("narrow", "model.units=64"),
            experiment("deep", "model.units=64", "model.num_layers=2"),
        ]
    )
    assert pairs == {
        ("model.num_layers", 1, 2): [(("narrow", None), ("deep", None))],
        ("model.units", 64, 256): [(("narrow", None), ("wide", None))],
    }


def test_width_of_scratch_vectors_is_no_second_setting():
    rows = [experiment("auto"), experiment("none", "embedding.vectors=none", "embedding.dim=50")]
    assert list(comparison.find_pairs(rows)) == [("embedding.vectors", ("auto",), ("none",))]
    both = [experiment("a", "embedding.vectors=none"), rows[1]]
    assert list(comparison.find_pairs(both)) == [("embedding.dim", 50, 300)]


def test_effect_is_averaged_over_pairs_within_a_seed():
    rows = [
        experiment("a", "model.units=64", published=40.0),
        experiment("A", "model.units=256", published=42.0),
        experiment("b", "model.units=64", "training.epochs=2", published=41.0),
        experiment("B", "model.units=256", "training.epochs=2", published=45.0),
    ]
    tests = {"a": (40, 40, 40), "A": (41, 42, 43), "b": (30, 30, 30), "B": (31, 34, 37)}
    settings = {row.tag: row.pipeline.changes() for row in rows}
    planned = sweep(*rows)
    records = [
        record(tag, seed, value / 100, settings=settings[tag])
        for tag, values in tests.items()
        for seed, value in enumerate(values, start=1)
    ]
    runs = comparison.sort_records(planned, records)
    effects = {one.setting: one for one in comparison.find_effects(planned, runs)}
    units = effects["model.units"]
    assert (units.before, units.after, len(units.pairs)) == (64, 256, 2)
    # Within seeds: (1 + 1) / 2, (2 + 4) / 2, (3 + 7) / 2 = 1, 3, 5: mean 3, deviation 2.
    assert units.last.mean == pytest.approx(3)
    assert units.last.low == pytest.approx(3 - T2 * 2 / math.sqrt(3), abs=1e-4)
    assert units.published == pytest.approx(3)  # (2 + 4) / 2
    # Without seed 3 of B there are two seeds that all pairs have; without any, one pair.
    fewer = comparison.sort_records(planned, records[:-1])
    assert comparison.find_effects(planned, fewer)[0].last.n == 2
    one = comparison.sort_records(planned, records[:-3])
    assert [len(effect.pairs) for effect in comparison.find_effects(planned, one)] == [1, 1]


def test_finding_is_looked_for_in_variants_where_rows_do_not_tell():
    rows = [
        experiment("a", "training.optimizer=sgd", published=23.0),
        experiment("b", "model.units=64", published=40.0),
        experiment("a", variant="adam", published=23.0),
    ]
    planned = sweep(*rows)
    records = [
        record("a", 1, 0.23, settings={"training.optimizer": "sgd"}),
        record("b", 1, 0.40, settings={"model.units": 64}),
        record("a", 1, 0.42, variant="adam"),
    ]
    runs = comparison.sort_records(planned, records)
    finding = Finding("Adam beats SGD", "training.optimizer", "adam", "sgd")
    effect = comparison.check_finding(planned, runs, finding)
    assert effect.pairs == ((("a", None), ("a", "adam")),)
    assert effect.last.mean == pytest.approx(19)
    assert effect.published is None  # the variant's published figure is its row's
    runs = comparison.sort_records(planned, records[:2])
    effect = comparison.check_finding(planned, runs, finding)
    assert (effect.pairs, effect.last, effect.published) == ((), None, None)


# === Readings ===


def test_nearest_reading_by_hand():
    planned = sweep(experiment("a"), experiment("a", "model.units=64", variant="other"))
    records = [record("a", seed, 0.40) for seed in (1, 2, 3)]
    records += [
        record("a", seed, test, variant="other", settings={"model.units": 64})
        for seed, test in ((1, 0.41), (2, 0.43))
    ]
    runs = comparison.sort_records(planned, records)
    readings = {"row": (None, LAST), "other": ("other", LAST)}
    other, row = comparison.compare_readings(runs, {"a": 42.0}, readings)
    assert (other.name, row.name) == ("other", "row")
    assert other.distance.mean == pytest.approx(1) and other.beyond is None  # |41-42|, |43-42|
    assert other.means == {"a": pytest.approx(42)}
    assert (row.distance.n, row.beyond.mean) == (2, pytest.approx(1))
    assert comparison.compare_readings(runs, {"a": 42.0}, {"x": ("nothing", LAST)}) == []


def test_the_course_of_a_reading_is_taken_without_its_level():
    # Published 40, 46. Level: 3 above in both: distance 3, course 0. Turned: 46, 40: 6, and 6.
    tests = {("a", "level"): (43, 43), ("b", "level"): (49, 49)}
    tests |= {("a", "turned"): (46, 46), ("b", "turned"): (40, 40)}
    finished = {
        key: {seed: {LAST: value / 100} for seed, value in enumerate(values, start=1)}
        for key, values in tests.items()
    }
    runs = comparison.Runs(finished, (), ())
    readings = {"turned": ("turned", LAST), "level": ("level", LAST)}
    level, turned = comparison.compare_readings(runs, {"a": 40.0, "b": 46.0}, readings)
    assert (level.name, level.distance.mean, level.course.mean) == (
        "level", pytest.approx(3), pytest.approx(0),
    )  # fmt: skip
    assert (turned.distance.mean, turned.course.mean) == (pytest.approx(6), pytest.approx(6))
    assert level.course_beyond is None and turned.course_beyond.mean == pytest.approx(6)
