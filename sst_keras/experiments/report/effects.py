"""The sections of a report on what changes do: of each setting, in findings, of each variant."""

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from sst_keras.experiments.records import Weights
from sst_keras.experiments.report import comparison, curves, figures, wording
from sst_keras.experiments.report.comparison import Effect, Runs
from sst_keras.experiments.report.page import Part, Picture
from sst_keras.experiments.report.published import constant_classes, variants_nearness
from sst_keras.settings import label

_CUT = " The intervals of two seeds may be cut."


def effects(runs: Runs) -> Iterator[Part]:
    """Yields what each setting does: table and figure."""
    found = comparison.find_effects(runs)
    yield {"effects": [effect.to_dict() for effect in found]}
    if not found:
        return
    yield "## What each setting does"
    yield (
        "All pairs of rows that differ in exactly one setting are compared. The difference in test "
        "accuracy is averaged over the pairs within a seed, then over seeds. Bold: the interval "
        "excludes 0."
    )
    names = [name for effect in found for pair in effect.pairs for name in pair]
    yield wording.caption(runs, names)
    table, places = [], {}
    for effect in found:
        change = f"{wording.value(effect.before)} → {wording.value(effect.after)}"
        cells = {"setting": label(effect.setting), "from → to": change}
        table.append(cells | {"pairs": str(len(effect.pairs))} | _cells(runs, effect))
        places[f"{label(effect.setting)}: {change}"] = effect.differences
    yield wording.table(table, "llr")
    title, source = wording.title(runs, names), f"{runs.source} (single runs)"
    gaps = [effect.published for effect in found]
    figure = figures.plot_rows(places, title, source, gaps, differences=True)
    alt = "Effect of each change of a setting on test accuracy, with 95 % intervals"
    yield Picture("effects", alt, figure)
    yield _CUT.strip() if figures.is_cut(places) else ""


def _cells(runs: Runs, effect: Effect) -> dict[str, str]:
    """Returns the cells of an effect: number of seeds, differences, published difference."""
    cells = wording.differences(effect.differences)
    return cells | wording.of_source(runs, wording.points(effect.published))


def check_findings(runs: Runs) -> dict[str, Effect]:
    """Returns the source's claims, as Markdown, with the effect that each is about."""
    findings = runs.sweep.published.findings if runs.sweep.published else ()
    return {
        wording.text(finding.claim).rstrip("."): comparison.check_finding(runs, finding)
        for finding in findings
    }


def verdicts(effect: Effect) -> dict[Weights, str]:
    """Returns whether a finding holds, which claims that the effect is above 0."""
    words = {None: "not tested", 1: "holds", -1: "the opposite holds", 0: "not shown"}
    found = {w: words[one and one.sign] for w, one in effect.differences.items()}
    if effect.setting == "training.epochs" and effect.differences[Weights.BEST]:
        # The longer run contains the shorter one: its best epoch can be worse only by chance.
        found[Weights.BEST] = "not comparable"
    return found


def findings(runs: Runs, checked: Mapping[str, Effect]) -> Iterator[Part]:
    """Yields whether each published claim holds in these runs; see `check_findings`."""
    if not checked:
        return
    table, notes, summary = [], [], []
    for claim, effect in checked.items():
        found = verdicts(effect)
        verdict = {f"verdict, {weights.value}": words for weights, words in found.items()}
        table.append({"finding": claim} | _cells(runs, effect) | verdict)
        pairs = [f"{wording.text(to)} with {wording.text(start)}" for start, to in effect.pairs]
        values = f"{wording.value(effect.after)} against {wording.value(effect.before)}"
        none = "no two experiments with runs differ only in this"
        notes.append(f"{label(effect.setting)}, {values}: {', '.join(pairs) or none}")
        keyed = {weights.key: words for weights, words in found.items()}
        summary.append(effect.to_dict() | {"claim": claim, "verdicts": keyed})
    yield {"findings": summary}
    yield "## Findings"
    yield (
        "A finding **holds** if the complete interval is above 0. **The opposite holds** if it is "
        "below 0. Otherwise the finding is **not shown**: the true difference may have either "
        "sign. Differences are the score with the value claimed to be better, minus the score with "
        "the other value. Best epochs are **not comparable** if the number of epochs differs: the "
        "longer run contains the shorter one, so its best epoch can be worse only by chance."
    )
    names = [name for effect in checked.values() for pair in effect.pairs for name in pair]
    yield wording.caption(runs, names)
    yield wording.table(table, "lrrr" + "r" * bool(runs.published) + "l")
    yield "What is compared. Variants are used where no two rows differ only in the setting."
    yield wording.bullets(dict.fromkeys(notes))


def questions(runs: Runs) -> Iterator[Part]:
    """Yields each variant compared with the rows that it changes."""
    table, details, answers, places, names = [], [], {}, {}, []
    settings = {name: item.pipeline.settings() for name, item in runs.experiments.items()}
    for variant, question in runs.sweep.questions.items():
        ours = {name: one for name, one in runs.experiments.items() if one.variant == variant}
        rows = {name: one.row for name, one in ours.items() if runs.finished[name]}
        details += [f"### {wording.text(variant)}", wording.text(question)]
        details.append("" if rows else "Not run yet.")
        if any(settings[name] != settings[row] for name, row in rows.items()):
            compared = [(row, name) for name, row in rows.items() if runs.seeds(row, name)]
            found, on_dev = (runs.differences(compared, split) for split in ("test", "dev"))
            cells = {"variant": wording.text(variant), "rows": str(len(compared))}
            if any(_checks(settings[row]) != _checks(settings[name]) for row, name in compared):
                # The best of more checks is better by chance alone.
                on_dev = on_dev | {Weights.BEST: None}
            answers[variant] = comparison.as_json(found) | {"dev": comparison.as_json(on_dev)}
            shown = on_dev[Weights.BEST]
            dev = {"the same, on dev": wording.difference(shown) if shown else "not comparable"}
            table.append(cells | wording.differences(found) | dev)
            if compared:
                places[f"{variant} ({found[Weights.BEST].n})"] = found
            names += itertools.chain(*compared)
            details += _answer(runs, variant, rows)
        file = re.sub(r"[\W_]+", "-", f"checks-{variant.lower()}").strip("-")
        details += curves.dev_checks(runs, list(rows), file)
    yield {"questions": answers}
    yield "## Questions" if details else ""
    if table:
        yield (
            "Each variant trains some rows again with other settings. Differences are the variant "
            "minus the row, averaged over the rows within a seed, then over seeds. To choose "
            "settings, use the last column: the others are differences of test accuracy. The best "
            "epochs of dev are not comparable if the number of checks on dev differs."
        )
        yield wording.table(table)
    if places:
        title, alt = wording.title(runs, names), "Differences of the variants, with 95 % intervals"
        figure = figures.plot_rows(places, title, "", (), differences=True)
        yield Picture("variants", alt, figure)
        yield f"The number of seeds is in brackets.{_CUT if figures.is_cut(places) else ''}"
    yield from details


def _checks(settings: Mapping[str, Any]) -> int:
    """Returns how many times a training scores dev."""
    return settings["training.epochs"] * settings["training.checks_per_epoch"]


def _answer(runs: Runs, variant: str, rows: Mapping[str, str]) -> Iterator[Part]:
    """Yields the table of a variant; `rows` has experiment → its row."""
    table = []
    for name, row in rows.items():
        cells = {"row": wording.text(row) + " †" * bool(constant_classes(runs, name))}
        cells |= wording.of_source(runs, wording.published(runs.published.get(row)))
        seeds = runs.seeds(row, name)
        of_row, of_variant = runs.means(row, seeds), runs.means(name, seeds or None)
        for weights, difference in runs.differences([(row, name)]).items():
            cells[f"the row, {weights.value}"] = wording.mean(of_row[weights])
            cells[f"{wording.text(variant)}, {weights.value}"] = wording.mean(of_variant[weights])
            cells[f"difference, {weights.value}"] = wording.difference(difference)
        table.append(cells)
    yield wording.caption(runs, itertools.chain(rows, rows.values()))
    yield wording.table(table)
    yield variants_nearness(runs, rows)
