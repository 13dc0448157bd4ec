"""People's own files → texts and classes in train, dev and test, and what is unusual about them.

1. `tables.folders` finds the files and `tables.reading` their rows.
2. `tables.labels` turns labels into classes. Rows without a label are left out and counted.
3. `tables.splits` splits one file. Texts that are equal for the model stay in the same split.
4. `findings` counts what a user should know: repeats, contradictions, leaks, missing classes.
"""

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sst_keras.errors import InputError
from sst_keras.findings import (
    Findings,
    class_notes,
    label_notes,
    leaks,
    not_english,
    text_notes,
)
from sst_keras.settings import DataConfig
from sst_keras.tables.folders import ClassFolders, other_tables, passed_over
from sst_keras.tables.labels import Labels, read_labels
from sst_keras.tables.reading import Table, open_table
from sst_keras.tables.splits import (
    SPLITS,
    contradictions,
    is_group_name,
    looks_like_group,
    split_rows,
)
from sst_keras.texts import TextReader, Texts

_FEWEST_CLASSES, _MOST_CLASSES = 2, 20
_MOST_SPELLINGS = 1000  # of labels; more are no labels, and would take long to compare
_SHOWN = 5  # places or names in a message


@dataclass(frozen=True)
class Reviews:
    """A user's data set: split → texts and int32[texts], their classes; and what was found."""

    splits: Mapping[str, tuple[Texts, np.ndarray]]
    class_names: tuple[str, ...]
    ordered: bool
    findings: Findings


@dataclass(frozen=True)
class _Rows:
    """The rows of all files, in columns.

    Attributes:
        tables: The files.
        splits: The split of each file, or `all`.
        file: int32[rows], the number of the row's file.
        line: int32[rows], the line on which it starts.
        spelling: int32[rows], the number of its label's spelling in `spellings`.
        group: int64[rows], the number of its group, -1 without one.
        proposed: Names of the columns that look like groups.
    """

    tables: tuple[Table | ClassFolders, ...]
    splits: tuple[str, ...]
    spellings: tuple[str, ...]
    file: np.ndarray
    line: np.ndarray
    spelling: np.ndarray
    group: np.ndarray
    proposed: tuple[str, ...]

    def places(self, rows: np.ndarray) -> list[str]:
        """Returns where the first few of some rows are."""
        few = [(self.tables[self.file[row]], int(self.line[row])) for row in rows[:_SHOWN]]
        return [table.place(line) for table, line in few]

    def where(self, rows: np.ndarray) -> str:
        """Returns where the first few of some rows are, as a phrase."""
        shown = ""
        for place in self.places(rows):
            file, comma, line = place.rpartition(", line ")
            is_same = comma and shown.startswith(f"{file}, line") and "; " not in shown
            shown += f", {line}" if is_same else f"{'; ' if shown else ''}{place}"
        return shown + (", ..." if len(rows) > _SHOWN else "")

    def counts(self) -> dict[str, int]:
        """Returns spelling → rows."""
        counts = np.bincount(self.spelling, minlength=len(self.spellings))
        return dict(zip(self.spellings, counts.tolist(), strict=True))


def read_reviews(
    sources: Mapping[str, Path | ClassFolders], data: DataConfig, complete: bool = False
) -> Reviews:
    """Reads files of texts and labels.

    Args:
        sources: Split → file, as `tables.folders.find_sources` returns them.
        data: The settings.
        complete: Whether one file is read as test, instead of being split.

    Raises:
        UsageError: If columns or settings do not fit the files.
        InputError: If a file cannot be read, or has too few rows, or too few or too many classes.
    """
    reader = TextReader()
    with _without_garbage_collection():
        rows = _read_rows(sources, data, reader)
    if not len(rows.line):
        raise InputError(f"{data.dataset}: expected a text and a label per row. Received no rows.")
    texts = reader.finish()
    if len(rows.spellings) > _MOST_SPELLINGS:
        raise _wrong_column(rows, rows.spellings, data)
    labels = read_labels(rows.counts(), data.labels)
    numbers = np.asarray([labels.codes.get(each, -2) for each in rows.spellings], np.int32)
    classes = numbers[rows.spelling]  # int32[rows]: -1 without a label, -2 with an unknown one
    _check_labels(rows, classes, labels, data)
    missing, kept = np.flatnonzero(classes == -1), np.flatnonzero(classes >= 0)
    if len(missing):
        texts = texts.take(kept)
    classes, file = classes[kept], rows.file[kept]
    keys, group = texts.keys(), rows.group[kept]
    sides, notes = _sides(rows.splits, file, group, keys, classes, data, complete)
    members = {name: np.flatnonzero(sides == side) for side, name in enumerate(SPLITS)}
    splits = {name: (texts.take(each), classes[each]) for name, each in members.items()}
    left_out = {"reason": "no label", "rows": len(missing), "places": rows.places(missing)}
    order = np.argsort(keys)
    is_equal = keys[order[1:]] == keys[order[:-1]]  # to the text before it in this order
    repeated = np.union1d(order[1:][is_equal], order[:-1][is_equal])
    findings = Findings(
        read=tuple(table.about for table in rows.tables),
        joined=labels.joined,
        left_out=(left_out,) if len(missing) else (),
        repeats=int(is_equal.sum()),
        contradicted=contradictions(classes[repeated], keys[repeated]),
        leaks={} if complete else leaks(splits, {name: keys[m] for name, m in members.items()}),
        group_columns=() if data.group_column or complete else rows.proposed,
        longest=int(texts.lengths.max()),
        not_english=not_english(texts),
    )
    others = other_tables(Path(data.dataset), sources)
    notes = [
        *(note for table in rows.tables for note in table.notes()),
        *([f"{passed_over(others)}: no split is in the name."] if others else []),
        *notes,
        *label_notes(labels, len(missing), rows.where(missing)),
        *([] if complete else class_notes(members, classes, labels.classes, data)),
        *text_notes(texts, findings, members, data),
    ]
    findings = replace(findings, notes=(*findings.read, *notes))
    return Reviews(splits, labels.classes, labels.ordered, findings)


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Reading makes a list per row and no cycles; searching them for cycles takes half the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _Numbering(dict):
    """Numbers strings in the order in which they come."""

    def __missing__(self, key: str) -> int:
        self[key] = number = len(self)
        return number

    def numbers(self, strings: Sequence[str]) -> np.ndarray:
        """Returns int64[strings]."""
        return np.fromiter(map(self.__getitem__, strings), np.int64, len(strings))


def _read_rows(
    sources: Mapping[str, Path | ClassFolders], data: DataConfig, reader: TextReader
) -> _Rows:
    """Reads all files; their texts go to `reader`."""
    tables, proposed = [], []
    spellings, groups = _Numbering(), _Numbering({"": -1})
    columns: dict[str, list[np.ndarray]] = {"file": [], "line": [], "spelling": [], "group": []}
    for number, source in enumerate(sources.values()):
        is_folder = isinstance(source, ClassFolders)
        table = replace(source, data=data) if is_folder else open_table(source, data)
        tables.append(table)
        others = {
            name: _Numbering()
            for name in table.names
            if not data.group_column and is_group_name(name)
        }
        values: dict[str, list[np.ndarray]] = {name: [] for name in others}
        for block in table.blocks():
            reader.add(block.texts)
            columns["file"].append(np.full(len(block.lines), number, np.int32))
            columns["line"].append(np.asarray(block.lines, np.int32))
            columns["spelling"].append(spellings.numbers(block.labels))
            columns["group"].append(groups.numbers(block.groups))
            for name, known in others.items():
                place = table.names.index(name)
                values[name].append(known.numbers([str(row[place]) for row in block.rows]))
        proposed += [
            name
            for name, parts in values.items()
            if parts and name not in proposed and looks_like_group(name, np.concatenate(parts))
        ]
    joined = {
        name: np.concatenate([[], *parts]).astype(np.int64) for name, parts in columns.items()
    }
    return _Rows(
        tuple(tables), tuple(sources), tuple(spellings), **joined, proposed=tuple(proposed)
    )


def _check_labels(rows: _Rows, classes: np.ndarray, labels: Labels, data: DataConfig) -> None:
    names = labels.classes
    if unknown := [each for each in rows.spellings if each not in labels.codes]:
        found = np.flatnonzero(classes == -2)
        counts = rows.counts()
        shown = ", ".join(f"{each!r} ({counts[each]:,})" for each in unknown[:_SHOWN])
        raise InputError(
            f"{data.dataset}: expected the classes {', '.join(names)}. {len(found):,} rows have "
            f"other labels: {shown} ({rows.where(found)}). Correct the rows, or name all classes.",
            setting="data.labels",
        )
    if not (classes >= 0).any():
        raise InputError(
            f"{data.dataset}: expected a text and a label per row. No row has a label "
            f"({rows.where(np.arange(len(classes)))})."
        )
    if not _FEWEST_CLASSES <= len(names) <= _MOST_CLASSES:
        raise _wrong_column(rows, names, data)


def _wrong_column(rows: _Rows, names: Sequence[str], data: DataConfig) -> InputError:
    """Returns the error about a column of labels with too few or too many of them."""
    shown = ", ".join(name[:40] for name in names[:_SHOWN])
    shown += ", ..." if len(names) > _SHOWN else ""
    column = next((table.label for table in rows.tables if getattr(table, "label", None)), "")
    return InputError(
        f"{data.dataset}: expected {_FEWEST_CLASSES} to {_MOST_CLASSES} classes in the column "
        f"{column or data.label_column!r}. Received {len(names):,}: {shown}. Is it the "
        f"right column?"
    )


def _sides(
    splits: Sequence[str],
    file: np.ndarray,
    group: np.ndarray,
    keys: np.ndarray,
    classes: np.ndarray,
    data: DataConfig,
    complete: bool,
) -> tuple[np.ndarray, list[str]]:
    """Returns the split of each row, int8[rows], and notes. What is missing is cut from train."""
    if complete and splits == ("all",):
        return np.full(len(file), SPLITS.index("test"), np.int8), []
    given = {"all": 0} | {name: side for side, name in enumerate(SPLITS)}
    sides = np.asarray([given[name] for name in splits], np.int8)[file]
    is_cut = [name not in splits for name in SPLITS]
    if not any(is_cut[1:]):
        return sides, []
    is_cut[0] = False
    shares = (1 - 0.1 * sum(is_cut), *(0.1 * cut for cut in is_cut[1:]))
    train = np.flatnonzero(sides == 0)
    groups = group[train] if data.group_column else None
    try:
        cut = split_rows(classes[train], keys[train], groups, data.split_seed, shares)
    except InputError as error:
        raise InputError(f"{data.dataset}: {error.message}") from None
    sides[train] = cut.sides
    sizes = " / ".join(f"{size:,}" for size in np.bincount(sides, minlength=3))
    if splits == ("all",):
        how = "each group in one split" if data.group_column else "stratified by class"
        note = (
            f"Split into train / dev / test = {sizes} by data.split_seed {data.split_seed}, {how}."
        )
    else:
        names = " and ".join(name for name, cut in zip(SPLITS, is_cut, strict=True) if cut)
        note = (
            f"There is no {names} file: a tenth of train was cut off for it by data.split_seed "
            f"{data.split_seed}. Train / dev / test = {sizes}."
        )
    return sides, [note, *cut.notes]
