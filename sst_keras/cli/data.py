"""`sst-keras data`: fetch SST-5, count a data set, show texts of it."""

import click

from sst_keras.cli import options
from sst_keras.files import to_json
from sst_keras.settings import DataConfig


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

    corpus = load_corpus(DataConfig(dataset="sst5", examples="phrases"), data_dir)
    for name in SPLITS:
        click.echo(f"{name:<5} {len(corpus.split(name)):>7,} sentences")
    click.echo(f"train {len(corpus.spans):>7,} phrases")


@data.command()
@options.dataset
@options.data_dir
@options.text_column
@options.label_column
@options.as_json
def stats(as_json: bool, **source: str | None) -> None:
    """Count texts, classes, tokens and words by split."""
    from rich.console import Console
    from rich.table import Table

    from sst_keras.corpora import SPLITS, describe

    corpus = options.read_corpus(**source)
    rows = describe(corpus)
    if as_json:
        click.echo(to_json({"dataset": corpus.name, "notes": corpus.notes, "splits": rows}))
        return
    for note in corpus.notes:
        click.echo(note, err=True)
    table = Table("", title=corpus.name, title_justify="left")
    for name in SPLITS:
        table.add_column(name, justify="right")
    for class_name in corpus.class_names:
        table.add_row(class_name, *(f"{rows[name]['classes'][class_name]:,}" for name in SPLITS))
    table.add_section()
    for key in ("texts", "tokens", "types", "lower_case_types", "shortest", "longest"):
        table.add_row(key.replace("_", " "), *(f"{rows[name][key]:,}" for name in SPLITS))
    Console().print(table)


@data.command()
@options.dataset
@options.data_dir
@options.text_column
@options.label_column
@click.option(
    "--split", type=click.Choice(["train", "dev", "test"]), default="train", show_default=True
)
@options.count
@click.option("--seed", type=int, default=1, show_default=True, help="The seed that draws them.")
def show(split: str, count: int, seed: int, **source: str | None) -> None:
    """Show some texts with their labels, as tokens separated by spaces."""
    import numpy as np

    corpus = options.read_corpus(**source)
    examples = corpus.split(split)
    rows = np.random.default_rng(seed).permutation(len(examples))[:count]
    width = max(map(len, corpus.class_names))
    for row in sorted(rows):
        tokens, label = examples.row(row)
        click.echo(f"{corpus.class_names[label]:<{width}}  {' '.join(tokens)}")
