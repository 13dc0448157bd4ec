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

from sst_keras.experiments import records as recorded
from sst_keras.experiments.records import RunKey, RunRecord, Weights
from sst_keras.settings import SETTINGS, is_read

if TYPE_CHECKING:
    from sst_keras.experiments.sweep import Experiment, Finding, Sweep

Key = tuple[str, str | None]  # an experiment: its row and variant
Pair = tuple[Key, Key]  # two experiments that are compared: from, to


# === Means and differences ===


@dataclass(frozen=True)
class Summary:
    """Scores, or differences between scores, over seeds.

    Attributes:
        mean: Their mean.
        sd: Their standard deviation, with n - 1; None for one seed.
        n: Number of seeds.
    """

    mean: float
    sd: float | None
    n: int

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the mean, `mean ± t · sd / √n`; None for one seed.

        `t` is the 97.5 % point of Student's distribution with n - 1 degrees of freedom.
        """
        return self._interval(1 / self.n)

    @property
    def expected_range(self) -> tuple[float, float] | None:
        """The interval that is expected to contain 95 % of further single runs.

        It is the prediction interval `mean ± t · sd · √(1 + 1/n)`; None for one seed.
        """
        return self._interval(1 + 1 / self.n)

    def _interval(self, variance: float) -> tuple[float, float] | None:
        if self.sd is None:
            return None
        half = float(stdtrit(self.n - 1, 0.975)) * self.sd * math.sqrt(variance)
        return self.mean - half, self.mean + half

    @property
    def sign(self) -> int:
        """1 or -1 if the complete interval is on that side of 0, else 0.

        It is 0 too if all seeds differ by the same amount, as with a small test set: that is no
        sign of certainty.
        """
        if self.sd is None or self.sd < 1e-9:  # differences of floats
            return 0
        low, high = self.interval
        return 1 if low > 0 else -1 if high < 0 else 0


def summarize(values: Iterable[float]) -> Summary:
    """Returns the summary of one or more values."""
    array = np.array(list(values), dtype=float)  # float[seeds]
    sd = float(array.std(ddof=1)) if len(array) > 1 else None
    return Summary(float(array.mean()), sd, len(array))


def as_json(found: Mapping[Weights, Summary | None]) -> dict[str, Any]:
    """Returns what was found with each set of weights for JSON, under `last` and `best`."""
    return {w.key: one and vars(one) | {"interval": one.interval} for w, one in found.items()}


@dataclass(frozen=True)
class Band:
    """A column of several histories by epoch: float[epochs] each; sd is nan for one seed."""

    epochs: np.ndarray
    means: np.ndarray
    sds: np.ndarray


def band(series: Iterable[Mapping[str, Sequence[float]]], column: str) -> Band:
    """Returns the band of a column; `series` has per seed column → values, with `epoch`."""
    values: dict[float, list[float]] = {}
    for one in series:
        for epoch, value in zip(one["epoch"], one[column], strict=True):
            values.setdefault(float(epoch), []).append(math.nan if value is None else value)
    summaries = [summarize(values[epoch]) for epoch in sorted(values)]
    numbers = np.array([[one.mean, one.sd] for one in summaries], dtype=float)
    return Band(np.sort(list(values)), *numbers.T)


def lowest(values: Sequence[float], sign: int = 1) -> int:
    """Returns the index of the lowest value that is not nan; with sign -1, of the highest."""
    array = sign * np.array(values, dtype=float)
    return int(np.argmin(np.where(np.isnan(array), np.inf, array)))


# === Runs ===


@dataclass(frozen=True)
class Runs:
    """The records of a sweep, by experiment.

    Attributes:
        sweep: The sweep.
        finished: Experiment → seed → record, in the sweep's order.
        unused: The records that are not used, each with the reason: among them failed runs.
    """

    sweep: Sweep
    finished: Mapping[Key, Mapping[int, RunRecord]]
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
    def failed(self) -> int:
        """The number of failed runs."""
        return sum(record.error is not None for record, _ in self.unused)

    @property
    def source(self) -> str:
        """What columns of published scores are called."""
        return self.sweep.published.short if self.sweep.published else "published"

    def of(self, *keys: Key) -> list[RunRecord]:
        """Returns the finished records of some experiments; of all if there are no `keys`."""
        return [one for key in keys or self.finished for one in self.finished[key].values()]

    def scores(self, key: Key, weights: Weights, split: str = "test") -> dict[int, float]:
        """Returns seed → score of an experiment on `split`, `test` or `dev`."""
        return {
            seed: 100 * getattr(record.scores(weights), split)
            for seed, record in self.finished[key].items()
        }

    def mean(self, key: Key, weights: Weights, split: str = "test") -> Summary | None:
        """Returns the summary of an experiment's scores; None if it has no runs."""
        scores = self.scores(key, weights, split).values()
        return summarize(scores) if scores else None


def sort_records(sweep: Sweep, records: Mapping[RunKey, RunRecord]) -> Runs:
    """Returns the records by experiment and seed."""
    planned = {
        (item.row, item.variant): recorded.recorded_settings(item.pipeline)
        for item in sweep.experiments
    }
    finished: dict[Key, dict[int, RunRecord]] = {key: {} for key in planned}
    unused = []
    for record in sorted(records.values(), key=lambda record: record.key.seed):
        _, row, variant, seed = record.key
        if (row, variant) not in planned:
            unused.append((record, "the sweep has no such row"))
        elif record.error is not None:
            lines = record.error.strip().splitlines() or ["no message"]
            unused.append((record, f"failed: {lines[-1]}"))
        elif other := recorded.differing_settings(planned[row, variant], record.settings):
            unused.append((record, f"run with other settings than the sweep's: {', '.join(other)}"))
        else:
            finished[row, variant][seed] = record
    return Runs(sweep, finished, unused)


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
    differences: Mapping[Weights, Summary | None]
    published: float | None

    @property
    def n(self) -> int:
        """The number of seeds compared."""
        found = self.differences[Weights.LAST]
        return found.n if found else 0

    @property
    def is_nested(self) -> bool:
        """Whether the epochs of one side are the first epochs of the other."""
        return self.setting == "training.epochs"

    def to_dict(self) -> dict[str, Any]:
        """Returns the effect for JSON."""
        fields = {name: getattr(self, name) for name in ("setting", "before", "after", "published")}
        pairs = [["/".join(filter(None, key)) for key in pair] for pair in self.pairs]
        return fields | {"pairs": pairs} | as_json(self.differences)


def differing(one: Experiment, other: Experiment) -> list[str]:
    """Returns the settings, apart from the seed, that both read and in which they differ."""
    first, second = one.pipeline.settings(), other.pipeline.settings()
    names = [name for name, value in first.items() if value != second[name]]
    return [
        name
        for name in names
        if name != "training.seed" and is_read(name, first) and is_read(name, second)
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
        if (isinstance(before, (int, float)) and before > after) or (
            *names,
            after,
            before,
        ) in pairs:
            before, after, one, other = after, before, other, one
        pair = (one.row, one.variant), (other.row, other.variant)
        pairs.setdefault((names[0], before, after), []).append(pair)
    order = {name: place for place, name in enumerate(SETTINGS)}
    changes = sorted(
        pairs, key=lambda c: (order[c[0]], c[1:] if isinstance(c[1], (int, float)) else ())
    )
    return {change: pairs[change] for change in changes}


def paired_difference(runs: Runs, pairs: Sequence[Pair], weights: Weights) -> Summary | None:
    """Returns the difference (to - from) in test accuracy: over pairs within a seed, then seeds.

    A seed counts if all pairs have it on both sides; None if there is no such seed.
    """
    sides = [[runs.scores(key, weights) for key in pair] for pair in pairs]
    seeds = set.intersection(*(set(side) for pair in sides for side in pair)) if sides else set()
    differences = [
        float(np.mean([after[seed] - before[seed] for before, after in sides]))
        for seed in sorted(seeds)
    ]
    return summarize(differences) if differences else None


def find_effects(runs: Runs) -> list[Effect]:
    """Returns the effect of each change of a setting between two rows with runs."""
    pairs = find_pairs(runs.experiments[key] for key in runs.rows)
    effects = [_effect(runs, *change, some) for change, some in pairs.items()]
    return [effect for effect in effects if effect.pairs]


def check_finding(runs: Runs, finding: Finding) -> Effect:
    """Returns the effect of a finding's change, from the worse value to the better one.

    Rows are compared; variants too if no two rows with runs differ only in this setting.
    """
    setting, worse, better = finding.setting, finding.worse, finding.better
    for keys in (runs.rows, runs.experiments):
        pairs = find_pairs(runs.experiments[key] for key in keys)
        back = (pair[::-1] for pair in pairs.get((setting, better, worse), ()))
        both = [*pairs.get((setting, worse, better), ()), *back]
        effect = _effect(runs, setting, worse, better, both)
        if effect.pairs:
            break
    return effect


def _effect(runs: Runs, setting: str, before: Any, after: Any, pairs: Sequence[Pair]) -> Effect:
    """Returns what a change does over those of `pairs` that have a seed on both sides."""
    used = tuple(pair for pair in pairs if paired_difference(runs, [pair], Weights.LAST))
    known = [all(key in runs.published for key in pair) for pair in used]
    published = None
    if used and all(known):
        gaps = [runs.published[to] - runs.published[start] for start, to in used]
        published = float(np.mean(gaps))
    differences = {weights: paired_difference(runs, used, weights) for weights in Weights}
    return Effect(setting, before, after, used, differences, published)
