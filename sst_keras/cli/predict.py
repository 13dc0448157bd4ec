"""`sst-keras predict`: the predictions of a model for texts."""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sst_keras.cli import cluster, options
from sst_keras.cli.terminal import say
from sst_keras.controls import visible
from sst_keras.errors import UsageError
from sst_keras.files import to_json
from sst_keras.runs import SMALL, find_export, model_places, open_run
from sst_keras.settings import TEXT_READING, DataConfig, Pipeline

if TYPE_CHECKING:
    from sst_keras.serving.prediction import Prediction, Predictor
    from sst_keras.serving.scoring import Answer, Lines
    from sst_keras.tables.reading import Table

log = logging.getLogger(__name__)

_OF_TABLES = ("text_column", "delimiter", "quoting", "header")
_ENDINGS = (".csv", ".tsv", ".jsonl")  # of --out FILE, as in `scoring`, which loads TensorFlow


class TextsCommand(click.Command):
    """A command whose arguments are texts, which may begin like options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses the arguments. The error about an unknown option says what to do with a text."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            error.message += " If it is a text, put -- before the texts."
            raise


@click.command(cls=TextsCommand)
@click.argument("arguments", metavar="[RUN|EXPORT] [TEXT...]", nargs=-1)
@click.option(
    "--file",
    metavar="FILE",
    help="CSV, TSV, JSON or Parquet, of which each row is predicted, or another file with a text "
    "per line; - is standard input. With --out DIR also a folder or a pattern.",
)
@click.option(
    "--out",
    metavar="FILE|DIR",
    help="Write the rows of --file with their predictions to this CSV, TSV or JSONL file, or in "
    "parts into this folder: a name without an ending, or with / at its end.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "tsv", "jsonl", "parquet"]),
    help="The format of the parts in --out DIR.  [default: csv]",
)
@click.option(
    "--part-rows",
    type=click.IntRange(1),
    metavar="N",
    help="Rows of a part in --out DIR.  [default: 50,000]",
)
@click.option(
    "--resume", is_flag=True, help="Go on with --out where the same command was stopped or killed."
)
@click.option(
    "--keep-formulas",
    is_flag=True,
    help="Do not put ' before the cells of CSV and TSV that a spreadsheet takes for formulas.",
)
@click.option("--no-attention", is_flag=True, help="Leave tokens and attention out of the answers.")
@cluster.options("shared_files")
@options.reading(*TEXT_READING)
@options.as_json
def predict(
    arguments: tuple[str, ...],
    file: str | None,
    out: str | None,
    form: str | None,
    part_rows: int | None,
    resume: bool,
    keep_formulas: bool,
    no_attention: bool,
    engine: str,
    address: str | None,
    cpus: int | None,
    gpus: float | None,
    as_json: bool,
    **reading: object,
) -> None:
    """Classify texts with a run, an exported SavedModel, or the small model of this package.

    Without TEXT or --file, texts are read from standard input, one per line, and answered as they
    come. The predictions have the order of the texts. A text that is blank or not UTF-8, or a row
    that cannot be read, is answered in its place by its line and the reason. In JSON, class_name is
    the label as the data have it, and label is its place among the classes, from 0.

    With --out, a column prediction_problem has that reason. The rows are written to OUT.part, which
    becomes OUT at the end. In CSV and TSV, a cell that begins with =, +, - or @ and is not a number
    gets ' before it, so that spreadsheets do not take it for a formula.

    If --out names a folder, --file may name many files, and each part in the folder has some rows
    of one of them. _parts.jsonl there says which parts are done. With --engine ray, the parts are
    made by a Ray cluster, whose nodes all see the files, the model and the folder.
    """
    model, texts = model_and_texts(arguments)
    if texts and file:
        raise UsageError("expected either TEXTs or a file. Received both.", setting="file")
    if resume and not (out and file not in (None, "-")):
        raise UsageError("expected --file and --out, to go on with them.", setting="resume")
    if keep_formulas and not out:
        raise UsageError("expected --out, which it is about.", setting="keep_formulas")
    if no_attention and out:
        raise UsageError("expected no --out, which has no attention.", setting="no_attention")
    request = {"address": address, "cpus": cpus, "gpus": gpus}
    cluster.check(engine, request, {})
    in_parts = bool(out) and _names_folder(out)
    if out and not in_parts and Path(out).suffix.lower() not in _ENDINGS:
        raise UsageError(
            f"expected a file ending in {', '.join(_ENDINGS)}, or a folder, with / at its end. "
            f"Received: {out!r}",
            setting="out",
        )
    for name, value in (("form", form), ("part_rows", part_rows), ("engine", engine == "ray")):
        if value and not (in_parts and file not in (None, "-")):
            raise UsageError("expected --file, and --out with a folder.", setting=name)
    if in_parts and file in (None, "-"):
        raise UsageError(
            f"expected --file, whose rows go into a folder, or here a file ending in "
            f"{', '.join(_ENDINGS)}. Received: {out!r}",
            setting="out",
        )
    if in_parts:
        parts = {"ending": f".{form or 'csv'}", "keep_formulas": keep_formulas}
        parts |= {"rows": part_rows} if part_rows else {}
        _predict_parts(model, file, Path(out), reading, parts, resume, engine, request, as_json)
        return
    for text in texts:
        if _is_file(text):
            raise UsageError(f"expected a text. {text!r} is a file: did you mean --file {text}?")
    if file in (None, "-"):
        for name in (name for name, value in reading.items() if value):
            message = "expected a file to read with this option, by --file."
            raise UsageError(message, setting=f"data.{name}")
        table = None
    else:
        table = _open_table(Path(file), model, reading)

    from sst_keras.serving.prediction import Predictor
    from sst_keras.serving.scoring import NOT_CLASSIFIED, Lines, predictions, read_stream

    folder = find_model(Path(model))
    predictor = Predictor.load(folder)
    if table is None and texts:
        # Bytes of an argument that are not UTF-8 arrive as characters that cannot be written.
        lines = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        table = Lines("arguments", [lines])
    elif table is None:
        stream = click.open_file("-", "rb")
        if stream.isatty():
            log.warning("Type texts, one per line. End with Ctrl-D.")
        table = Lines("standard input", read_stream(stream))
    if out:
        rows = _write(predictor, table, Path(out), resume, keep_formulas, folder)
        _report(table)
        bad, _ = table.counts.get(NOT_CLASSIFIED, (0, []))
        answer = {"out": out, "rows": rows, "not_classified": bad}
        say(to_json(answer) if as_json else f"{out}: {rows:,} rows with their predictions")
        return
    blocks = predictions(predictor, table, explain=not no_attention)
    if as_json:
        _print_json(answer for answers in blocks for answer in answers)
    else:
        for answers in blocks:
            print_answers(answers)
    _report(table)


def _predict_parts(
    model: str,
    name: str,
    out: Path,
    reading: Mapping[str, object],
    parts: Mapping[str, Any],
    resume: bool,
    engine: str,
    request: Mapping[str, Any],
    as_json: bool,
) -> None:
    """Predicts the rows of a file, a folder or a pattern into the parts of a folder."""
    from sst_keras.cli.progress import bar
    from sst_keras.serving.parts import Job, fingerprint, predict_parts
    from sst_keras.tables import patterns

    found = patterns.matches(name)
    if not found:
        raise UsageError(f"there is no file or folder {name!r}. Correct the path.", setting="file")
    paths = []
    for path in found:
        _check_kind(path)
        paths += patterns.files_in(path)[0] if path.is_dir() else [path]
    out = out.resolve()
    # A link keeps its name, which says how the file is read; what it leads to may have none.
    by_target: dict[Path, Path] = {}
    for path in paths:
        by_target.setdefault(path.resolve(), path.parent.resolve() / path.name)
    paths = [path for target, path in by_target.items() if out not in target.parents]
    if not paths:
        raise UsageError(
            f"expected files ending in {', '.join(patterns.ENDINGS)} in {name!r}. Received none.",
            setting="file",
        )
    data = _data(model, reading)
    folder = find_model(Path(model)).resolve()
    as_tables = any(value for option, value in reading.items() if option in _OF_TABLES)
    job = Job(tuple(paths), data, folder, fingerprint(folder), out, as_tables, **parts)
    with contextlib.ExitStack() as stack:
        flow = None
        if engine == "ray":
            flow = stack.enter_context(cluster.connect(**request)).flow
        move = stack.enter_context(bar(lambda done, size: f"Predicting into {out.name}", "rows"))
        done = predict_parts(job, flow, resume, lambda done: move(done.rows, 0))
    for note in done.notes():
        log.warning(note)
    if as_json:
        answer = {"out": str(out), "files": len(paths), "parts": done.parts, "rows": done.rows}
        answer |= {"not_classified": done.not_classified, "problems": done.problems}
        say(to_json(answer))
    else:
        parts = "1 part" if done.parts == 1 else f"{done.parts:,} parts"
        say(f"{out}: {done.rows:,} rows with their predictions, in {parts}")
    if done.problems:
        shown = "\n".join(list(done.problems.values())[:10])
        raise click.ClickException(
            f"{len(done.problems):,} of {len(paths):,} files could not be read to the end:\n{shown}"
        )


def _write(
    predictor: Predictor,
    table: Table | Lines,
    out: Path,
    resume: bool,
    keep_formulas: bool,
    model: Path,
) -> int:
    from sst_keras.cli.progress import bar
    from sst_keras.serving.parts import fingerprint
    from sst_keras.serving.scoring import score_table

    if resume and out.is_file() and not out.with_name(out.name + ".part").is_file():
        raise UsageError(
            f"there is no {out.name}.part of a stopped command to go on with, and {str(out)!r} "
            f"exists. Leave the option out to write it anew.",
            setting="resume",
        )
    with bar(lambda done, size: f"Predicting {out.name}", unit="lines") as move:
        return score_table(
            predictor, table, out, resume, fingerprint(model), move, keep_formulas=keep_formulas
        )


def _print_json(answers: Iterable[Answer]) -> None:
    """Prints an object with all predictions, each as soon as it is there."""
    click.echo('{"predictions": [', nl=False)
    for number, answer in enumerate(answers):
        shown = {"line": answer.line, "text": answer.text, "problem": answer.problem}
        if answer.prediction:
            shown = answer.prediction.to_dict()
        click.echo((",\n " if number else "") + to_json(shown), nl=False)
    click.echo("]}")


def _names_folder(out: str) -> bool:
    """Whether a path is that of a folder: one that exists, ends in /, or has no ending."""
    return out.endswith(("/", os.sep)) or Path(out).is_dir() or not Path(out).suffix


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # too long for a path, or with a NUL
        return False


def _check_kind(path: Path) -> None:
    """Raises a `UsageError` for a pipe: a file is read more than once."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise UsageError(
            f"expected a regular file. {str(path)!r} is a pipe or a device. Write its rows to a "
            f"file, or give texts, one per line, on standard input, with --file -.",
            setting="file",
        )


def _open_table(path: Path, model: str, reading: Mapping[str, object]) -> Table:
    """Opens a file. Each line is a text, unless the name or an option says that it is a table."""
    from sst_keras.tables.reading import open_texts

    if not path.is_file():
        _check_kind(path)
        problem = "is a folder" if path.is_dir() else "does not exist"
        raise UsageError(f"expected a file. {str(path)!r} {problem}.", setting="file")
    given = any(value for option, value in reading.items() if option in _OF_TABLES)
    return open_texts(path, _data(model, reading), as_table=given)


def _data(model: str, reading: Mapping[str, object]) -> DataConfig:
    """Returns how files are read. A run's own column of texts is the default."""
    data = options.changed(Pipeline(), reading).data
    if not reading["text_column"] and not find_export(model):
        data = replace(data, text_column=open_run(model).pipeline.data.text_column)
    return data


def _report(table: Table | Lines) -> None:
    about = getattr(table, "about", None)
    for note in filter(None, (about, *table.notes())):
        log.warning(note)


def model_and_texts(arguments: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Returns the model and the texts of `[RUN|EXPORT] [TEXT...]`.

    Without a model, it is the one that ships with the package, and a message says so. A single word
    before others, or a path, is a model that is missing, not a text: `UsageError`.
    """
    first, *others = arguments or ("",)
    if first and _is_model(first):
        return first, tuple(others)
    if first and not re.search(r"\s", first) and (others or "/" in first) and not _is_file(first):
        raise UsageError(
            f"there is no run or export {first!r}. `sst-keras runs` lists the runs. If it is a "
            f"text, name the model before it, such as {SMALL}."
        )
    log.warning(f"Model: {SMALL}, which ships with sst_keras.")
    return SMALL, tuple(arguments)


def _is_model(name: str) -> bool:
    """Returns whether a name is that of a model, or of a folder that should be one."""
    try:
        return bool(find_export(name)) or any(place.is_dir() for place in model_places(name))
    except (OSError, ValueError):  # too long for a path, or with a NUL
        return False


def find_model(model: Path) -> Path:
    """Returns the SavedModel's folder: `model` itself or a run's, exported if necessary."""
    if exported := find_export(model):
        return exported
    run = open_run(model)
    with run.added_to():
        if not (run.saved_model_dir / "saved_model.pb").is_file():  # nobody has made it meanwhile
            from sst_keras.serving.export import export

            export(run)
    return run.saved_model_dir


def print_answers(answers: Iterable[Answer]) -> None:
    """Prints predictions, and the line and the reason of those that are missing."""
    for answer in answers:
        if answer.prediction:
            print_predictions([answer.prediction])
        else:
            click.secho(visible(answer.text), italic=True)
            click.echo(f"→ not classified: line {answer.line}: {visible(answer.problem)}")


def print_predictions(predictions: Sequence[Prediction]) -> None:
    """Prints the class of each text, all probabilities as bars, and the attention."""
    for prediction in predictions:
        click.secho(visible(prediction.text), italic=True)
        top = prediction.probabilities[prediction.class_name]
        click.echo(f"→ {click.style(visible(prediction.class_name), bold=True)} ({top:.0%})")
        width = max(map(len, prediction.probabilities))
        for name, probability in prediction.probabilities.items():
            click.echo(
                f"  {visible(name):<{width}} {probability:>4.0%} {'█' * round(30 * probability)}"
            )
        if prediction.is_a_guess:
            click.echo(f"  unknown to the model: {prediction.unknown_words:.0%} of the words")
        if prediction.tokens:
            weighed = zip(prediction.attention, prediction.tokens, strict=True)
            highest = sorted(weighed, key=lambda pair: pair[0], reverse=True)[:5]
            words = ", ".join(f"{visible(token)} {weight:.0%}" for weight, token in highest)
            click.echo(f"  attention: {words}")
