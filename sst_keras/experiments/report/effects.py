"""The sections of a report on what changes do: of each setting, and of each variant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sst_keras.experiments.records import Weights
from sst_keras.experiments.report import curves, figures, published, wording
from sst_keras.experiments.report.comparison import (
    Key,
    Runs,
    as_json,
    differing,
    find_effects,
    paired_difference,
    summarize,
)
from sst_keras.experiments.report.page import Section, join
from sst_keras.settings import label


def effects(runs: Runs) -> Section:
    """Returns what each setting does: table and figure."""
    found = find_effects(runs)
    summary = {"effects": [effect.to_dict() for effect in found]}
    if not found:
        return Section(summary=summary)
    keys = [key for effect in found for pair in effect.pairs for key in pair]
    column = [runs.source] if runs.published else []
    table = [
        [
            label(effect.setting),
            wording.change(effect),
            str(len(effect.pairs)),
            str(effect.last.n if effect.last else 0),
            *map(wording.difference, effect.differences.values()),
            *(wording.points(effect.published) for _ in column),
        ]
        for effect in found
    ]
    headings = ["setting", "from → to", "pairs", "n", *(w.value for w in Weights), *column]
    figure = figures.plot_differences(
        [f"{label(effect.setting)}: {wording.change(effect)}" for effect in found],
        {w.value: [effect.differences[w] for effect in found] for w in Weights},
        wording.title(runs, keys),
        [effect.published for effect in found],
        f"{runs.source} (single runs)",
    )
    return Section(
        (
            "## What each setting does",
            "Every pair of rows that differ in exactly one setting is compared. The difference of "
            "test accuracy is averaged over the pairs within a seed, then over seeds. Bold: the "
            "interval excludes 0.",
            wording.caption(runs, keys),
            wording.table(headings, table, "llr"),
            wording.image(
                "effects",
                "Effect of each change of a setting on test accuracy, with 95 % intervals",
            ),
        ),
        {"effects": figure},
        summary,
    )


def questions(runs: Runs) -> Section:
    """Returns each variant compared with the rows that it changes."""
    if not runs.sweep.questions:
        return Section()
    sections, summary = [Section(("## Questions",))], {}
    for variant, question in runs.sweep.questions.items():
        planned = [key for key in runs.experiments if key[1] == variant]
        keys = [key for key in planned if runs.of(key)]
        missing = ", ".join(wording.text(key[0]) for key in planned if key not in keys)
        not_run = f"Not run yet: {missing}." if missing else ""
        sections.append(Section((f"### {wording.text(variant)}", wording.text(question), not_run)))
        if any(differing(runs.experiments[key], runs.experiments[key[0], None]) for key in keys):
            paragraphs, summary[variant] = _answer(runs, variant, keys)
            sections.append(Section(tuple(paragraphs)))
        sections.append(curves.dev_checks(runs, keys, f"checks-{wording.slug(variant)}"))
    return join([*sections, Section(summary={"questions": summary})])


def _answer(runs: Runs, variant: str, keys: Sequence[Key]) -> tuple[list[str], dict[str, Any]]:
    """Returns a variant's table with a sentence on all its rows, and its summary."""
    table, pairs = [], []
    column = [runs.source] if runs.published else []
    for key in keys:
        row = (key[0], None)
        cells = [wording.text(key[0]) + published.mark(runs, key)]
        cells += [wording.published(runs.published.get(row)) for _ in column]
        for weights in Weights:
            ours, others = runs.scores(key, weights), runs.scores(row, weights)
            common = sorted(set(ours) & set(others))
            cells += [
                wording.mean(summarize(others[seed] for seed in common) if common else None),
                wording.mean(summarize(ours[seed] for seed in common or ours)),
                wording.difference(paired_difference(runs, [(row, key)], weights)),
            ]
        table.append(cells)
        if common:
            pairs.append((row, key))
    headings = ["row", *column]
    for weights in Weights:
        headings += [f"the row, {weights.value}", f"{wording.text(variant)}, {weights.value}"]
        headings += ["difference"]
    found = {weights: paired_difference(runs, pairs, weights) for weights in Weights}
    if None in found.values():
        answer = "The rows themselves have no runs with these seeds, so there is no comparison."
    else:
        shown = {
            weights: f"{wording.difference(one)} points ({wording.direction(one)})"
            for weights, one in found.items()
        }
        where = f"Over the {len(pairs)} rows" if len(pairs) > 1 else "In this row"
        n = found[Weights.LAST].n
        answer = f"{where}, the change makes a difference of {wording.by_weights(shown)}; n = {n}."
    return [
        wording.caption(runs, [*keys, *((row, None) for row, _ in keys)]),
        wording.table(headings, table, "lr"),
        answer,
        published.constants(runs, keys) if any(published.mark(runs, key) for key in keys) else "",
    ], as_json(found)
