"""What settings do, whether claims hold, what variants answer: a report's sections of each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sst_keras import plotting
from sst_keras.experiments.report import comparison, curves, wording
from sst_keras.experiments.report.comparison import BEST, LAST, Difference, Effect, Key, Summary
from sst_keras.experiments.report.document import Document


def add_effects(report: Document) -> None:
    """What each setting does: table and figure."""
    effects = comparison.find_effects(report.sweep, report.runs)
    report.summary["effects"] = [_effect_dict(effect) for effect in effects]
    if not effects:
        return
    keys = [key for effect in effects for pair in effect.pairs for key in pair]
    report.add(
        "## What each setting does",
        "All pairs of rows that differ in exactly one setting. For each change the difference "
        "of test accuracy is averaged over its pairs within a seed, then over seeds. Bold: the "
        "interval leaves out 0.",
        report.caption(keys),
    )
    headings = ["setting", "from → to", "pairs", "n", wording.LAST, wording.BEST]
    headings += ["the report"] * report.has_published
    table = [
        [
            wording.setting(effect.setting),
            f"{wording.value(effect.before)} → {wording.value(effect.after)}",
            str(len(effect.pairs)),
            str(effect.last.n) if effect.last else "0",
            wording.difference(effect.last),
            wording.difference(effect.best),
            *([wording.points(effect.published)] if report.has_published else []),
        ]
        for effect in effects
    ]
    report.add(wording.table(headings, table, "ll" + "r" * (len(headings) - 2)))
    report.figure(
        "effects",
        "Effect of each change of a setting on test accuracy, with 95 % intervals",
        plotting.plot_intervals(
            [
                f"{wording.setting(effect.setting)}: "
                f"{wording.value(effect.before)} → {wording.value(effect.after)}"
                for effect in effects
            ],
            {
                wording.LAST: [_interval(effect.last) for effect in effects],
                wording.BEST: [_interval(effect.best) for effect in effects],
            },
            report.title(keys),
            [effect.published for effect in effects],
        ),
    )


def add_findings(report: Document) -> None:
    """Whether each published claim holds in these runs."""
    if not report.sweep.findings:
        return
    table, notes, found = [], [], []
    keys: list[Key] = []
    for finding in report.sweep.findings:
        claim = wording.text(finding.claim).rstrip(".")
        effect = comparison.check_finding(report.sweep, report.runs, finding)
        keys += [key for pair in effect.pairs for key in pair]
        verdicts = [wording.verdict(effect.last), wording.verdict(effect.best)]
        if wording.nested(effect):
            verdicts[1] = "cannot be told"
        table.append(
            [
                claim,
                str(effect.last.n) if effect.last else "0",
                wording.points(effect.published),
                wording.difference(effect.last),
                verdicts[0],
                wording.difference(effect.best),
                verdicts[1],
            ]
        )
        notes.append(f"- **{claim}: {verdicts[0]}.** {wording.reason(effect)}")
        found.append(_effect_dict(effect) | {"claim": finding.claim, "verdicts": verdicts})
    report.summary["findings"] = found
    headings = [
        "finding", "n", "the report",
        wording.LAST, f"verdict, {wording.LAST}", wording.BEST, f"verdict, {wording.BEST}",
    ]  # fmt: skip
    report.add(
        "## Findings",
        "A finding **holds** here if the whole interval lies on its side of 0, **the opposite "
        "holds** if it lies on the other, and else it is **not shown**. Differences are those "
        "of the value said to be better from the other.",
        report.caption(keys) if keys else "",
        wording.table(headings, table, "lrrrlrl"),
        "\n".join(notes),
    )


def add_published_best(report: Document) -> None:
    """The report's best row beside ours."""
    published = [key for key in report.rows if report.experiments[key].published is not None]
    if not published:
        return
    key = max(published, key=lambda key: report.experiments[key].published)
    figure = report.experiments[key].published
    heading = "## The report's best row"
    opening = (
        f"The report's highest figure is {wording.published(figure)}, of {wording.text(key[0])}: "
        f"the highest of {len(published)} single runs, looked up on test. The highest of many "
        f"figures lies above what the same row gives again, on average."
    )
    if not report.runs.of(key):
        report.add(heading, f"{opening} Of ours this row has no runs.")
        return
    size = int(np.sum(report.runs.of(key)[0]["confusion_matrix"]))
    share = figure / 100
    error = 100 * math.sqrt(share * (1 - share) / size)
    lines = []
    for name, which in ((wording.LAST, LAST), (wording.BEST, BEST)):
        mean = report.mean(key, which)
        values = report.runs.figures(key, which).values()
        text = f"- **{name}:** ours {wording.mean(mean)}"
        expected = comparison.expected_range(mean)
        if expected is None:
            text += "; one seed alone has no spread to hold the report's figure to"
        else:
            inside = "within" if expected[0] <= figure <= expected[1] else "outside"
            text += (
                f", single runs from {min(values):.1f} to {max(values):.1f}. The report's figure "
                f"lies **{inside}** {expected[0]:.2f} to {expected[1]:.2f}, where 95 % of further "
                f"runs of ours are to be expected"
            )
        gap = figure - mean.mean
        near = "less" if abs(gap) < 1.96 * error else "more"
        lines.append(
            f"{text}. It is {wording.points(gap)} points from our mean, {near} than 1.96 sampling "
            f"errors ({1.96 * error:.1f} points)."
        )
    report.summary["published_best"] = {"tag": key[0], "published": figure, "error": error}
    report.add(
        heading,
        opening,
        f"The sampling error of one accuracy on {size:,} sentences, √(p (1 − p) / {size:,}), "
        f"is {error:.2f} points here. It is the chance of which sentences are in the test; "
        f"both systems are scored on the same ones, so that part of it is common to them.",
        report.caption([key]),
        "\n".join(lines),
    )


def add_questions(report: Document) -> None:
    """Each variant beside the rows that it changes."""
    if not report.sweep.questions:
        return
    report.add("## Questions")
    report.summary["questions"] = {}
    for variant, question in report.sweep.questions.items():
        report.add(f"### {wording.text(variant)}", question)
        planned = [key for key in report.experiments if key[1] == variant]
        keys = [key for key in planned if report.runs.of(key)]
        if len(keys) < len(planned):
            missing = [wording.text(key[0]) for key in planned if key not in keys]
            report.add(f"Not run yet: {', '.join(missing)}.")
        if any(_learns_otherwise(report, key) for key in keys):
            _add_question(report, variant, keys)
        elif keys:
            _add_checks(report, variant, keys)


def _learns_otherwise(report: Document, key: Key) -> bool:
    """Returns whether a variant changes what its row learns, and not what is looked at alone."""
    ours, rows = (report.experiments[one].pipeline for one in (key, (key[0], None)))
    return bool(comparison.differing(*map(comparison.settings_of, (ours, rows))))


def _add_checks(report: Document, variant: str, keys: Sequence[Key]) -> None:
    """Dev scores within a variant's epochs, where it has any."""
    curves.add_checks(
        report,
        [key for key in keys if curves.has_checks(report, key)],
        f"checks-{wording.slug(variant)}",
    )


def _add_question(report: Document, variant: str, keys: Sequence[Key]) -> None:
    """A variant's table, and what it says over all its rows."""
    table, pairs = [], []
    for key in keys:
        row = (key[0], None)
        variant_seeds = report.runs.figures(key, LAST)
        seeds = [seed for seed in report.runs.figures(row, LAST) if seed in variant_seeds]
        published = report.experiments[key].published
        cells = [wording.text(key[0]) + report.mark(key)]
        cells += [wording.published(published)] if report.has_published else []
        for figure in (LAST, BEST):
            cells += [
                wording.mean(report.mean(row, figure, seeds)),
                wording.mean(report.mean(key, figure, seeds or None)),
                wording.difference(comparison.paired_difference(report.runs, [(row, key)], figure)),
            ]
        table.append(cells)
        if seeds:
            pairs.append((row, key))
    headings = ["row"] + ["the report"] * report.has_published
    for name in (wording.LAST, wording.BEST):
        headings += [f"the row, {name}", f"{wording.text(variant)}, {name}", "difference"]
    report.add(
        report.caption([*keys, *((key[0], None) for key in keys)]),
        wording.table(headings, table, "l" + "r" * (len(headings) - 1)),
    )
    differences = [
        comparison.paired_difference(report.runs, pairs, figure) for figure in (LAST, BEST)
    ]
    report.summary["questions"][variant] = {
        name: vars(one) if one else None
        for name, one in zip(("last", "best"), differences, strict=True)
    }
    if differences[0] is None:
        report.add("The rows themselves have no runs with the seeds of these: no comparison.")
    else:
        where = f"Over the {len(pairs)} rows" if len(pairs) > 1 else "In this row"
        texts = [
            f"{wording.difference(one)} points with the weights of the {name} "
            f"({wording.direction(one)})"
            for name, one in zip((wording.LAST, wording.BEST), differences, strict=True)
        ]
        report.add(f"{where} the change makes {', and '.join(texts)}; n = {differences[0].n}.")
    report.add(report.constants(keys) if any(map(report.constant, keys)) else "")
    _add_checks(report, variant, keys)


def add_readings(report: Document) -> None:
    """The sweep's readings of what was published: their figures side by side, and the nearest."""
    readings = report.sweep.readings
    if readings is None:
        return
    tags = [tag for tag in readings.rows if report.experiments[tag, None].published is not None]
    report.add(
        "## Which reading is nearest to the report",
        "Some of the questions above are readings of what the report does not say. Here they stand "
        "side by side, over the same rows and seeds. A reading's distance is the mean absolute "
        "difference of its single runs from the report's figures, in points, averaged within a "
        "seed and then over seeds. That of its course is the same once each has its own mean over "
        "the rows taken off: how alike they rise and fall, whatever their level, which other word "
        "vectors may shift.",
    )
    if tags:
        _add_readings_of(report, tags, readings.variants)


def _add_readings_of(report: Document, tags: Sequence[str], variants: Sequence[str]) -> None:
    """The table and the figure of readings over some rows."""
    published = {tag: report.experiments[tag, None].published for tag in tags}
    itself = f"the rows, {wording.LAST}"
    readings: dict[str, tuple[str | None, str]] = {itself: (None, LAST)}
    readings[f"the rows, {wording.BEST}"] = (None, BEST)
    readings |= {f"{variant}, {wording.LAST}": (variant, LAST) for variant in variants}
    found = comparison.compare_readings(report.runs, published, readings)
    if not found:
        report.add("No seed has been run in all of them: no comparison.")
        return
    n = found[0].distance.n
    headings = ["reading"] + [
        f"{wording.text(tag)} ({wording.counted(report.epochs((tag, None)), 'epoch')})"
        for tag in tags
    ]
    headings += [f"distance (n = {n})", "beyond the nearest", "of its course", "beyond the nearest"]
    table = [["the report", *map(wording.published, published.values()), "0.0", "", "0.0", ""]]
    for reading in found:
        cells = [wording.text(reading.name)]
        cells += [wording.number(reading.means[tag]) for tag in tags]
        for distance, beyond in (
            (reading.distance, reading.beyond),
            (reading.course, reading.course_beyond),
        ):
            sd = "" if distance.sd is None else f" ± {distance.sd:.1f}"
            cells.append(f"{distance.mean:.1f}{sd}")
            cells.append("nearest" if beyond is None else wording.difference(beyond))
        table.append(cells)
    keys = [(tag, variant) for tag in tags for variant in (None, *variants)]
    report.add(
        report.caption(keys), wording.table(headings, table, "l" + "r" * (len(headings) - 1))
    )
    lines = {"the report": list(published.values())}
    lines |= {reading.name: [reading.means[tag] for tag in tags] for reading in found}
    report.figure(
        "readings",
        f"Test accuracy in {', '.join(tags)}: the report's and each reading's",
        plotting.plot_pattern(
            [f"{tag}: {wording.counted(report.epochs((tag, None)), 'epoch')}" for tag in tags],
            lines,
            report.title(keys),
        ),
    )
    level = _nearest(
        f"the report's {wording.counted(len(tags), 'figure')}",
        {one.name: (one.distance, one.beyond) for one in found},
    )
    course = _nearest(
        "the report's course over them",
        {one.name: (one.course, one.course_beyond) for one in found},
    )
    text = f"{level} {course}"
    text += (
        " A near reading need not be what the report did: each of its figures is one run, other "
        "readings were not tried, and the nearest is picked by the same runs that it is held to."
    )
    report.summary["readings"] = {one.name: one.distance.mean for one in found}
    report.add(text)


def _nearest(what: str, found: Mapping[str, tuple[Summary, Difference | None]]) -> str:
    """Says which reading is nearest, and which of the others it cannot be told apart from."""
    name = next(name for name, (_, beyond) in found.items() if beyond is None)
    distance = found[name][0]
    text = f"Nearest to {what} is *{wording.text(name)}*, by {distance.mean:.1f} points on average."
    if distance.n == 1:
        return f"{text} With one seed alone this may be chance."
    tied = [one for one, (_, beyond) in found.items() if beyond is not None and beyond.sign < 1]
    if not tied:
        return f"{text} With n = {distance.n} each of the others is farther: no interval holds 0."
    names = ", ".join(f"*{wording.text(one)}*" for one in tied)
    return (
        f"{text} With n = {distance.n} it cannot be told apart from {names}: the interval holds 0."
    )


def _interval(found: Difference | None) -> tuple[float, float | None, float | None] | None:
    """Returns a difference and its interval, as figures take them."""
    return (found.mean, found.low, found.high) if found else None


def _effect_dict(effect: Effect) -> dict[str, Any]:
    """Returns an effect as JSON has it."""
    return {
        "setting": effect.setting,
        "from": effect.before,
        "to": effect.after,
        "pairs": [["/".join(filter(None, key)) for key in pair] for pair in effect.pairs],
        "last": vars(effect.last) if effect.last else None,
        "best": vars(effect.best) if effect.best else None,
        "published": effect.published,
    }
