"""`sst-keras pipelines`: the pipelines and sweeps there are, and what each changes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from sst_keras.cli import options

if TYPE_CHECKING:
    from sst_keras.experiments.sweep import Sweep


@click.command()
@click.option("--settings", is_flag=True, help="List every setting with its default instead.")
@options.as_json
def pipelines(settings: bool, as_json: bool) -> None:
    """List the pipelines, with what each changes in lstm-attention, which has the defaults.

    Below them the sweeps, each of many pipelines, which `sst-keras reproduce` runs.
    """
    from sst_keras.config import load_pipeline, pipeline_names
    from sst_keras.experiments.sweep import load_sweep, sweep_names
    from sst_keras.files import to_json
    from sst_keras.settings import setting_docs

    if settings:
        docs = setting_docs()
        if as_json:
            click.echo(to_json({"settings": docs}))
            return
        for doc in docs:
            click.echo(f"{doc['setting']} = {_as_toml(doc['default'])}\n    {doc['about']}")
        return
    loaded = [load_pipeline(name) for name in pipeline_names()]
    sweeps = [load_sweep(name) for name in sweep_names()]
    if as_json:
        rows = [
            {"name": row.name, "description": row.description, "changes": row.changes()}
            for row in loaded
        ]
        listed = [
            {
                "name": sweep.name,
                "description": sweep.description,
                "pipelines": [experiment.pipeline.name for experiment in sweep.experiments],
            }
            for sweep in sweeps
        ]
        click.echo(to_json({"pipelines": rows, "sweeps": listed}))
        return
    for row in loaded:
        click.secho(row.name, bold=True)
        click.echo(f"    {row.description}")
        for key, value in row.changes().items():
            click.echo(f"    {key} = {_as_toml(value)}")
    for sweep in sweeps:
        click.secho(sweep.name, bold=True, nl=False)
        rows = [experiment.row for experiment in sweep.experiments if not experiment.variant]
        click.echo(f" (a sweep)\n    {sweep.description}\n    {', '.join(rows)}")
        if sweep.questions:
            click.echo(f"    variants, such as {_variant(sweep)}: {', '.join(sweep.questions)}")


def _variant(sweep: Sweep) -> str:
    """Returns the name of one of a sweep's variants, as `sst-keras train` takes it."""
    return next(item.pipeline.name for item in sweep.experiments if item.variant)


def _as_toml(value: object) -> str:
    """Returns a setting's value as `--set` and a pipeline file take it."""
    return json.dumps(value, ensure_ascii=False)  # the same for all that a setting can be
