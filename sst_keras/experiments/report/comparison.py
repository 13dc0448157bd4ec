"""Runs compared over seeds: means, paired differences with 95 % intervals, what a setting does.

The accuracies of records lie between 0 and 1; all figures here are in percent, differences in
points.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import stdtrit

from sst_keras.settings import SECTIONS, Pipeline

if TYPE_CHECKING:
    from sst_keras.experiments.sweep import Experiment, Finding, Sweep

LAST, BEST = "test", "test_at_best_dev"  # test accuracy: last epoch's weights, best epoch's by dev
# What changes nothing that a run learns, or is the run's own.
_APART = ("training.seed", "training.checks_per_epoch", "training.score_last")
Key = tuple[str, str | None]  # an experiment's tag and variant
Pair = tuple[Key, Key]  # what is compared: from, to


# === Means and differences ===


@dataclass(frozen=True)
class Summary:
    """Figures of several seeds: their mean, standard deviation and number."""

    mean: float
    sd: float | None  # with n - 1; None of one seed
    n: int


@dataclass(frozen=True)
class Difference:
    """A mean difference over seeds with its 95 % t interval; one seed alone has none."""

    mean: float
    low: float | None
    high: float | None
    n: int

    @property
    def sign(self) -> int:
        """1 or -1 where the whole interval lies on that side of 0, else 0.

        Seeds that differ in nothing, as with few test texts, are no sign of certainty: 0.
        """
        if self.low is None or self.high is None or self.low == self.high:
            return 0
        return 1 if self.low > 0 else -1 if self.high < 0 else 0


def summarize(values: Iterable[float]) -> Summary:
    """Returns mean, standard deviation and number of `values`, of which there is one at least."""
    array = np.array(list(values), dtype=float)  # float[seeds]
    sd = float(array.std(ddof=1)) if len(array) > 1 else None
    return Summary(float(array.mean()), sd, len(array))


def difference(values: Iterable[float]) -> Difference:
    """Returns the mean of differences, one a seed, with its interval.

    The interval is `mean ± t · sd / √n`, t being the 97.5 % point of Student's distribution with
    n - 1 degrees of freedom.
    """
    summary = summarize(values)
    if summary.sd is None:
        return Difference(summary.mean, None, None, summary.n)
    half = float(stdtrit(summary.n - 1, 0.975)) * summary.sd / math.sqrt(summary.n)
    return Difference(summary.mean, summary.mean - half, summary.mean + half, summary.n)


def expected_range(summary: Summary) -> tuple[float, float] | None:
    """Returns where 95 % of further single runs are to be expected; None of one seed.

    It is the prediction interval `mean ± t · sd · √(1 + 1/n)`.
    """
    if summary.sd is None:
        return None
    n = summary.n
    half = float(stdtrit(n - 1, 0.975)) * summary.sd * math.sqrt(1 + 1 / n)
    return summary.mean - half, summary.mean + half


def band(series: Sequence[Mapping[str, Sequence[float]]], column: str) -> tuple[list[float], ...]:
    """Returns a column's mean and standard deviation over seeds, epoch by epoch.

    Args:
        series: A seed's history or checks each: column → values, `epoch` among them.
        column: Which column.

    Returns:
        The epochs, sorted; the means; the standard deviations, nan where one seed alone is.
    """
    values: dict[float, list[float]] = {}
    for one in series:
        for epoch, value in zip(one["epoch"], one[column], strict=True):
            values.setdefault(float(epoch), []).append(math.nan if value is None else value)
    epochs = sorted(values)
    summaries = [summarize(values[epoch]) for epoch in epochs]
    sds = [math.nan if summary.sd is None else summary.sd for summary in summaries]
    return epochs, [summary.mean for summary in summaries], sds


def lowest(values: Sequence[float], sign: int = 1) -> int:
    """Returns the place of the lowest value that is a number; of the highest where sign is -1."""
    array = sign * np.array(values, dtype=float)
    return int(np.argmin(np.where(np.isnan(array), np.inf, array)))


# === Runs ===


@dataclass(frozen=True)
class Runs:
    """The records of a sweep, sorted.

    Attributes:
        finished: An experiment's (tag, variant) → seed → record.
        failed: Records of runs that failed and were not finished later.
        unused: Records that count nowhere, each with the reason.
    """

    finished: Mapping[Key, Mapping[int, dict]]
    failed: Sequence[dict]
    unused: Sequence[tuple[dict, str]]

    def of(self, key: Key) -> list[dict]:
        """Returns an experiment's finished records, by seed."""
        return list(self.finished.get(key, {}).values())

    def figures(self, key: Key, figure: str) -> dict[int, float]:
        """Returns seed → a figure of an experiment, in percent."""
        return {seed: 100 * row[figure] for seed, row in self.finished.get(key, {}).items()}

    def records(self) -> list[dict]:
        """Returns all finished records."""
        return [record for rows in self.finished.values() for record in rows.values()]


def key_of(experiment: Experiment) -> Key:
    """Returns what names an experiment within its sweep."""
    return experiment.tag, experiment.variant


def sort_records(sweep: Sweep, records: Iterable[Mapping[str, Any]]) -> Runs:
    """Returns the records by experiment and seed.

    Of an experiment that was run twice with one seed, the later record counts.
    """
    planned = {key_of(experiment): experiment.pipeline for experiment in sweep.experiments}
    finished: dict[Key, dict[int, dict]] = {key: {} for key in planned}
    failed: dict[tuple[Key, int], dict] = {}
    unused = []
    for record in map(dict, records):
        key, seed = (record["tag"], record.get("variant")), record["seed"]
        if key not in planned:
            unused.append((record, "the sweep has no such row"))
        elif record.get("error"):
            if seed not in finished[key]:
                failed[key, seed] = record
        elif other := _other_settings(planned[key], record["settings"]):
            unused.append((record, f"run with other settings than the sweep's: {', '.join(other)}"))
        else:
            if seed in finished[key]:
                unused.append((finished[key][seed], "run again later"))
            finished[key][seed] = record
            failed.pop((key, seed), None)
    by_seed = {key: dict(sorted(rows.items())) for key, rows in finished.items()}
    return Runs(by_seed, list(failed.values()), unused)


def _other_settings(pipeline: Pipeline, recorded: Mapping[str, Any]) -> list[str]:
    """Returns the settings in which a record is not what the sweep says."""
    # The seed is the run's own; where data and vectors lie may be said when the sweep is run.
    free = {*_APART, "data.dataset", "embedding.vectors"}
    planned = {name: plain(value) for name, value in pipeline.changes().items()}
    names = sorted((set(planned) | set(recorded)) - free)
    missing = object()
    return [
        name for name in names if planned.get(name, missing) != plain(recorded.get(name, missing))
    ]


def plain(value: Any) -> Any:
    """Returns a setting's value such that what TOML and JSON make of it is equal."""
    return tuple(value) if isinstance(value, list) else value


def constant_class(record: Mapping[str, Any]) -> int | None:
    """Returns the one class that a run says of 99 % of the test texts; None if there is none."""
    said = np.sum(record["confusion_matrix"], axis=0)  # int[classes predicted]
    return int(said.argmax()) if said.max() >= 0.99 * said.sum() else None


# === What a setting does ===


@dataclass(frozen=True)
class Effect:
    """What a setting's change does to the test accuracy, all else equal.

    Attributes:
        setting: Its name, such as `model.units`.
        before: The value that is changed.
        after: What it is changed to.
        pairs: The experiments compared: those that differ in this setting alone and have runs.
        last: The difference with the last epoch's weights; None if no seed is in all pairs.
        best: The difference with the weights of the best epoch by dev.
        published: The report's own mean difference over the same pairs, where it has them all.
    """

    setting: str
    before: Any
    after: Any
    pairs: tuple[Pair, ...]
    last: Difference | None
    best: Difference | None
    published: float | None


def settings_of(pipeline: Pipeline) -> dict[str, Any]:
    """Returns every setting that changes what is learned, but the seed: `section.key` → value."""
    return {
        name: plain(value)
        for section in SECTIONS
        for key, value in vars(getattr(pipeline, section)).items()
        if (name := f"{section}.{key}") not in _APART
    }


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Returns the settings in which two experiments differ, where both of them read it."""
    names = [name for name, value in one.items() if value != other[name]]
    # A setting → the one that must have a value, in both, for it to be read.
    needs = {
        "embedding.dim": ("embedding.vectors", ("none",)),  # pretrained vectors bring their own
        "model.padded_length": ("model.pooling", "last_padded"),
    }
    return [
        name
        for name in names
        if name not in needs
        or all(settings[needs[name][0]] == needs[name][1] for settings in (one, other))
    ]


def find_pairs(experiments: Sequence[Experiment]) -> dict[tuple[str, Any, Any], list[Pair]]:
    """Returns (setting, from, to) → the pairs of experiments that differ in that setting alone.

    From is the smaller of two numbers, else the value that stands first in the sweep.
    """
    settings = {key_of(experiment): settings_of(experiment.pipeline) for experiment in experiments}
    pairs: dict[tuple[str, Any, Any], list[Pair]] = {}
    for pair in itertools.combinations(settings, 2):
        names = differing(*(settings[key] for key in pair))
        if len(names) != 1:
            continue
        (name,) = names
        before, after = (settings[key][name] for key in pair)
        numbers = all(isinstance(value, (int, float)) for value in (before, after))
        if (numbers and before > after) or (name, after, before) in pairs:
            before, after, pair = after, before, pair[::-1]
        pairs.setdefault((name, before, after), []).append(pair)
    order = {name: place for place, name in enumerate(settings_of(Pipeline()))}

    def place(item: tuple[str, Any, Any]) -> tuple:
        name, *values = item
        numbers = all(isinstance(value, (int, float)) for value in values)
        return order[name], values if numbers else []

    return {item: pairs[item] for item in sorted(pairs, key=place)}


def paired_difference(runs: Runs, pairs: Sequence[Pair], figure: str) -> Difference | None:
    """Returns the difference (to - from) of a figure: over pairs within a seed, then over seeds.

    Seeds count that all pairs have on both sides; None if there are none.
    """
    sides = [tuple(runs.figures(key, figure) for key in pair) for pair in pairs]
    seeds = set.intersection(*(set(side) for pair in sides for side in pair)) if sides else set()
    if not seeds:
        return None
    return difference(
        float(np.mean([after[seed] - before[seed] for before, after in sides]))
        for seed in sorted(seeds)
    )


def find_effects(sweep: Sweep, runs: Runs) -> list[Effect]:
    """Returns the effect of each change of a setting that two rows (no variants) stand for."""
    rows = [experiment for experiment in sweep.experiments if experiment.variant is None]
    effects = [_effect(sweep, runs, *change, pairs) for change, pairs in find_pairs(rows).items()]
    return [effect for effect in effects if effect.pairs]


def check_finding(sweep: Sweep, runs: Runs, finding: Finding) -> Effect:
    """Returns the effect of a finding's change, from the worse value to the better one.

    Rows are compared; variants too where no two rows with runs differ in the setting alone.
    """
    worse, better = plain(finding.worse), plain(finding.better)
    rows = [experiment for experiment in sweep.experiments if experiment.variant is None]
    for experiments in (rows, sweep.experiments):
        pairs = find_pairs(experiments)
        there = pairs.get((finding.setting, worse, better), [])
        back = [pair[::-1] for pair in pairs.get((finding.setting, better, worse), [])]
        effect = _effect(sweep, runs, finding.setting, worse, better, [*there, *back])
        if effect.pairs:
            break
    return effect


def _effect(
    sweep: Sweep, runs: Runs, setting: str, before: Any, after: Any, pairs: Sequence[Pair]
) -> Effect:
    """Returns what a change does over those of `pairs` that have a seed on both sides."""
    used = tuple(pair for pair in pairs if paired_difference(runs, [pair], LAST))
    # The report has rows alone: a variant's figure would be its row's.
    published = {
        key_of(one): None if one.variant else one.published for one in sweep.experiments
    }  # fmt: skip
    own = [(published[one], published[other]) for one, other in used]
    complete = used and all(figure is not None for pair in own for figure in pair)
    return Effect(
        setting,
        before,
        after,
        used,
        paired_difference(runs, used, LAST),
        paired_difference(runs, used, BEST),
        float(np.mean([other - one for one, other in own])) if complete else None,
    )


# === Readings ===


@dataclass(frozen=True)
class Reading:
    """How near one way of running the rows comes to the report's figures.

    Attributes:
        name: The variant's name, or what else names it.
        means: The row's tag → mean accuracy.
        distance: Each seed's mean absolute distance to the report's figures, over seeds.
        beyond: How much farther it is than the nearest reading, seed by seed; None of the nearest.
        course: As `distance`, once both have their means over the rows taken off: how alike they
            rise and fall, whatever their level.
        course_beyond: As `beyond`, of `course`.
    """

    name: str
    means: Mapping[str, float]
    distance: Summary
    beyond: Difference | None
    course: Summary
    course_beyond: Difference | None


def compare_readings(
    runs: Runs,
    published: Mapping[str, float],
    readings: Mapping[str, tuple[str | None, str]],
) -> list[Reading]:
    """Returns the readings, nearest to the published figures first.

    Args:
        runs: The runs.
        published: The row's tag → the report's figure; these rows are compared.
        readings: A reading's name → its variant (None: the rows themselves) and figure.

    Returns:
        The readings; empty if no seed is in all rows of all readings.
    """
    figures = {
        name: {tag: runs.figures((tag, variant), figure) for tag in published}
        for name, (variant, figure) in readings.items()
    }
    seeds = set.intersection(*(set(row) for rows in figures.values() for row in rows.values()))
    if not seeds:
        return []
    seeds = sorted(seeds)
    wanted = np.array(list(published.values()))  # float[rows]
    distances, courses = {}, {}
    for name, rows in figures.items():
        off = np.array([[row[seed] for row in rows.values()] for seed in seeds]) - wanted
        distances[name] = np.abs(off).mean(axis=1)  # float[seeds]
        courses[name] = np.abs(off - off.mean(axis=1, keepdims=True)).mean(axis=1)

    def beyond(all_distances: Mapping[str, np.ndarray], name: str) -> Difference | None:
        nearest = min(all_distances, key=lambda name: all_distances[name].mean())
        if name == nearest:
            return None
        return difference(all_distances[name] - all_distances[nearest])

    return [
        Reading(
            name,
            {
                tag: float(np.mean([row[seed] for seed in seeds]))
                for tag, row in figures[name].items()
            },
            summarize(distances[name]),
            beyond(distances, name),
            summarize(courses[name]),
            beyond(courses, name),
        )
        for name in sorted(distances, key=lambda name: distances[name].mean())
    ]
