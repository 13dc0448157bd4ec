"""A sweep's records → its results as Markdown, with figures, and as one page of HTML.

Every number comes from the records; no model is loaded. The same records give the same text, to
the byte: it has neither a date nor the name of a machine.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from sst_keras import files, plotting
from sst_keras.errors import InputError, UsageError
from sst_keras.experiments.report import comparison, curves, findings, page, wording
from sst_keras.experiments.report.comparison import BEST, LAST, Summary
from sst_keras.experiments.report.document import Document
from sst_keras.settings import Pipeline

if TYPE_CHECKING:
    from sst_keras.experiments.sweep import Sweep

_DPI = 160


def write_report(
    sweep: Sweep,
    records: Sequence[Mapping[str, Any]],
    source: str | Path,
    out: str | Path = "RESULTS.md",
    html: str | Path = "docs/results.html",
) -> tuple[Document, list[Path]]:
    """Writes a sweep's results as Markdown and as a page.

    Args:
        sweep: The sweep.
        records: Its records.
        source: Where they were read; the text names it.
        out: The Markdown file. Its figures go into a folder beside the page, named as the page is.
        html: The page, with its figures inside.

    Returns:
        The report and the files written.

    Raises:
        InputError: If the records have no finished run of the sweep, or are of several data sets.
        UsageError: If the page's name does not end in .html.
    """
    if Path(html).suffix != ".html" or Path(html) == Path(out):
        raise UsageError(
            f"--html: expected a name that ends in .html, and another one than --out. "
            f"Received: {str(html)!r}"
        )
    out, html = Path(out), Path(html)
    report = build_report(sweep, records, source)
    folder = html.with_suffix("")
    images = {f"FIGURES/{name}.png": folder / f"{name}.png" for name in report.figures}
    for figure, path in zip(report.figures.values(), images.values(), strict=True):
        with files.whole_file(path) as partial:
            figure.savefig(partial, dpi=_DPI)
    beside = quote(Path(os.path.relpath(folder.resolve(), out.resolve().parent)).as_posix())
    files.write_text(out, report.markdown.replace("(FIGURES/", f"({beside}/"))
    files.write_text(html, page.to_html(report.markdown, images))
    return report, [out, html, *images.values()]


def build_report(
    sweep: Sweep, records: Sequence[Mapping[str, Any]], source: str | Path
) -> Document:
    """Returns a sweep's results; see `write_report` for arguments and errors."""
    for record in records:
        if not str(record["pipeline"]).startswith(f"{sweep.name}/"):
            raise InputError(
                f"{source}: expected records of the sweep {sweep.name!r}. Received one of "
                f"{record['pipeline']!r}. Give the sweep or the file that belong together."
            )
    runs = comparison.sort_records(sweep, records)
    if not runs.records():
        raise InputError(
            f"{source}: expected a finished run of the sweep {sweep.name!r}. Received "
            f"{len(records)} records, {len(runs.failed)} of them of failed runs"
            + "".join(f", one {reason}" for _, reason in runs.unused[:1])
            + f". Run the sweep first: `sst-keras reproduce {sweep.name}`."
        )
    _refuse_mixtures(runs, source)
    report = Document(sweep, runs)
    _add_head(report, source)
    place = len(report.parts)
    _add_rows(report)
    curves.add_curves(report)
    findings.add_effects(report)
    findings.add_findings(report)
    findings.add_published_best(report)
    findings.add_questions(report)
    findings.add_readings(report)
    _add_confusion(report)
    _add_left_out(report)
    report.parts[place:place] = _in_short(report)
    return report


def _refuse_mixtures(runs: comparison.Runs, source: str | Path) -> None:
    """Refuses records whose figures are not to be compared.

    Raises:
        InputError: If they are of several data sets, or an experiment's of several word vectors.
    """
    names = {record["data_fingerprint"]: record["dataset"] for record in runs.records()}
    if len(names) > 1:
        raise InputError(
            f"{source}: expected records of one data set. Received: {', '.join(names.values())}, "
            f"with {len(names)} different fingerprints. Keep a file for each."
        )
    for key, rows in runs.finished.items():
        vectors = wording.vectors(rows.values())
        if len(vectors) > 1:
            raise InputError(
                f"{source}: expected the same word vectors in all runs of {wording.name(key)}. "
                f"Received: {'; '.join(vectors)}. Keep a file for each."
            )


def _add_head(report: Document, source: str | Path) -> None:
    """Says what this is, and how to read its figures."""
    records = report.runs.records()
    source = Path(source)
    name = source.name if source.is_absolute() else source.as_posix()
    seeds = sorted({record["seed"] for record in records})
    seconds = sum(record["seconds"] for record in records)
    sizes = sorted({int(np.sum(record["confusion_matrix"])) for record in records})
    facts = {
        "data set": ", ".join(dict.fromkeys(wording.text(record["dataset"]) for record in records))
        + f" ({' or '.join(f'{size:,}' for size in sizes)} test sentences)",
        "word vectors": "; ".join(map(wording.text, wording.vectors(records))),
        "finished runs": f"{len(records)}, {sum(one.seeds for one in report.sweep.experiments)}"
        f" planned; {len(report.runs.failed)} failed",
        "seeds": wording.ranges(seeds),
        "time of all runs, added up": f"{seconds:,.0f} s ({seconds / 3600:.1f} h)",
        "from the first one's start to the last one's end, pauses too": "; ".join(
            f"{name} {_wall_time(some):,.0f} min"
            for name, some in (
                ("rows", [record for record in records if record["variant"] is None]),
                ("variants", [record for record in records if record["variant"] is not None]),
            )
            if some
        ),
        "runs at a time, cores": "; ".join(
            sorted({f"{one.get('jobs', '?')}, {one.get('cores', '?')}" for one in records})
        ),
        "versions": "; ".join(
            f"{package} {', '.join(sorted({one['versions'][package] for one in records}))}"
            for package in records[0]["versions"]
            if all(package in one["versions"] for one in records)
        ),
        "commits": ", ".join(
            sorted({f"`{str(one.get('commit') or 'unknown')[:10]}`" for one in records})
        ),
    }
    report.summary["sweep"] = report.sweep.name
    report.summary["runs"] = len(records)
    report.summary["failed"] = len(report.runs.failed)
    report.add(
        f"# Results of the sweep `{report.sweep.name}`",
        report.sweep.description,
        f"Written by `sst-keras report {report.sweep.name}` out of `{name}`, not by hand: every "
        f"number below comes from these records.",
        wording.table(["", ""], [[name, value] for name, value in facts.items()], "ll"),
        "\n".join(f"- {note}" for note in report.sweep.notes),
        "## How to read the figures",
        "\n".join(
            [
                "- **Accuracy** is the share of test sentences whose class is told right, in "
                "percent. Differences of accuracies are in **points**: from 40.0 to 41.5 is "
                "+1.5.",
                "- **Mean ± standard deviation (n)**: a row is run with n seeds, numbers that "
                "all chance in a run follows from. The mean is over these runs; the standard "
                "deviation says how far one run lies from it, typically. One seed alone has no "
                "standard deviation.",
                "- **Paired difference**: two rows are compared seed by seed, and the mean of "
                "these n differences is told.",
                "- **95 % interval**, in brackets: ranges made in this way hold the true mean "
                "difference in 95 of 100 cases (Student's t, n − 1 degrees of freedom). If it "
                "holds 0, these runs do not show which of the two is better. It covers the "
                "chance of seeds, not the choice of test sentences. Of many intervals that "
                "hold no true difference, about one in twenty leaves out 0 all the same.",
                f"- **Two sets of weights** are scored in each run: those of the {wording.LAST}, "
                f"and those of the epoch with the best dev accuracy ({wording.BEST}). Test chooses "
                f"nothing.",
            ]
        ),
    )


def _wall_time(records: Sequence[Mapping[str, Any]]) -> float:
    """Returns the minutes between the first start and the last end; pauses count."""
    ends = [datetime.fromisoformat(record["ended"]).timestamp() for record in records]
    starts = [end - record["seconds"] for end, record in zip(ends, records, strict=True)]
    return (max(ends) - min(starts)) / 60


def _in_short(report: Document) -> list[str]:
    """Says what was found, for who reads no further."""
    lines = []
    for name, figure, dev in ((wording.LAST, LAST, "dev"), (wording.BEST, BEST, "dev_at_best")):
        if report.run_rows:
            key = max(report.run_rows, key=lambda key: report.mean(key, dev).mean)
            lines.append(
                f"- The row that dev says is best, with the weights of the {name}, is "
                f"{wording.name(key)}: test accuracy {wording.mean(report.mean(key, figure))}."
            )
    for finding in report.summary.get("findings", ()):
        claim = wording.text(finding["claim"]).rstrip(".")
        last, best = finding["verdicts"]
        if last == best:
            lines.append(f"- {claim}: **{last}**.")
        elif best == "cannot be told":
            lines.append(f"- {claim}: **{last}**, with the weights of the {wording.LAST}.")
        else:
            lines.append(
                f"- {claim}: **{last}** with the weights of the {wording.LAST}, **{best}** with "
                f"those of the {wording.BEST}."
            )
    return ["## In short", "\n".join(lines)] if lines else []


def _add_rows(report: Document) -> None:
    """The table of rows, its figure, and what stands out in it."""
    columns = _setting_columns(report)
    headings = ["row", "model", *(wording.setting(name) for name in columns)]
    headings += ["the report"] * report.has_published
    headings += [f"ours, {wording.LAST}", f"ours, {wording.BEST}", "seconds (median)"]
    table = []
    summaries: list[dict[str, Any]] = []
    for key in report.rows:
        experiment, records = report.experiments[key], report.runs.of(key)
        settings = comparison.settings_of(experiment.pipeline)
        last, best = (report.mean(key, figure) for figure in (LAST, BEST))
        table.append(
            [
                wording.text(key[0]) + report.mark(key),
                wording.model(experiment.pipeline),
                *(wording.value(settings[name]) for name in columns),
                *([wording.published(experiment.published)] if report.has_published else []),
                wording.mean(last),
                wording.mean(best),
                wording.seconds(median(one["seconds"] for one in records)) if records else "–",
            ]
        )
        summaries.append(
            {
                "tag": key[0],
                "published": experiment.published,
                "last": vars(last) if last else None,
                "best": vars(best) if best else None,
            }
        )
    report.summary["rows"] = summaries
    report.add("## All rows", _common_settings(report), report.caption(report.rows))
    report.add(wording.table(headings, table, "ll" + "r" * (len(headings) - 2)))
    report.add(report.constants(report.rows), _nearness(report), _five_best(report))
    report.figure(
        "rows",
        "Test accuracy of each row, with standard deviations",
        plotting.plot_accuracies(
            [key[0] for key in report.rows],
            [report.experiments[key].published for key in report.rows],
            {
                f"ours, {name}": [_pair(report.mean(key, figure)) for key in report.rows]
                for name, figure in ((wording.LAST, LAST), (wording.BEST, BEST))
            },
            report.title(report.rows),
        ),
    )


def _setting_columns(report: Document) -> list[str]:
    """Returns the settings that vary between rows and have a column of their own."""
    order = list(wording.SETTINGS)
    names = sorted(
        report.varied - {"model.name", "model.bidirectional", "model.pooling"},
        key=lambda name: order.index(name) if name in order else len(order),
    )
    kinds = {
        comparison.settings_of(report.experiments[key].pipeline)["embedding.vectors"]
        for key in report.rows
    }
    # The model's name says which rows have no pretrained vectors.
    return [name for name in names if name != "embedding.vectors" or len(kinds) > 2]


def _common_settings(report: Document) -> str:
    """Says what all rows change in the defaults."""
    changes = [report.experiments[key].pipeline.changes() for key in report.rows]
    common = [
        f"{wording.SETTINGS.get(name, f'`{name}`')} {wording.value(comparison.plain(value))}"
        for name, value in changes[0].items()
        if all(name in one and one[name] == value for one in changes)
        and name in comparison.settings_of(Pipeline())
    ]
    if not common:
        return ""
    return f"All rows have, other than the package's defaults: {', '.join(common)}."


def _nearness(report: Document) -> str:
    """Says how far our rows lie from the report's."""
    keys = [key for key in report.run_rows if report.experiments[key].published is not None]
    if not keys:
        return ""
    texts = []
    for name, figure in ((wording.LAST, LAST), (wording.BEST, BEST)):
        gaps = [report.mean(key, figure).mean - report.experiments[key].published for key in keys]
        texts.append(
            f"{np.mean(np.abs(gaps)):.1f} points from the report's with the weights of the {name} "
            f"(higher in {sum(gap > 0 for gap in gaps)})"
        )
    return f"Over {len(keys)} rows our means lie on average {', and '.join(texts)}."


def _five_best(report: Document) -> str:
    """Says which rows have the highest means."""
    texts = []
    for name, figure in ((wording.LAST, LAST), (wording.BEST, BEST)):
        best = sorted(report.run_rows, key=lambda key: -report.mean(key, figure).mean)[:5]
        rows = [
            f"{wording.text(key[0])} {wording.number(report.mean(key, figure).mean)}"
            for key in best
        ]
        texts.append(f"- **{name}:** {', '.join(rows)}")
    published = [key for key in report.rows if report.experiments[key].published is not None]
    published = sorted(published, key=lambda key: -report.experiments[key].published)[:5]
    if published:
        rows = [
            f"{wording.text(k[0])} {wording.published(report.experiments[k].published)}"
            for k in published
        ]
        texts.append(f"- **the report:** {', '.join(rows)}")
    return (
        "The rows with the highest mean test accuracy; neighbours in such a list may differ "
        "by chance alone:\n\n" + "\n".join(texts)
    )


def _add_confusion(report: Document) -> None:
    """The confusion matrix of the row that dev says is best."""
    keys = report.run_rows or [key for key in report.experiments if report.runs.of(key)]
    key = max(keys, key=lambda key: report.mean(key, "dev_at_best").mean)
    records = report.runs.of(key)
    matrix = np.sum([record["confusion_matrix_at_best"] for record in records], axis=0)
    names = list(map(wording.text, records[0]["class_names"]))
    dev = comparison.summarize(100 * record["dev_at_best"] for record in records)
    right = np.diag(matrix)
    truth, said = matrix.sum(axis=1), matrix.sum(axis=0)
    near = sum(np.diag(matrix, offset).sum() for offset in (-1, 0, 1))
    table = [
        [
            name,
            *(f"{count:,}" for count in row),
            wording.share(right[place], truth[place]),
            wording.share(right[place], said[place]),
        ]
        for place, (name, row) in enumerate(zip(names, matrix, strict=True))
    ]
    report.add(
        "## Confusion matrix",
        f"{wording.name(key)} has the highest mean accuracy on dev with the weights of the "
        f"{wording.BEST}: {wording.mean(dev)}. Its test predictions, added up over seeds; row: the "
        f"true class, column: what the model said.",
        report.caption([key]),
    )
    n = f"n = {len(records)} seeds" if len(records) > 1 else "one seed"
    report.figure(
        "confusion",
        f"Confusion matrix of {wording.name(key)}",
        plotting.plot_confusion_matrix(
            matrix, records[0]["class_names"], f"{report.title([key])}: {key[0]}, {n}"
        ),
    )
    report.add(
        wording.table(
            ["true class", *names, "recall, %", "precision, %"],
            table,
            "l" + "r" * (len(names) + 2),
        ),
        f"{wording.share(near, matrix.sum())} % of the predictions are right or off by one class."
        if len(names) > 2
        else "",
    )
    report.summary["confusion"] = {"tag": key[0], "matrix": matrix.tolist()}


def _add_left_out(report: Document) -> None:
    """Lists what counts nowhere, and what is not run yet."""
    lines = []
    for record in report.runs.failed:
        error = str(record["error"]).strip().splitlines()[-1:] or ["no message"]
        lines.append(
            f"- failed: {wording.name((record['tag'], record.get('variant')))}, seed "
            f"{record['seed']}: {wording.text(error[0])}"
        )
    for record, reason in report.runs.unused:
        lines.append(
            f"- {wording.name((record['tag'], record.get('variant')))}, seed {record['seed']}: "
            f"{wording.text(reason)}"
        )
    short = [
        f"{wording.name(key)} ({len(report.runs.of(key))} of {one.seeds})"
        for key, one in report.experiments.items()
        if len(report.runs.of(key)) < one.seeds
    ]
    if lines:
        report.add("## Runs that count nowhere", "\n".join(lines))
    if short:
        report.add("## Not run yet", f"Finished runs of planned ones: {', '.join(short)}.")


def _pair(summary: Summary | None) -> tuple[float, float | None] | None:
    """Returns a mean and its standard deviation, as figures take them."""
    return (summary.mean, summary.sd) if summary else None
