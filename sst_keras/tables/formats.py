"""What a file of texts is, found from its content: CSV of some dialect, JSON, or labelled lines."""

import csv
import json
import math
import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from sst_keras.errors import InputError, UsageError
from sst_keras.settings import DataConfig
from sst_keras.tables.columns import Columns, find_column, find_columns
from sst_keras.tables.encodings import Encoding, find_encoding, read_lines
from sst_keras.tables.parquet import is_parquet

_SAMPLE = 1 << 18  # characters
_OBJECTS = 100  # lines of JSON that are tried
_MOST_COLUMNS = 10_000  # of a table; more are separators within a text
_LONGEST_ROW = 10_000  # lines; more are taken for those after a quotation mark without a partner
# Rows with wrong quotation marks that can be a mistake: so many, and beyond them such a share.
_WRONG, _WRONG_SHARE = 3, 0.1
_KINDS = {
    "json-lines": "JSON Lines",
    "json": "a JSON array",
    "json-objects": "JSON objects",
    "labelled": "fastText's labels",
    "numbered": "a number before each text",
    "lines": "one text per line",
}
_ONE_COLUMN = "\x1f"  # separates nothing, because no text contains it
_DELIMITERS = {
    ",": "commas",
    "\t": "tabs",
    ";": "semicolons",
    "|": "vertical bars",
    _ONE_COLUMN: "one column",
}
_QUOTING = {
    "none": "no quoting",
    "double": "double quotes",
    "single": "single quotes",
    "backslash": "double quotes with backslashes",
}
_LABELLED = re.compile(r"\s*__label__[^\s,;]+(?:\s|$)")
_NUMBERED = re.compile(r"[+-]?\d+(?:\.\d+)?[ \t]+\S")
# A quoted field, with each quotation mark in it doubled or after a backslash.
WELL_QUOTED = re.compile(r'"(?:[^"\\]|""|\\.)*"', re.DOTALL)


class QuotingError(Exception):
    """Wrong quotation marks in the row that starts on `line`, with the `content` of that line."""

    def __init__(self, line: int, problem: Exception, content: str = "") -> None:
        super().__init__(str(problem))
        self.line, self.content = line, content


class Format(NamedTuple):
    """How a file is read.

    Attributes:
        kind: `table`, `parquet`, `json-lines`, `json` (an array), `json-objects` (over several
            lines), `labelled` (fastText's `__label__`), `numbered` (a number, then the text) or
            `lines` (texts only).
        delimiter: What separates the fields of a `table`.
        quoting: A choice of `data.quoting` other than auto.
        skips_space: Whether a space after the delimiter does not count.
        unwraps: Whether quotation marks around a complete field are taken off, with quoting none.
        line: The line of the header, from 1, or before the first row; 0 if there is none.
        columns: The columns of a `table`.
    """

    kind: str
    encoding: Encoding
    delimiter: str = ","
    quoting: str = "double"
    skips_space: bool = False
    unwraps: bool = False
    line: int = 0
    columns: Columns | None = None

    def __str__(self) -> str:
        if self.kind == "parquet":
            return "Parquet"
        if self.kind != "table":
            return f"{_KINDS[self.kind]}, {self.encoding}"
        delimiter = _DELIMITERS.get(self.delimiter, repr(self.delimiter))
        header = f"header in line {self.line}" if self.line > 1 else ""
        header = header if self.columns.header is not None else "no header"
        parts = (delimiter, _QUOTING[self.quoting], str(self.encoding), header)
        return ", ".join(part for part in parts if part)


def find_format(
    path: Path, data: DataConfig, with_label: bool = True, lenient: bool = False
) -> Format:
    """Finds how a file is to be read. Settings other than auto are taken as they are.

    `lenient` is that of `find_encoding`; a few rows may also have wrong quotation marks then.

    Raises:
        UsageError: If columns or settings do not fit the file.
        InputError: If the file cannot be read as text.
    """
    if is_parquet(path):
        return Format("parquet", Encoding("utf-8", False, "\n"))
    encoding = find_encoding(path, data.encoding, lenient)
    lines = _sample(read_lines(path, encoding))
    first = next((line for line in lines if line.strip()), "")
    opening = first.lstrip()[:1]
    if opening == "[" and (re.match(r"\s*\[\s*(?:[\[{]|$)", first) or _is_json(first)):
        return Format("json", encoding)
    if opening == "{":
        # One line may be damaged; of an object over several lines, few are objects themselves.
        whole = [_is_json(line) for line in lines[:_OBJECTS] if line.strip()]
        return Format("json-lines" if 2 * sum(whole) > len(whole) else "json-objects", encoding)
    if _LABELLED.match(first):
        return Format("labelled", encoding)
    found = _find_table(path, lines, encoding, data, with_label, lenient)
    has_header = found is not None and found.columns.header is not None
    if not has_header and with_label and _are_numbered(lines, data):
        return Format("numbered", encoding)
    if found is None:
        raise _no_columns(path, lines, encoding, data, with_label)
    return found


def is_labelled(path: Path, data: DataConfig) -> bool:
    """Returns whether the first text of a file has a label as fastText writes it: `__label__5`.

    Raises:
        InputError: If the file cannot be read as text.
    """
    lines = read_lines(path, find_encoding(path, data.encoding))
    return bool(_LABELLED.match(next((line for line in lines if line.strip()), "")))


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _are_numbered(lines: Sequence[str], data: DataConfig) -> bool:
    """Whether each line is a number and a text, and the settings say nothing else."""
    named = (data.text_column, data.label_column, data.delimiter, data.header)
    if any(name.isdigit() for name in named[:2]) or named[2:] != ("auto", "auto"):
        return False
    rows = [line.strip() for line in lines if line.strip()]
    is_table = all(row.count("\t") > 1 for row in rows)  # with more columns than these two
    return bool(rows) and not is_table and all(map(_NUMBERED.match, rows))


def split_lines(
    lines: Iterable[str], found: Format, lenient: bool = False
) -> Iterator[tuple[int, list[str] | QuotingError]]:
    """Yields the fields of each row of a `table`, and the line where it starts.

    `lines` are the file's, from the first. A blank line is a row in a table of one column, unless
    all lines below it are blank. Wrong quotation marks raise a `QuotingError`. If `lenient`, that
    comes in place of the fields, and the next row starts on the next line.
    """
    is_one_column = found.columns is not None and len(found.columns.names) == 1
    blank: list[int] = []
    for number, fields in _all_rows(lines, found, lenient):
        if fields:
            yield from ((line, [""]) for line in blank)
            blank.clear()
            yield number, fields
        elif is_one_column:
            blank.append(number)


def _all_rows(
    lines: Iterable[str], found: Format, lenient: bool
) -> Iterator[tuple[int, list[str] | QuotingError]]:
    """Yields the fields of each line, none for a blank one, and the line where it starts."""
    if found.quoting == "none":
        for number, line in enumerate(lines, start=1):
            fields = line.rstrip("\r\n").split(found.delimiter)
            if found.unwraps and '"' in line:
                fields = list(map(_unwrap, fields))
            yield number, fields if line.strip() else []
        return
    if lenient:
        yield from _rows_and_errors(lines, found)
        return
    start = 1
    reader = _reader(lines, found)
    try:
        for fields in reader:
            yield start, fields
            start = reader.line_num + 1
    except csv.Error as error:
        raise QuotingError(start, error) from None


def _rows_and_errors(
    lines: Iterable[str], found: Format
) -> Iterator[tuple[int, list[str] | QuotingError]]:
    """Yields what `_all_rows` does if it is lenient."""
    lines, start, most = iter(lines), 1, _LONGEST_ROW
    taken: list[str] = []  # the lines of the row that is read
    again: deque[str] = deque()  # those that a wrong row took

    def following() -> Iterator[str]:
        while (line := again.popleft() if again else next(lines, None)) is not None:
            taken.append(line)
            if len(taken) > most:
                raise csv.Error(f"no end within {most:,} lines")
            yield line

    while True:
        try:
            for fields in _reader(following(), found):
                yield start, fields
                start += len(taken)
                taken.clear()
            return
        except csv.Error as error:
            yield start, QuotingError(start, error, taken[0])
            if len(taken) > most:  # Each such row costs as many lines again.
                most = min(most, max(most // 10, 100))
        again.extendleft(reversed(taken[1:]))
        taken.clear()
        start += 1


def _reader(lines: Iterable[str], found: Format) -> Any:
    csv.field_size_limit(2**31 - 1)
    has_escapes = found.quoting == "backslash"
    return csv.reader(
        map(_without_breaks, lines) if has_escapes else lines,
        delimiter=found.delimiter,
        quotechar="'" if found.quoting == "single" else '"',
        escapechar="\\" if has_escapes else None,
        skipinitialspace=found.skips_space,
        strict=True,
    )


def _unwrap(field: str) -> str:
    if not field.startswith('"') or not WELL_QUOTED.fullmatch(field):
        return field
    return field[1:-1].replace('""', '"').replace('\\"', '"')


def _without_breaks(line: str) -> str:
    # csv would read an escaped line break, `\n`, as the letter n.
    return re.sub(r"\\(\\|[nrt])", lambda found: found[0] if found[1] == "\\" else " ", line)


def _sample(lines: Iterator[str]) -> list[str]:
    """Returns the first lines of a file, at least one."""
    taken: list[str] = []
    size = 0
    for line in lines:
        taken.append(line)
        size += len(line)
        if size > _SAMPLE:
            break
    return taken


def _find_table(
    path: Path,
    lines: Sequence[str],
    encoding: Encoding,
    data: DataConfig,
    with_label: bool,
    lenient: bool,
) -> Format | None:
    """Returns the delimiter, quoting and columns that make the most of the rows equally wide."""
    best, best_rank = None, (False, -1.0)
    for delimiter in _delimiters(path, data):
        for quoting, skips_space in _quotings(data):
            found = Format("table", encoding, delimiter, quoting, skips_space)
            sampled = found._replace(unwraps=data.quoting == "auto")
            rows, wrong = _sample_rows(lines, sampled, data), 0
            if lenient and not rows:
                rows, wrong = _right_rows(lines, sampled, data)
            if any(len(row) > _MOST_COLUMNS for _, row in rows):
                continue
            columns = find_columns([row for _, row in rows], data, with_label)
            if columns is None:
                continue
            body = rows[0 if columns.header is None else columns.header + 1 :]
            share = _share_of_usual_rows([row for _, row in body], columns, found)
            share *= len(rows) / (len(rows) + wrong)
            # A header with the columns says more than rows that decimal commas make equally wide.
            rank = columns.header is not None and share > 0, share
            if rank > best_rank:
                line = 0 if columns.header is None else rows[columns.header][0]
                best, best_rank = found._replace(line=line, columns=columns), rank
    if best is None or data.quoting != "auto":
        return best
    return _with_quoting(path, best, lines, data, lenient)


def _share_of_usual_rows(rows: Sequence[list[str]], columns: Columns, found: Format) -> float:
    """Returns the share of the rows that have the most frequent width, 0 if the header has less.

    Rows with a torn field do not count, unless they are as wide as a header and the field is not
    cut by the delimiter. Rows that are shorter than the header count half.
    """
    quoting, delimiter = found.quoting, found.delimiter
    if not rows:
        return 1.0
    width = len(columns.names)
    usual, count = Counter(map(len, rows)).most_common(1)[0]
    fits = all(len(_trimmed(row, width)) <= width for row in rows if len(row) == usual)
    if quoting == "none":
        is_wrong = usual != width or columns.header is None
        usual_rows = [row for row in rows if len(row) == usual]
        count -= sum(is_torn(row) and (is_wrong or _is_cut(row, delimiter)) for row in usual_rows)
    share = count / len(rows) if fits else 0.0
    return share if usual >= width else share / 2


def is_torn(row: Sequence[str]) -> bool:
    """Whether a field begins with a quotation mark that no mark at its end matches.

    Delimiters or line breaks within quotes may have torn it. The other fields are unwrapped.
    """
    return any(field.startswith('"') for field in row)


def _is_cut(row: Sequence[str], delimiter: str) -> bool:
    """Whether fields of a row are a well quoted one if they are joined by the delimiter."""
    for place, field in enumerate(row):
        if field.startswith('"'):
            rest = delimiter.join(row[place:])
            quoted = WELL_QUOTED.match(rest)
            return bool(quoted) and rest[quoted.end() :][:1] in ("", delimiter)
    return False


def _delimiters(path: Path, data: DataConfig) -> list[str]:
    if data.delimiter == "auto":
        name = path.name.lower().removesuffix(".gz")
        first = ["\t", ","] if name.endswith((".tsv", ".tab")) else [",", "\t"]
        return [*first, ";", "|", _ONE_COLUMN]
    delimiter = {"tab": "\t", "\\t": "\t", "none": _ONE_COLUMN}.get(data.delimiter, data.delimiter)
    if len(delimiter) != 1:
        message = f"expected auto, tab, none or one character. Received: {data.delimiter!r}"
        raise UsageError(message, setting="data.delimiter")
    return [delimiter]


def _lines_above(data: DataConfig) -> int:
    """Returns how many lines are above the header's line, if that is given; otherwise 0."""
    if data.header in ("auto", "none"):
        return 0
    if not re.fullmatch("0*[1-9][0-9]{0,8}", data.header):
        raise UsageError(
            f"expected auto, none or the number of a line, from 1. Received: {data.header[:40]!r}",
            setting="data.header",
        )
    return int(data.header) - 1


def _quotings(data: DataConfig) -> list[tuple[str, bool]]:
    """Returns the kinds of quoting to try, and whether a space after a delimiter counts."""
    if data.quoting != "auto":
        return [(data.quoting, skips_space) for skips_space in (False, True)]
    kinds = [("none", False), ("double", False), ("double", True)]
    return [*kinds, ("backslash", False), ("backslash", True)]


def _sample_rows(
    lines: Sequence[str], found: Format, data: DataConfig
) -> list[tuple[int, list[str]]]:
    """Returns the rows of the first lines, from the header's line if it is given; none if wrong."""
    skipped = _lines_above(data)
    rows = []
    try:
        for line, row in split_lines(lines[skipped:], found):
            rows.append((line + skipped, row))
    except QuotingError:
        # The sample may end within a row. If that row is half of the sample, the quoting is wrong.
        end = rows[-1][0] if rows else 0
        is_cut = sum(map(len, lines)) > _SAMPLE and end > len(lines) / 2
        return rows if is_cut else []
    return rows


def _right_rows(
    lines: Sequence[str], found: Format, data: DataConfig
) -> tuple[list[tuple[int, list[str]]], int]:
    """Returns the rows of the first lines whose quotation marks are right, and how many are not.

    If too many are not, there are no rows.
    """
    skipped = _lines_above(data)
    rows, wrong = [], 0
    for line, row in split_lines(lines[skipped:], found, lenient=True):
        if not isinstance(row, QuotingError):
            rows.append((line + skipped, row))
            continue
        wrong += 1
        if wrong > _WRONG + _WRONG_SHARE * len(rows):
            return [], wrong
    return rows, wrong


def _trimmed(row: list[str], width: int) -> list[str]:
    """Returns a row without the empty fields at its end that exceed the header."""
    end = len(row)
    while end > width and not row[end - 1].strip():
        end -= 1
    return row[:end]


def _with_quoting(
    path: Path, found: Format, sample: Sequence[str], data: DataConfig, lenient: bool
) -> Format:
    """Settles the quoting of a table by all its lines.

    If every line has as many fields as the header when quotation marks are ordinary characters,
    they are ordinary, but for those around a complete field. A quoted field with a delimiter or a
    line break in it makes that impossible: then quotation marks quote. One column without quoting
    has no delimiter if one would cut some of its lines.
    """
    width = len(found.columns.names)
    lines, has_escapes = _from_header(path, found), False
    shows_quotes = has_quotes = any('"' in line for line in sample)
    start = max(found.line - 1, 0)
    is_plain = all(_is_plain(line, width, found.delimiter) for line in sample[start:])
    if has_quotes and not is_plain:  # All that the other lines can add are escapes.
        has_escapes = any('\\"' in line for line in lines)
    else:
        for line in lines:
            is_plain = is_plain and _is_plain(line, width, found.delimiter)
            if '"' in line:
                has_quotes = True
                has_escapes = has_escapes or '\\"' in line
    is_unquoted = found.quoting == "none"
    if width == 1 and is_unquoted and not is_plain and data.delimiter == "auto":
        found = found._replace(delimiter=_ONE_COLUMN)
    plain = found._replace(quoting="none", unwraps=has_quotes, skips_space=False)
    if not has_quotes:
        return plain
    quoted = plain._replace(quoting="double") if is_unquoted else found
    if width == 1 and (is_plain or is_unquoted):
        return quoted if _joins_lines(path, quoted, lenient) else plain
    if is_plain:
        return quoted if _are_quoted(sample, plain, quoted, data, lenient) else plain
    if is_unquoted and shows_quotes:
        is_wrong = not lenient or not _are_quoted(sample, plain, quoted, data, lenient)
        return plain if is_wrong else quoted
    if not is_unquoted and not has_escapes:
        return found
    kinds = [found._replace(quoting=quoting) for quoting in ("double", "backslash")]
    wrong = [_wrong_rows(path, kind, lenient) for kind in kinds]
    fewest = min(wrong)
    return kinds[wrong.index(fewest)] if fewest < math.inf else plain if is_unquoted else found


def _joins_lines(path: Path, quoted: Format, lenient: bool) -> bool:
    """Whether fields of a single column extend over several lines.

    They do if the header is quoted, or every field is, or if such fields are more than a few stray
    quotation marks make. Hardly a quotation mark may be wrong. One in a field without quotes is,
    because programs that write CSV would have quoted that field.
    """
    starts = enumerate(_from_header(path, quoted), start=1)
    rows = wrong = joined = bare = 0
    has_quoted_header = False
    try:
        for number, row in split_lines(_from_header(path, quoted), quoted, lenient):
            first = next(line for place, line in starts if place == number)
            is_quoted = first.startswith('"')
            if quoted.line and number == 1:
                has_quoted_header = is_quoted
                continue
            rows += 1
            wrong += isinstance(row, QuotingError) or ('"' in first and not is_quoted)
            if wrong > _WRONG + _WRONG_SHARE * rows:
                return False
            if not isinstance(row, QuotingError):
                joined += any(quoted.encoding.newline in field for field in row)
            bare += bool(first.strip()) and not is_quoted
    except QuotingError:
        return False
    is_certain = has_quoted_header or not bare
    return joined > (0 if is_certain else wrong + _WRONG)


def _from_header(path: Path, found: Format) -> Iterator[str]:
    """Yields the lines of a table from its header, or from the first if it has none."""
    return islice(read_lines(path, found.encoding), max(found.line - 1, 0), None)


def _wrong_rows(path: Path, found: Format, lenient: bool) -> float:
    """Returns how many rows of a file have wrong quotation marks, infinity for too many."""
    rows = wrong = 0
    try:
        for _, row in split_lines(read_lines(path, found.encoding), found, lenient):
            rows += 1
            wrong += isinstance(row, QuotingError)
    except QuotingError:
        return math.inf
    return wrong if wrong <= _WRONG + _WRONG_SHARE * (rows - wrong) else math.inf


def _are_quoted(
    lines: Sequence[str], plain: Format, quoted: Format, data: DataConfig, lenient: bool
) -> bool:
    """Whether quotation marks quote in a table that is consistent without, too.

    Then some fields are torn. Most of these are cut by the delimiter, or the labels of torn rows
    are none that other rows have.
    """
    places = [place for place in (plain.columns.label,) if place is not None]
    both = []
    for found in (plain, quoted):
        numbered = _sample_rows(lines, found, data)
        if lenient and not numbered:
            numbered, _ = _right_rows(lines, found, data)
        rows = [row for line, row in numbered if line > found.line]
        both.append([row for row in rows if len(row) == len(found.columns.names)])
    torn = [row for row in both[0] if is_torn(row)]
    if 2 * sum(_is_cut(row, plain.delimiter) for row in torn) > len(torn):
        return True
    if not torn or not both[1]:
        return False
    known = {row[place].strip() for row in both[1] for place in places}
    return any(row[place].strip() not in known - {""} for row in torn for place in places)


def _is_plain(line: str, width: int, delimiter: str) -> bool:
    """Whether a line is blank or has `width` fields, and beyond them only empty ones."""
    if line.count(delimiter) == width - 1 or not line.strip():
        return True
    fields = line.rstrip("\r\n").split(delimiter)
    quoted = (field for field in fields if field.startswith('"'))
    return len(_trimmed(fields, width)) == width and all(map(WELL_QUOTED.fullmatch, quoted))


def _lacks(header: Sequence[str], name: str, setting: str) -> bool:
    return find_column(name, [each.strip() for each in header], f"data.{setting}") is None


def _first_row(lines: Sequence[str], delimiter: str, encoding: Encoding) -> tuple[int, list[str]]:
    """Returns the first row and its line, with quotation marks as CSV has them if possible."""
    try:
        return next(split_lines(lines, Format("table", encoding, delimiter)))
    except QuotingError:
        plain = Format("table", encoding, delimiter, "none", unwraps=True)
        return next(split_lines(lines, plain))


def _no_columns(
    path: Path, lines: Sequence[str], encoding: Encoding, data: DataConfig, with_label: bool
) -> InputError:
    """Returns the error about a table whose columns were not found."""
    if not any(line.strip() for line in lines):
        return InputError(f"{path}: expected a text and a label per row. Received no rows.")
    rows = [_first_row(lines, delimiter, encoding) for delimiter in _delimiters(path, data)]
    settings = ["text_column", "label_column"] if with_label else ["text_column"]
    missing = [
        [setting for setting in settings if _lacks(row, getattr(data, setting), setting)]
        for _, row in rows
    ]
    # The delimiter that gives most of the columns, or else most fields, is the likeliest.
    best = max(range(len(rows)), key=lambda place: (-len(missing[place]), len(rows[place][1])))
    line, row = rows[best]
    shown = ", ".join(name.strip()[:40] for name in row[:12])
    if _lines_above(data) >= len(lines) > 0:
        message = f"{path} has {len(lines)} lines. Expected a header in line {data.header}."
        return UsageError(message, setting="data.header")
    hint = ""
    if missing[best] == ["label_column"]:
        hint = " If the file has no labels, it can be predicted, but neither trained on nor scored."
    elif len(row) == 1 and data.delimiter == "auto" and with_label:
        hint = " If another character separates the fields, give it as the delimiter."
    names = " and ".join(repr(getattr(data, setting)) for setting in settings)
    if missing[best]:
        return UsageError(
            f"{path}: expected column{'s' * with_label} {names}. Line {line} has {len(row)} "
            f"field{'s' * (len(row) > 1)}: {shown}. Name the columns. If the file has no header, "
            f"give them by their numbers, from 1. If the header is below other lines, give its "
            f"line.{hint}",
            setting=f"data.{missing[best][0]}",
        )
    return UsageError(f"{path}: expected a text and a label in each row. Line {line}: {shown}.")
