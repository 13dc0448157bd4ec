"""`sst-keras export`: a SavedModel that takes raw text, or ONNX or LiteRT."""

from contextlib import nullcontext

import click

from sst_keras.cli import options
from sst_keras.cli.terminal import say
from sst_keras.errors import UsageError
from sst_keras.runs import RunDirectory, open_run


@click.command()
@options.run
@click.option(
    "--format", "form", type=click.Choice(["saved-model", "onnx", "litert", "encoder"]),
    default="saved-model", show_default=True, help="What to make.",
)  # fmt: skip
@click.option("--out", metavar="DIR", help="The folder to make.  [default: one in RUN]")
@click.option("--overwrite", is_flag=True, help="Replace the export in --out.")
def export(run: str, form: str, out: str | None, overwrite: bool) -> None:
    """Export RUN as a SavedModel for TensorFlow Serving, in RUN/saved_model/1.

    \b
    serving_default  text: string[batch] → probabilities: float32[batch, classes],
                     label: int64[batch], class_name: string[batch],
                     unknown_words: float32[batch]
    explain          the same with tokens and their attention, if the model has attention

    Its model card, assets.extra/model_card.md, says what the model learned from, how good it is,
    and where it fails.

    Or as ONNX (RUN/onnx) or LiteRT (RUN/litert), for other runtimes and phones. These take no text:
    token_ids: int32[batch, time] → probabilities, attention. about.json beside them names the
    classes, and the line of a word in vocabulary.txt, from 0, is its id. A batch of LiteRT is one
    text.

    An encoder (RUN/encoder) is made from a language model: what a classifier starts from
    (model.init), in a tenth of the space.
    """
    from sst_keras.pretrained import LanguageModelRun, export_encoder

    found = RunDirectory.find(run)
    is_language_model = LanguageModelRun(found.path).settings_file.is_file()
    if is_language_model != (form == "encoder"):
        kind, forms = "a language model", "encoder"
        if not is_language_model:
            kind, forms = "no language model", "saved-model, onnx or litert"
        raise UsageError(f"{run!r} is {kind}. Expected --format {forms}.")
    if form == "encoder":
        if overwrite:
            raise UsageError("--overwrite is not for encoders.")
        say(export_encoder(LanguageModelRun.find(run), out))
        return

    directory = open_run(found)
    with nullcontext() if out else directory.added_to():
        if form == "saved-model":
            from sst_keras.serving.export import export as export_run

            say(export_run(directory, out, overwrite))
            return

        from sst_keras.serving.portable import export_portable

        say(export_portable(directory, form, out, overwrite))
