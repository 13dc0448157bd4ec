"""`sst-keras data`: fetch SST-5, check and count a data set, show texts of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from sst_keras.cli import SUBCOMMAND, options
from sst_keras.cli.terminal import cell, say
from sst_keras.controls import visible
from sst_keras.files import to_json
from sst_keras.settings import DataConfig

if TYPE_CHECKING:
    from sst_keras.corpora import Corpus


@click.group()
@click.pass_context
def data(ctx: click.Context) -> None:
    """Fetch SST-5, check and count a data set, show texts of it."""
    ctx.meta[SUBCOMMAND] = ctx.invoked_subcommand


@data.command()
@options.data_dir
def fetch(data_dir: str | None) -> None:
    """Prepare SST-5: find or download the original, verify its checksum, convert it.

    The result is in TensorFlow Datasets' folder, so that later runs need neither network nor files.
    """
    from sst_keras.corpora import SPLITS, load_corpus

    corpus = load_corpus(DataConfig(dataset="sst5", examples="phrases"), data_dir)
    for name in SPLITS:
        say(f"{name:<5} {len(corpus.split(name)):>7,} sentences")
    say(f"train {len(corpus.spans):>7,} phrases")


@data.command()
@click.argument("dataset", metavar="FILE|FOLDER|sst5|sample")
@options.data_dir
@options.reading()
@options.as_json
def check(as_json: bool, **source: object) -> None:
    """Read a data set as training would, and report what is unusual about it.

    The report has how each file is read, the classes, what is left out and why, repeated and
    contradictory texts, dev and test texts that are in train, and lengths.
    """
    from sst_keras.corpora import describe

    corpus = options.read_corpus(**source)
    rows = describe(corpus)
    if as_json:
        names = {"class_names": corpus.class_names, "ordered": corpus.ordered}
        findings = corpus.findings.to_dict() | {"notes": corpus.notes}
        say(to_json({"dataset": corpus.name, **names, "splits": rows, **findings}))
        return
    for note in corpus.notes:
        say(note)
    say("")
    _print_counts(corpus, rows)


@data.command()
@options.dataset
@options.data_dir
@options.reading()
@options.as_json
def stats(as_json: bool, **source: object) -> None:
    """Count texts, classes, tokens and words by split."""
    from sst_keras.corpora import describe

    corpus = options.read_corpus(**source)
    rows = describe(corpus)
    if as_json:
        say(to_json({"dataset": corpus.name, "notes": corpus.notes, "splits": rows}))
        return
    for note in corpus.notes:
        say(note, err=True)
    _print_counts(corpus, rows)


def _print_counts(corpus: Corpus, rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Prints a table of what `describe` counted."""
    from rich.console import Console
    from rich.table import Table

    table = Table("", title=cell(corpus.name), title_justify="left")
    for name in rows:
        table.add_column(name, justify="right")
    for class_name in corpus.class_names:
        table.add_row(
            cell(class_name), *(f"{row['classes'][class_name]:,}" for row in rows.values())
        )
    table.add_section()
    for key in ("texts", "tokens", "types", "lower_case_types", "shortest", "longest"):
        table.add_row(key.replace("_", " "), *(f"{row[key]:,}" for row in rows.values()))
    Console().print(table)


@data.command()
@options.dataset
@options.data_dir
@options.reading()
@click.option(
    "--split", type=click.Choice(["train", "dev", "test"]), default="train", show_default=True
)
@options.count
@click.option(
    "--seed", type=click.IntRange(0), default=1, show_default=True, help="The seed that draws them."
)
def show(split: str, count: int, seed: int, **source: object) -> None:
    """Show some texts with their labels, as tokens separated by spaces."""
    import numpy as np

    corpus = options.read_corpus(**source)
    examples = corpus.split(split)
    rows = np.random.default_rng(seed).permutation(len(examples))[:count]
    width = max(map(len, map(visible, corpus.class_names)))
    for row in sorted(rows):
        tokens, label = examples.row(row)
        say(f"{visible(corpus.class_names[label]):<{width}}  {' '.join(tokens)}")
