"""`sst-keras pipelines`: lists the pipelines and sweeps."""

from __future__ import annotations

import json

import click

from sst_keras.cli import options


@click.command()
@click.option("--settings", is_flag=True, help="List every setting with its default.")
@options.as_json
def pipelines(settings: bool, as_json: bool) -> None:
    """List the pipelines and sweeps.

    Each pipeline is listed with the settings in which it differs from lstm-attention. The sweeps
    below them consist of many pipelines each; `sst-keras reproduce` runs them.
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
    main = load_pipeline("lstm-attention").settings()
    loaded = []
    for pipeline in map(load_pipeline, pipeline_names()):
        changes = {key: value for key, value in pipeline.settings().items() if value != main[key]}
        loaded.append((pipeline, changes))
    sweeps = [load_sweep(name) for name in sweep_names()]
    if as_json:
        rows = [
            {"name": pipeline.name, "description": pipeline.description, "changes": changes}
            for pipeline, changes in loaded
        ]
        listed = [
            {
                "name": sweep.name,
                "description": sweep.description,
                "pipelines": [experiment.name for experiment in sweep.experiments],
            }
            for sweep in sweeps
        ]
        click.echo(to_json({"pipelines": rows, "sweeps": listed}))
        return
    for pipeline, changes in loaded:
        click.secho(pipeline.name, bold=True)
        click.echo(f"    {pipeline.description}")
        for key, value in changes.items():
            click.echo(f"    {key} = {_as_toml(value)}")
    for sweep in sweeps:
        click.secho(sweep.name, bold=True, nl=False)
        rows = [experiment.row for experiment in sweep.experiments if not experiment.variant]
        click.echo(f" (sweep)\n    {sweep.description}\n    {', '.join(rows)}")
        if sweep.questions:
            variant = next(item.name for item in sweep.experiments if item.variant)
            click.echo(f"    variants, such as {variant}: {', '.join(sweep.questions)}")


def _as_toml(value: object) -> str:
    """Returns a setting's value as `--set` and pipeline files have it, which is also JSON."""
    return json.dumps(value, ensure_ascii=False)
