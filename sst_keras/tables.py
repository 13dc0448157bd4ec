"""CSV, TSV and JSONL files → texts and labels, and a single file → train, dev and test."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sst_keras.errors import InputError, UsageError
from sst_keras.settings import DataConfig

SPLITS = ("train", "dev", "test")
_EXTENSIONS = (".csv", ".tsv", ".jsonl")
_FEWEST_CLASSES, _MOST_CLASSES = 2, 20


@dataclass(frozen=True)
class Table:
    """Rows of a file, in columns.

    Attributes:
        texts: The texts.
        labels: The labels as they are written.
        places: File and line of each row, for errors.
    """

    texts: list[str]
    labels: list[str]
    places: list[str]

    def rows(self, indices: Iterable[int]) -> Table:
        """Returns some of the rows."""
        columns = (self.texts, self.labels, self.places)
        return Table(*([column[row] for row in indices] for column in columns))


def read_splits(
    path: Path, data: DataConfig
) -> tuple[dict[str, Table], tuple[str, ...], list[str]]:
    """Reads train, dev and test from a folder, or from one file, which is split.

    Args:
        path: A folder with `train`, `dev` and `test` files of one extension, or a file.
        data: The names of columns and classes, and the seed of the split.

    Returns:
        Split → table, the classes in order, and notes for the user.

    Raises:
        UsageError: If there are no such files, or they lack columns.
        InputError: If a file cannot be read, or has too few rows, or too few or too many classes.
    """
    extensions = ", ".join(_EXTENSIONS)
    if not path.exists():
        raise UsageError(
            f"expected sst5, sample, auto or a path, but there is no {data.dataset!r}.",
            setting="data.dataset",
        )
    if path.is_file():
        if path.suffix not in _EXTENSIONS:
            raise UsageError(
                f"expected a file with the extension {extensions}, or a folder with train, dev and "
                f"test files. Received: {data.dataset!r}",
                setting="data.dataset",
            )
        table = read_table(path, data)
        names = class_names([table], data)
        splits, notes = split_table(table, path, data.split_seed)
        return splits, names, notes
    for extension in _EXTENSIONS:
        if (path / f"train{extension}").is_file():
            require_splits(path, extension)
            splits = {name: read_table(path / f"{name}{extension}", data) for name in SPLITS}
            return splits, class_names(list(splits.values()), data), []
    raise UsageError(
        f"expected train.txt (trees), train.csv, train.tsv or train.jsonl, each with its dev and "
        f"test, in the folder {data.dataset!r}. Received none of them.",
        setting="data.dataset",
    )


def require_splits(folder: Path, extension: str) -> None:
    """Raises a `UsageError` unless a folder with `train` has `dev` and `test` too."""
    names = [f"{name}{extension}" for name in SPLITS]
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise UsageError(
            f"{str(folder)!r} has {names[0]} but no {', '.join(missing)}.", setting="data.dataset"
        )


def split_table(table: Table, path: Path, seed: int) -> tuple[dict[str, Table], list[str]]:
    """Splits a table 80/10/10, each class by itself, with equal texts in the same split.

    Returns:
        Split → table, and notes for the user.

    Raises:
        InputError: If a split would be empty.
    """
    # A copy of a training text in test would measure memory.
    first: dict[str, int] = {}
    group = np.asarray([first.setdefault(text.strip(), len(first)) for text in table.texts])
    leaders = np.unique(group, return_index=True)[1]  # [groups], the first row of each text
    leader_labels = np.asarray(table.labels)[leaders]
    side = np.empty(len(leaders), np.int64)  # the split of each group
    random = np.random.default_rng(seed)
    for label in sorted(set(table.labels)):
        members = random.permutation(np.flatnonzero(leader_labels == label))
        dev, test = round(0.8 * len(members)), round(0.9 * len(members))
        side[members[:dev]], side[members[dev:test]], side[members[test:]] = 0, 1, 2
    splits = {
        name: table.rows(np.flatnonzero(side[group] == number))
        for number, name in enumerate(SPLITS)
    }
    if not all(split.texts for split in splits.values()):
        raise InputError(
            f"{path}: {len(group)} rows are too few to split into train, dev and test. Expected at "
            f"least 10 of some class."
        )
    notes = [f"{path} was split 80/10/10 by data.split_seed {seed}, each class by itself."]
    if len(leaders) < len(group):
        notes.append(
            f"{len(group) - len(leaders)} of {len(group)} rows repeat an earlier text; equal texts "
            f"are in the same split."
        )
    return splits, notes


def class_names(tables: Sequence[Table], data: DataConfig) -> tuple[str, ...]:
    """Returns the classes in order: as `data.labels` gives them, or sorted, numbers by value.

    Raises:
        InputError: If there are too few or too many classes, or a row has another one.
    """
    found = {label for table in tables for label in table.labels}
    names = data.labels or tuple(sorted(found, key=_sort_key(found)))
    if not _FEWEST_CLASSES <= len(names) <= _MOST_CLASSES:
        raise InputError(
            f"{data.dataset}: expected {_FEWEST_CLASSES} to {_MOST_CLASSES} classes in the column "
            f"{data.label_column!r}. Received {len(names)}: {', '.join(names[:5])}"
            f"{', ...' if len(names) > 5 else ''}. Is it the right column?"
        )
    for table in tables:
        for label, place in zip(table.labels, table.places, strict=True):
            if label not in names:
                raise InputError(
                    f"{place}: the label {label!r} is not one of the classes {', '.join(names)}. "
                    f"Correct the row, or name all classes.",
                    setting="data.labels",
                )
    return names


def _sort_key(labels: Iterable[str]) -> Callable[[str], Any]:
    """Returns the key that sorts labels: by value if all are numbers, else as text."""
    try:
        for label in labels:
            float(label)
    except ValueError:
        return str
    return float


def read_table(path: Path, data: DataConfig) -> Table:
    """Reads a CSV, TSV or JSONL file.

    Raises:
        UsageError: If it lacks a column.
        InputError: If it is not such a file, or a label is missing.
    """
    texts, labels, places = [], [], []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = _json_rows(file, path) if path.suffix == ".jsonl" else _csv_rows(file, path)
            for line, row in rows:
                place = f"{path}, line {line}"
                text, label = _text_and_label(row, data, place)
                texts.append(text)
                labels.append(label)
                places.append(place)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: expected UTF-8, but found the byte {error.object[error.start]:#04x} "
            f"({error.reason}). Save the file as UTF-8, for example: "
            f"iconv -f latin1 -t utf-8 {path.name}"
        ) from None
    if not texts:
        raise InputError(f"{path}: expected a text and a label per row. Received no rows.")
    return Table(texts, labels, places)


def _text_and_label(row: dict[str, Any], data: DataConfig, place: str) -> tuple[str, str]:
    """Returns a row's text and label."""
    for setting in ("text_column", "label_column"):
        column = getattr(data, setting)
        if row.get(column) is None:
            raise UsageError(
                f"{place}: expected a column {column!r}. Received: {', '.join(map(str, row))}. "
                f"Name the column of this file.",
                setting=f"data.{setting}",
            )
    text = str(row[data.text_column])
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:  # half of a surrogate pair, which JSON can hold
        raise InputError(
            f"{place}: expected text that UTF-8 can encode. Received "
            f"{error.object[error.start]!r} in it."
        ) from None
    label = str(row[data.label_column]).strip()
    if not label:
        raise InputError(f"{place}: expected a label. Received none.")
    return text, label


def _csv_rows(file: Iterable[str], path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields the rows of a CSV or TSV file with a header, and the line on which each ends."""
    reader = csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ",", strict=True)
    try:
        for row in reader:
            if None in row:
                raise InputError(
                    f"{path}, line {reader.line_num}: expected {len(reader.fieldnames)} fields, as "
                    f"the header has. Received {len(reader.fieldnames) + len(row[None])}. "
                    f"Put quotes around texts that contain the separator."
                )
            yield reader.line_num, row
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}. Expected CSV.") from None


def _json_rows(file: Iterable[str], path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields the objects of a JSONL file and their lines."""
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(f"{path}, line {number}: expected a JSON object. {error}") from None
        if not isinstance(row, dict):
            raise InputError(f"{path}, line {number}: expected a JSON object. Received: {row!r}")
        yield number, row
