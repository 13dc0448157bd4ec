"""The sections of a report on what changes do: of each setting, and of each variant."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sst_keras.experiments.records import Weights
from sst_keras.experiments.report import comparison, curves, figures, published, wording
from sst_keras.experiments.report.comparison import Key, Runs
from sst_keras.experiments.report.page import Picture, Section, join
from sst_keras.settings import label


def effects(runs: Runs) -> Section:
    """Returns what each setting does: table and figure."""
    found = comparison.find_effects(runs)
    summary = {"effects": [effect.to_dict() for effect in found]}
    if not found:
        return Section(summary=summary)
    keys = [key for effect in found for pair in effect.pairs for key in pair]
    table = []
    for effect in found:
        cells = {
            "setting": label(effect.setting),
            "from → to": wording.change(effect),
            "pairs": str(len(effect.pairs)),
            "n": str(effect.n),
        }
        cells |= {w.value: wording.difference(one) for w, one in effect.differences.items()}
        if runs.published:
            cells[wording.text(runs.source)] = wording.points(effect.published)
        table.append(cells)
    scores = [effect.published for effect in found]
    figure = figures.plot_rows(
        [f"{label(effect.setting)}: {wording.change(effect)}" for effect in found],
        {w.value: [effect.differences[w] for effect in found] for w in Weights},
        wording.title(runs, keys),
        {f"{runs.source} (single runs)": scores} if runs.published else {},
        differences=True,
    )
    alt = "Effect of each change of a setting on test accuracy, with 95 % intervals"
    text = (
        "Every pair of rows that differ in exactly one setting is compared. The difference of test "
        "accuracy is averaged over the pairs within a seed, then over seeds. Bold: the interval "
        "excludes 0."
    )
    parts = (wording.caption(runs, keys), wording.table(table, "llr"))
    return Section(
        ("## What each setting does", text, *parts, Picture("effects", alt, figure)), summary
    )


def questions(runs: Runs) -> Section:
    """Returns each variant compared with the rows that it changes."""
    sections = [Section(("## Questions",) if runs.sweep.questions else ())]
    for variant, question in runs.sweep.questions.items():
        planned = [key for key in runs.experiments if key[1] == variant]
        keys = [key for key in planned if runs.of(key)]
        missing = ", ".join(wording.text(key[0]) for key in planned if key not in keys)
        not_run = f"Not run yet: {missing}." if missing else ""
        sections.append(Section((f"### {wording.text(variant)}", wording.text(question), not_run)))
        pairs = [((row, None), (row, variant)) for row, _ in keys]
        if any(comparison.differing(*map(runs.experiments.get, pair)) for pair in pairs):
            sections.append(_answer(runs, variant, pairs))
        file = re.sub(r"[\W_]+", "-", f"checks-{variant.lower()}").strip("-")
        sections.append(curves.dev_checks(runs, keys, file))
    answers: dict[str, Any] = {}
    for section in sections:
        answers |= section.summary
    return Section(join(sections).parts, {"questions": answers})


def _answer(runs: Runs, variant: str, pairs: Sequence[tuple[Key, Key]]) -> Section:
    """Returns a variant's table, and a sentence on all its rows."""
    table, compared = [], []
    for row, key in pairs:
        cells = {"row": wording.text(key[0]) + published.mark(runs, key)}
        if runs.published:
            cells[wording.text(runs.source)] = wording.published(runs.published.get(row))
        for weights, name in ((weights, weights.value) for weights in Weights):
            theirs, ours = runs.scores(row, weights), runs.scores(key, weights)
            common = sorted(set(theirs) & set(ours))
            of_row = comparison.summarize(theirs[seed] for seed in common) if common else None
            of_variant = comparison.summarize(ours[seed] for seed in common or ours)
            found = comparison.paired_difference(runs, [(row, key)], weights)
            cells[f"the row, {name}"] = wording.mean(of_row)
            cells[f"{wording.text(variant)}, {name}"] = wording.mean(of_variant)
            cells[f"difference, {name}"] = wording.difference(found)
        table.append(cells)
        compared += [(row, key)] if common else []
    found = {w: comparison.paired_difference(runs, compared, w) for w in Weights}
    answer = "The rows themselves have no runs with these seeds, so there is no comparison."
    if None not in found.values():
        signs = {None: "a single seed shows nothing", 0: "neither is shown to be better"}
        signs |= {1: "better", -1: "worse"}
        shown = {
            weights: f"{wording.difference(one)} points ({signs[one.interval and one.sign]})"
            for weights, one in found.items()
        }
        where = f"Over the {len(compared)} rows" if len(compared) > 1 else "In this row"
        n = found[Weights.LAST].n
        answer = f"{where}, the change makes a difference of {wording.by_weights(shown)}; n = {n}."
    keys = [key for _, key in pairs]
    caption = wording.caption(runs, [*keys, *(row for row, _ in pairs)])
    constants = (
        published.constants(runs, keys) if any(published.mark(runs, k) for k in keys) else ""
    )
    parts = (caption, wording.table(table), answer, constants)
    return Section(parts, {variant: comparison.as_json(found)})
