"""`history.csv`: what training logs, one row an epoch.

The schema stands here once: training writes it, plots and reports read it, and neither needs the
other.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sst_keras import files
from sst_keras.errors import InputError

COLUMNS = (
    "epoch",  # from 1
    "loss",  # mean over the epoch's training examples, dropout on
    "accuracy",  # 0 to 1, likewise
    "dev_loss",  # after the epoch
    "dev_accuracy",
    "learning_rate",
    "embedding_learning_rate",  # only where the embeddings have a rate of their own
    "seconds",  # of training alone
    "examples_per_second",
)
OPTIONAL_COLUMNS = ("embedding_learning_rate",)
TIME_COLUMNS = ("seconds", "examples_per_second")  # the only ones that differ from run to run


@dataclass(frozen=True)
class History:
    """The rows of a `history.csv`.

    Attributes:
        rows: Column → value, an epoch a row. A value is nan where training had no number.
    """

    rows: tuple[dict[str, float], ...]

    def column(self, name: str) -> list[float]:
        """Returns a column's values, epoch by epoch."""
        return [row[name] for row in self.rows]

    @property
    def best_epoch(self) -> int:
        """The epoch of the highest dev accuracy; among equals of the lowest dev loss, the first.

        It is 0 where no epoch has a dev accuracy.
        """
        scored = [row for row in self.rows if not math.isnan(row["dev_accuracy"])]
        return int(min(scored, key=_rank)["epoch"]) if scored else 0


def _rank(row: Mapping[str, float]) -> tuple[float, float]:
    """Returns what orders epochs, the best lowest; a dev loss of nan counts as the highest."""
    loss = row["dev_loss"]
    return (-row["dev_accuracy"], math.inf if math.isnan(loss) else loss)


def write_history(path: str | Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Writes a history so that it reads back exactly; the file appears whole or not at all.

    Args:
        path: The file.
        rows: Column → value, an epoch a row, each with the first one's columns.

    Raises:
        ValueError: If there are no rows, or a row's columns are not those of a history.
    """
    if not rows:
        raise ValueError("Expected a row for each epoch. Received none")
    columns = [name for name in COLUMNS if name in rows[0] or name not in OPTIONAL_COLUMNS]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        if set(row) != set(columns):
            raise ValueError(f"Expected the columns {columns}. Received: {list(row)}")
        # Python writes a float with the digits it takes to read it back; NumPy's float32 does not.
        writer.writerow([int(row["epoch"]), *(float(row[name]) for name in columns[1:])])
    files.write_text(path, text.getvalue())


def read_history(path: str | Path) -> History:
    """Reads a `history.csv`.

    Args:
        path: The file. Columns may stand in any order, and others beside them.

    Raises:
        InputError: If it is not there, empty, or lacks a column, or a value is no number.
    """
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:  # Excel writes a BOM.
            reader = csv.DictReader(file)
            found = reader.fieldnames or []
            missing = [name for name in COLUMNS if name not in (*found, *OPTIONAL_COLUMNS)]
            if missing:
                raise InputError(
                    f"{path}: expected the columns of a training history. Missing: "
                    f"{', '.join(missing)}. Received: {', '.join(found) or 'an empty file'}. "
                    f"`sst-keras train` writes such a file."
                )
            columns = [name for name in COLUMNS if name in found]
            rows = tuple(
                {name: _number(row, name, f"{path}, line {reader.line_num}") for name in columns}
                for row in reader
            )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: expected a training history. {error}") from None
    if not rows:
        raise InputError(
            f"{path}: expected a row for each epoch. Received the header alone: no epoch was "
            f"finished. Train the run again."
        )
    return History(rows)


def _number(row: Mapping[str, str | None], column: str, source: str) -> float:
    """Returns a cell's number; `source` is what an error calls the line."""
    text = row[column]
    try:
        number = float(text if text is not None else "")
    except ValueError:
        number = None
    if number is None or (column == "epoch" and not number.is_integer()):
        kind = "a whole number" if column == "epoch" else "a number or nan"
        raise InputError(
            f"{source}: expected {kind} in the column {column}. "
            f"Received: {'a line cut short' if text is None else repr(text)}"
        )
    return number
