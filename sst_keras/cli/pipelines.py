"""`sst-keras pipelines`: lists the pipelines and sweeps."""

import json
import textwrap

import click

from sst_keras.cli import options
from sst_keras.cli.terminal import say


@click.command()
@click.option("--settings", is_flag=True, help="List every setting with its default.")
@options.as_json
def pipelines(settings: bool, as_json: bool) -> None:
    """List the pipelines and sweeps.

    Each pipeline is listed with the settings in which it differs from lstm-attention. Below are
    the sweeps, which consist of many pipelines each; `sst-keras reproduce` runs them.
    """
    from sst_keras.config import load_pipeline, pipeline_names
    from sst_keras.experiments.sweep import load_sweep, sweep_names
    from sst_keras.files import to_json
    from sst_keras.settings import setting_docs

    if settings:
        docs = setting_docs()
        if as_json:
            say(to_json({"settings": docs}))
            return
        for doc in docs:
            say(f"{doc['setting']} = {_as_toml(doc['default'])}\n    {doc['about']}")
        return
    main = load_pipeline("lstm-attention").settings()
    rows = []
    for pipeline in map(load_pipeline, pipeline_names()):
        changes = {key: value for key, value in pipeline.settings().items() if value != main[key]}
        head = {"name": pipeline.name, "description": pipeline.description}
        rows.append(head | {"changes": changes})
    sweeps = [load_sweep(name) for name in sweep_names()]
    if as_json:
        listed = []
        for sweep in sweeps:
            names = [experiment.name for experiment in sweep.experiments]
            head = {"name": sweep.name, "description": sweep.description}
            listed.append(head | {"pipelines": names})
        say(to_json({"pipelines": rows, "sweeps": listed}))
        return
    for row in rows:
        say(row["name"], bold=True)
        say(f"    {row['description']}")
        for key, value in row["changes"].items():
            say(f"    {key} = {_as_toml(value)}")
    for sweep in sweeps:
        say(sweep.name, bold=True, nl=False)
        names = [experiment.row for experiment in sweep.experiments if not experiment.variant]
        say(f" (sweep)\n    {sweep.description}\n{_wrapped(', '.join(names))}")
        if sweep.questions:
            variant = next(item.name for item in sweep.experiments if item.variant)
            say(_wrapped(f"variants, such as {variant}: {', '.join(sweep.questions)}"))


def _wrapped(text: str) -> str:
    indent = {"initial_indent": "    ", "subsequent_indent": "    "}
    return textwrap.fill(text, 100, **indent, break_long_words=False, break_on_hyphens=False)


def _as_toml(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)  # the values of settings are the same in TOML
