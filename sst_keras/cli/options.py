"""Options and arguments that several commands share."""

import click

dataset = click.option(
    "--dataset",
    metavar="sst5|sample|auto|PATH",
    help="Data set: SST-5; the bundled sample; auto, which is SST-5 where it can be had, else the "
    "sample; or a path: a folder of trees, or CSV, TSV or JSONL.",
)
data_dir = click.option(
    "--data-dir",
    metavar="DIR",
    help="Folder with sst/ and vectors/.  [default: $SST_KERAS_DATA, then the user's cache]",
)
as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object on standard output, no more."
)
run = click.argument("run", metavar="RUN")
