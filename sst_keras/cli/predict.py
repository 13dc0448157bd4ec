"""`sst-keras predict`: the predictions of a model for texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sst_keras.cli import options
from sst_keras.errors import InputError, UsageError
from sst_keras.files import to_json
from sst_keras.runs import find_export, open_run

if TYPE_CHECKING:
    from sst_keras.serving.prediction import Prediction


@click.command()
@click.argument("model", metavar="RUN|EXPORT")
@click.argument("texts", metavar="[TEXT...]", nargs=-1)
@click.option("--file", metavar="FILE", help="A file with a text per line; - is standard input.")
@options.as_json
def predict(model: str, texts: tuple[str, ...], file: str | None, as_json: bool) -> None:
    """Classify texts with a run or an exported SavedModel.

    Without TEXT or --file, texts are read from standard input, one per line.
    """
    if texts and file:
        raise UsageError("expected either TEXTs or a file. Received both.", setting="file")
    # Bytes of an argument that are not UTF-8 arrive as characters that cannot be written.
    lines = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
    lines = lines or _read_lines(file or "-")

    from sst_keras.serving.prediction import Predictor

    predictions = Predictor.load(_exported(Path(model))).predict(lines, explain=True)
    if as_json:
        click.echo(to_json({"predictions": [prediction.to_dict() for prediction in predictions]}))
    else:
        print_predictions(predictions)


def _exported(model: Path) -> Path:
    """Returns the SavedModel's folder: `model` itself or a run's, exported if necessary."""
    if exported := find_export(model):
        return exported
    run = open_run(model)
    if not (run.saved_model_dir / "saved_model.pb").is_file():
        from sst_keras.serving.export import export

        export(run)
    return run.saved_model_dir


def _read_lines(file: str) -> list[str]:
    with click.open_file(file, "rb") as stream:
        raw = stream.read()
    try:
        return raw.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(
            f"{'standard input' if file == '-' else file}: expected UTF-8, but byte {error.start} "
            f"is {raw[error.start]:#04x}. Convert it, for example: iconv -f latin1 -t utf-8"
        ) from None


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
