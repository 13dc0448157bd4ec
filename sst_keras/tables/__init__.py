"""CSV, TSV and JSONL files → texts and labels, and a single file → train, dev and test."""

import csv
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sst_keras.errors import InputError, UsageError
from sst_keras.settings import DataConfig

SPLITS = ("train", "dev", "test")
_EXTENSIONS = (".csv", ".tsv", ".jsonl")
_FEWEST_CLASSES, _MOST_CLASSES = 2, 20


class Row(NamedTuple):
    """A row of a file: its text, its label as written, and file and line for errors."""

    text: str
    label: str
    place: str


def read_splits(
    path: Path, data: DataConfig
) -> tuple[dict[str, list[Row]], tuple[str, ...], list[str]]:
    """Reads train, dev and test from a folder of three files, or from one file, which is split.

    Returns:
        Split → rows, the classes in order, and notes for the user.

    Raises:
        UsageError: If these files do not exist, or they lack columns.
        InputError: If a file cannot be read, or has too few rows, or too few or too many classes.
    """
    if path.is_file() and path.suffix in _EXTENSIONS:
        rows = read_table(path, data)
        names = class_names(rows, data)
        splits, notes = split_table(rows, path, data.split_seed)
        return splits, names, notes
    for extension in _EXTENSIONS:
        if (path / f"train{extension}").is_file():
            require_splits(path, extension)
            splits = {name: read_table(path / f"{name}{extension}", data) for name in SPLITS}
            return splits, class_names(list(chain(*splits.values())), data), []
    if path.is_dir():
        message = (
            f"expected train.txt (trees), train.csv, train.tsv or train.jsonl, each with its dev "
            f"and test, in the folder {data.dataset!r}. Received none of them."
        )
    elif path.exists():
        message = (
            f"expected a file with the extension {', '.join(_EXTENSIONS)}, or a folder with train, "
            f"dev and test files. Received: {data.dataset!r}"
        )
    else:
        message = f"expected sst5, sample, auto or a path, but there is no {data.dataset!r}."
    raise UsageError(message, setting="data.dataset")


def require_splits(folder: Path, extension: str) -> None:
    """Raises a `UsageError` unless a folder with `train` has `dev` and `test` too."""
    names = [f"{name}{extension}" for name in SPLITS]
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        message = f"{str(folder)!r} has {names[0]} but no {', '.join(missing)}."
        raise UsageError(message, setting="data.dataset")


def split_table(rows: list[Row], path: Path, seed: int) -> tuple[dict[str, list[Row]], list[str]]:
    """Splits rows 80/10/10, each class by itself, with equal texts in the same split.

    Returns split → rows, and notes for the user. Raises an `InputError` if a split is empty.
    """
    # A copy of a training text in test would measure memory.
    first: dict[str, int] = {}
    group = np.asarray([first.setdefault(row.text.strip(), len(first)) for row in rows])
    leaders = np.unique(group, return_index=True)[1]  # [groups], the first row of each text
    labels = np.asarray([row.label for row in rows])
    side = np.empty(len(leaders), np.int64)  # the split of each group
    random = np.random.default_rng(seed)
    for label in sorted({row.label for row in rows}):
        members = random.permutation(np.flatnonzero(labels[leaders] == label))
        dev, test = round(0.8 * len(members)), round(0.9 * len(members))
        side[members[:dev]], side[members[dev:test]], side[members[test:]] = 0, 1, 2
    splits = {
        name: [rows[row] for row in np.flatnonzero(side[group] == number)]
        for number, name in enumerate(SPLITS)
    }
    if not all(splits.values()):
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


def class_names(rows: list[Row], data: DataConfig) -> tuple[str, ...]:
    """Returns the classes in order: as `data.labels` gives them, or sorted, numbers by value.

    Too few or too many classes, or a row with another class, raise an `InputError`.
    """
    found = sorted({row.label for row in rows})
    with suppress(ValueError):  # Labels that are not all numbers stay sorted as text.
        found = sorted(found, key=float)
    names = data.labels or tuple(found)
    if not _FEWEST_CLASSES <= len(names) <= _MOST_CLASSES:
        raise InputError(
            f"{data.dataset}: expected {_FEWEST_CLASSES} to {_MOST_CLASSES} classes in the column "
            f"{data.label_column!r}. Received {len(names)}: {', '.join(names[:5])}"
            f"{', ...' if len(names) > 5 else ''}. Is it the right column?"
        )
    for row in rows:
        if row.label not in names:
            raise InputError(
                f"{row.place}: the label {row.label!r} is not one of the classes "
                f"{', '.join(names)}. Correct the row, or name all classes.",
                setting="data.labels",
            )
    return names


def read_table(path: Path, data: DataConfig) -> list[Row]:
    """Reads a CSV, TSV or JSONL file.

    A missing column raises a `UsageError`. Another format or a missing label raises an
    `InputError`.
    """
    read = _json_rows if path.suffix == ".jsonl" else _csv_rows
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [_row(fields, data, f"{path}, line {line}") for line, fields in read(file, path)]
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: expected UTF-8, but found the byte {error.object[error.start]:#04x} "
            f"({error.reason}). Save the file as UTF-8, for example: "
            f"iconv -f latin1 -t utf-8 {path.name}"
        ) from None
    if not rows:
        raise InputError(f"{path}: expected a text and a label per row. Received no rows.")
    return rows


def _row(fields: dict[str, Any], data: DataConfig, place: str) -> Row:
    for setting in ("text_column", "label_column"):
        column = getattr(data, setting)
        if fields.get(column) is None:
            raise UsageError(
                f"{place}: expected a column {column!r}. Received: {', '.join(map(str, fields))}. "
                f"Name the column of this file.",
                setting=f"data.{setting}",
            )
    text, label = str(fields[data.text_column]), str(fields[data.label_column]).strip()
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:  # half of a surrogate pair, which JSON can hold
        half = error.object[error.start]
        raise InputError(f"{place}: expected text in UTF-8. Received {half!r} in it.") from None
    if not label:
        raise InputError(f"{place}: expected a label. Received none.")
    return Row(text, label, place)


def _csv_rows(file: Iterable[str], path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields the rows of a file with a header, and the line on which each ends."""
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
