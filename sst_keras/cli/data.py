"""`sst-keras data`: fetch SST-5, count a data set, show texts of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sst_keras.cli import options

if TYPE_CHECKING:
    from sst_keras.corpora import Corpus


@click.group()
def data() -> None:
    """Fetch SST-5, count a data set, show texts of it."""


@data.command()
@options.data_dir
def fetch(data_dir: str | None) -> None:
    """Prepare SST-5: find or download the original, check its sum, convert it.

    The result is in TensorFlow Datasets' folder, so that later runs need neither network nor files.
    """
    from sst_keras.corpora import SPLITS, load_corpus
    from sst_keras.settings import DataConfig

    corpus = load_corpus(DataConfig(dataset="sst5", examples="phrases"), data_dir=data_dir)
    for name in SPLITS:
        click.echo(f"{name:<5} {len(corpus.split(name)):>7,} sentences")
    click.echo(f"train {len(corpus.spans):>7,} phrases")


@data.command()
@options.dataset
@options.data_dir
@click.option("--text-column", metavar="NAME", default="text", help="Column of the text.")
@click.option("--label-column", metavar="NAME", default="label", help="Column of the label.")
@options.as_json
def stats(
    dataset: str | None, data_dir: str | None, text_column: str, label_column: str, as_json: bool
) -> None:
    """Count texts, classes, tokens and words by split."""
    from sst_keras.corpora import SPLITS, describe
    from sst_keras.files import to_json

    corpus = _load(dataset, data_dir, text_column, label_column)
    rows = describe(corpus)
    if as_json:
        click.echo(to_json({"dataset": corpus.name, "notes": corpus.notes, "splits": rows}))
        return

    from rich.console import Console
    from rich.table import Table

    for note in corpus.notes:
        click.echo(note, err=True)
    table = Table(title=corpus.name, title_justify="left")
    table.add_column("")
    for name in SPLITS:
        table.add_column(name, justify="right")
    for class_name in corpus.class_names:
        counts = [rows[name]["classes"][class_name] for name in SPLITS]
        table.add_row(class_name, *(f"{count:,}" for count in counts))
    table.add_section()
    for key in ("texts", "tokens", "types", "lower_case_types", "shortest", "longest"):
        table.add_row(key.replace("_", " "), *(f"{rows[name][key]:,}" for name in SPLITS))
    Console().print(table)


@data.command()
@options.dataset
@options.data_dir
@click.option("--text-column", metavar="NAME", default="text", help="Column of the text.")
@click.option("--label-column", metavar="NAME", default="label", help="Column of the label.")
@click.option(
    "--split", type=click.Choice(["train", "dev", "test"]), default="train", show_default=True
)
@click.option(
    "-n", "count", type=click.IntRange(1), default=10, show_default=True, help="How many texts."
)
@click.option("--seed", type=int, default=1, show_default=True, help="The seed that draws them.")
def show(
    dataset: str | None,
    data_dir: str | None,
    text_column: str,
    label_column: str,
    split: str,
    count: int,
    seed: int,
) -> None:
    """Show some texts with their labels, as tokens separated by spaces."""
    import numpy as np

    corpus = _load(dataset, data_dir, text_column, label_column)
    examples = corpus.split(split)
    rows = np.random.default_rng(seed).permutation(len(examples))[:count]
    width = max(map(len, corpus.class_names))
    for row in sorted(rows):
        tokens, label = examples.row(row)
        click.echo(f"{corpus.class_names[label]:<{width}}  {' '.join(tokens)}")


def _load(dataset: str | None, data_dir: str | None, text_column: str, label_column: str) -> Corpus:
    """Reads the data set that was asked for, SST-5 by default."""
    from sst_keras.corpora import load_corpus
    from sst_keras.settings import DataConfig

    config = DataConfig(
        dataset=dataset or "sst5", text_column=text_column, label_column=label_column
    )
    return load_corpus(config, data_dir)
