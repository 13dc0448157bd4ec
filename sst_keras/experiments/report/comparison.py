"""Runs compared over seeds: means, paired differences with 95 % intervals, effects of settings.

Records have accuracies from 0 to 1. Here all scores are in percent, and differences in points.
An experiment is named as in `Experiment.short_name`: `V2.3`, `V2.3/frozen`.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit

from sst_keras.experiments import records as recorded
from sst_keras.experiments.records import RunKey, RunRecord, Weights
from sst_keras.experiments.sweep import Finding, Sweep
from sst_keras.settings import SETTINGS, is_read

Pair = tuple[str, str]  # two experiments that are compared: from, to
Change = tuple[str, Any, Any]  # a setting, and its values: from, to


@dataclass(frozen=True)
class Summary:
    """The mean of n scores, or of n differences between scores, over seeds.

    `sd` is their standard deviation, with n - 1; None for one seed.
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
        """The prediction interval of 95 % of further runs, `mean ± t · sd · √(1 + 1/n)`."""
        return self._interval(1 + 1 / self.n)

    def _interval(self, variance: float) -> tuple[float, float] | None:
        if self.sd is None:
            return None
        half = float(stdtrit(self.n - 1, 0.975)) * self.sd * math.sqrt(variance)
        return self.mean - half, self.mean + half

    @property
    def sign(self) -> int:
        """1 or -1 if the complete interval is on that side of 0, else 0."""
        # With a small test set, all seeds may differ by the same amount. That is no certainty.
        if self.sd is None or self.sd < 1e-9:
            return 0
        low, high = self.interval
        return int(low > 0) - int(high < 0)


Found = Mapping[Weights, Summary | None]  # with each set of weights; None without a run
Curve = Mapping[float, Summary]  # by epoch


def summarize(values: Iterable[float]) -> Summary | None:
    """Returns the summary of some values; None if there are none."""
    array = np.array(list(values), dtype=float)  # float[seeds]
    if not len(array):
        return None
    sd = float(array.std(ddof=1)) if len(array) > 1 else None
    return Summary(float(array.mean()), sd, len(array))


def as_json(found: Found) -> dict[str, Any]:
    """Returns what was found for JSON, under `last` and `best`."""
    return {w.key: one and vars(one) | {"interval": one.interval} for w, one in found.items()}


def curve(series: Iterable[Mapping[str, Sequence[float]]], column: str) -> Curve:
    """Returns a column summarized over seeds; `series` has one history per seed."""
    scale = 100 if column.endswith("accuracy") else 1
    values: dict[float, list[float]] = {}
    for one in series:
        for epoch, value in zip(one["epoch"], one[column], strict=True):
            values.setdefault(float(epoch), []).append(scale * value)
    return {epoch: summarize(values[epoch]) for epoch in sorted(values)}


def lowest(curve: Curve, sign: int = 1) -> float:
    """Returns the epoch with the lowest mean that is not nan; with sign -1, with the highest."""
    values = sign * np.array([one.mean for one in curve.values()])  # float[epochs]
    return list(curve)[np.where(np.isnan(values), np.inf, values).argmin()]


class Runs:
    """The records of a sweep, by experiment and seed.

    Attributes:
        sweep: The sweep.
        experiments: Its experiments by name.
        rows: The experiments that are rows, not variants.
        published: The published score of each row that has one.
        source: What columns of published scores are called.
        finished: Experiment → seed → record.
        run_rows: The rows with a finished run.
        unused: The records that are not used, among them failed runs, each with the reason.
    """

    def __init__(self, sweep: Sweep, records: Mapping[RunKey, RunRecord]) -> None:
        self.sweep = sweep
        self.experiments = {item.short_name: item for item in sweep.experiments}
        self.rows = [name for name, item in self.experiments.items() if not item.variant]
        scores = {row: self.experiments[row].published for row in self.rows}
        self.published = {row: score for row, score in scores.items() if score is not None}
        self.source = sweep.published.short if sweep.published else "published"
        self.finished: dict[str, dict[int, RunRecord]] = {name: {} for name in self.experiments}
        self.unused: list[tuple[RunRecord, str]] = []
        planned = {e.short_name: recorded.recorded_settings(e.pipeline) for e in sweep.experiments}
        for record in sorted(records.values(), key=lambda record: record.key.seed):
            name = "/".join(filter(None, (record.key.row, record.key.variant)))
            if name not in planned:
                self.unused.append((record, "the sweep has no such row"))
            elif record.error is not None:
                lines = record.error.strip().splitlines() or ["no message"]
                self.unused.append((record, f"failed: {lines[-1]}"))
            elif other := recorded.differing_settings(planned[name], record.settings):
                reason = f"run with other settings than the sweep's: {', '.join(other)}"
                self.unused.append((record, reason))
            else:
                self.finished[name][record.key.seed] = record
        self.run_rows = [row for row in self.rows if self.finished[row]]

    def of(self, names: Iterable[str]) -> list[RunRecord]:
        """Returns the finished records of some experiments."""
        return [record for name in names for record in self.finished[name].values()]

    def seeds(self, *names: str) -> list[int]:
        """Returns the seeds that every one of some experiments has finished."""
        return sorted(set.intersection(*(set(self.finished[name]) for name in names)))

    def scores(
        self, name: str, weights: Weights, seeds: Sequence[int] | None = None, split: str = "test"
    ) -> np.ndarray:
        """Returns an experiment's scores on `test` or `dev`: float[seeds]; None for all seeds."""
        records = self.finished[name]
        chosen = (records[seed].scores(weights) for seed in (records if seeds is None else seeds))
        return 100 * np.array([getattr(scores, split) for scores in chosen])

    def means(self, name: str, seeds: Sequence[int] | None = None, split: str = "test") -> Found:
        """Returns the summaries of an experiment's `scores`."""
        return {w: summarize(self.scores(name, w, seeds, split)) for w in Weights}

    def differences(self, pairs: Sequence[Pair], split: str = "test") -> Found:
        """Returns the difference in accuracy, to - from: over pairs in a seed, then seeds.

        A seed counts if both sides of all pairs have it.
        """
        seeds = self.seeds(*itertools.chain(*pairs)) if pairs else []
        found = {}
        for w in Weights:
            both = [[self.scores(name, w, seeds, split) for name in pair] for pair in pairs]
            gaps = [end - start for start, end in both]
            found[w] = summarize(np.mean(gaps, axis=0) if seeds else ())
        return found

    def best(self, names: Iterable[str], weights: Weights) -> str:
        """Returns the experiment with the best mean accuracy on dev."""
        return max(names, key=lambda name: self.scores(name, weights, split="dev").mean())


@dataclass(frozen=True)
class Effect:
    """What the change of one setting does to the test accuracy, all else equal.

    The experiments of each pair differ only in this setting, and share a seed. `published` is the
    published mean difference over the same pairs, if all have one.
    """

    setting: str
    before: Any
    after: Any
    pairs: tuple[Pair, ...]
    differences: Found
    published: float | None

    def to_dict(self) -> dict[str, Any]:
        """Returns the effect for JSON."""
        fields = vars(self) | as_json(self.differences)
        del fields["differences"]
        return fields


def find_effects(runs: Runs) -> list[Effect]:
    """Returns the effect of each change of a setting between two rows with runs.

    From is the smaller of two numbers; else the value that comes first in the sweep.
    """
    groups: dict[Change, list[Pair]] = {}
    for pair in itertools.combinations(runs.rows, 2):
        if change := _change(runs, pair):
            setting, before, after = change
            back = (setting, after, before)
            if back in groups or (isinstance(before, (int, float)) and before > after):
                change, pair = back, pair[::-1]
            groups.setdefault(change, []).append(pair)
    order = list(SETTINGS)
    changes = sorted(
        groups, key=lambda c: (order.index(c[0]), c[1:] if isinstance(c[1], (int, float)) else ())
    )
    effects = [_effect(runs, change, groups[change]) for change in changes]
    return [effect for effect in effects if effect.pairs]


def check_finding(runs: Runs, finding: Finding) -> Effect:
    """Returns the effect of a finding's change, from the worse value to the better one.

    Rows are compared; variants too if no two rows with runs differ only in this setting.
    """
    change = finding.setting, finding.worse, finding.better
    for names in (runs.rows, runs.experiments):
        both = ((pair, pair[::-1]) for pair in itertools.combinations(names, 2))
        pairs = [pair for pair in itertools.chain(*both) if _change(runs, pair) == change]
        effect = _effect(runs, change, pairs)
        if effect.pairs:
            break
    return effect


def _change(runs: Runs, pair: Pair) -> Change | None:
    """Returns the only setting, apart from the seed, that both read and in which they differ."""
    first, second = (runs.experiments[name].pipeline.settings() for name in pair)
    changes = [
        (name, value, second[name])
        for name, value in first.items()
        if value != second[name] and name != "training.seed"
        if is_read(name, first) and is_read(name, second)
    ]
    return changes[0] if len(changes) == 1 else None


def _effect(runs: Runs, change: Change, pairs: Iterable[Pair]) -> Effect:
    """Returns what a change does over those of `pairs` that have a seed on both sides."""
    used = tuple(pair for pair in pairs if runs.seeds(*pair))
    published = None
    if used and all(name in runs.published for pair in used for name in pair):
        gaps = [runs.published[to] - runs.published[start] for start, to in used]
        published = float(np.mean(gaps))
    return Effect(*change, used, runs.differences(used), published)
