"""A file of texts → blocks of rows: text, label, group, and the line where each row starts."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from sst_keras.errors import InputError, UsageError
from sst_keras.settings import DataConfig
from sst_keras.tables import parquet
from sst_keras.tables.columns import find_column
from sst_keras.tables.encodings import count_lines, find_encoding, read_lines
from sst_keras.tables.formats import Format, QuotingError, find_format, is_torn, split_lines
from sst_keras.tables.notation import only_entry, undo_markup, undo_python
from sst_keras.tables.objects import (
    NAMED,
    label_of,
    object_names,
    read_objects,
    shown_names,
    text_of,
)

# Endings of tables' names.
TABLES = (".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".json", ".parquet")
_BLOCK, _SAMPLE = 8192, 100  # rows
_HALF = re.compile("[\ud800-\udfff]")  # of a surrogate pair
_SHOWN = 5  # lines in a note
_PYTHON = "had a list or bytes in Python's notation, which were undone"
_OPEN = (
    "began with a quotation mark that does not end in the same line; data.quoting=double joins "
    "such lines"
)
_REPEATED = "repeated the header and had no text"
_UNDONE = "had markup or written-out line breaks, which were undone"


class Block(NamedTuple):
    """Consecutive rows of a file, in columns.

    Attributes:
        lines: The line on which each row starts, from 1.
        texts: The texts, with markup undone if the settings say so.
        labels: The labels as written; empty where there is none.
        groups: The values of `data.group_column`; empty strings without it.
        rows: The values of all columns as read, in the order of `Table.names`.
        problems: Why a row cannot be used, if the table is lenient; empty for good rows.
    """

    lines: list[int]
    texts: list[str]
    labels: list[str]
    groups: list[str]
    rows: list[Sequence[Any]]
    problems: list[str]


class Source:
    """What is read as rows, and counts of what is unusual in them.

    Attributes:
        path: The file or folder.
        data: The settings.
        counts: What was met → the number of rows and their first lines.
    """

    path: Path
    data: DataConfig
    counts: dict[str, tuple[int, list[int]]]

    @property
    def unit(self) -> str:
        """What rows are numbered by: `line`, or `row` in Parquet."""
        return "row" if self.path.suffix.lower() == ".parquet" else "line"

    def place(self, line: int) -> str:
        """Returns where a row is, for messages."""
        return f"{self.path}, {self.unit} {line}"

    def count(self, what: str, *lines: int) -> None:
        """Counts rows that are unusual."""
        number, first = self.counts.get(what, (0, []))
        self.counts[what] = number + len(lines), [*first, *lines][:_SHOWN]

    def notes(self) -> list[str]:
        """Returns a sentence on each unusual thing that was met."""
        notes = []
        for what, (number, lines) in self.counts.items():
            rows = "1 row" if number == 1 else f"{number:,} rows"
            shown = self._where(lines) + (", ..." if number > len(lines) else "")
            notes.append(f"{self.path.name}: {rows} {what} ({shown}).")
        return notes

    def _where(self, lines: Sequence[int]) -> str:
        return f"{self.unit}{'s' * (len(lines) > 1)} {', '.join(map(str, lines))}"

    def undo(self, texts: list[str], lines: Sequence[int]) -> None:
        """Undoes markup and Python's notation in place, and counts the texts that have it."""
        if self.data.markup == "keep":
            return
        unmarked, unlisted = [], []
        for place, text in enumerate(texts):
            if text.endswith(("'", '"', "]")) and text.lstrip()[:1] in ("[", "b"):
                text = undo_python(text)
                if texts[place] != text:
                    texts[place] = text
                    unlisted.append(lines[place])
            if "<" in text or "&" in text or "\\" in text:
                texts[place] = undo_markup(text)
                if texts[place] != text:
                    unmarked.append(lines[place])
        for what, changed in ((_UNDONE, unmarked), (_PYTHON, unlisted)):
            if changed:
                self.count(what, *changed)


@dataclass
class Table(Source):
    """A file that is read as rows. Iterating over `blocks` reads it and counts what is unusual.

    Attributes:
        names: The names of all columns.
        text: The name of the text's column.
        label: The name of the label's column, or None.
        lenient: Whether a row that cannot be read has a problem in its block, instead of raising an
            error.
        block_rows: The most rows of a block.
    """

    path: Path
    format: Format
    names: tuple[str, ...]
    text: str
    label: str | None
    data: DataConfig
    counts: dict[str, tuple[int, list[int]]] = field(default_factory=dict)
    lenient: bool = False
    block_rows: int = _BLOCK

    def size(self) -> int:
        """Returns how many lines it has, or rows if it is Parquet. It reads the file."""
        if self.format.kind == "parquet":
            return parquet.count_rows(self.path)
        return count_lines(self.path, self.format.encoding)

    @property
    def about(self) -> str:
        """How the file is read, in a line."""
        columns = {"text": self.text, "label": self.label}
        named = ", ".join(f"{part} = {name}" for part, name in columns.items() if name)
        return f"{self.path.name}: {self.format}" + (f"; {named}" if named else "")

    def blocks(self, size: int = 0) -> Iterator[Block]:
        """Yields the rows of the file, in blocks of at most `size`, by default `block_rows`.

        Raises:
            InputError: If a row cannot be read and the table is not lenient, or most of the first
                rows cannot. The message names the line.
        """
        size = size or self.block_rows
        is_table = self.format.kind == "table"
        rows = {"labelled": _labelled_rows, "numbered": _numbered_rows, "lines": _line_rows}
        read = rows.get(self.format.kind, _json_rows)
        for block in _table_blocks(self, size) if is_table else _blocks(read(self), size):
            self.undo(block.texts, block.lines)
            if is_table:
                self._read_lists(block)
            try:
                "".join(block.texts).encode("utf-8")
                "".join(block.labels).encode("utf-8")
                if self.lenient:
                    values = (value for row in block.rows for value in row)
                    "".join(value for value in values if isinstance(value, str)).encode("utf-8")
            except UnicodeEncodeError:  # half of a surrogate pair, which JSON can hold
                self._find_halves(block)
            yield block

    def _find_halves(self, block: Block) -> None:
        """Raises an error for the first row with half of a surrogate pair, or marks all of them."""
        for place, (text, label) in enumerate(zip(block.texts, block.labels, strict=True)):
            row = block.rows[place] if self.lenient else ()
            for value in (text, label, *row):
                if half := isinstance(value, str) and _HALF.search(value):
                    problem = f"expected text in UTF-8. Received {half[0]!r}."
                    if not self.lenient:
                        raise InputError(f"{self.place(block.lines[place])}: {problem}")
                    block.texts[place], block.problems[place] = _whole(text), problem
                    block.rows[place] = [_whole(each) for each in row]
                    break

    def _read_lists(self, block: Block) -> None:
        """Replaces each label that is a list of one, such as `['good']`, by its entry."""
        changed = []
        for place, label in enumerate(block.labels):
            if not label.startswith("["):
                continue
            entry = only_entry(label)
            if entry is None:
                raise InputError(
                    f"{self.place(block.lines[place])}: expected one label in {self.label!r}. "
                    f"Received: {label[:60]}"
                )
            if entry != label:
                block.labels[place] = entry
                changed.append(block.lines[place])
        if changed:
            self.count("had a list of one label, whose entry was taken", *changed)


def _whole(value: Any) -> Any:
    """Returns a value that can be written, with ? in place of what is not UTF-8."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def open_table(
    path: Path, data: DataConfig, with_label: bool = True, lenient: bool = False
) -> Table:
    """Finds how a file is read. `lenient` is that of `Table`.

    Raises:
        UsageError: If columns or settings do not fit the file.
        InputError: If the file cannot be read as text.
    """
    found = find_format(path, data, with_label, lenient)
    if found.kind == "table":
        if not with_label:
            found = found._replace(columns=found.columns._replace(label=None, group=None))
        columns = found.columns
        label = None if columns.label is None else columns.names[columns.label]
        text = columns.names[columns.text]
        return Table(path, found, columns.names, text, label, data, lenient=lenient)
    if found.kind in ("labelled", "numbered"):
        return Table(path, found, (), "", None, data, lenient=lenient)
    names = object_names(path, found)
    chosen = dict.fromkeys(("text_column", "label_column", "group_column"))
    for setting in chosen if with_label else ("text_column",):
        name = getattr(data, setting)
        place = find_column(name, names, f"data.{setting}") if name else None
        if place is None and name:
            raise UsageError(
                f"{path}: expected a column {name!r}. Received: {shown_names(names)}. Name the "
                f"column of this file.",
                setting=f"data.{setting}",
            )
        chosen[setting] = None if place is None else names[place]
    text, label = chosen["text_column"], chosen["label_column"]
    return Table(path, found, names, text, label, data, lenient=lenient)


def open_lines(path: Path, data: DataConfig, lenient: bool = False) -> Table:
    """Opens a file with one text per line. Only line feeds end a line."""
    found = Format("lines", find_encoding(path, data.encoding, lenient))
    return Table(path, found, ("text",), "", None, data, lenient=lenient)


def open_texts(path: Path, data: DataConfig, as_table: bool = False) -> Table:
    """Opens a file of texts to classify; bad rows become problems of its blocks.

    Each line is a text unless the file is a table, or `as_table` says so.
    """
    if as_table or is_table(path, data):
        return open_table(path, data, with_label=False, lenient=True)
    return open_lines(path, data, lenient=True)


def is_table(path: Path, data: DataConfig) -> bool:
    """Whether a file is a table by its name, or by its content: JSON, labels, a header of columns.

    Raises:
        InputError: If the file cannot be read as text.
    """
    if path.name.lower().removesuffix(".gz").endswith(TABLES):
        return True
    try:
        table = open_table(path, data, with_label=False, lenient=True)
        found = rows_of(islice(table.blocks(_SAMPLE), 1))
    except (InputError, UsageError):
        return False
    if table.format.kind != "table":
        return True
    # Lines of text rarely have the same number of commas, and a header or labels as well.
    is_even = not table.counts and all(len(row) == len(table.names) for row in found.rows)
    is_even = is_even and not any(found.problems)
    return is_even and len(table.names) > 1 and len(found.rows) > 1


def _blocks(rows: Iterator[tuple], size: int) -> Iterator[Block]:
    while block := list(islice(rows, size)):
        columns = list(map(list, zip(*block, strict=True)))
        if len(columns) < len(Block._fields):
            columns.append([""] * len(block))  # no problems
        yield Block(*columns)


def _table_blocks(table: Table, size: int) -> Iterator[Block]:
    path, found, columns = table.path, table.format, table.format.columns
    width, text, label, group = len(columns.names), columns.text, columns.label, columns.group
    skipped = max(found.line - 1, 0)
    lines_of_rows = islice(read_lines(path, found.encoding), skipped, None)
    numbered = split_lines(lines_of_rows, found, table.lenient)
    if found.line:
        next(numbered, None)
    is_first = True
    try:
        while block := list(islice(numbered, size)):
            lines = [number + skipped for number, _ in block]
            rows = [row for _, row in block]
            problems = [""] * len(rows)
            if any(isinstance(row, QuotingError) or len(row) != width for row in rows):
                pairs = zip(rows, lines, strict=True)
                fitted = [_fitted(row, width, table, number) for row, number in pairs]
                rows, problems = map(list, zip(*fitted, strict=True))
            if columns.header is not None and columns.names[text] in (row[text] for row in rows):
                kept = _without_headers(lines, rows, table)
                lines, rows, problems = (
                    [column[place] for place in kept] for column in (lines, rows, problems)
                )
            if table.lenient and is_first:
                _check_fit(table, rows, problems)
            is_first = False
            texts = [row[text] for row in rows]
            if found.quoting == "none" and width == 1:
                pairs = zip(lines, texts, strict=True)
                opened = [line for line, each in pairs if _is_open(each)]
                if opened:
                    table.count(_OPEN, *opened)
            labels = [""] * len(rows) if label is None else [row[label] for row in rows]
            groups = [""] * len(rows) if group is None else [row[group] for row in rows]
            yield Block(lines, texts, labels, groups, rows, problems)
    except QuotingError as error:
        raise InputError(
            f"{path}, line {error.line + skipped}: the quotation marks are wrong ({error}). Double "
            f"each quotation mark within a quoted field, or choose another quoting: none takes "
            f"them as they are.",
            setting="data.quoting",
        ) from None


def _is_open(field: str) -> bool:
    """Whether a field begins with a quotation mark, and one of its marks has no partner."""
    return field.startswith('"') and field.count('"') % 2 == 1


def _check_fit(table: Table, rows: Sequence[Sequence[str]], problems: Sequence[str]) -> None:
    """Raises an error if most of the first rows do not fit: then the file is read wrongly."""
    is_plain = table.format.quoting == "none"
    wrong = sum(
        bool(problem) or (is_plain and is_torn(row))
        for row, problem in zip(rows, problems, strict=True)
    )
    if wrong > len(rows) / 2:
        raise InputError(
            f"{table.path}: most of the first rows do not fit when they are read with "
            f"{table.format}. A quotation mark in one of them may be wrong. Correct it, or choose "
            f"another delimiter or quoting.",
            setting="data.quoting",
        )


def _without_headers(lines: list[int], rows: list[list[str]], table: Table) -> list[int]:
    """Returns the places of rows that are not the header again, as in tables that were joined."""
    names = list(table.names)
    kept = [place for place, row in enumerate(rows) if [each.strip() for each in row] != names]
    left_out = sorted({*range(len(rows))} - {*kept})
    if left_out:
        table.count(_REPEATED, *(lines[place] for place in left_out))
    return kept


def _fitted(
    row: list[str] | QuotingError, width: int, table: Table, line: int
) -> tuple[list[str], str]:
    """Returns a row as wide as the header, and what is wrong with it if the table is lenient."""
    if isinstance(row, QuotingError):
        # Its columns are a guess, but nothing of the line is lost.
        fields = row.content.rstrip("\r\n").split(table.format.delimiter, width - 1)
        problem = f"the quotation marks are wrong ({row}). Received: {row.content.strip()[:60]!r}"
        return [*fields, *[""] * (width - len(fields))], problem
    if len(row) == width:
        return row, ""
    if len(row) < width:
        table.count("had fewer fields than the header; the missing ones are empty", line)
        return row + [""] * (width - len(row)), ""
    if any(each.strip() for each in row[width:]):
        problem = f"expected {width} fields, as the header has. Received {len(row)}."
        if table.lenient:
            return row[:width], problem
        raise InputError(
            f"{table.path}, line {line}: {problem} Put quotes around texts that contain the "
            f"separator, or choose another delimiter or quoting. They were read with "
            f"{table.format}."
        )
    return row[:width], ""


def _labelled_rows(table: Table) -> Iterator[tuple]:
    for line, content in enumerate(read_lines(table.path, table.format.encoding), start=1):
        words = content.split(None, 1)
        if not words:
            continue
        text, problem = words[1].rstrip("\r\n") if len(words) > 1 else "", ""
        if not words[0].startswith("__label__"):
            problem = (
                f"expected __label__ and a class first, as in line 1. Received: "
                f"{content.strip()[:60]!r}"
            )
        elif text.lstrip().startswith("__label__"):
            problem = "expected one label per text. Received several."
        if problem and not table.lenient:
            raise InputError(f"{table.path}, line {line}: {problem}")
        label = words[0].removeprefix("__label__")
        text = text.removeprefix(", ")  # which fastText's own recipes put between the fields
        yield line, text, label, "", (label, text), problem


def _line_rows(table: Table) -> Iterator[tuple]:
    for line, content in enumerate(read_lines(table.path, table.format.encoding), start=1):
        text = content.rstrip("\r\n")
        yield line, text, "", "", (text,)


def _numbered_rows(table: Table) -> Iterator[tuple]:
    for line, content in enumerate(read_lines(table.path, table.format.encoding), start=1):
        words = content.split(None, 1)
        if words:
            text = words[1].rstrip("\r\n") if len(words) > 1 else ""
            yield line, text, words[0], "", (words[0], text)


def _json_rows(table: Table) -> Iterator[tuple]:
    group = table.data.group_column and find_column(
        table.data.group_column, table.names, "data.group_column"
    )
    group_name = "" if group in ("", None) else table.names[group]
    known = set(table.names)
    for line, row in read_objects(table.path, table.format, table.lenient):
        if table.lenient and not isinstance(row, InputError) and not row.keys() <= known:
            table.count(f"had names that the first {NAMED} lack, which were left out", line)
        place, problem = table.place(line), ""
        text = label = value = ""
        try:
            if isinstance(row, InputError):
                raise row
            if table.text not in row:
                received = ", ".join(row)[:80]
                raise InputError(f"{place}: expected {table.text!r}. Received: {received}")
            text = text_of(row[table.text], table.text, place)
            label = label_of(row.get(table.label), table.label, place) if table.label else ""
            value = label_of(row.get(group_name), group_name, place) if group_name else ""
        except InputError as error:
            if not table.lenient:
                raise
            problem = error.message.removeprefix(f"{place}: ")
            row = {} if isinstance(row, InputError) else row
        yield line, text, label, value, [row.get(name) for name in table.names], problem


def rows_of(blocks: Iterable[Block]) -> Block:
    """Returns blocks as one."""
    columns = list(zip(*blocks, strict=True)) or [[]] * len(Block._fields)
    return Block(*([each for part in column for each in part] for column in columns))
