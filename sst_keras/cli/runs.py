"""`sst-keras runs`: the list of runs and their scores."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sst_keras.cli import options
from sst_keras.cli.terminal import say
from sst_keras.errors import InputError
from sst_keras.files import to_json
from sst_keras.history import shown
from sst_keras.runs import RunDirectory, find_runs

if TYPE_CHECKING:
    from sst_keras.pretrained import LanguageModelRun
    from sst_keras.pseudo_labels import PseudoLabels

log = logging.getLogger(__name__)


@click.command()
@click.option(
    "--dir", "folder", default="saved_models", show_default=True, help="The folder to search."
)
@options.as_json
def runs(folder: str, as_json: bool) -> None:
    """List the runs below a folder and their scores, the language models and pseudo-labels."""
    from sst_keras.pretrained import find_language_models
    from sst_keras.pseudo_labels import find_pseudo_labels

    rows, models = _summaries(find_runs(folder)), _summaries(find_language_models(folder))
    labelled = _summaries(find_pseudo_labels(folder))
    if as_json:
        say(to_json({"runs": rows, "language_models": models, "pseudo_labels": labelled}))
        return
    if not (rows or models or labelled):
        say(f"No runs below {folder}/. Train one with `sst-keras train`.")
    for row in rows:
        say(row["run"], bold=True)  # on its own line, so that it can be copied
        scores = _unfinished(RunDirectory(Path(row["path"]))) if not row["finished"] else ""
        if row["finished"]:
            scores = f"dev {row['dev']['accuracy']:.1%}, test {row['test']['accuracy']:.1%}, "
            if row["epochs"] is not None:  # not an ensemble
                scores += f"epoch {shown(row['best_epoch'])} of {shown(row['epochs'])}, "
            scores += f"{row['seconds']:.0f} s"
        kind = "ensemble, " if row["pipeline"] == "ensemble" else ""
        say(f"    {kind}{row['dataset']}, {' + '.join(row['vectors'])}: {scores}")
    for row in models:
        say(row["run"], bold=True)
        scores = "unfinished"
        if row["finished"]:
            found = (f"{value:.1f} {name}" for name, value in row["perplexity"].items())
            scores = f"perplexity {', '.join(found)}, {row['seconds']:.0f} s"
        say(f"    language model, {row['corpus']}, {row['vectors']}: {scores}")
    for row in labelled:
        say(row["run"], bold=True)
        found = f"{row['sentences']:,} sentences" if row["finished"] else "unfinished"
        say(f"    pseudo-labels, {row['corpus']}, by {', '.join(row['teachers'])}: {found}")


def _unfinished(run: RunDirectory) -> str:
    """Returns how far a run came that was stopped, and how it goes on."""
    try:
        history = run.history()
    except InputError:
        return "unfinished"
    scores = dict(zip(history.column("epoch"), history.column("dev_accuracy"), strict=True))
    found = f"unfinished, epoch {shown(history.rows[-1]['epoch'])}"
    if best := history.best_epoch:
        found += f", dev {scores[best]:.1%} at best"
    goes_on = run.checkpoint_file.is_file()
    return f"{found}; sst-keras train --resume goes on" if goes_on else found


def _summaries(
    found: Iterable[RunDirectory | LanguageModelRun | PseudoLabels],
) -> list[dict[str, Any]]:
    """Returns the summary of each run that is not damaged, so that one does not hide the others."""
    rows = []
    for run in found:
        try:
            rows.append(run.summary())
        except InputError as error:
            log.warning(f"Left out: {error}")
    return rows
