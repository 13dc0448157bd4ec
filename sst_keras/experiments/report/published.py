"""The sections of a report on what a source published about the rows of a sweep."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sst_keras.experiments.records import RunRecord, Weights
from sst_keras.experiments.report import figures, wording
from sst_keras.experiments.report.comparison import (
    Difference,
    Effect,
    Key,
    Runs,
    Summary,
    check_finding,
    difference,
    expected_range,
    summarize,
)
from sst_keras.experiments.report.page import Section

# === Rows ===


def constant_class(record: RunRecord) -> int | None:
    """Returns the class that a run predicts for 99 % of the test texts; None if there is none."""
    predicted = np.sum(record.last.confusion_matrix, axis=0)  # int[predicted classes]
    return int(predicted.argmax()) if predicted.max() >= 0.99 * predicted.sum() else None


def _constant_runs(runs: Runs, key: Key) -> list[tuple[int, int]]:
    """Returns (class, number of runs that predict no other), by class."""
    found = map(constant_class, runs.of(key) if runs.sweep.published and runs.of(key) else ())
    return sorted(Counter(one for one in found if one is not None).items())


def mark(runs: Runs, key: Key) -> str:
    """Returns the mark of an experiment that predicts a single class in some run."""
    return " †" if _constant_runs(runs, key) else ""


def constants(runs: Runs, keys: Sequence[Key]) -> str:
    """Returns which experiments predict a single class, and how large the classes are."""
    record = runs.of()[0]
    sizes = np.sum(record.last.confusion_matrix, axis=1)  # int[true classes]
    names = list(map(wording.text, record.class_names))
    shares = dict(zip(names, 100 * sizes / sizes.sum(), strict=True))
    ours = [
        f"{wording.name(key)} in {count} of {len(runs.of(key))} runs ({names[number]})"
        for key in keys
        for number, count in _constant_runs(runs, key)
    ]
    theirs = [
        f"{wording.name(key)} ({wording.published(runs.published[key])}, {name})"
        for key in keys
        for name, share in shares.items()
        if abs(runs.published.get(key, math.inf) - share) < 0.1
    ]
    parts = []
    if ours:
        parts.append(
            f"† With the weights of the last epoch, these predict one class for at least 99 % of "
            f"the test sentences, so they have learned nothing useful: {'; '.join(ours)}."
        )
    if theirs:
        parts.append(
            f"These published accuracies equal the share of one class, as of a model that "
            f"predicts nothing else: {'; '.join(theirs)}."
        )
    if parts:
        listed = ", ".join(f"{share:.1f} % are {name}" for name, share in shares.items())
        parts.append(f"Of the test sentences, {listed}.")
    return " ".join(parts)


def nearness(runs: Runs) -> str:
    """Returns how far our rows are from the published ones."""
    keys = [key for key in runs.run_rows if key in runs.published]
    if not keys:
        return ""
    texts = {}
    for weights in Weights:
        gaps = [runs.mean(key, weights).mean - runs.published[key] for key in keys]
        texts[weights] = (
            f"{np.mean(np.abs(gaps)):.1f} points (ours is higher in {sum(g > 0 for g in gaps)})"
        )
    return (
        f"Over {len(keys)} rows, our means differ from the published accuracies by "
        f"{wording.by_weights(texts)}, on average."
    )


def five_best(runs: Runs) -> str:
    """Returns the published rows with the highest accuracies."""
    best = sorted(runs.published, key=lambda key: -runs.published[key])[:5]
    rows = (f"{wording.name(key)} {wording.published(runs.published[key])}" for key in best)
    return f"**{wording.text(runs.source)}:** {', '.join(rows)}"


# === The highest accuracy ===


def best_row(runs: Runs) -> Section:
    """Returns the row with the highest published accuracy, compared with ours."""
    if not runs.published:
        return Section()
    key = max(runs.published, key=runs.published.__getitem__)
    score = runs.published[key]
    heading = "## The highest published accuracy"
    opening = (
        f"The highest published accuracy is {wording.published(score)}, of {wording.name(key)}. It "
        f"is the highest of {len(runs.published)} single runs, chosen by their test scores. On "
        f"average, repeating the best of many runs gives a lower score."
    )
    if not (records := runs.of(key)):
        return Section((heading, f"{opening} We have no runs of this row."))
    size = int(np.sum(records[0].last.confusion_matrix))
    error = math.sqrt(score * (100 - score) / size)
    lines, summary = [], {}
    for weights in Weights:
        mean, values = runs.mean(key, weights), runs.scores(key, weights).values()
        low, high = expected_range(mean)
        line = f"**{weights.value}:** ours is {wording.mean(mean)}"
        if low is None:
            line += "; a single seed has no standard deviation to judge the published accuracy by."
        else:
            inside = "inside" if low <= score <= high else "outside"
            line += (
                f", with single runs from {min(values):.1f} to {max(values):.1f}. The published "
                f"accuracy is **{inside}** the range {low:.2f} to {high:.2f}, which is expected to "
                f"contain 95 % of further runs of ours."
            )
        gap = score - mean.mean
        near = "less" if abs(gap) < 1.96 * error else "more"
        lines.append(
            f"{line} It differs from our mean by {wording.points(gap)} points, {near} than 1.96 "
            f"sampling errors ({1.96 * error:.1f} points)."
        )
        summary[weights.key] = {"low": low, "high": high, "gap": gap}
    return Section(
        (
            heading,
            opening,
            f"The sampling error of one accuracy on {size:,} sentences, √(p (1 − p) / {size:,}), "
            f"is {error:.2f} points here. It comes from the choice of test sentences. Both "
            f"systems are scored on the same sentences, so they share part of it.",
            wording.caption(runs, [key]),
            wording.bullets(lines),
        ),
        summary={"published_best": {"row": key[0], "published": score, "error": error} | summary},
    )


# === Findings ===


def check_findings(runs: Runs) -> dict[str, Effect]:
    """Returns the source's claims, as Markdown, with the effect that each is about."""
    findings = runs.sweep.published.findings if runs.sweep.published else ()
    return {
        wording.text(finding.claim).rstrip("."): check_finding(runs, finding)
        for finding in findings
    }


def findings(runs: Runs, checked: Mapping[str, Effect]) -> Section:
    """Returns whether each published claim holds in these runs; see `check_findings`."""
    if not checked:
        return Section()
    table, notes, summary = [], [], []
    for claim, effect in checked.items():
        verdicts = {weights: wording.verdict(effect, weights) for weights in Weights}
        cells = [claim, str(effect.last.n if effect.last else 0), wording.points(effect.published)]
        for weights in Weights:
            cells += [wording.difference(effect.differences[weights]), verdicts[weights]]
        table.append(cells)
        notes.append(f"**{claim}: {verdicts[Weights.LAST]}.** {wording.reason(effect)}")
        found = {weights.key: words for weights, words in verdicts.items()}
        summary.append(effect.to_dict() | {"claim": claim, "verdicts": found})
    headings = ["finding", "n", runs.source]
    for weights in Weights:
        headings += [weights.value, f"verdict, {weights.value}"]
    keys = [key for effect in checked.values() for pair in effect.pairs for key in pair]
    return Section(
        (
            "## Findings",
            "A finding **holds** if the complete interval is on its side of 0. **The opposite "
            "holds** if the interval is on the other side. Otherwise the finding is **not shown**. "
            "Each difference is the value claimed to be better minus the other one.",
            wording.caption(runs, keys),
            wording.table(headings, table, "lrrrlrl"),
            wording.bullets(notes),
        ),
        summary={"findings": summary},
    )


# === Readings ===


@dataclass(frozen=True)
class Reading:
    """How close one way of running the rows is to the published scores.

    Attributes:
        name: The variant and weights.
        means: Row → mean score.
        distance: Mean absolute distance of a seed from the published scores, over seeds.
        beyond: How much farther it is than the nearest reading; None for the nearest.
        course: As `distance`, after both are centred on their means over the rows: how alike they
            rise and fall.
        course_beyond: As `beyond`, for `course`.
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
    readings: Mapping[str, tuple[str | None, Weights]],
) -> list[Reading]:
    """Returns readings, the nearest to the published scores first.

    Args:
        runs: The runs.
        published: Row → published score.
        readings: A reading's name → its variant, None for the rows themselves, and weights.

    Returns:
        The readings; empty if no seed is in all rows of all readings.
    """
    scores = {
        name: [runs.scores((row, variant), weights) for row in published]
        for name, (variant, weights) in readings.items()
    }
    seeds = sorted(set.intersection(*(set(row) for rows in scores.values() for row in rows)))
    if not seeds:
        return []
    ours = {  # float[seeds, rows]
        name: np.array([[row[seed] for row in rows] for seed in seeds])
        for name, rows in scores.items()
    }
    off = {name: one - np.array(list(published.values())) for name, one in ours.items()}
    centred = {name: one - one.mean(axis=1, keepdims=True) for name, one in off.items()}
    columns = []
    for gaps in (off, centred):
        distances = {name: np.abs(one).mean(axis=1) for name, one in gaps.items()}  # float[seeds]
        nearest = min(distances, key=lambda name: distances[name].mean())
        columns.append(
            {
                name: (
                    summarize(one),
                    None if name == nearest else difference(one - distances[nearest]),
                )
                for name, one in distances.items()
            }
        )
    found = [
        Reading(
            name,
            dict(zip(published, one.mean(axis=0).tolist(), strict=True)),
            *columns[0][name],
            *columns[1][name],
        )
        for name, one in ours.items()
    ]
    return sorted(found, key=lambda reading: reading.distance.mean)


def readings(runs: Runs) -> Section:
    """Returns the readings of what the source leaves open, compared: table and figure."""
    if not runs.sweep.published or not runs.sweep.published.reading_rows:
        return Section()
    variants = runs.sweep.published.reading_variants
    wanted = {
        row: runs.published[row, None]
        for row in runs.sweep.published.reading_rows
        if (row, None) in runs.published
    }
    choices: dict[str, tuple[str | None, Weights]] = {
        f"the rows, {weights.value}": (None, weights) for weights in Weights
    }
    choices |= {f"{one}, {Weights.LAST.value}": (one, Weights.LAST) for one in variants}
    found = compare_readings(runs, wanted, choices) if wanted else []
    opening = (
        "## Which reading is nearest to the published scores",
        "Some of the questions above are readings of what the source leaves open. Here they are "
        "compared over the same rows and seeds. The distance of a reading is the mean absolute "
        "difference between its single runs and the published scores, in points, averaged within "
        "a seed and then over seeds. The distance of its course is computed after both are centred "
        "on their means over the rows. It shows how alike they rise and fall at any level; other "
        "word vectors may shift the level.",
    )
    if not found:
        return Section((*opening, "No seed was run in all of them, so there is no comparison."))
    keys = [(row, variant) for row in wanted for variant in (None, *variants)]
    epochs = {
        row: wording.counted(runs.experiments[row, None].pipeline.training.epochs, "epoch")
        for row in wanted
    }
    headings = ["reading", *(f"{wording.text(row)} ({epochs[row]})" for row in wanted)]
    headings += [f"distance (n = {found[0].distance.n})", "beyond the nearest"]
    headings += ["distance of its course", "beyond the nearest"]
    table = [[runs.source, *map(wording.published, wanted.values()), "0.0", "", "0.0", ""]]
    for one in found:
        cells = [wording.text(one.name), *map(wording.number, one.means.values())]
        for distance, beyond in ((one.distance, one.beyond), (one.course, one.course_beyond)):
            cells += [wording.spread(distance), wording.difference(beyond) if beyond else "nearest"]
        table.append(cells)
    lines = {runs.source: list(wanted.values())}
    lines |= {one.name: list(one.means.values()) for one in found}
    count = wording.counted(len(wanted), "published score")
    level = _nearest(f"the {count}", {one.name: (one.distance, one.beyond) for one in found})
    course = _nearest("their course", {one.name: (one.course, one.course_beyond) for one in found})
    return Section(
        (
            *opening,
            wording.caption(runs, keys),
            wording.table(headings, table, "lr"),
            wording.image("readings", f"Test accuracy in {', '.join(wanted)}: published, and ours"),
            f"{level} {course} The nearest reading need not be what the source did: each published "
            f"score is a single run, other readings were not tried, and the nearest is chosen by "
            f"the runs that it is judged by.",
        ),
        {
            "readings": figures.plot_pattern(
                [f"{row}: {epochs[row]}" for row in wanted], lines, wording.title(runs, keys)
            )
        },
        {"readings": [_reading_dict(one) for one in found]},
    )


def _reading_dict(one: Reading) -> dict[str, Any]:
    return {"name": one.name, "means": one.means} | {
        name: (found := getattr(one, name)) and vars(found)
        for name in ("distance", "beyond", "course", "course_beyond")
    }


def _nearest(what: str, found: Mapping[str, tuple[Summary, Difference | None]]) -> str:
    """Returns which reading is nearest, and which others may be as near."""
    name = next(name for name, (_, beyond) in found.items() if beyond is None)
    distance = found[name][0]
    text = (
        f"*{wording.text(name)}* is nearest to {what}, {distance.mean:.1f} points off on average."
    )
    if distance.n == 1:
        return f"{text} With a single seed this may be chance."
    tied = [one for one, (_, beyond) in found.items() if beyond is not None and beyond.sign < 1]
    if not tied:
        return f"{text} With n = {distance.n} all others are farther: no interval contains 0."
    names = ", ".join(f"*{wording.text(one)}*" for one in tied)
    return (
        f"{text} With n = {distance.n} these may be as near, as their intervals contain 0: {names}."
    )
