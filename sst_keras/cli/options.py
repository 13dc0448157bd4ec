"""Options and arguments that several commands share."""

import click

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
as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print only a JSON object on standard output."
)
run = click.argument("run", metavar="RUN")
