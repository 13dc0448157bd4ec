"""The rows of a table → the same rows with their predictions, in a file of the same order."""

import csv
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from sst_keras import files
from sst_keras.errors import UsageError
from sst_keras.serving.prediction import Prediction, Predictor
from sst_keras.tables.reading import Table

ENDINGS = (".csv", ".tsv", ".jsonl")
_CLASS, _PROBABILITY = "predicted_class", "predicted_probability"


def score_table(predictor: Predictor, table: Table, out: Path) -> int:
    """Predicts each row of a table and writes it with its prediction. Returns the number of rows.

    The columns of the table come first. Then come `predicted_class`, `predicted_probability` and
    `probability_NAME` for each class. Memory does not grow with the number of rows.

    Args:
        predictor: The model.
        table: The opened file.
        out: The file to write: CSV, TSV or JSON Lines, by its ending.

    Raises:
        UsageError: If `out` has another ending, is the table itself, or a column exists already.
        InputError: If a row cannot be read.
    """
    if not out.name.endswith(ENDINGS) or out.resolve() == table.path.resolve():
        message = f"expected another file, ending in {', '.join(ENDINGS)}. Received: {str(out)!r}"
        raise UsageError(message, setting="out")
    new = [_CLASS, _PROBABILITY, *(f"probability_{name}" for name in predictor.class_names)]
    names = table.names or ("text",)
    if taken := [name for name in new if name in names]:
        raise UsageError(
            f"{table.path} has a column {taken[0]!r} already. Rename it first.", setting="file"
        )
    rows = 0
    with files.whole_file(out) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        with _writer(out, file, [*names, *new]) as write:
            for block in table.blocks():
                predictions = predictor.predict(block.texts)
                table.count_blank(block)
                complete = block.rows if table.names else [(text,) for text in block.texts]
                for row, prediction in zip(complete, predictions, strict=True):
                    write([*_padded(row, len(names)), *_answer(prediction)])
                rows += len(predictions)
    return rows


def _padded(row: Sequence[Any], width: int) -> list[Any]:
    return [*row, *[""] * (width - len(row))][:width]


def _answer(prediction: Prediction) -> list[Any]:
    probabilities = [round(value, 6) for value in prediction.probabilities.values()]
    return [
        prediction.class_name,
        round(prediction.probabilities[prediction.class_name], 6),
        *probabilities,
    ]


@contextmanager
def _writer(out: Path, file: TextIO, names: Sequence[str]) -> Iterator[Any]:
    """Yields a function that writes a row of values."""
    if out.suffix == ".jsonl":
        yield lambda row: file.write(
            json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) + "\n"
        )
        return
    writer = csv.writer(file, delimiter="\t" if out.suffix == ".tsv" else ",", lineterminator="\n")
    writer.writerow(names)
    yield writer.writerow
