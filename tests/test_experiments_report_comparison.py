import math

import pytest
from report_records import by_key, experiment, record, sweep

from sst_keras.experiments.records import Weights
from sst_keras.experiments.report import comparison
from sst_keras.experiments.sweep import Finding

T2 = 4.30265  # the 97.5 % point of Student's distribution with 2 degrees of freedom, from a table


def runs_of(tests, *experiments):
    """The runs of experiments with test scores in percent, by name and then by seed."""
    by_name = {one.short_name: one for one in experiments}
    records = [
        record(by_name[name], seed, test)
        for name, scores in tests.items()
        for seed, test in enumerate(scores, start=1)
    ]
    return comparison.Runs(sweep(*experiments), by_key(*records))


# === Means and differences ===


def test_summary_by_hand():
    assert comparison.summarize([1, 2, 3]) == comparison.Summary(2.0, 1.0, 3)
    assert comparison.summarize([5]) == comparison.Summary(5.0, None, 1)


def test_interval_by_hand():
    found = comparison.summarize([1, 2, 3])
    half = T2 / math.sqrt(3)  # 2.484
    assert found.interval == pytest.approx((2 - half, 2 + half), abs=1e-4)
    assert found.sign == 0


@pytest.mark.parametrize(
    ("values", "sign"),
    [([3, 3.1, 3.2], 1), ([-3, -3.1], -1), ([0, 0], 0), ([2, 2], 0), ([0.3 - 0.1, 0.2], 0)],
)
def test_sign_is_that_of_the_complete_interval(values, sign):
    assert comparison.summarize(values).sign == sign


def test_one_seed_shows_nothing():
    found = comparison.summarize([9.0])
    assert (found.interval, found.expected_range, found.sign) == (None, None, 0)


def test_range_of_further_runs_by_hand():
    half = T2 * math.sqrt(4 / 3)
    found = comparison.summarize([1, 2, 3]).expected_range
    assert found == pytest.approx((2 - half, 2 + half), abs=1e-4)


def test_curve_of_seeds_of_different_length():
    series = [{"epoch": [1, 2], "loss": [1.0, 2.0]}, {"epoch": [1], "loss": [3.0]}]
    first = comparison.Summary(2.0, pytest.approx(math.sqrt(2)), 2)
    assert comparison.curve(series, "loss") == {1.0: first, 2.0: comparison.Summary(2.0, None, 1)}


def test_accuracies_of_a_curve_are_in_percent():
    series = [{"epoch": [1], "dev_accuracy": [0.4]}]
    assert comparison.curve(series, "dev_accuracy")[1].mean == pytest.approx(40)


def test_lowest_and_highest_skip_nan():
    losses = comparison.curve([{"epoch": [1, 2, 3], "loss": [math.nan, 2.0, 1.0]}], "loss")
    assert (comparison.lowest(losses), comparison.lowest(losses, -1)) == (3, 2)


# === Runs ===


def test_records_are_sorted_and_nothing_is_lost():
    a, b, gone = experiment("a"), experiment("b"), experiment("gone")
    runs = comparison.Runs(
        sweep(a, b),
        by_key(
            record(a, 2, 20),
            record(a, 1, 10),
            record(a, 3, 0, error="out of memory"),
            record(b, 1, 40),
            record(b, 2, 50, settings={"model.units": 7}),
            record(gone, 1, 50),
        ),
    )
    assert runs.scores("a", Weights.LAST) == pytest.approx([10, 20])
    assert runs.scores("b", Weights.BEST) == pytest.approx([41])
    assert runs.means("a")[Weights.LAST].mean == pytest.approx(15)
    assert (runs.seeds("a"), runs.seeds("a", "b")) == ([1, 2], [1])
    assert {str(one.key): reason for one, reason in runs.unused} == {
        "small/a, seed 3": "failed: out of memory",
        "small/gone, seed 1": "the sweep has no such row",
        "small/b, seed 2": "run with other settings than the sweep's: model.units",
    }


# === Effects ===


def changes(rows, tests):
    """The changes of a setting between rows, with the rows compared."""
    found = comparison.find_effects(runs_of(tests, *rows))
    return {(one.setting, one.before, one.after): one.pairs for one in found}


def test_pairs_differ_in_only_one_setting():
    rows = [
        experiment("wide", "model.units=256"),
        experiment("narrow", "model.units=64"),
        experiment("deep", "model.units=64", "model.num_layers=2"),
    ]
    tests = {"wide": (40,), "narrow": (41,), "deep": (42,)}
    assert changes(rows, tests) == {
        ("model.units", 64, 256): (("narrow", "wide"),),
        ("model.num_layers", 1, 2): (("narrow", "deep"),),
    }


def test_settings_that_one_side_does_not_read_are_not_compared():
    tests = {"a": (40,), "b": (41,)}
    none = experiment("b", "embedding.vectors=none", "embedding.dim=50")
    found = changes([experiment("a"), none], tests)
    assert list(found) == [("embedding.vectors", ("auto",), ("none",))]
    found = changes([experiment("a", "embedding.vectors=none"), none], tests)
    assert list(found) == [("embedding.dim", 50, 300)]
    models = [experiment("a", "model.name=mlp"), experiment("b", "model.pooling=mean")]
    assert list(changes(models, tests)) == [("model.name", "mlp", "lstm")]


def test_effect_is_averaged_over_pairs_within_a_seed():
    rows = [
        experiment("a", "model.units=64", published=40.0),
        experiment("A", "model.units=256", published=42.0),
        experiment("b", "model.units=64", "training.epochs=2", published=41.0),
        experiment("B", "model.units=256", "training.epochs=2", published=45.0),
    ]
    tests = {"a": (40, 40, 40), "A": (41, 42, 43), "b": (30, 30, 30), "B": (31, 34, 37)}
    effects = {one.setting: one for one in comparison.find_effects(runs_of(tests, *rows))}
    units = effects["model.units"]
    assert (units.before, units.after, len(units.pairs)) == (64, 256, 2)
    # Within seeds: (1 + 1) / 2, (2 + 4) / 2, (3 + 7) / 2 = 1, 3, 5: mean 3, deviation 2.
    last = units.differences[Weights.LAST]
    assert last.mean == pytest.approx(3)
    assert last.interval[0] == pytest.approx(3 - T2 * 2 / math.sqrt(3), abs=1e-4)
    assert units.published == pytest.approx(3)  # (2 + 4) / 2
    # Without seed 3 of B there are two seeds that all pairs have; without any, one pair.
    fewer = runs_of(tests | {"B": (31, 34)}, *rows)
    assert comparison.find_effects(fewer)[0].differences[Weights.LAST].n == 2
    one = runs_of(tests | {"B": ()}, *rows)
    assert [len(effect.pairs) for effect in comparison.find_effects(one)] == [1, 1]


def test_finding_is_checked_with_variants_if_no_two_rows_have_the_change():
    rows = [
        experiment("a", "training.optimizer=sgd", published=23.0),
        experiment("b", "model.units=64", published=40.0),
        experiment("a", variant="adam", published=23.0),
    ]
    finding = Finding("Adam beats SGD", "training.optimizer", "adam", "sgd")
    runs = runs_of({"a": (23,), "b": (40,), "a/adam": (42,)}, *rows)
    effect = comparison.check_finding(runs, finding)
    assert effect.pairs == (("a", "a/adam"),)
    assert effect.differences[Weights.LAST].mean == pytest.approx(19)
    assert effect.published is None  # a variant has no published score of its own
    effect = comparison.check_finding(runs_of({"a": (23,), "b": (40,)}, *rows), finding)
    assert (effect.pairs, effect.published) == ((), None)
    assert set(effect.differences.values()) == {None}
