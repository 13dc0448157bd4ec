"""`sst-keras report`: the results of a sweep as Markdown, figures and an HTML page."""

from pathlib import Path

import click

from sst_keras.cli import options
from sst_keras.cli.terminal import say


@click.command()
@click.argument("sweep", default="paper")
@click.option("--records", metavar="DIR", help="The records.  [default: results/<sweep's name>]")
@click.option("--out", metavar="FILE", help="The Markdown file.  [default: the sweep's `out`]")
@click.option(
    "--html",
    metavar="FILE",
    help="The page. A folder beside it has its figures.  [default: the sweep's `html`]",
)
@click.option("--table", is_flag=True, help="Only print the Markdown table of the rows.")
@options.as_json
def report(
    sweep: str, records: str | None, out: str | None, html: str | None, table: bool, as_json: bool
) -> None:
    """Write the results of a sweep from its records.

    SWEEP is a sweep's name or file, by default paper. No model is loaded.
    """
    from sst_keras.errors import UsageError
    from sst_keras.experiments.records import read_records
    from sst_keras.experiments.report import rows_table, write_report
    from sst_keras.experiments.sweep import load_sweep
    from sst_keras.files import to_json

    chosen = load_sweep(sweep)
    folder = Path(records or f"results/{chosen.name}")
    if not folder.is_dir():
        raise UsageError(
            f"There is no folder of records {str(folder)!r}. Expected those of the sweep "
            f"{chosen.name!r}. Run it first, `sst-keras reproduce {sweep}`, or give --records DIR."
        )
    found = read_records(folder)
    if table:
        say(rows_table(chosen, found))
        return
    results, paths = write_report(chosen, found, folder, out, html)
    names = [str(path) for path in paths]
    say(to_json(results.summary | {"files": names}) if as_json else "\n".join(names))
