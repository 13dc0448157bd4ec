"""`history.csv`: what training logs, one row per check of dev."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sst_keras import files
from sst_keras.errors import InputError

COLUMNS = (
    "epoch",  # at the check, such as 1, or 1.333 within the second epoch
    "loss",  # mean over the training examples since the last check, dropout on
    "accuracy",  # 0 to 1, likewise
    "dev_loss",  # at the check
    "dev_accuracy",
    "dev_macro_f1",  # only if the epoch is chosen by it
    "learning_rate",  # at the check
    "embedding_learning_rate",  # only if the embeddings have their own
    "seconds",  # of training, without scoring dev
    "examples_per_second",
)
# `training.monitor` → the score that ranks a check, together with its loss.
SCORES = {"accuracy": "accuracy", "macro-f1": "macro_f1", "loss": "accuracy"}
OPTIONAL_COLUMNS = ("dev_macro_f1", "embedding_learning_rate")


@dataclass(frozen=True)
class History:
    """The rows of a `history.csv`: column → value, or nan if training could not compute it.

    `monitor` is `training.monitor`, the score on dev by which the epoch to keep was chosen.
    """

    rows: tuple[dict[str, float], ...]
    monitor: str = "accuracy"

    def column(self, name: str) -> list[float]:
        """Returns a column's values, check by check."""
        return [row[name] for row in self.rows]

    @property
    def best_epoch(self) -> float:
        """The epoch of the check that ranks first; 0 if none has a dev accuracy."""
        scored = [row for row in self.rows if not math.isnan(row["dev_accuracy"])]
        column = f"dev_{SCORES[self.monitor]}"
        ranked = [(rank(row[column], row["dev_loss"], self.monitor), row) for row in scored]
        return min(ranked, key=lambda pair: pair[0])[1]["epoch"] if ranked else 0


def rank(score: float, loss: float, monitor: str = "accuracy") -> tuple[float, float]:
    """Returns a key that sorts checks best first: higher score on dev, then lower dev loss.

    With the monitor `loss`, the loss counts first. A loss of nan counts as infinite.
    """
    loss = math.inf if math.isnan(loss) else loss
    return (loss, -score) if monitor == "loss" else (-score, loss)


def shown(epoch: float) -> str:
    """Returns an epoch as it is shown: `4`, or `2.33` within the third epoch."""
    return f"{epoch:.2f}".rstrip("0").rstrip(".")


def write_history(path: str | Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Writes one row per check, column → value, so that it reads back exactly.

    Raises:
        ValueError: If there are no rows, or a row does not have the columns of a history.
    """
    if not rows:
        raise ValueError("Expected one row per check. Received none")
    columns = [name for name in COLUMNS if name in rows[0] or name not in OPTIONAL_COLUMNS]
    lines = [",".join(columns)]
    for row in rows:
        if set(row) != set(columns):
            raise ValueError(f"Expected the columns {columns}. Received: {list(row)}")
        # Python's float is written with all digits needed to read it back; NumPy's float32 is not.
        epoch = float(row["epoch"])
        numbers = [int(epoch) if epoch.is_integer() else epoch]
        numbers += [float(row[name]) for name in columns[1:]]
        lines.append(",".join(map(str, numbers)))
    files.write_text(path, "\n".join(lines) + "\n")


def read_history(path: str | Path, monitor: str = "accuracy") -> History:
    """Reads a `history.csv`. The order of its columns does not matter; others are ignored.

    Raises:
        InputError: If it is missing, empty, or lacks a column, also that of the `monitor`, or a
            value is not a number.
    """
    optional = [name for name in OPTIONAL_COLUMNS if name != f"dev_{SCORES[monitor]}"]
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:  # Excel writes a BOM.
            reader = csv.DictReader(file)
            found = reader.fieldnames or []
            missing = [name for name in COLUMNS if name not in (*found, *optional)]
            if missing:
                raise InputError(
                    f"{path}: expected the columns of a training history. Missing: "
                    f"{', '.join(missing)}. Received: {', '.join(found) or 'an empty file'}. "
                    f"`sst-keras train` writes such a file."
                )
            columns = [name for name in COLUMNS if name in found]
            rows = []
            for row in reader:
                place = f"{path}, line {reader.line_num}"
                rows.append({name: _number(row[name], name, place) for name in columns})
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: expected a training history. {error}") from None
    if not rows:  # no epoch was finished
        received = "Received only the header. Train the run again."
        raise InputError(f"{path}: expected one row per check of dev. {received}")
    return History(tuple(rows), monitor)


def _number(text: str | None, column: str, place: str) -> float:
    """Returns the number in a cell; None is a cell that a short line lacks."""
    kind = "a number above 0" if column == "epoch" else "a number or nan"
    try:
        number = float(text or "")
        if column != "epoch" or 0 < number < math.inf:
            return number
    except ValueError:
        pass
    received = "a line cut short" if text is None else repr(text)
    raise InputError(f"{place}: expected {kind} in the column {column}. Received: {received}")
