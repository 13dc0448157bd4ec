"""`sst-keras predict`: the predictions of a model for texts."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sst_keras.cli import options
from sst_keras.errors import InputError, UsageError
from sst_keras.files import to_json
from sst_keras.runs import find_export, open_run
from sst_keras.settings import Pipeline

if TYPE_CHECKING:
    from sst_keras.serving.prediction import Prediction
    from sst_keras.tables.reading import Table

log = logging.getLogger(__name__)

_READING = ("text_column", "delimiter", "quoting", "header", "encoding", "markup")


class _WithTexts(click.Command):
    """A command whose arguments are texts, which may begin like options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses the arguments. The error about an unknown option says what to do with a text."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            error.message += " If it is a text, put -- before the texts."
            raise


@click.command(cls=_WithTexts)
@click.argument("model", metavar="RUN|EXPORT")
@click.argument("texts", metavar="[TEXT...]", nargs=-1)
@click.option(
    "--file",
    metavar="FILE",
    help="CSV, TSV or JSON, of which each row is predicted, or another file with a text per line; "
    "- is standard input.",
)
@click.option(
    "--out",
    metavar="FILE",
    help="Write the rows of --file with their predictions to this CSV, TSV or JSONL file.",
)
@options.reading(*_READING)
@options.as_json
def predict(
    model: str,
    texts: tuple[str, ...],
    file: str | None,
    out: str | None,
    as_json: bool,
    **reading: object,
) -> None:
    """Classify texts with a run or an exported SavedModel.

    Without TEXT or --file, texts are read from standard input, one per line. The predictions have
    the order of the texts.
    """
    if texts and file:
        raise UsageError("expected either TEXTs or a file. Received both.", setting="file")
    if out and file in (None, "-"):
        raise UsageError("expected a file whose rows are predicted, by --file.", setting="out")
    for text in texts:
        if _is_file(text):
            raise UsageError(f"expected a text. {text!r} is a file: did you mean --file {text}?")
    if file in (None, "-"):
        for name in (name for name, value in reading.items() if value):
            message = "expected a file to read with this option, by --file."
            raise UsageError(message, setting=f"data.{name}")
    # Bytes of an argument that are not UTF-8 arrive as characters that cannot be written.
    lines = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
    table = None
    if file in (None, "-"):
        lines = lines or _standard_input()
    else:
        table = _open_table(Path(file), model, reading)

    from sst_keras.serving.prediction import Predictor

    predictor = Predictor.load(_exported(Path(model)))
    if out:
        from sst_keras.serving.scoring import score_table

        rows = score_table(predictor, table, Path(out))
        _report(table)
        click.echo(f"{out}: {rows:,} rows with their predictions")
        return
    if table:
        for block in table.blocks():
            table.count_blank(block)
            lines += block.texts
        _report(table)
    predictions = predictor.predict(lines, explain=True)
    if as_json:
        click.echo(to_json({"predictions": [prediction.to_dict() for prediction in predictions]}))
    else:
        print_predictions(predictions)


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # too long for a path, or with a NUL
        return False


def _open_table(path: Path, model: str, reading: Mapping[str, object]) -> Table:
    """Opens a file. Each line is a text, unless the name or an option says that it is a table."""
    from sst_keras.tables.reading import is_table, open_lines, open_table

    if not path.is_file():
        problem = "is a folder" if path.is_dir() else "does not exist"
        raise UsageError(f"expected a file. {str(path)!r} {problem}.", setting="file")
    data = options.changed(Pipeline(), reading).data
    given = {name for name, value in reading.items() if value} - {"encoding", "markup"}
    if "text_column" not in given and not find_export(model):
        data = replace(data, text_column=open_run(model).pipeline.data.text_column)
    if not given and not is_table(path, data):
        return open_lines(path, data)
    return open_table(path, data, with_label=False)


def _report(table: Table) -> None:
    for note in (table.about, *table.notes()):
        log.warning(note)


def _exported(model: Path) -> Path:
    """Returns the SavedModel's folder: `model` itself or a run's, exported if necessary."""
    if exported := find_export(model):
        return exported
    run = open_run(model)
    if not (run.saved_model_dir / "saved_model.pb").is_file():
        from sst_keras.serving.export import export

        export(run)
    return run.saved_model_dir


def _standard_input() -> list[str]:
    """Returns the lines of standard input. Only line feeds end a line."""
    raw = click.open_file("-", "rb").read()
    try:
        lines = raw.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(
            f"standard input: expected UTF-8. Byte {error.start} is {raw[error.start]:#04x}. "
            f"Convert it, for example: iconv -f cp1252 -t utf-8"
        ) from None
    lines = lines if lines[-1] else lines[:-1]
    return [line.removesuffix("\r") for line in lines]


def print_predictions(predictions: Sequence[Prediction]) -> None:
    """Prints the class of each text, all probabilities as bars, and the attention."""
    for prediction in predictions:
        click.secho(prediction.text, italic=True)
        top = prediction.probabilities[prediction.class_name]
        click.echo(f"→ {click.style(prediction.class_name, bold=True)} ({top:.0%})")
        width = max(map(len, prediction.probabilities))
        for name, probability in prediction.probabilities.items():
            click.echo(f"  {name:<{width}} {probability:>4.0%} {'█' * round(30 * probability)}")
        if prediction.tokens:
            weighed = zip(prediction.attention, prediction.tokens, strict=True)
            highest = sorted(weighed, key=lambda pair: pair[0], reverse=True)[:5]
            words = ", ".join(f"{token} {weight:.0%}" for weight, token in highest)
            click.echo(f"  attention: {words}")
