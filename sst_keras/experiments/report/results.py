"""The report of a sweep, from top to bottom.

Every number comes from the records. The same records give the same text, to the byte: it has no
date of its own and no name of a machine.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np

from sst_keras import files
from sst_keras.errors import InputError, UsageError
from sst_keras.experiments.records import RunKey, RunRecord, Weights
from sst_keras.experiments.report import curves, effects, figures, published, wording
from sst_keras.experiments.report.comparison import (
    Effect,
    Key,
    Runs,
    as_json,
    differing,
    sort_records,
)
from sst_keras.experiments.report.page import Picture, Section, join, to_html
from sst_keras.plotting import plot_confusion_matrix, save_figures
from sst_keras.settings import SETTINGS, label

if TYPE_CHECKING:
    from sst_keras.experiments.sweep import Sweep

_DPI = 160
_METHOD = """\
## How to read the scores

- **Accuracy** is the share of test sentences whose class is predicted correctly, in percent. \
Differences between accuracies are in **points**: from 40.0 to 41.5 is +1.5.
- **Mean ± standard deviation (n)**: each row is trained with n seeds, which set everything random \
in a run. The standard deviation shows how far a single run typically is from the mean. A single \
seed has none.
- **Paired difference**: two rows are compared seed by seed, and the n differences are averaged.
- **95 % interval**, in brackets: of intervals made in this way, 95 in 100 contain the true mean \
difference (Student's t, n − 1 degrees of freedom). If the interval contains 0, these runs do not \
show which of the two is better. It covers the chance of seeds, not the choice of test sentences. \
Where there is no true difference, about one interval in twenty excludes 0 all the same.
- **Two sets of weights** are scored in each run: those of the last epoch, and those of the epoch \
with the best dev accuracy (best epoch by dev). Nothing is chosen by test scores."""


def write_report(
    sweep: Sweep,
    records: Mapping[RunKey, RunRecord],
    source: str | Path,
    out: str | Path | None = None,
    html: str | Path | None = None,
) -> tuple[Section, list[Path]]:
    """Writes a sweep's report as Markdown and as a page; returns it and the files written.

    Args:
        sweep: The sweep.
        records: Its records.
        source: The folder of the records, for the text.
        out: The Markdown file; None for the sweep's own.
        html: The page, with its figures inside; None for the sweep's own. The figures are also
            written to a folder beside it, with the same name.

    Raises:
        InputError: If there is no finished run, or the records are not comparable.
        UsageError: If the page's name does not end in .html.
    """
    out, html = Path(out or sweep.out), Path(html or sweep.html)
    if html.suffix != ".html" or html == out:
        raise UsageError(
            f"expected a name that ends in .html and is not the Markdown file's. "
            f"Received: {str(html)!r}",
            setting="html",
        )
    report = build_report(sweep, records, source)
    folder = html.with_suffix("")
    paths = save_figures(
        {folder / f"{name}.png": one for name, one in report.figures.items()}, _DPI
    )
    beside = quote(Path(os.path.relpath(folder.resolve(), out.resolve().parent)).as_posix())
    files.write_text(out, report.markdown.replace("(FIGURES/", f"({beside}/"))
    images = {f"FIGURES/{path.name}": path for path in paths}
    files.write_text(html, to_html(report.markdown, images))
    return report, [out, html, *paths]


def build_report(sweep: Sweep, records: Mapping[RunKey, RunRecord], source: str | Path) -> Section:
    """Returns a sweep's report; see `write_report` for arguments and errors."""
    runs = _comparable(sweep, records, source)
    checked = published.check_findings(runs)
    sections = [_head(runs), _in_short(runs, checked), _rows(runs), Section((_METHOD,))]
    sections += [curves.epoch_curves(runs), curves.dev_checks(runs, runs.run_rows, "checks")]
    sections += [effects.effects(runs), published.findings(runs, checked)]
    sections += [published.best_row(runs), effects.questions(runs), published.readings(runs)]
    sections += [_confusion(runs), _notes(runs), _bookkeeping(runs, source)]
    return join(sections)


def rows_table(sweep: Sweep, records: Mapping[RunKey, RunRecord]) -> str:
    """Returns a Markdown table of the rows, scored with the weights of the best epoch by dev.

    Raises:
        InputError: If there is no finished run, or the records are not comparable.
    """
    runs = _comparable(sweep, records, f"results/{sweep.name}")
    table = []
    for key in runs.rows:
        cells = {"row": wording.name(key), "vectors": ", ".join(wording.vectors(runs.of(key)))}
        for split in ("test", "dev"):
            cells[f"{split} accuracy, %"] = wording.spread(runs.mean(key, Weights.BEST, split))
        counts = {"n": str(len(runs.of(key))), "seconds (median)": _seconds(runs.of(key))}
        table.append(cells | counts)
    return wording.table(table, "llr")


def _comparable(sweep: Sweep, records: Mapping[RunKey, RunRecord], source: str | Path) -> Runs:
    """Returns the records of a sweep by experiment.

    Raises:
        InputError: If they are of another sweep, of several data sets, or of different word
            vectors in one experiment, or if there is no finished run.
    """
    for key in records:
        if key.sweep != sweep.name:
            raise InputError(
                f"{source}: expected records of the sweep {sweep.name!r}. Received one of {key}. "
                f"Give the sweep and the folder that belong together."
            )
    runs = sort_records(sweep, records)
    if not runs.of():
        raise InputError(
            f"{source}: expected a finished run of the sweep {sweep.name!r}. Received "
            f"{len(records)} records{''.join(f', one {reason}' for _, reason in runs.unused[:1])}. "
            f"Run the sweep first: `sst-keras reproduce {sweep.name}`."
        )
    names = {record.data_fingerprint: record.dataset for record in runs.of()}
    if len(names) > 1:
        raise InputError(
            f"{source}: expected records of one data set. Received: {', '.join(names.values())}, "
            f"with {len(names)} different fingerprints. Keep a folder for each."
        )
    for key in runs.experiments:
        if len(vectors := wording.vectors(runs.of(key))) > 1:
            raise InputError(
                f"{source}: expected the same word vectors in all runs of {wording.name(key)}. "
                f"Received: {'; '.join(vectors)}. Keep a folder for each."
            )
    return runs


# === Sections ===


def _head(runs: Runs) -> Section:
    """Returns what the sweep is."""
    sweep = runs.sweep
    source = (
        f'"{wording.text(sweep.published.source)}" is the publication whose experiments are '
        f'repeated here. The columns "{wording.text(runs.source)}" give its test accuracies.'
        if sweep.published
        else ""
    )
    title = f"# Results of the sweep {wording.code(sweep.name)}"
    return Section((title, wording.text(sweep.description), source), {"sweep": sweep.name})


def _in_short(runs: Runs, checked: Mapping[str, Effect]) -> Section:
    """Returns the best rows by dev, and which published findings hold."""
    lines = []
    for weights in Weights if runs.run_rows else ():
        key = max(runs.run_rows, key=lambda key: runs.mean(key, weights, "dev").mean)
        lines.append(
            f"With the weights of the {weights.value}, the row with the best dev accuracy is "
            f"{wording.name(key)}: test accuracy {wording.mean(runs.mean(key, weights))}."
        )
    for claim, effect in checked.items():
        last, best = (wording.verdict(effect, weights) for weights in Weights)
        if last == best:
            lines.append(f'"{claim}": **{last}**.')
        elif best == wording.NOT_COMPARABLE:
            lines.append(f'"{claim}": **{last}**, with the weights of the last epoch.')
        else:
            found = {Weights.LAST: f"**{last}**", Weights.BEST: f"**{best}**"}
            lines.append(f'"{claim}": {wording.by_weights(found)}.')
    return Section(("## In short", wording.bullets(lines)) if lines else ())


def _rows(runs: Runs) -> Section:
    """Returns the table of rows, with its figure and what is remarkable about it."""
    ours = {weights: "ours, " * bool(runs.published) + weights.value for weights in Weights}
    table, summary = [], []
    for key in runs.rows:
        pipeline, score = runs.experiments[key].pipeline, runs.published.get(key)
        settings, means = pipeline.settings(), {w: runs.mean(key, w) for w in Weights}
        cells = {"row": wording.name(key) + published.mark(runs, key)}
        cells["model"] = wording.model(pipeline)
        cells |= {label(name): wording.value(settings[name]) for name in _setting_columns(runs)}
        if runs.published:
            cells[wording.text(runs.source)] = wording.published(score)
        cells |= {ours[weights]: wording.mean(mean) for weights, mean in means.items()}
        table.append(cells | {"seconds (median)": _seconds(runs.of(key))})
        summary.append({"row": key[0], "published": score} | as_json(means))
    best = []
    for weights in Weights:
        scores = {key: runs.mean(key, weights).mean for key in runs.run_rows}
        best.append(_highest(weights.value, scores, "{:.1f}".format))
    if runs.published:
        best.append(_highest(wording.text(runs.source), runs.published, wording.published))
    remarks = (published.constants(runs, runs.rows), published.nearness(runs))
    figure = figures.plot_rows(
        [key[0] for key in runs.rows],
        {ours[weights]: [runs.mean(key, weights) for key in runs.rows] for weights in Weights},
        wording.title(runs, runs.rows),
        {f"{runs.source} (one run)": [runs.published.get(key) for key in runs.rows]}
        if runs.published
        else {},
    )
    parts = (
        "## All rows",
        _common_settings(runs),
        wording.caption(runs, runs.rows),
        wording.table(table, "llr"),
        *(remarks if runs.sweep.published else ()),
        "The rows with the highest mean test accuracy (neighbours in such a list may differ only "
        "by chance):",
        wording.bullets(best),
        Picture("rows", "Test accuracy of each row, with standard deviations", figure),
    )
    return Section(parts, {"rows": summary})


def _highest(what: str, scores: Mapping[Key, float], show: Callable[[float], str]) -> str:
    """Returns the five experiments with the highest scores."""
    keys = sorted(scores, key=lambda key: -scores[key])[:5]
    return f"**{what}:** " + ", ".join(f"{wording.name(key)} {show(scores[key])}" for key in keys)


def _setting_columns(runs: Runs) -> list[str]:
    """Returns the settings that vary between rows and have a column of their own."""
    first, *others = (runs.experiments[key] for key in runs.rows)
    varied = {name for other in others for name in differing(first, other)}
    varied -= {"model.name", "model.bidirectional", "model.pooling"}
    kinds = {runs.experiments[key].pipeline.embedding.vectors for key in runs.rows}
    if len(kinds) < 3:  # the column of models says which rows have no pretrained vectors
        varied.discard("embedding.vectors")
    return [name for name in SETTINGS if name in varied]


def _common_settings(runs: Runs) -> str:
    """Returns the changes of the default settings that all rows share."""
    first, *others = (runs.experiments[key].pipeline.changes() for key in runs.rows)
    common = [
        f"{label(name)} {wording.value(value)}"
        for name, value in first.items()
        if name != "training.seed" and all(other.get(name) == value for other in others)
    ]
    return f"All rows change these defaults of the package: {', '.join(common)}." if common else ""


def _seconds(records: Iterable[RunRecord]) -> str:
    times = [record.seconds for record in records]
    return f"{median(times):.{0 if median(times) >= 10 else 1}f}" if times else "–"


def _confusion(runs: Runs) -> Section:
    """Returns the confusion matrix of the row with the best dev accuracy."""
    keys = runs.run_rows or [key for key in runs.experiments if runs.of(key)]
    key = max(keys, key=lambda key: runs.mean(key, Weights.BEST, "dev").mean)
    records, names = runs.of(key), runs.of(key)[0].class_names
    matrix = np.sum([one.best.confusion_matrix for one in records], axis=0)  # int[true, predicted]
    right, true, predicted = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    table = []
    for place, name in enumerate(names):
        cells = {"true class": wording.text(name)}
        cells |= {wording.text(n): f"{c:,}" for n, c in zip(names, matrix[place], strict=True)}
        cells["recall, %"] = wording.share(right[place], true[place])
        cells["precision, %"] = wording.share(right[place], predicted[place])
        table.append(cells)
    near = sum(np.diag(matrix, offset).sum() for offset in (-1, 0, 1))
    title = f"{wording.title(runs, [key])}: {key[0]}, {wording.counted(len(records), 'seed')}"
    figure = plot_confusion_matrix(matrix, names, title)
    parts = (
        "## Confusion matrix",
        f"{wording.name(key)} has the highest mean accuracy on dev with the weights of the best "
        f"epoch by dev: {wording.mean(runs.mean(key, Weights.BEST, 'dev'))}. The table adds up its "
        f"test predictions over seeds. Row: true class; column: predicted class.",
        wording.caption(runs, [key]),
        Picture("confusion", f"Confusion matrix of {'/'.join(filter(None, key))}", figure),
        wording.table(table),
        f"{wording.share(near, matrix.sum())} % of the predictions are right or off by one class."
        if len(names) > 2
        else "",
    )
    return Section(parts, {"confusion": {"row": key[0], "matrix": matrix.tolist()}})


def _notes(runs: Runs) -> Section:
    """Returns the notes, the runs that are not used, and those that are missing."""
    lists = {
        "## Notes": [wording.text(note) for note in runs.sweep.notes],
        "## Runs that are not used": [
            f"{wording.text(record.key)}: {wording.text(reason)}" for record, reason in runs.unused
        ],
        "## Not run yet": [
            f"{wording.name(key)}: {len(runs.of(key))} of {one.seeds} runs are finished."
            for key, one in runs.experiments.items()
            if len(runs.of(key)) < one.seeds
        ],
    }
    parts = [
        part for head, lines in lists.items() if lines for part in (head, wording.bullets(lines))
    ]
    return Section(tuple(parts), {"failed": runs.failed, "unused": len(runs.unused)})


def _bookkeeping(runs: Runs, source: str | Path) -> Section:
    """Returns where the numbers come from."""
    records, source = runs.of(), Path(source)
    seconds = sum(record.seconds for record in records)
    sizes = sorted({int(np.sum(record.last.confusion_matrix)) for record in records})
    kinds = {"rows": runs.of(*runs.run_rows) if runs.run_rows else []}
    kinds["variants"] = [record for record in records if record.key.variant]
    planned = sum(one.seeds for one in runs.sweep.experiments)
    versions = sorted({item for record in records for item in (record.versions or {}).items()})
    commits = sorted({wording.code((record.commit or "unknown")[:10]) for record in records})
    places = sorted({f"{record.jobs}, {record.cores}" for record in records})
    facts = {
        "data set": f"{wording.text(records[0].dataset)} "
        f"({' or '.join(f'{size:,}' for size in sizes)} test sentences)",
        "word vectors": "; ".join(wording.vectors(records)),
        "finished runs": f"{len(records)}, {planned} planned; {runs.failed} failed",
        "seeds": ", ".join(map(str, sorted({record.key.seed for record in records}))),
        "time of all runs, added up": f"{seconds:,.0f} s ({seconds / 3600:.1f} h)",
        "from the first start to the last end, with pauses": "; ".join(
            f"{name} {_wall_minutes(some):,.0f} min" for name, some in kinds.items() if some
        ),
        "runs at a time, cores per run": "; ".join(places),
        "versions": "; ".join(f"{package} {version}" for package, version in versions),
        "commits": ", ".join(commits),
    }
    command = wording.code(f"sst-keras report {runs.sweep.name}")
    folder = wording.code(source.name if source.is_absolute() else source.as_posix())
    table = wording.table([{"": name, " ": fact} for name, fact in facts.items()], "l")
    parts = ("## Runs", f"{command} wrote this file from the records in {folder}.", table)
    return Section(parts, {"runs": len(records), "seconds": seconds})


def _wall_minutes(records: Iterable[RunRecord]) -> float:
    """Returns the minutes between the first start and the last end."""
    ends = {record.key: datetime.fromisoformat(record.ended).timestamp() for record in records}
    return (max(ends.values()) - min(ends[one.key] - one.seconds for one in records)) / 60
