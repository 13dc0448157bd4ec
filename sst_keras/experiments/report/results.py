"""The report of a sweep, from top to bottom.

Every number comes from the records. The same records give the same text, to the byte: it has no
date of its own and no name of a machine.
"""

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from statistics import median
from urllib.parse import quote

import numpy as np

from sst_keras import files
from sst_keras.errors import InputError, UsageError
from sst_keras.experiments.records import RunKey, RunRecord, Weights
from sst_keras.experiments.report import curves, effects, figures, published, wording
from sst_keras.experiments.report.comparison import Effect, Runs, as_json, summarize
from sst_keras.experiments.report.page import Part, Picture, Report, to_html
from sst_keras.experiments.sweep import Sweep, sweep_names
from sst_keras.plotting import plot_confusion_matrix, save_figures
from sst_keras.settings import SETTINGS, is_read, label

_METHOD = """\
## How to read the scores

- **Accuracy** is the share of test sentences whose class is predicted correctly, in percent. \
Differences between accuracies are in **points**: from 40.0 to 41.5 is +1.5.
- **Mean ± standard deviation (n)** is over n seeds. A seed sets everything random in a run. The \
standard deviation shows how far a single run typically is from the mean. One seed has none.
- **Paired difference**: two rows are compared seed by seed, and the n differences are averaged.
- **95 % interval**, in brackets: 95 in 100 intervals made in this way contain the true mean \
difference (Student's t, n − 1 degrees of freedom). **Bold**: the interval excludes 0. If it \
contains 0, these runs do not show which of the two is better. It covers the chance of seeds, not \
the choice of test sentences. Without a true difference, one interval in twenty still excludes 0."""


def write_report(
    sweep: Sweep,
    records: Mapping[RunKey, RunRecord],
    source: str | Path,
    out: str | Path | None = None,
    html: str | Path | None = None,
) -> tuple[Report, list[Path]]:
    """Writes a sweep's report as Markdown and as a page; returns it and the files written.

    The text names `source`, the folder of the records. `out` and `html` are the sweep's own if
    None. The page has its figures inside; a folder of the same name beside it has them too.

    Raises:
        InputError: If there is no finished run, or the records are not comparable.
        UsageError: If the page's name does not end in .html.
    """
    out, html = Path(out or sweep.out), Path(html or sweep.html)
    if html.suffix != ".html" or html == out:
        expected = "expected a name that ends in .html and is not the Markdown file's"
        raise UsageError(f"{expected}. Received: {str(html)!r}", setting="html")
    report = build_report(sweep, records, source)
    folder = html.with_suffix("")
    paths = save_figures(report.figures, folder, dpi=160)
    beside = quote(Path(os.path.relpath(folder.resolve(), out.resolve().parent)).as_posix())
    files.write_text(out, report.markdown.replace("(FIGURES/", f"({beside}/") + "\n")
    images = {f"FIGURES/{path.name}": path for path in paths}
    title = f"Results of the sweep {sweep.name}"
    files.write_text(html, to_html(title, report.markdown, images))
    return report, [out, html, *paths]


def build_report(sweep: Sweep, records: Mapping[RunKey, RunRecord], source: str | Path) -> Report:
    """Returns a sweep's report; see `write_report` for arguments and errors."""
    runs = _comparable(sweep, records, source)
    checked = effects.check_findings(runs)
    sections = [_in_short(runs, checked), _rows(runs), [_METHOD], curves.epoch_curves(runs)]
    sections += [curves.dev_checks(runs, runs.run_rows, "checks"), effects.effects(runs)]
    sections += [effects.findings(runs, checked), published.best_row(runs)]
    sections += [effects.questions(runs), published.single_class(runs), published.readings(runs)]
    sections += [_confusion(runs), _notes(runs), _bookkeeping(runs, source)]
    return Report(itertools.chain(*sections))


def rows_table(sweep: Sweep, records: Mapping[RunKey, RunRecord]) -> str:
    """Returns a Markdown table of the rows, scored with the weights of the best epoch by dev.

    If all records have it, it shows `Scores.test_polarity` as *negative or positive*.

    Raises:
        InputError: If there is no finished run, or the records are not comparable.
    """
    runs = _comparable(sweep, records, f"results/{sweep.name}")
    table = []
    is_polar = all(record.best.test_polarity is not None for record in runs.of(runs.rows))
    for row in runs.rows:
        cells = {"row": wording.text(row), "vectors": ", ".join(wording.vectors(runs.of([row])))}
        for split in ("test", "dev"):
            mean = runs.means(row, split=split)[Weights.BEST]
            cells[f"{split} accuracy, %"] = wording.spread(mean)
        if is_polar:
            halves = [100 * record.best.test_polarity for record in runs.of([row])]
            cells["negative or positive, %"] = wording.spread(summarize(halves))
        table.append(cells | {"n": str(len(runs.finished[row])), **_seconds(runs, row)})
    return wording.table(table, "llr")


def _comparable(sweep: Sweep, records: Mapping[RunKey, RunRecord], source: str | Path) -> Runs:
    """Returns the runs of a sweep if they are comparable; see `rows_table` for errors."""
    for key in records:
        if key.sweep != sweep.name:
            raise InputError(
                f"{source}: expected records of the sweep {sweep.name!r}. Received one of {key}. "
                f"Give the sweep and the folder that belong together."
            )
    runs = Runs(sweep, records)
    finished = runs.of(runs.experiments)
    if not finished:
        reason = f", one {runs.unused[0][1]}" if runs.unused else ""
        raise InputError(
            f"{source}: expected a finished run of the sweep {sweep.name!r}. Received "
            f"{len(records)} records{reason}. Run it: `sst-keras reproduce {sweep.name}`."
        )
    sets = {one.data_fingerprint: f"{one.dataset} ({one.data_fingerprint[:8]})" for one in finished}
    found = {"one data set": list(sets.values())}
    for name in runs.experiments:
        what = f"the same word vectors in all runs of {wording.text(name)}"
        found[what] = wording.vectors(runs.of([name]))
        for kind in ("language_model", "pseudo_labels", "earlier_run"):
            known = [run.learned_from for run in runs.of([name]) if run.learned_from]
            kinds = dict.fromkeys(each[kind][:8] for each in known if kind in each)
            words = kind.replace("_", " ")
            found[f"the same {words} in all runs of {wording.text(name)}"] = list(kinds)
    for what, kinds in found.items():
        if len(kinds) > 1:
            kinds = "; ".join(kinds)
            raise InputError(
                f"{source}: expected {what}. Received: {kinds}. Keep a folder for each."
            )
    return runs


def _in_short(runs: Runs, checked: Mapping[str, Effect]) -> Iterator[Part]:
    """Yields what the sweep is, how its best rows score, and which published findings hold."""
    yield f"# Results of the sweep {wording.code(runs.sweep.name)}"
    yield {"sweep": runs.sweep.name}
    description = wording.text(runs.sweep.description)
    yield (
        description
        if description.endswith((".", "?", "!")) or not description
        else f"{description}."
    )
    opening = (
        "Each row is one model with its settings, trained with several seeds. Each run is scored "
        "with the weights of its last epoch, and with those of its best epoch by dev: the one with "
        "the highest dev accuracy. Nothing is chosen by test scores. The scores are test "
        "accuracies in percent: mean ± standard deviation (number of seeds)."
    )
    if source := runs.sweep.published:
        opening += (
            f' The columns "{wording.text(runs.source)}" give the accuracies that '
            f'"{wording.text(source.source)}" published.'
        )
    yield opening
    claims: dict[str, list[str]] = {}
    for claim, effect in checked.items():
        last, best = effects.verdicts(effect).values()
        other = "" if best == last else f" ({best} with the best epoch by dev)"
        claims.setdefault(f"**{last}**", []).append(f'"{claim}"{other}')
    if claims:
        note = "Not shown means that the difference may be due to chance."
        yield f"Claims of {wording.text(runs.source)}, checked in these runs. {note}"
        lists = sorted(claims.items())
        yield wording.bullets(f"{verdict}: {'; '.join(some)}" for verdict, some in lists)
    yield published.nearness(runs)
    for weights in Weights if len(runs.run_rows) > 1 else ():
        row = runs.best(runs.run_rows, weights)
        dev = [runs.means(other, split="dev")[weights].mean for other in runs.run_rows]
        ties = dev.count(max(dev)) - 1
        others = "one other row has" if ties == 1 else f"{ties} other rows have"
        also = f", which {others}, too" if ties else ""
        yield (
            f"With the weights of the {weights.value}, {wording.text(row)} has the best dev "
            f"accuracy{also}. Its test accuracy is {wording.mean(runs.means(row)[weights])}."
        )


def _rows(runs: Runs) -> Iterator[Part]:
    """Yields the table of rows, with its figure and the rows that score highest."""
    yield "## All rows"
    first, *others = (runs.experiments[row].pipeline.changes() for row in runs.rows)
    common = [
        f"{label(name)} {wording.value(value)}"
        for name, value in first.items()
        if name != "training.seed" and all(other.get(name) == value for other in others)
    ]
    if common:
        all_rows = "All rows change" if others else "The row changes"
        yield f"{all_rows} these defaults of the package: {', '.join(common)}."
    found = {row: runs.means(row) for row in runs.rows}
    columns, table, summary = _setting_columns(runs), [], []
    for row, means in found.items():
        score = runs.published.get(row)
        cells = {"row": wording.text(row) + " †" * bool(published.constant_classes(runs, row))}
        cells |= {name: values.get(row, "–") for name, values in columns.items()}
        cells |= wording.of_source(runs, wording.published(score))
        cells |= {weights.value: wording.mean(mean) for weights, mean in means.items()}
        table.append(cells | _seconds(runs, row))
        summary.append({"row": row, "published": score} | as_json(means))
    yield {"rows": summary}
    yield wording.caption(runs, runs.rows)
    yield wording.table(table)
    if len(runs.rows) == 1:
        return
    lists = {w.value: {row: found[row][w].mean for row in runs.run_rows} for w in Weights}
    if runs.published:
        lists[wording.text(runs.source)] = runs.published
    highest = []
    for name, scores in lists.items():
        best = sorted(scores, key=scores.get, reverse=True)[:5]
        shown = ", ".join(f"{wording.text(row)} {scores[row]:.1f}" for row in best)
        highest.append(f"**{name}:** {shown}")
    yield "The rows with the highest mean test accuracy. Neighbours may differ only by chance."
    yield wording.bullets(highest)
    scores, source = list(map(runs.published.get, runs.rows)), f"{runs.source} (one run)"
    figure = figures.plot_rows(found, wording.title(runs, runs.rows), source, scores)
    yield Picture("rows", "Test accuracy of each row, with standard deviations", figure)


def _seconds(runs: Runs, row: str) -> dict[str, str]:
    """Returns the cell with the median time of a row's runs."""
    times = [record.seconds for record in runs.of([row])]
    digits = 0 if times and median(times) >= 10 else 1
    return {"seconds (median)": f"{median(times):.{digits}f}" if times else "–"}


def _setting_columns(runs: Runs) -> dict[str, dict[str, str]]:
    """Returns the settings that vary between rows, the model and its pooling: row → value."""
    settings = {row: runs.experiments[row].pipeline.settings() for row in runs.rows}
    columns = {}
    for name in SETTINGS:
        values = {r: wording.value(of[name]) for r, of in settings.items() if is_read(name, of)}
        if len(set(values.values())) > 1 or (values and name in ("model.name", "model.pooling")):
            columns[label(name)] = values
    return columns


def _confusion(runs: Runs) -> Iterator[Part]:
    """Yields the confusion matrix of the row with the best dev accuracy."""
    candidates = runs.run_rows or list(filter(runs.finished.get, runs.experiments))
    name = runs.best(candidates, Weights.BEST)
    records, row = runs.of([name]), runs.experiments[name].row
    classes = records[0].class_names
    matrix = np.sum([one.best.confusion_matrix for one in records], axis=0)  # int[true, predicted]
    yield {"confusion": {"row": row, "matrix": matrix.tolist()}}
    yield "## Confusion matrix"
    on_dev = wording.mean(runs.means(name, split="dev")[Weights.BEST])
    most = "the highest mean accuracy" if len(candidates) > 1 else "this mean accuracy"
    yield (
        f"{wording.text(name)} has {most} on dev with the weights of the best epoch by dev: "
        f"{on_dev}. The matrix adds up the test predictions of its runs."
    )
    yield wording.caption(runs, [name])
    title = f"{wording.title(runs, [name])}: {row}, n = {len(records)}"
    figure = plot_confusion_matrix(matrix, classes, title)
    yield Picture("confusion", f"Confusion matrix of {name}", figure)
    table = []
    for number, (one, counts) in enumerate(zip(classes, matrix, strict=True)):
        cells = {"true class": wording.text(one)}
        cells |= {wording.text(c): f"{count:,}" for c, count in zip(classes, counts, strict=True)}
        cells["recall, %"] = _share(counts[number], counts.sum())
        cells["precision, %"] = _share(counts[number], matrix[:, number].sum())
        table.append(cells)
    yield wording.table(table)
    if len(classes) > 2:
        near = sum(np.trace(matrix, offset) for offset in (-1, 0, 1))
        yield f"{_share(near, matrix.sum())} % of the predictions are right or off by one class."


def _share(part: float, total: float) -> str:
    return f"{100 * part / total:.1f}" if total else "–"


def _notes(runs: Runs) -> Iterator[Part]:
    """Yields the notes, the runs that are not used, and those that are missing."""
    unused = [f"{wording.text(one.key)}: {wording.text(reason)}" for one, reason in runs.unused]
    missing = [
        f"{wording.text(name)}: {len(runs.finished[name])} of {one.seeds} runs are finished."
        for name, one in runs.experiments.items()
        if len(runs.finished[name]) < one.seeds
    ]
    lists = {"Notes": list(map(wording.text, runs.sweep.notes))}
    lists |= {"Runs that are not used": unused, "Not run yet": missing}
    for heading, lines in lists.items():
        if lines:
            yield f"## {heading}"
            yield wording.bullets(lines)


def _bookkeeping(runs: Runs, source: str | Path) -> Iterator[Part]:
    """Yields where the numbers come from."""
    records, source = runs.of(runs.experiments), Path(source)
    seconds = sum(record.seconds for record in records)
    failed = sum(record.error is not None for record, _ in runs.unused)
    yield {"runs": len(records), "failed": failed, "unused": len(runs.unused), "seconds": seconds}
    yield "## Runs"
    ending = "" if runs.sweep.name in sweep_names() else ".toml"
    command = wording.code(f"sst-keras report {runs.sweep.name}{ending}")
    folder = wording.code(source.name if source.is_absolute() else source.as_posix())
    yield f"{command} wrote this file from the records in {folder}."
    kinds = {"rows": [one for one in records if not one.key.variant]}
    kinds["variants"] = [one for one in records if one.key.variant]
    spans = [f"{kind} {_wall_minutes(some):,.0f} min" for kind, some in kinds.items() if some]
    size = np.sum(records[0].last.confusion_matrix)
    planned = sum(one.seeds for one in runs.sweep.experiments)
    versions = {item for record in records for item in (record.versions or {}).items()}
    commits = {wording.code((record.commit or "unknown")[:10]) for record in records}
    places = {f"{record.jobs}, {record.cores}" for record in records}
    facts = {
        "data set": f"{wording.text(records[0].dataset)} ({size:,} test sentences)",
        "word vectors": "; ".join(wording.vectors(records)),
        "finished runs": f"{len(records)} of {planned} planned; {failed} failed",
        "seeds": ", ".join(map(str, sorted({record.key.seed for record in records}))),
        "time of all runs, added up": f"{seconds:,.0f} s ({seconds / 3600:.1f} h)",
        "from the first start to the last end, with pauses": "; ".join(spans),
        "runs at a time, cores per run": "; ".join(sorted(places)),
        "versions": "; ".join(f"{package} {version}" for package, version in sorted(versions)),
        "commits": ", ".join(sorted(commits)),
    }
    yield wording.table([{"": name, " ": fact} for name, fact in facts.items()], "l")


def _wall_minutes(records: Iterable[RunRecord]) -> float:
    """Returns the minutes between the first start and the last end."""
    ends = {record.key: datetime.fromisoformat(record.ended).timestamp() for record in records}
    return (max(ends.values()) - min(ends[one.key] - one.seconds for one in records)) / 60
