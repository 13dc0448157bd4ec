"""The sections of a report on what a source published about the rows of a sweep."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from sst_keras.experiments.records import RunRecord, Weights
from sst_keras.experiments.report import comparison, figures, wording
from sst_keras.experiments.report.comparison import Effect, Key, Runs, Summary, summarize
from sst_keras.experiments.report.page import Picture, Section

# === Rows ===


def constant_class(record: RunRecord) -> int | None:
    """Returns the class that a run predicts for 99 % of the test texts; None if there is none."""
    predicted = np.sum(record.last.confusion_matrix, axis=0)  # int[predicted classes]
    return int(predicted.argmax()) if predicted.max() >= 0.99 * predicted.sum() else None


def mark(runs: Runs, key: Key) -> str:
    """Returns the mark of an experiment that predicts a single class in some run."""
    return " †" if _constant_runs(runs, key) else ""


def _constant_runs(runs: Runs, key: Key) -> list[tuple[int, int]]:
    """Returns (class, number of runs that predict no other), by class."""
    records = runs.of(key) if runs.sweep.published else ()
    found = Counter(map(constant_class, records))
    return sorted((number, count) for number, count in found.items() if number is not None)


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
    text = ""
    if ours:
        text = (
            f"† With the weights of the last epoch, these predict one class for at least 99 % of "
            f"the test sentences, so they have learned nothing useful: {'; '.join(ours)}. "
        )
    if theirs:
        text += (
            f"These published accuracies equal the share of one class, as of a model that "
            f"predicts nothing else: {'; '.join(theirs)}. "
        )
    listed = ", ".join(f"{share:.1f} % are {name}" for name, share in shares.items())
    return text and f"{text}Of the test sentences, {listed}."


def nearness(runs: Runs) -> str:
    """Returns how far our rows are from the published ones."""
    keys = [key for key in runs.run_rows if key in runs.published]
    if not keys:
        return ""
    texts = {}
    for weights in Weights:
        gaps = [runs.mean(key, weights).mean - runs.published[key] for key in keys]
        higher = sum(gap > 0 for gap in gaps)
        texts[weights] = f"{np.mean(np.abs(gaps)):.1f} points (ours are higher in {higher})"
    average = f"Averaged over {len(keys)} rows, our means differ from the published accuracies by"
    return f"{average} {wording.by_weights(texts)}."


def best_row(runs: Runs) -> Section:
    """Returns the row with the highest published accuracy, compared with ours."""
    if not (runs.sweep.published and runs.published):
        return Section()
    key, score = max(runs.published.items(), key=lambda item: item[1])
    heading = "## The highest published accuracy"
    opening = (
        f"The highest published accuracy is {wording.published(score)}, of {wording.name(key)}. It "
        f"is the highest of {len(runs.published)} single runs, chosen by their test scores. On "
        f"average, repeating the best of many runs gives a lower score."
    )
    if not runs.of(key):
        return Section((heading, f"{opening} We have no runs of this row."))
    size = int(np.sum(runs.of(key)[0].last.confusion_matrix))
    error = math.sqrt(score * (100 - score) / size)
    lines, summary = [], {"row": key[0], "published": score, "error": error}
    for weights in Weights:
        mean, values = runs.mean(key, weights), runs.scores(key, weights).values()
        low, high = mean.expected_range or (None, None)
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
    sampling = (
        f"The sampling error of one accuracy on {size:,} sentences, √(p (1 − p) / {size:,}), is "
        f"{error:.2f} points here. It comes from the choice of test sentences. Both systems are "
        f"scored on the same sentences, so they share part of it."
    )
    parts = (heading, opening, sampling, wording.caption(runs, [key]), wording.bullets(lines))
    return Section(parts, {"published_best": summary})


# === Findings ===


def check_findings(runs: Runs) -> dict[str, Effect]:
    """Returns the source's claims, as Markdown, with the effect that each is about."""
    findings = runs.sweep.published.findings if runs.sweep.published else ()
    return {
        wording.text(finding.claim).rstrip("."): comparison.check_finding(runs, finding)
        for finding in findings
    }


def findings(runs: Runs, checked: Mapping[str, Effect]) -> Section:
    """Returns whether each published claim holds in these runs; see `check_findings`."""
    if not checked:
        return Section()
    table, notes, summary = [], [], []
    for claim, effect in checked.items():
        verdicts = {weights: wording.verdict(effect, weights) for weights in Weights}
        cells = {"finding": claim, "n": str(effect.n)}
        cells[wording.text(runs.source)] = wording.points(effect.published)
        for weights, found in effect.differences.items():
            cells[weights.value] = wording.difference(found)
            cells[f"verdict, {weights.value}"] = verdicts[weights]
        table.append(cells)
        notes.append(f"**{claim}: {verdicts[Weights.LAST]}.** {wording.reason(effect)}")
        found = {weights.key: words for weights, words in verdicts.items()}
        summary.append(effect.to_dict() | {"claim": claim, "verdicts": found})
    keys = [key for effect in checked.values() for pair in effect.pairs for key in pair]
    opening = (
        "A finding **holds** if the complete interval is on its side of 0. **The opposite holds** "
        "if the interval is on the other side. Otherwise the finding is **not shown**. Each "
        "difference is the value claimed to be better minus the other one."
    )
    tables = (wording.table(table, "lrrrlrl"), wording.bullets(notes))
    parts = ("## Findings", opening, wording.caption(runs, keys), *tables)
    return Section(parts, {"findings": summary})


# === Readings ===


class Reading(NamedTuple):
    """How close one way of running the rows is to the published scores.

    Attributes:
        means: Row → mean score.
        distance: The mean absolute distance of a seed from the published scores, over seeds.
        beyond: How much farther it is than the nearest reading; None for the nearest.
        course: As `distance`, after both are centred on their means over the rows: how alike they
            rise and fall.
        course_beyond: As `beyond`, for `course`.
    """

    means: Mapping[str, float]
    distance: Summary
    beyond: Summary | None
    course: Summary
    course_beyond: Summary | None


def compare_readings(
    runs: Runs,
    published: Mapping[str, float],
    readings: Mapping[str, tuple[str | None, Weights]],
) -> dict[str, Reading]:
    """Returns readings by name, the nearest to the published scores first.

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
        return {}
    wanted = np.array(list(published.values()))  # float[rows]
    means, off, centred = {}, {}, {}
    for name, rows in scores.items():
        ours = np.array([[row[seed] for row in rows] for seed in seeds])  # float[seeds, rows]
        gaps = ours - wanted
        means[name] = dict(zip(published, ours.mean(axis=0).tolist(), strict=True))
        off[name] = np.abs(gaps).mean(axis=1)  # float[seeds]
        centred[name] = np.abs(gaps - gaps.mean(axis=1, keepdims=True)).mean(axis=1)

    def beyond(distances: Mapping[str, np.ndarray], name: str) -> Summary | None:
        nearest = min(distances, key=lambda name: distances[name].mean())
        return None if name == nearest else summarize(distances[name] - distances[nearest])

    found = {}
    for name in sorted(off, key=lambda name: off[name].mean()):
        distance, course = summarize(off[name]), summarize(centred[name])
        found[name] = Reading(
            means[name], distance, beyond(off, name), course, beyond(centred, name)
        )
    return found


def readings(runs: Runs) -> Section:
    """Returns the readings of what the source leaves open, compared: table and figure."""
    source = runs.sweep.published
    if not source or not source.reading_rows:
        return Section()
    opening = (
        "## Which reading is nearest to the published scores",
        "Some of the questions above are readings of what the source leaves open. Here they are "
        "compared over the same rows and seeds. The distance of a reading is the mean absolute "
        "difference between its single runs and the published scores, in points, averaged within "
        "a seed and then over seeds. The distance of its course is computed after both are centred "
        "on their means over the rows. It shows how alike they rise and fall at any level; other "
        "word vectors may shift the level.",
    )
    keys = [(row, None) for row in source.reading_rows if (row, None) in runs.published]
    wanted = {row: runs.published[row, None] for row, _ in keys}
    choices = {f"the rows, {weights.value}": (None, weights) for weights in Weights}
    choices |= {f"{one}, last epoch": (one, Weights.LAST) for one in source.reading_variants}
    found = compare_readings(runs, wanted, choices) if wanted else {}
    if not found:
        return Section((*opening, "No seed was run in all of them, so there is no comparison."))
    epochs = {key[0]: runs.experiments[key].pipeline.training.epochs for key in keys}
    places = [f"{row} ({wording.counted(count, 'epoch')})" for row, count in epochs.items()]
    n = next(iter(found.values())).distance.n
    heads = ["reading", *map(wording.text, places), f"distance (n = {n})", "beyond the nearest"]
    heads += ["distance of its course", "course: beyond the nearest"]
    table = [
        [wording.text(runs.source), *map(wording.published, wanted.values()), "0.0", "", "0.0", ""]
    ]
    for name, one in found.items():
        cells = [wording.text(name), *(f"{mean:.1f}" for mean in one.means.values())]
        for score, beyond in ((one.distance, one.beyond), (one.course, one.course_beyond)):
            cells += [wording.spread(score), wording.difference(beyond) if beyond else "nearest"]
        table.append(cells)
    keys += [(row, variant) for row in wanted for variant in source.reading_variants]
    lines = {runs.source: list(wanted.values())}
    lines |= {name: list(one.means.values()) for name, one in found.items()}
    figure = figures.plot_pattern(places, lines, wording.title(runs, keys))
    scores = f"the {wording.counted(len(wanted), 'published score')}"
    level = _nearest(scores, {name: (one.distance, one.beyond) for name, one in found.items()})
    course = {name: (one.course, one.course_beyond) for name, one in found.items()}
    closing = (
        f"{level} {_nearest('their course', course)} The nearest reading need not be what the "
        f"source did: each published score is a single run, other readings were not tried, and the "
        f"nearest is chosen by the runs that it is judged by."
    )
    alt = f"Test accuracy in {', '.join(wanted)}: published, and ours"
    tables = wording.table([dict(zip(heads, cells, strict=True)) for cells in table])
    parts = (*opening, wording.caption(runs, keys), tables, Picture("readings", alt, figure))
    summary = {
        name: {"means": one.means, "distance": vars(one.distance), "course": vars(one.course)}
        for name, one in found.items()
    }
    return Section((*parts, closing), {"readings": summary})


def _nearest(what: str, found: Mapping[str, tuple[Summary, Summary | None]]) -> str:
    """Returns which reading is nearest, and which others may be as near."""
    name, score = next((name, score) for name, (score, beyond) in found.items() if beyond is None)
    text = f"*{wording.text(name)}* is nearest to {what}, {score.mean:.1f} points off on average."
    if score.n == 1:
        return f"{text} With a single seed this may be chance."
    tied = [other for other, (_, beyond) in found.items() if beyond and beyond.sign < 1]
    if not tied:
        return f"{text} With n = {score.n} all others are farther: no interval contains 0."
    names = ", ".join(f"*{wording.text(other)}*" for other in tied)
    return f"{text} With n = {score.n} these may be as near, as their intervals contain 0: {names}."
