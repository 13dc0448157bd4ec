"""Options and arguments that several commands share, and the data set that they name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sst_keras.settings import DataConfig

if TYPE_CHECKING:
    from sst_keras.corpora import Corpus

dataset = click.option(
    "--dataset",
    metavar="sst5|sample|auto|PATH",
    help="SST-5, the bundled sample, auto (SST-5 if available, else the sample), or a path: a "
    "folder of trees, or CSV, TSV or JSONL.",
)
data_dir = click.option(
    "--data-dir",
    metavar="DIR",
    help="Folder with sst/ and vectors/.  [default: $SST_KERAS_DATA, then the user's cache]",
)
vectors = click.option(
    "--vectors",
    multiple=True,
    metavar="NAME|PATH|auto|none",
    help="Word vectors instead of the pipeline's; several are concatenated. auto: the set with the "
    "highest coverage.",
)
overrides = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="SECTION.KEY=VALUE",
    help="Any setting, such as model.units=256; `sst-keras pipelines --settings` lists them.",
)
text_column = click.option(
    "--text-column", metavar="NAME", default="text", help="Column of the text."
)
label_column = click.option(
    "--label-column", metavar="NAME", default="label", help="Column of the label."
)
count = click.option(
    "-n", "count", type=click.IntRange(1), default=10, show_default=True, help="How many."
)
as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print only a JSON object on standard output."
)
run = click.argument("run", metavar="RUN")


def read_corpus(dataset: str | None, data_dir: str | None, **columns: str) -> Corpus:
    """Reads the data set that a command's options name, SST-5 by default."""
    from sst_keras.corpora import load_corpus

    return load_corpus(DataConfig(dataset=dataset or "sst5", **columns), data_dir)
