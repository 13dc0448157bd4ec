"""`sst-keras export`: a SavedModel that takes raw text."""

import click

from sst_keras.cli import options
from sst_keras.runs import open_run


@click.command()
@options.run
@click.option("--out", metavar="DIR", help="The folder to make.  [default: RUN/saved_model/1]")
@click.option("--overwrite", is_flag=True, help="Replace the SavedModel in --out.")
def export(run: str, out: str | None, overwrite: bool) -> None:
    """Export RUN as a SavedModel for TensorFlow Serving.

    \b
    serving_default  text: string[batch] → probabilities: float32[batch, classes],
                     label: int64[batch], class_name: string[batch]
    explain          the same with tokens and their attention, if the model has attention

    Its model card, assets.extra/model_card.md, says what the model learned from, how good it is,
    and where it fails.
    """
    directory = open_run(run)

    from sst_keras.serving.export import export as export_run

    click.echo(export_run(directory, out, overwrite))
