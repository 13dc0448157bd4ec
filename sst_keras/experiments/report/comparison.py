"""Runs compared over seeds: means, paired differences with 95 % intervals, effects of settings.

Records have accuracies from 0 to 1. Here all scores are in percent, and differences in points.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import stdtrit

from sst_keras.experiments.records import (
    RunKey,
    RunRecord,
    Weights,
    differing_settings,
    recorded_settings,
)
from sst_keras.settings import SETTINGS, is_read

if TYPE_CHECKING:
    from sst_keras.experiments.sweep import Experiment, Finding, Sweep

Key = tuple[str, str | None]  # an experiment: its row and variant
Pair = tuple[Key, Key]  # two experiments that are compared: from, to


# === Means and differences ===


@dataclass(frozen=True)
class Summary:
    """Mean, standard deviation (n - 1; None for one seed) and number of scores, one per seed."""

    mean: float
    sd: float | None
    n: int


@dataclass(frozen=True)
class Difference:
    """A mean difference over seeds and the ends of its 95 % t interval; None for one seed."""

    mean: float
    low: float | None
    high: float | None
    n: int

    @property
    def sign(self) -> int:
        """1 or -1 if the complete interval is on that side of 0, else 0.

        It is 0 too if all seeds differ by the same amount, as with a small test set: that is no
        sign of certainty.
        """
        if self.low is None or self.high is None or self.low == self.high:
            return 0
        return 1 if self.low > 0 else -1 if self.high < 0 else 0


def summarize(values: Iterable[float]) -> Summary:
    """Returns the summary of one or more values."""
    array = np.array(list(values), dtype=float)  # float[seeds]
    sd = float(array.std(ddof=1)) if len(array) > 1 else None
    return Summary(float(array.mean()), sd, len(array))


def difference(values: Iterable[float]) -> Difference:
    """Returns the mean of one difference per seed with its interval `mean ± t · sd / √n`.

    `t` is the 97.5 % point of Student's distribution with n - 1 degrees of freedom.
    """
    summary = summarize(values)
    return Difference(summary.mean, *_interval(summary, 1 / summary.n), summary.n)


def expected_range(summary: Summary) -> tuple[float | None, float | None]:
    """Returns the interval that is expected to contain 95 % of further single runs.

    It is the prediction interval `mean ± t · sd · √(1 + 1/n)`; None for one seed.
    """
    return _interval(summary, 1 + 1 / summary.n)


def _interval(summary: Summary, variance: float) -> tuple[float | None, float | None]:
    """Returns mean ± t · sd · √variance."""
    if summary.sd is None:
        return None, None
    half = float(stdtrit(summary.n - 1, 0.975)) * summary.sd * math.sqrt(variance)
    return summary.mean - half, summary.mean + half


@dataclass(frozen=True)
class Band:
    """A column of several histories by epoch: float[epochs] each; sd is nan for one seed."""

    epochs: np.ndarray
    means: np.ndarray
    sds: np.ndarray


def band(series: Iterable[Mapping[str, Sequence[float]]], column: str) -> Band:
    """Returns the mean and standard deviation over seeds of a column, epoch by epoch.

    Args:
        series: Per seed, column → values. One of the columns is `epoch`.
        column: Which column.
    """
    values: dict[float, list[float]] = {}
    for one in series:
        for epoch, value in zip(one["epoch"], one[column], strict=True):
            values.setdefault(float(epoch), []).append(math.nan if value is None else value)
    summaries = [summarize(values[epoch]) for epoch in sorted(values)]
    means = np.array([summary.mean for summary in summaries])
    return Band(np.sort(list(values)), means, np.array([one.sd for one in summaries], dtype=float))


def lowest(values: Sequence[float]) -> int:
    """Returns the index of the lowest value that is not nan."""
    array = np.array(values, dtype=float)
    return int(np.argmin(np.where(np.isnan(array), np.inf, array)))


# === Runs ===


@dataclass(frozen=True)
class Runs:
    """The records of a sweep, by experiment.

    Attributes:
        sweep: The sweep.
        finished: Experiment → seed → record, in the sweep's order.
        failed: The records of failed runs.
        unused: The records that are not used, each with the reason.
    """

    sweep: Sweep
    finished: Mapping[Key, Mapping[int, RunRecord]]
    failed: Sequence[RunRecord]
    unused: Sequence[tuple[RunRecord, str]]

    @cached_property
    def experiments(self) -> dict[Key, Experiment]:
        """The sweep's experiments by key."""
        return {(item.row, item.variant): item for item in self.sweep.experiments}

    @cached_property
    def rows(self) -> list[Key]:
        """The experiments that are rows, not variants."""
        return [key for key in self.experiments if key[1] is None]

    @cached_property
    def run_rows(self) -> list[Key]:
        """The rows with a finished run."""
        return [key for key in self.rows if self.finished[key]]

    @cached_property
    def published(self) -> dict[Key, float]:
        """The published score of each row that has one."""
        scores = {key: self.experiments[key].published for key in self.rows}
        return {key: score for key, score in scores.items() if score is not None}

    @property
    def source(self) -> str:
        """What columns of published scores are called."""
        return self.sweep.published.short if self.sweep.published else "published"

    def of(self, *keys: Key) -> list[RunRecord]:
        """Returns the finished records of some experiments; of all if there are no `keys`."""
        return [
            record
            for key in keys or self.finished
            for record in self.finished.get(key, {}).values()
        ]

    def scores(self, key: Key, weights: Weights, split: str = "test") -> dict[int, float]:
        """Returns seed → score of an experiment on `split`, `test` or `dev`."""
        return {
            seed: 100 * getattr(record.scores(weights), split)
            for seed, record in self.finished.get(key, {}).items()
        }

    def mean(self, key: Key, weights: Weights, split: str = "test") -> Summary | None:
        """Returns the summary of an experiment's scores; None if it has no runs."""
        scores = self.scores(key, weights, split).values()
        return summarize(scores) if scores else None


def sort_records(sweep: Sweep, records: Mapping[RunKey, RunRecord]) -> Runs:
    """Returns the records by experiment and seed."""
    planned = {
        (item.row, item.variant): recorded_settings(item.pipeline) for item in sweep.experiments
    }
    finished: dict[Key, dict[int, RunRecord]] = {key: {} for key in planned}
    failed, unused = [], []
    for record in sorted(records.values(), key=lambda record: record.key.seed):
        key = (record.key.row, record.key.variant)
        if key not in planned:
            unused.append((record, "the sweep has no such row"))
        elif record.error is not None:
            failed.append(record)
        elif other := differing_settings(planned[key], record.settings):
            unused.append((record, f"run with other settings than the sweep's: {', '.join(other)}"))
        else:
            finished[key][record.key.seed] = record
    return Runs(sweep, finished, failed, unused)


# === What a setting does ===


@dataclass(frozen=True)
class Effect:
    """What the change of one setting does to the test accuracy, all else equal.

    Attributes:
        setting: Its name, such as `model.units`.
        before: The value that is changed.
        after: The value that it is changed to.
        pairs: The experiments compared: they differ only in this setting, and have runs.
        differences: The difference with each set of weights; None if no seed is in all pairs.
        published: The published mean difference over the same pairs, if all have one.
    """

    setting: str
    before: Any
    after: Any
    pairs: tuple[Pair, ...]
    differences: Mapping[Weights, Difference | None]
    published: float | None

    @property
    def last(self) -> Difference | None:
        """The difference with the last epoch's weights."""
        return self.differences[Weights.LAST]

    @property
    def best(self) -> Difference | None:
        """The difference with the weights of the best epoch by dev."""
        return self.differences[Weights.BEST]

    @property
    def is_nested(self) -> bool:
        """Whether the epochs of one side are the first epochs of the other."""
        return self.setting == "training.epochs"

    def to_dict(self) -> dict[str, Any]:
        """Returns the effect for JSON."""
        return {
            "setting": self.setting,
            "from": self.before,
            "to": self.after,
            "pairs": [["/".join(filter(None, key)) for key in pair] for pair in self.pairs],
            **as_json(self.differences),
            "published": self.published,
        }


def as_json(found: Mapping[Weights, Any]) -> dict[str, Any]:
    """Returns what was found with each set of weights for JSON, under `last` and `best`."""
    return {weights.key: one and vars(one) for weights, one in found.items()}


def differing(one: Experiment, other: Experiment) -> list[str]:
    """Returns the settings, apart from the seed, that both read and in which they differ."""
    sides = one.pipeline.settings(), other.pipeline.settings()
    return [
        name
        for name, value in sides[0].items()
        if name != "training.seed"
        and value != sides[1][name]
        and all(is_read(name, settings) for settings in sides)
    ]


def find_pairs(experiments: Iterable[Experiment]) -> dict[tuple[str, Any, Any], list[Pair]]:
    """Returns (setting, from, to) → the pairs of experiments that differ only in that setting.

    From is the smaller of two numbers; else the value that comes first in the sweep.
    """
    pairs: dict[tuple[str, Any, Any], list[Pair]] = {}
    for one, other in itertools.combinations(experiments, 2):
        names = differing(one, other)
        if len(names) != 1:
            continue
        before, after = (item.pipeline.settings()[names[0]] for item in (one, other))
        if (_are_numbers(before, after) and before > after) or (names[0], after, before) in pairs:
            before, after, one, other = after, before, other, one
        pair = (one.row, one.variant), (other.row, other.variant)
        pairs.setdefault((names[0], before, after), []).append(pair)
    order = list(SETTINGS)

    def place(change: tuple[str, Any, Any]) -> tuple:
        return order.index(change[0]), change[1:] if _are_numbers(*change[1:]) else ()

    return {change: pairs[change] for change in sorted(pairs, key=place)}


def _are_numbers(*values: Any) -> bool:
    return all(isinstance(value, (int, float)) for value in values)


def paired_difference(runs: Runs, pairs: Sequence[Pair], weights: Weights) -> Difference | None:
    """Returns the difference (to - from) in test accuracy: over pairs within a seed, then seeds.

    A seed counts if all pairs have it on both sides; None if there is no such seed.
    """
    sides = [[runs.scores(key, weights) for key in pair] for pair in pairs]
    seeds = set.intersection(*(set(side) for pair in sides for side in pair)) if sides else set()
    if not seeds:
        return None
    return difference(
        float(np.mean([after[seed] - before[seed] for before, after in sides]))
        for seed in sorted(seeds)
    )


def find_effects(runs: Runs) -> list[Effect]:
    """Returns the effect of each change of a setting between two rows with runs."""
    pairs = find_pairs(runs.experiments[key] for key in runs.rows)
    effects = [_effect(runs, *change, some) for change, some in pairs.items()]
    return [effect for effect in effects if effect.pairs]


def check_finding(runs: Runs, finding: Finding) -> Effect:
    """Returns the effect of a finding's change, from the worse value to the better one.

    Rows are compared; variants too if no two rows with runs differ only in this setting.
    """
    for keys in (runs.rows, runs.experiments):
        pairs = find_pairs(runs.experiments[key] for key in keys)
        forward = pairs.get((finding.setting, finding.worse, finding.better), [])
        back = pairs.get((finding.setting, finding.better, finding.worse), [])
        both = [*forward, *(pair[::-1] for pair in back)]
        effect = _effect(runs, finding.setting, finding.worse, finding.better, both)
        if effect.pairs:
            break
    return effect


def _effect(runs: Runs, setting: str, before: Any, after: Any, pairs: Sequence[Pair]) -> Effect:
    """Returns what a change does over those of `pairs` that have a seed on both sides."""
    used = tuple(pair for pair in pairs if paired_difference(runs, [pair], Weights.LAST))
    published = [
        runs.published[to] - runs.published[start]
        for start, to in used
        if start in runs.published and to in runs.published
    ]
    return Effect(
        setting,
        before,
        after,
        used,
        {weights: paired_difference(runs, used, weights) for weights in Weights},
        float(np.mean(published)) if used and len(published) == len(used) else None,
    )
